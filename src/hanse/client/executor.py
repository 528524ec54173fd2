"""`hanse.Executor`: a drop-in for `concurrent.futures.ProcessPoolExecutor`.

The documented behaviour is the same, with three differences that only help: functions that plain
pickle cannot send (lambdas, closures, those of a notebook) work; a worker that dies costs only the
call that killed it; and `chunksize` is checked but not needed, because leases find their own size.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from hanse.client.calls import CallSource
from hanse.client.client import Client
from hanse.client.future import Future
from hanse.client.job import Job
from hanse.client.options import Options
from hanse.client.task import unwrap
from hanse.model.resources import Resources

R = TypeVar("R")
_executors: weakref.WeakSet[Executor] = weakref.WeakSet()


class Executor(concurrent.futures.Executor):
    """Runs calls in worker processes of this machine.

    Args:
        max_workers: how many at once; all cores by default.
        mp_context: taken for compatibility; workers always start clean, as with "forkserver".
        initializer, initargs: called once in every worker. If it raises, calls fail with
            `InitializerFailed`, a BrokenExecutor.
        max_tasks_per_child: a worker is replaced after so many calls.

    Raises:
        ValueError: max_workers or max_tasks_per_child is not above 0.
    """

    def __init__(
        self, max_workers: int | None = None, mp_context: object = None,
        initializer: Callable[..., Any] | None = None, initargs: tuple[Any, ...] = (), *,
        max_tasks_per_child: int | None = None,
    ) -> None:  # fmt: skip
        if max_workers is not None and max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if max_tasks_per_child is not None:
            if not isinstance(max_tasks_per_child, int):
                raise TypeError("max_tasks_per_child must be an integer")
            if max_tasks_per_child <= 0:
                raise ValueError("max_tasks_per_child must be >= 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        client = Client(
            resources=None if max_workers is None else Resources(cpus=max_workers),
            initializer=None if initializer is None else (initializer, tuple(initargs)),
            max_items_per_worker=max_tasks_per_child,
        )
        self._setup(client, owns=True)

    @classmethod
    def _on(cls, client: Client) -> Executor:
        self = cls.__new__(cls)
        self._setup(client, owns=False)
        return self

    def _setup(self, client: Client, owns: bool) -> None:
        self._client = client
        self._owns = owns
        self._lock = threading.Lock()
        self._calls: dict[tuple[Any, ...], CallSource] = {}
        self._jobs: set[Job[Any]] = set()
        self._shut = False
        _executors.add(self)

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Call `fn(*args, **kwargs)` in a worker. See `concurrent.futures.Executor.submit`."""
        target, options = unwrap(fn)
        calls = self._calls_for(options)
        if calls.broken is not None:
            raise calls.broken
        return calls.submit(target, args, kwargs)

    def _calls_for(self, options: Options) -> CallSource:
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            calls = self._calls.get(options.key)
            if calls is None:
                calls = self._calls[options.key] = self._client._new_calls(options)
            return calls

    def map(
        self, fn: Callable[..., R], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int = 1, buffersize: int | None = None,
    ) -> Iterator[R]:  # fmt: skip
        """Results of `fn` for each item, in order. See `concurrent.futures.Executor.map`.

        The iterables are taken whole at the call, unless `buffersize` is given: then they are read
        as results are taken.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        until = None if timeout is None else time.monotonic() + timeout
        rows: Any = zip(*iterables, strict=False)
        star = len(iterables) != 1
        if buffersize is None:
            rows = tuple(rows) if star else tuple(row[0] for row in rows)
        elif not star:
            rows = iter(iterables[0])
        with self._lock:
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            total = len(rows) if buffersize is None else None
            job: Job[R] = self._client._map(fn, rows, total, star=star, raising=False)
            self._jobs.add(job)
        if buffersize is None:
            job.run_ahead()
        job.when_ended(lambda: self._jobs.discard(job))
        return job.in_order_until(until)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; see `concurrent.futures.Executor.shutdown`."""
        with self._lock:
            first, self._shut = not self._shut, True
            calls, jobs = list(self._calls.values()), list(self._jobs)
        if cancel_futures:
            for source in calls:
                source.cancel_pending()
            for job in jobs:
                job.cancel()
        for source in calls:
            source.seal()
        if wait:
            self._join(calls, jobs)
        elif first and self._owns:
            # A thread that the interpreter's exit waits for, like the process pool's own.
            threading.Thread(target=self._join, args=(calls, jobs), name="hanse-shutdown").start()

    def _join(self, calls: list[CallSource], jobs: list[Job[Any]]) -> None:
        for source in calls:
            source.wait()
        for job in jobs:
            job.join()
        if self._owns:
            self._client.close()


@atexit.register
def _join_all() -> None:
    """Calls that were submitted run before the interpreter ends, as with the process pool."""
    for executor in list(_executors):
        executor.shutdown(wait=True)
