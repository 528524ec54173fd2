"""Which Python workers are: this process's own, or that of an environment.

The nursery starts before the rest of Hanse is imported, so this imports nothing.
"""

from __future__ import annotations

import os
import sys

_SITES = ("site-packages", "dist-packages")


class Python:
    """
    Attributes:
        key: equal for the same environment; empty for this process's own Python.
        own: a directory at the end of its sys.path, with links to Hanse and what that needs.
        executable: what is started.
        prefixes: its sys.prefix and sys.exec_prefix.
    """

    key = own = ""

    @property
    def executable(self) -> str:
        return sys.executable

    @property
    def prefixes(self) -> tuple[str, str]:
        return sys.prefix, sys.exec_prefix

    def path(self) -> list[str]:
        """What sys.path is to be now: the user may import from new places."""
        return list(sys.path)

    def variables(self) -> dict[str, str]:
        """Of its environment, beside those of this process."""
        return {}


class Built(Python):
    """The Python of an environment that was built: packages come from there, and the program's own
    modules from where the program has them."""

    def __init__(self, key: str, directory: str, own: str) -> None:
        import sysconfig

        self.key, self.own = key, own
        self._directory = directory
        bases = {"base": directory, "platbase": directory}
        places = [sysconfig.get_path(name, "venv", bases) for name in ("purelib", "platlib")]
        self._last = [*dict.fromkeys(places), own]

    @property
    def executable(self) -> str:
        return os.path.join(self._directory, "bin", "python")

    @property
    def prefixes(self) -> tuple[str, str]:
        return self._directory, self._directory

    def path(self) -> list[str]:
        """Ours without installed packages: those that the environment does not have are missing."""
        kept = [one for one in sys.path if os.path.basename(one.rstrip("/")) not in _SITES]
        return [*kept, *self._last]

    def variables(self) -> dict[str, str]:
        """As an activated environment has them: a task may start programs of its packages."""
        path = os.environ.get("PATH", os.defpath)
        return {
            "VIRTUAL_ENV": self._directory,
            "PATH": os.path.join(self._directory, "bin") + os.pathsep + path,
        }


OWN = Python()
