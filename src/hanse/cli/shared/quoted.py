"""`python -m hanse.cli.shared.quoted SCRIPT [ARGS]...`: the script that `hanse quote` asks.

Ctrl-C goes to it as well, and may come while Python starts or the script imports: it is blocked
until somebody here takes it, and who asked says what happened.
"""

from __future__ import annotations

import signal
import sys

from hanse.cli.shared import exits

if __name__ == "__main__":
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        from hanse.cli.run import exit_code

        code = exit_code(sys.argv[1], tuple(sys.argv[2:]), module=False, quiet=True)
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    raise SystemExit(code)
