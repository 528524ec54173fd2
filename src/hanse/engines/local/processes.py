"""What the system knows of processes: groups, children, memory. Linux first."""

from __future__ import annotations

import os

KILL = 9
_PAGE = os.sysconf("SC_PAGE_SIZE")


def kill_group(pid: int) -> None:
    """Kill a process and its group; a process that leads none is killed alone."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, KILL)
        except (ProcessLookupError, PermissionError):
            pass


def children(pid: int) -> list[int]:
    """The children of a process, of all its threads. Empty where the system does not tell."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    except FileNotFoundError:
        return found if os.path.isdir(f"/proc/{pid}") is False else _children_by_walk(pid)
    except OSError:
        pass
    return found


def _children_by_walk(pid: int) -> list[int]:
    """For kernels without the `children` file."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    if int(file.read().rpartition(b")")[2].split()[1]) == pid:
                        found.append(int(name))
            except (OSError, ValueError):
                pass
    return found


def orphans() -> list[int]:
    """Children of this process."""
    return children(os.getpid())


def family(pid: int) -> list[int]:
    """A process and everything that descends from it."""
    found = [pid]
    for one in found:
        found.extend(children(one))
    return found


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    total = 0
    for one in family(pid):
        try:
            with open(f"/proc/{one}/statm", "rb") as file:
                total += int(file.read().split()[1]) * _PAGE
        except (OSError, IndexError):
            pass
    return total


def data_bytes() -> int:
    """What RLIMIT_DATA counts of this process: its private writable memory."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * _PAGE


def become_subreaper() -> None:
    """Orphans below this process become its children."""
    _prctl(36, 1)


def die_with_parent() -> None:
    """This process is killed when the one that forked it ends."""
    _prctl(1, KILL)


def _prctl(option: int, value: int) -> None:
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        pass  # not Linux: the sockets' ends still tell when somebody is gone
