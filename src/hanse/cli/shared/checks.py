"""What `hanse doctor` looks at, and what it makes of it. Reads, and changes nothing.

Each check gives findings: what there is, whether that will do, and if not, what to do about it.
The judgements are functions of plain numbers, so that each can be put to the test.
"""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from hanse.cli.shared.words import size
from hanse.limits import MIB

GIB: Final = 1024 * MIB
NETWORK: Final = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb2", "smb3", "smbfs", "9p", "afs", "ceph", "lustre"}
    | {"beegfs", "gpfs", "glusterfs", "davfs"}
    | {f"fuse.{name}" for name in ("glusterfs", "sshfs", "s3fs", "rclone", "davfs")}
)
MEMORY_FS: Final = frozenset({"tmpfs", "ramfs"})


class Finding(msgspec.Struct, frozen=True):
    """One line of the doctor's. Level: "ok", "note" (worth knowing), or "mend" (it must change)."""

    name: str
    value: str
    level: str = "ok"
    advice: str = ""


Check = Callable[[], Iterator[Finding]]


# --- the machine ----------------------------------------------------------------------------------
def cores() -> Iterator[Finding]:
    from hanse.errors import UsageError
    from hanse.runtime.machine import cgroup_quota, usable_cpus

    there = os.cpu_count() or 1
    told, quota = os.environ.get("HANSE_CPUS"), cgroup_quota()
    why = []
    if told:
        why.append(f"HANSE_CPUS={told}")
    if sys.platform == "linux" and (allowed := len(os.sched_getaffinity(0))) < there:
        why.append(f"this process may use {allowed}")
    if quota is not None:
        why.append(f"the cgroup's quota is {quota:g}")
    try:
        usable = usable_cpus()
    except UsageError as error:
        yield Finding("cores", f"{there}", "mend", f"{error}: unset it, or make it a number")
        return
    because = f" ({', '.join(why)})" if why else ""
    yield Finding("cores", f"{usable:g} of {there}{because}", *judge_cores(usable, there))


def judge_cores(usable: float, there: float) -> tuple[str, str]:
    if usable > there:
        return "note", "more workers than cores: they take turns, unless they mostly wait"
    return "ok", ""


def memory() -> Iterator[Finding]:
    from hanse.runtime.machine import usable_memory

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    usable, free = usable_memory(), _available_memory()
    words = size(usable) + (f" of {size(total)} (the cgroup's limit)" if usable < total else "")
    if free is not None:
        words += f", {size(free)} available now"
    yield Finding("memory", words, *judge_memory(min(usable, free or usable)))


def _available_memory() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as file:
        for row in file:
            if row.startswith("MemAvailable:"):
                return int(row.split()[1]) * 1024
    return None


def judge_memory(free: float) -> tuple[str, str]:
    if free < 256 * MIB:
        return "mend", "each worker needs some 20 MiB and what its items need: free some memory"
    if free < GIB:
        return "note", "little memory: give items a memory= so that they take turns"
    return "ok", ""


def limits() -> Iterator[Finding]:
    import resource

    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield Finding("open files", _limit(files, resource.RLIM_INFINITY), *judge_files(files))
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    shown = _limit(processes, resource.RLIM_INFINITY)
    yield Finding("processes", shown, *judge_processes(processes, os.cpu_count() or 1))


def _limit(value: int, infinite: int) -> str:
    return "unlimited" if value in (infinite, -1) else f"{value:,} at most (ulimit)"


def judge_files(limit: int) -> tuple[str, str]:
    if 0 <= limit < 256:
        return "mend", "too few for a client and its workers: ulimit -n 4096"
    if 0 <= limit < 1024:
        return "note", "enough for a few dozen workers: ulimit -n 4096 gives room"
    return "ok", ""


def judge_processes(limit: int, cpus: int) -> tuple[str, str]:
    needed = 4 * cpus + 64  # workers, what they start, and what else the user runs
    if 0 <= limit < needed:
        return "mend", f"a worker for each core and its own children need some {needed}: ulimit -u"
    return "ok", ""


def python() -> Iterator[Finding]:
    name = platform.python_implementation()
    words = f"{name} {platform.python_version()}, {sys.executable}"
    if name != "CPython":
        yield Finding("Python", words, "mend", "Hanse is made and tested for CPython")
    else:
        yield Finding("Python", words)


def sandbox() -> Iterator[Finding]:
    from hanse.engines.local.sandbox import Sandbox
    from hanse.errors import UsageError, WorldError

    try:
        Sandbox().check()
    except UsageError as error:
        yield Finding("sandbox", f"not here, if you need it: {error}")
    except WorldError as error:
        yield Finding("sandbox", "hanse up --sandbox does not work", "note", str(error))
    else:
        yield Finding("sandbox", "bubblewrap works (hanse up --sandbox bwrap)")


# --- its disks ------------------------------------------------------------------------------------
def temporary() -> Iterator[Finding]:
    path = Path(tempfile.gettempdir())
    yield Finding(f"free in {path}", *_room(path))


def shared_memory() -> Iterator[Finding]:
    if sys.platform != "linux":
        return
    path = Path("/dev/shm")
    if not path.is_dir():
        yield Finding("/dev/shm", "is not there", "note", "some libraries need it; Hanse does not")
        return
    free = shutil.disk_usage(path).free
    advice = "numpy and torch share arrays there: docker run --shm-size=1g"
    level = ("note", advice) if free < 64 * MIB else ("ok", "")
    yield Finding("/dev/shm", f"{size(free)} free", *level)


def state_directory(path: Path, *, wal: bool) -> Iterator[Finding]:
    """`wal`: whether SQLite keeps its journal there."""
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    words = str(path) if nearest == path else f"{path} (not made yet)"
    if not os.access(nearest, os.R_OK | os.W_OK | os.X_OK) or not nearest.is_dir():
        advice = "this user may not write there: change its rights, or set HANSE_HOME"
        yield Finding("state directory", words, "mend", advice)
        return
    kind = file_system_of(nearest)
    yield Finding("state directory", f"{words}{f', on {kind}' if kind else ''}",
                  *judge_file_system(kind, wal=wal))  # fmt: skip
    yield Finding("free there", *_room(nearest))


def _room(path: Path) -> tuple[str, str, str]:
    try:
        free = shutil.disk_usage(path).free
    except OSError as error:
        return f"cannot be told: {error.strerror}", "mend", "look at its rights and its disk"
    return size(free), *judge_room(free)


def judge_room(free: float) -> tuple[str, str]:
    if free < 100 * MIB:
        return "mend", "nearly full: free some space, or run hanse gc"
    if free < GIB:
        return "note", "little room for large results"
    return "ok", ""


def judge_file_system(kind: str, *, wal: bool) -> tuple[str, str]:
    if wal and kind in NETWORK:
        advice = "SQLite's locks are not safe on a network file system: set HANSE_HOME to a local "
        return "mend", advice + "disk, or HANSE_JOURNAL to a PostgreSQL"
    if kind in MEMORY_FS:
        return "note", "what is in memory is gone after a restart of the machine: set HANSE_HOME"
    return "ok", ""


def judge_quota(used: float, quota: float) -> tuple[str, str]:
    if used >= quota:
        return "mend", "no large result can be kept: hanse gc, hanse rm, or a larger HANSE_QUOTA"
    if used > 0.9 * quota:
        return "note", "nearly full: hanse gc, hanse rm, or a larger HANSE_QUOTA"
    return "ok", ""


def file_system_of(path: Path, mounts: str | None = None) -> str:
    """The kind of file system that holds a path; "" where that cannot be told."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mounts").read_text(errors="replace")
        except OSError:
            return ""
    real, found, kind = os.path.realpath(path), "", ""
    for row in mounts.splitlines():
        words = row.split()
        if len(words) < 3:
            continue
        at = words[1].replace("\\040", " ")
        inside = real == at or real.startswith(at.rstrip("/") + "/")
        if inside and len(at) >= len(found):  # of two at one place, the later hides the earlier
            found, kind = at, words[2]
    return kind


# --- what is installed ----------------------------------------------------------------------------
def uv() -> Iterator[Finding]:
    from hanse.engines.environments.uv import find_uv
    from hanse.errors import EngineError

    try:
        yield Finding("uv", find_uv())
    except EngineError:
        yield Finding("uv", "not installed; pip install 'hanse[envs]' if jobs name packages")


LIBRARIES: Final = ("blake3", "click", "cloudpickle", "msgspec", "platformdirs", "rich")
EXTRAS: Final = {"pyarrow": "export", "psycopg": "postgres"}


def versions() -> Iterator[Finding]:
    from importlib.metadata import PackageNotFoundError, version

    import hanse

    yield Finding("hanse", hanse.__version__)
    for name in LIBRARIES:
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, "is not there", "mend", f"pip install {name}")
    for name, extra in EXTRAS.items():
        try:
            yield Finding(name, version(name))
        except PackageNotFoundError:
            yield Finding(name, f"not installed; pip install 'hanse[{extra}]' if you need it")
