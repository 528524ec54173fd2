"""Main's end of the nursery: starts it, asks it for workers, hears who was born and who died.

The nursery starts before the rest of Hanse is imported, so this imports no more than that takes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import subprocess
import sys
from _pickle import dumps

from hanse import limits
from hanse.engines.local import slots
from hanse.engines.local.frames import NEWS, pieces, rights
from hanse.engines.local.processes import kill_group
from hanse.engines.local.pythons import OWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from hanse.engines.local.pythons import Python
    from hanse.engines.local.sandbox import Sandbox
    from hanse.errors import EngineError

_BOOT = (
    "import gc, sys; gc.disable(); sys.path.append(sys.argv[2]); "
    "from hanse.engines.local.nursery import main; main(int(sys.argv[1]))"
)
_HOME = os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def depth() -> int:
    """How many levels of workers this process is below the user's own."""
    try:
        return int(os.environ.get("HANSE_DEPTH", "0"))
    except ValueError:
        return 0


def _refused(why: str) -> EngineError:
    from hanse.errors import EngineError  # takes 8 ms to import

    return EngineError(why)


def check_depth() -> None:
    if depth() >= limits.NESTING:
        raise _refused(
            f"tasks that start workers of their own are nested {depth()} levels deep, and "
            f"{limits.NESTING} is the limit: give the inner work to the outer client instead"
        )


def _environment() -> dict[str, str]:
    """One thread per worker for numeric libraries, unless the user chose otherwise."""
    return (
        dict.fromkeys(_ONE_THREAD, "1")
        | dict(os.environ)
        | {"HANSE_CPUS": "1", "HANSE_DEPTH": str(depth() + 1)}
    )


def _interpreter(python: Python) -> list[str]:
    """That Python with our flags, without `site`, which costs 20 ms."""
    if not python.executable:
        raise _refused("sys.executable is empty, so no worker processes can be started")
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    return [python.executable, *flags, "-S", "-P", "-c", _BOOT]


def _has_functions() -> bool:
    """Whether `__main__` has functions or classes: then it may send some, and those go by value.

    A prompt or a notebook, which has no file, is likely to have them soon."""
    main, tasks = sys.modules.get("__main__"), sys.modules.get("hanse.client.task")
    names = dict(getattr(main, "__dict__", {}))
    kinds = (type(_has_functions), type, tasks.Task if tasks is not None else type)
    return "__file__" not in names or any(
        type(value) in kinds and getattr(value, "__module__", "") == "__main__"
        for value in names.values()
    )


class Early:
    """A nursery that starts before its engine is there. Raises EngineError."""

    def __init__(self) -> None:
        check_depth()
        self.board = slots.make()
        try:
            self._spawner: Spawner | None = Spawner(self.board, early=True)
        except BaseException:
            os.close(self.board)
            raise

    def take(self) -> Spawner | None:
        """The nursery, once: whoever takes it ends it, and closes the board."""
        spawner, self._spawner = self._spawner, None
        return spawner

    def end(self) -> None:
        """End it if nobody took it."""
        if (spawner := self.take()) is not None:
            spawner.bury()
            os.close(self.board)


class Spawner:
    """One nursery process. `news` reports what happened to its workers."""

    def __init__(
        self, board: int, *, early: bool = False, python: Python = OWN,
        sandbox: Sandbox | None = None,
    ) -> None:  # fmt: skip
        self.python = python
        self._sandbox = sandbox
        self._words = -1  # what a sandboxed one writes to stderr: see `words`
        self.sock, theirs = socket.socketpair()
        if theirs.fileno() < 3:  # the program has closed its streams, and these are their numbers
            low, theirs = (
                theirs,
                socket.socket(fileno=fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)),
            )
            low.close()
        command = [*_interpreter(python), str(theirs.fileno()), _HOME]
        variables = _environment() | python.variables()
        if sandbox is not None:
            command = [*sandbox.command(python), *command]
            variables = sandbox.variables(variables)
            from hanse.payloads.files import make_anonymous

            self._words = make_anonymous()
        try:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if sandbox is None else self._words,
                env=variables,
                start_new_session=True,
            )
        except OSError as error:
            self._close()
            raise _refused(f"worker processes cannot be started: {error}") from error
        finally:
            theirs.close()
        self._rest = b""
        self.path = python.path()
        config = {
            "path": self.path,
            "argv": sys.argv,
            "prefix": python.prefixes,
            "main": os.getpid() if sandbox is None else 0,  # who is not to be seen in there
            "cloudpickle": "cloudpickle" in sys.modules,
            "by_value": _has_functions(),
            "early": early,  # `ready` will be told
        }
        try:
            self._send(config, [board])
        except OSError:
            pass  # it has ended already: its end of the socket tells

    def fork(self, number: int, slot: int, fds: list[int]) -> None:
        """Ask for a worker; `news` will tell. Raises OSError if the nursery is gone."""
        self._send(("fork", number, slot), fds)

    def ready(self) -> None:
        """Main could ask for workers from now on."""
        with contextlib.suppress(OSError):  # it is dead: its end of the socket tells
            self._send(("ready",), [])

    def _send(self, command: Any, fds: list[int]) -> None:
        for data, some in pieces(dumps(command), fds):
            sent = self.sock.sendmsg([data], rights(some))
            if sent < len(data):
                self.sock.sendall(data[sent:])

    def news(self) -> Iterator[tuple[int, int, int]]:
        """Kind, worker and value of each report that is there. Raises EOFError once it is dead."""
        data = b""
        try:
            data = self.sock.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            pass
        if not data:
            raise EOFError
        data = self._rest + data
        whole = len(data) - len(data) % NEWS.size
        self._rest = data[whole:]
        yield from NEWS.iter_unpack(data[:whole])

    def pid(self, told: int) -> int:
        """A worker's process id as it is here, of what the nursery told; 0 if it has ended."""
        return told if self._sandbox is None else self._sandbox.pid(self.process.pid, told)

    def words(self) -> str:
        """What it, or the sandbox around it, last said of itself, if that is kept. A sandboxed
        one gets no descriptor of ours to print to: through /proc, items could open it anew."""
        if self._words < 0:
            return ""
        size = os.fstat(self._words).st_size
        return os.pread(self._words, 2000, max(0, size - 2000)).decode(errors="replace").strip()

    def ask_to_end(self, leaving: list[int]) -> None:
        """Let it end with all its workers; those with these numbers may go by themselves."""
        try:
            self._send(("end", leaving), [])
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it is dead already

    def end(self, meanwhile: Callable[[], None], timeout_s: float) -> None:
        """Wait until it has ended, as it was asked to."""
        try:
            self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            meanwhile()
        self.bury()

    def bury(self) -> None:
        """Kill it if it lives, reap it, close our end."""
        if self.process.poll() is None:
            kill_group(self.process.pid)
            self.process.wait()
        self._close()

    def _close(self) -> None:
        self.sock.close()
        words, self._words = self._words, -1
        if words >= 0:
            os.close(words)

    def abandon(self) -> None:
        """Forget it in a forked child of main: it is not ours."""
        self._close()
        self.process.returncode = 0  # not our child: nobody waits for it here
