"""The script that `hanse quote` asks, in a process of its own.

Ctrl-C goes to it as well, and may come while Python starts or the script imports: it is blocked
until somebody here takes it, and who asked says what happened.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import hanse
from hanse.cli.shared import exits

# The directory that Python begins in is no place to import from: scripts may lie elsewhere. Its
# place in the path is the script's later, and until then that of commands.
_BEGIN = """
import sys
if not sys.flags.safe_path:
    sys.path[0] = {commands!r}
sys.path.insert(0, {where!r})
import hanse
sys.path.append(sys.path.pop(0))
from hanse.cli.shared.quoted import main
main()
"""


def command(script: str, args: Sequence[str]) -> list[str]:
    """Runs `main`: by the Hanse that asks, wherever that was found."""
    where = str(Path(hanse.__file__).parents[1])
    begin = _BEGIN.format(where=where, commands=str(Path(sys.executable).parent))
    return [sys.executable, "-c", begin, script, *args]


def main() -> None:
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        from hanse.cli.run import exit_code

        code = exit_code(sys.argv[1], tuple(sys.argv[2:]), module=False, quiet=True)
    except KeyboardInterrupt:
        code = exits.INTERRUPTED
    raise SystemExit(code)
