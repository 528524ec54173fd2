"""`hanse.Executor`: a drop-in for `concurrent.futures.ProcessPoolExecutor`.

The documented behaviour is the same, with three differences that only help: functions that plain
pickle cannot send (lambdas, closures, those of a notebook) work; a worker that dies costs only the
call that killed it; and `chunksize` is checked but not needed, because leases find their own size.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
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
from hanse.errors import PickleError
from hanse.model.failure import Cause, Failure
from hanse.model.resources import Resources
from hanse.payloads.exceptions import to_exception

R = TypeVar("R")
_CLOSED = "cannot schedule new futures after shutdown"


class _Pool:
    """What runs behind an executor, and goes on when its user has let go of that."""

    def __init__(self, client: Client, owns: bool) -> None:
        self.client = client
        self._owns = owns
        self._lock = threading.RLock()  # a garbage collection may shut down while it is held
        self._calls: dict[tuple[Any, ...], CallSource] = {}
        self._jobs: set[Job[Any]] = set()
        self._shut = False
        for pool in [pool for pool in _pools if pool.over]:
            _pools.discard(pool)
        _pools.add(self)

    @property
    def over(self) -> bool:
        """Whether all calls are done and no more can come."""
        return self._shut and not self._jobs and all(c.wait(0) for c in self._calls.values())

    def check(self) -> None:
        """Raise if no more calls can come."""
        if (failure := self.client._runtime.initializer_failure) is not None:
            raise to_exception(failure)
        if self._shut:
            raise RuntimeError(_CLOSED)
        self.client._check()

    def calls_for(self, options: Options) -> CallSource:
        with self._lock:
            self.check()
            key = self.client._calls_key(options)
            calls = self._calls.get(key)
            if calls is None or calls.over:
                calls = self._calls[key] = self.client._new_calls(options)
            return calls

    def map(self, fn: Callable[..., R], rows: Any, star: bool, ahead: int | None) -> Job[R]:
        with self._lock:
            self.check()
            total = len(rows) if ahead is None else None
            job: Job[R] = self.client._map(
                fn, rows, total, star=star, raising=False, ahead=ahead
            )  # fmt: skip
            if ahead is None:
                job.run_ahead()
            self._jobs.add(job)
        job.when_ended(lambda: self._jobs.discard(job))
        return job

    def shut(self) -> tuple[list[CallSource], list[Job[Any]]]:
        """Take no more calls; returns what still runs."""
        with self._lock:
            first, self._shut = not self._shut, True
            calls, jobs = list(self._calls.values()), list(self._jobs)
        for source in calls:
            source.seal()
        for job in jobs:
            if job.lazy:
                job.read_no_more(RuntimeError(_CLOSED))
        if first and self._owns:
            self.client._runtime.retire(lambda: _pools.discard(self))
        return calls, jobs

    def seal(self) -> None:
        """Nobody holds the executor any more."""
        self.shut()

    def cancel(self) -> None:
        """Cancel what no worker was given."""
        calls, jobs = self.shut()
        for source in calls:
            source.cancel_pending()
        for job in jobs:
            job.withdraw()

    def kill(self) -> None:
        """End all that runs, now."""
        failure = Failure(cause=Cause.DIED, function="the call", item=0, signal="SIGKILL")
        calls, jobs = self.shut()
        for source in calls:
            source.abort(to_exception(failure))
        for job in jobs:
            job.cancel()

    def join(self) -> None:
        """Wait for the calls, after `shut`, and close what is ours."""
        calls, jobs = self.shut()
        for source in calls:
            source.wait()
        for job in jobs:
            job.join()
        if self._owns:
            self.client.close()
        _pools.discard(self)


_pools: set[_Pool] = set()  # held until their calls are done, for the interpreter's exit


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
        self._pool = _Pool(client, owns)
        # An executor that nobody holds any more ends when its calls have.
        weakref.finalize(self, client._runtime.loop.post, self._pool.seal).atexit = False

    def submit(self, fn: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Call `fn(*args, **kwargs)` in a worker. See `concurrent.futures.Executor.submit`."""
        target, options = unwrap(fn)
        calls = self._pool.calls_for(options)
        try:
            return calls.submit(target, args, kwargs)
        except (PickleError, TypeError) as error:  # the function cannot be sent
            return calls.refused(error)

    def map(
        self, fn: Callable[..., R], *iterables: Iterable[Any], timeout: float | None = None,
        chunksize: int = 1, buffersize: int | None = None,
    ) -> Iterator[R]:  # fmt: skip
        """Results of `fn` for each item, in order. See `concurrent.futures.Executor.map`.

        The iterables are taken whole at the call, unless `buffersize` is given: then they are read
        as results are taken, so many items ahead.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not isinstance(buffersize, int):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        until = None if timeout is None else time.monotonic() + timeout
        star = len(iterables) != 1
        rows: Any = zip(*iterables, strict=False) if star else iter(iterables[0])
        self._pool.check()
        try:
            job = self._pool.map(
                fn, tuple(rows) if buffersize is None else rows, star, buffersize
            )  # fmt: skip
        except (PickleError, TypeError) as error:  # the function cannot be sent
            return _raising(error)
        return job.in_order_until(until)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; see `concurrent.futures.Executor.shutdown`."""
        self._pool.shut()
        if cancel_futures:
            self._pool.cancel()
        if wait:
            self._pool.join()

    def kill_workers(self) -> None:
        """End all that runs, now, and shut down; see
        `concurrent.futures.ProcessPoolExecutor.kill_workers`.

        Calls that run fail with `WorkerDied`, others are cancelled. A client whose executor this
        is goes on with its other work.
        """
        self._pool.kill()

    terminate_workers = kill_workers


def _raising(error: Exception) -> Iterator[Any]:
    raise error
    yield


def _join_all() -> None:
    """Calls that were submitted run before the interpreter ends, as with the process pool."""
    for pool in list(_pools):
        pool.shut()
    for pool in list(_pools):
        pool.join()


atexit.register(_join_all)
os.register_at_fork(after_in_child=_pools.clear)  # its calls are the parent's
