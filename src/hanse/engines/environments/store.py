"""The environments of a site: directories below its state directory, named by what is in them.

    root/<digest>/              what uv made
    root/<digest>/requirements.txt
    root/<digest>/ready         it is whole: written last, once the disk has all the rest
    root/<digest>.lock          held shared by whoever uses it, exclusively by whoever builds it
    root/hanse-<digest>/        see `own`

One that is not ready is nobody's: a build that was killed is removed by the next, which holds the
lock. The lock's descriptor is given to uv as well, so nobody builds beside an orphan.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from blake3 import blake3

from hanse.engines.environments.own import PREFIX, own_directory
from hanse.engines.environments.uv import Uv
from hanse.errors import EngineError
from hanse.home import home_directory
from hanse.limits import ENVIRONMENT_AGE_S
from hanse.model.environment import Environment

_FORMAT = 1
_LOOK_S = 0.05
_READY = "ready"


def default_root() -> Path:
    """Of programs without a node."""
    return root_in(home_directory())


def root_in(home: Path) -> Path:
    """Where a state directory has its environments."""
    return home / "environments"


def digest_of(environment: Environment) -> str:
    """What the environment is called on this machine: equal where the same is built."""
    told = (
        _FORMAT,
        environment.name,
        sys.implementation.cache_tag,
        sysconfig.get_config_var("SOABI"),
        sysconfig.get_platform(),
    )
    return blake3(msgspec.msgpack.encode(told)).hexdigest()[:32]


class Held:
    """An environment that is there, and stays while it is held."""

    def __init__(self, directory: Path, own: Path, lock: int) -> None:
        self.directory = directory
        self.own = own
        self._lock = lock

    def release(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


class Build:
    """One try to have an environment, in a thread of its own. `stop` is for another thread.

    Args:
        wheels: take nothing that would have to be built, which runs code of its makers.
        told: gets words on how far it is.
    """

    def __init__(
        self, root: Path, environment: Environment, wheels: bool, told: Callable[[str], None]
    ) -> None:
        self._root = root
        self._environment = environment
        self._wheels = wheels
        self._told = told
        self._digest = digest_of(environment)
        self._uv: Uv | None = None
        self._stopped = False

    def run(self) -> Held:
        """Raises EngineError, whose words say why."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            while not self._stopped:
                held = self._try()
                if held is not None:
                    return held
        except OSError as error:
            raise EngineError(_of_disk(error, self._root)) from error
        raise EngineError("it was stopped")

    def stop(self) -> None:
        self._stopped = True
        if self._uv is not None:
            self._uv.stop()

    def _try(self) -> Held | None:
        """None: look again."""
        lock = _open(self._lock_path)
        try:
            if not _take(lock, fcntl.LOCK_SH):
                self._told("another program builds it")
                time.sleep(_LOOK_S)
                return None
            if not _is_at(lock, self._lock_path):
                return None  # it was collected just now
            if self._is_ready():
                os.utime(self._directory / _READY)
                held = Held(self._directory, own_directory(self._root), lock)
                lock = -1
                return held
            if not _take(lock, fcntl.LOCK_EX):
                self._told("others wait for it, too")
                time.sleep(_LOOK_S)
            elif _is_at(lock, self._lock_path) and not self._is_ready():
                self._make(lock)
            return None
        finally:
            if lock >= 0:
                os.close(lock)

    def _make(self, lock: int) -> None:
        _remove(self._directory)
        self._uv = uv = Uv(self._told, [lock])
        if self._stopped:
            return
        self._directory.mkdir(mode=0o700)
        try:
            (self._directory / "requirements.txt").write_text(self._environment.text + "\n")
            self._told("it begins")
            where = self._directory / "env"
            uv.run("venv", "--quiet", "--no-project", "--python", sys.executable, str(where),
                   directory=self._directory)  # fmt: skip
            only = ("--only-binary", ":all:") if self._wheels else ()
            uv.run("pip", "install", "--python", str(where / "bin" / "python"), *only,
                   "-r", "requirements.txt", directory=self._directory)  # fmt: skip
            self._finish()
        except BaseException:
            _remove(self._directory)
            raise

    def _finish(self) -> None:
        """Say that it is whole, once that holds even after a power cut."""
        self._told("its files are written to the disk")
        os.sync()  # one by one, the files of a large library take minutes
        fd = os.open(self._directory / _READY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def _is_ready(self) -> bool:
        """Whether it is whole, and its Python has not been removed since."""
        python = self._directory / "env" / "bin" / "python"
        return (self._directory / _READY).exists() and os.access(python, os.X_OK)

    @property
    def _directory(self) -> Path:
        return self._root / self._digest

    @property
    def _lock_path(self) -> Path:
        return self._root / f"{self._digest}.lock"


def collect(root: Path, older_than_s: float | None = None, dry_run: bool = False) -> int:
    """Remove environments that nobody has used for so long, and what killed builds left; returns
    how many. Never one that is in use. Raises EngineError."""
    age_s = ENVIRONMENT_AGE_S if older_than_s is None else older_than_s
    try:
        return _collect(root, age_s, dry_run)
    except OSError as error:
        raise EngineError(f"environments cannot be removed: {_of_disk(error, root)}") from error


def _collect(root: Path, age_s: float, dry_run: bool) -> int:
    before_s, gone = time.time() - age_s, 0
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        if path.name.endswith(".lock"):
            with _alone(path) as alone:
                if alone and _is_old(path.with_suffix(""), before_s):
                    gone += path.with_suffix("").is_dir()
                    if not dry_run:
                        _remove(path.with_suffix(""))
                        path.unlink()
        elif path.name.startswith((PREFIX, ".new-")) and not dry_run:
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - max(age_s, ENVIRONMENT_AGE_S):
                    _remove(path)
    return gone


def _is_old(directory: Path, before_s: float) -> bool:
    try:
        return (directory / _READY).stat().st_mtime < before_s
    except FileNotFoundError:
        return True  # a build that was killed, for nobody holds its lock


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether nobody else has this lock; then they have to wait."""
    lock = _open(path)
    try:
        yield _take(lock, fcntl.LOCK_EX) and _is_at(lock, path)
    finally:
        os.close(lock)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _take(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(lock: int, path: Path) -> bool:
    """Whether the file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return False


def _remove(directory: Path) -> None:
    """The mark first: what is half removed is not ready."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(directory / _READY)
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _of_disk(error: OSError, root: Path) -> str:
    words = f"{error.filename or root}: {error.strerror or error}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{words}: free some space there, or run `hanse gc`"
    return words
