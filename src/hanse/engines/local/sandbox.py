"""A sandbox for workers: bubblewrap around the nursery, and so around all that it forks.

Inside there is no network but a loopback of its own, no process of the machine, no secret in the
environment, and a file system that is read-only but for private, empty directories in memory in
place of /tmp, /var/tmp, /run and the user's home. Of the home, and of what else was hidden, those
places come back, read-only, that Python imports from. What main and workers share are descriptors,
which pass through.

It contains accidents and keeps secrets apart. It is no wall against code that attacks the kernel,
and workers in it are not kept apart from each other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence

from hanse.engines.local.processes import family
from hanse.engines.local.pythons import Python
from hanse.errors import UsageError, WorldError

# Sockets of the machine's services are in /run. What is above one of these never comes back, though
# it be in sys.path: a home least of all.
_PRIVATE = ("/tmp", "/var/tmp", "/run", "~")
# What a worker may know of this process's variables: nothing that could be a secret.
_VARIABLES = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TERM", "VIRTUAL_ENV",
     "HANSE_CPUS", "HANSE_DEPTH", "MALLOC_ARENA_MAX"}
)  # fmt: skip
_FAMILIES = ("LC_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "PYTHON")
_CHECK_S = 20.0


class Sandbox:
    """
    Args:
        hidden: directories that nobody inside may see, such as a node's, with its tokens.
        shown: directories below these that may be read all the same.
    """

    def __init__(self, hidden: Sequence[str] = (), shown: Sequence[str] = ()) -> None:
        self._bwrap = find()
        self._hidden = [os.path.realpath(path) for path in hidden]
        self._shown = [os.path.realpath(path) for path in shown]

    def check(self) -> None:
        """Raises WorldError if this machine refuses it, which says why."""
        try:
            done = subprocess.run(
                [*self.command(Python()), shutil.which("true") or "/bin/true"], timeout=_CHECK_S,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise WorldError(f"bubblewrap cannot be run: {error}") from error
        if done.returncode:
            said = " ".join(done.stderr.split())[-500:]
            raise WorldError(
                f"this machine refuses a sandbox: {said or f'exit code {done.returncode}'}. It "
                "takes bubblewrap 0.8 or later, and a kernel that lets users make namespaces: look "
                "at the sysctls kernel.unprivileged_userns_clone, user.max_user_namespaces and "
                "kernel.apparmor_restrict_unprivileged_userns, in a container at its runtime. Or "
                "leave out --sandbox"
            )

    def command(self, python: Python) -> list[str]:
        """What to put in front of a command of that Python."""
        return [
            self._bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL",
            "--die-with-parent", "--new-session", "--as-pid-1",
            "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", *self._places(python),
            "--chdir", "/tmp", "--",
        ]  # fmt: skip

    def variables(self, given: dict[str, str]) -> dict[str, str]:
        """Those that workers may see."""
        return {
            name: value
            for name, value in given.items()
            if name in _VARIABLES or name.startswith(_FAMILIES)
        }

    def pid(self, bwrap: int, inside: int) -> int:
        """What a process is called here that calls itself `inside`; 0 if it has ended."""
        for pid in family(bwrap):
            try:
                with open(f"/proc/{pid}/status") as file:
                    names = next((row for row in file if row.startswith("NSpid:")), "").split()
            except OSError:
                continue
            if len(names) > 2 and int(names[-1]) == inside:
                return pid
        return 0

    def _places(self, python: Python) -> Iterator[str]:
        """What is hidden, and what comes back, from the root down: so each may be below another."""
        always = [os.path.realpath(os.path.expanduser(path)) for path in _PRIVATE]
        hidden = {path for path in (*always, *self._hidden) if os.path.isdir(path)} - {"/"}
        shown = {os.path.realpath(path) for path in (*_imported(python), *self._shown) if path}
        done: list[str] = []  # each is a mount, which takes about half a millisecond
        for path in sorted(hidden | shown, key=lambda path: path.split("/")):
            above = max((one for one in done if _is_below(path, one)), key=len, default="")
            if path in hidden:
                yield from ("--tmpfs", path)
                done.append(path)
            elif (
                above in hidden
                and os.path.exists(path)
                and not any(_is_below(one, path) for one in always)
            ):
                yield from ("--ro-bind", path, path)
                done.append(path)


def find() -> str:
    """Where bubblewrap is. Raises UsageError if it is not there."""
    if sys.platform != "linux":
        raise UsageError("--sandbox bwrap needs Linux")
    found = shutil.which("bwrap")
    if found is None:
        raise UsageError(
            "--sandbox bwrap needs bubblewrap, which is not installed: apt install bubblewrap, or "
            "dnf install bubblewrap"
        )
    return found


def _imported(python: Python) -> Iterator[str]:
    yield from (sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable)))
    yield os.path.dirname(os.path.dirname(os.path.abspath(python.executable)))
    yield from python.path()
    if python.own:
        for directory, directories, files in os.walk(python.own):  # of links
            yield from (os.path.join(directory, name) for name in (*directories, *files))


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")
