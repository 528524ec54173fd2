"""The `hanse` command: one file for each noun, and nothing that another program would import."""

from __future__ import annotations

import signal


def begin() -> None:
    """The command: Ctrl-C that comes before there is a command to end is quiet, too."""
    handled = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # by Python, as usual
    if handled:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from hanse.cli.main import main

    if handled:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
