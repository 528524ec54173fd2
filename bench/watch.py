"""The processes of a contestant: their memory, and their end.

A contestant's processes are found by a mark in their environment, which whatever they start
inherits, so that those which left their group (daemons) are found too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import psutil

MARK = "BENCH_SITTING"
GRACE_S, KILLING_S = 1.0, 10.0


def below(pid: int) -> list[psutil.Process]:
    """A process and all that it started."""
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss_mb(process: psutil.Process) -> float:
    """Its share of the memory that it maps; 0 once it is gone. Else what is resident."""
    try:
        whole = process.memory_full_info()
    except psutil.NoSuchProcess:
        return 0.0
    except psutil.AccessDenied:
        return float(process.memory_info().rss) / 1e6
    return float(getattr(whole, "pss", whole.rss)) / 1e6


def memory_mb(pid: int) -> float:
    """Of a process and all that it started."""
    return sum(pss_mb(process) for process in below(pid))


def idle_memory(pid: int, workers: list[int]) -> dict[str, float]:
    """Of the client, of a worker on average, and of all. A worker that answers for itself only."""
    each = {process.pid: pss_mb(process) for process in below(pid)}
    known = [each[worker] for worker in workers if worker in each and worker != pid]
    result = {"memory_client": each.get(pid, 0.0), "memory_all": sum(each.values())}
    if known:
        result["memory_worker"] = sum(known) / len(known)
    return result


def marked(mark: str) -> Iterator[psutil.Process]:
    """Every process that carries the mark."""
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == mark:
                yield process
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue


def end_all(mark: str) -> list[str]:
    """Kill what carries the mark, until nothing does; the names of what was left. What is on its
    way to its end is given a moment."""
    names: list[str] = []
    psutil.wait_procs(list(marked(mark)), timeout=GRACE_S)
    until = time.monotonic() + KILLING_S
    while (left := list(marked(mark))) and time.monotonic() < until:
        for process in left:
            try:
                names.append(process.name())
                process.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(left, timeout=2)
    return names
