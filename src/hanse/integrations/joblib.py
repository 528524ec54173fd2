"""joblib on Hanse: whatever uses `joblib.Parallel` (scikit-learn does) runs on the ambient client.

    import hanse.integrations.joblib

    hanse.integrations.joblib.register()
    with joblib.parallel_config("hanse"):
        search.fit(X, y)

Every `Parallel` has calls of its own at the client, so the abort of one leaves the others alone,
while all use the same warm workers. Arguments that joblib would map from files (arrays from
`max_nbytes` on) are sent once, and are read-only where they are used, as they are with loky.
"""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from joblib.parallel import (
    AutoBatchingMixin,
    FallbackToBackend,
    ParallelBackendBase,
    SequentialBackend,
    ThreadingBackend,
    register_parallel_backend,
)

from hanse.client.client import Client
from hanse.client.connecting import ambient
from hanse.client.executor import Executor
from hanse.client.future import Future
from hanse.client.task import task
from hanse.engines.local.current import current_item
from hanse.integrations.sharing import Shared, Sharing, load

_AGAIN = {"r+", "w+"}  # modes in which joblib's workers write into the arrays of the program


def register(*, make_default: bool = False) -> None:
    """Let joblib know the backend "hanse"; with `make_default`, use it wherever none is named."""
    register_parallel_backend("hanse", HanseBackend, make_default=make_default)


class HanseBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]
    """Runs the batches of `joblib.Parallel` as calls of a client.

    Args:
        client: by default the ambient one when `Parallel` is called: embedded, or a node's.
        initializer, initargs: called once in every worker before its first call.
        task_options: what one call needs and how it is repeated, as for `hanse.task`: `cpus`,
            `gpus`, `memory`, `custom`, `retries`. Nested `Parallel` calls run in so many threads
            as a call has cpus; in turn if that is one.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1
    # A call costs less here than elsewhere: smaller batches end together.
    MIN_IDEAL_BATCH_DURATION = 0.05
    MAX_IDEAL_BATCH_DURATION = 0.5

    def __init__(
        self, nesting_level: int | None = None, inner_max_num_threads: int | None = None, *,
        client: Client | None = None, initializer: Callable[..., Any] | None = None,
        initargs: tuple[Any, ...] = (), **task_options: Any,
    ) -> None:  # fmt: skip
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._given_client = client
        self._initializer = None if initializer is None else (initializer, tuple(initargs))
        self._begin: Future[Shared] | None = None  # the initializer, pickled
        self._task_options = task_options
        self._run: Any = task(**task_options)(run_batch) if task_options else run_batch
        self._owner: Any = None  # the Parallel that this one belongs to
        self._workers: Executor | None = None
        self._sharing = Sharing(self._put, None)
        self._callbacks: _Callbacks | None = None
        self._limit = 0  # calls at once, where that is fewer than the client would run; else 0
        self._running = 0
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._lock = threading.RLock()

    def __reduce__(self) -> tuple[Any, ...]:
        return _plain, (self._task_options,)

    # --- what joblib asks -----------------------------------------------------------------------
    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """How many calls run at once; all cores for None and -1.

        A node is used even if it has one core: with 1, joblib would work in the program itself."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if _inside():
            return max(1, int(self._task_options.get("cpus", 1)))
        if n_jobs is not None and n_jobs > 0:
            return n_jobs
        client = self._client()
        slots = self._slots(client)
        wanted = slots if n_jobs is None else slots + 1 + n_jobs
        return max(wanted, 2 if client._runtime.keeps_inputs else 1)

    def configure(
        self, n_jobs: int | None = 1, parallel: Any = None, prefer: Any = None, require: Any = None,
        max_nbytes: int | None = None, mmap_mode: str | None = "r",
        initializer: Callable[..., Any] | None = None, initargs: tuple[Any, ...] = (),
        **_of_other_backends: Any,
    ) -> int:  # fmt: skip
        if mmap_mode in _AGAIN:
            raise ValueError(
                f"mmap_mode={mmap_mode!r} lets calls write into the program's arrays, which works "
                "on one machine only: return what was computed instead"
            )
        count = self.effective_n_jobs(n_jobs)
        if count == 1 or _inside():
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        if self._owner is None or self._owner is not parallel:
            raise FallbackToBackend(self._for(parallel))
        self.parallel = parallel
        client = self._client()
        self._limit = count if count < self._slots(client) else 0
        self._sharing = Sharing(self._put, max_nbytes if mmap_mode is not None else None)
        if initializer is not None:
            self._initializer = initializer, tuple(initargs)
        if self._initializer is not None:
            stream, buffers, _ = self._sharing.dump(self._initializer)
            self._begin = self._put(Shared(stream, buffers))
        if self._workers is None:
            self._workers = client.executor()
        return count

    def start_call(self) -> None:
        self._callbacks = _Callbacks()

    def stop_call(self) -> None:
        self._sharing.clear()
        if self._callbacks is not None:
            self._callbacks.end()
        self.reset_batch_stats()

    def terminate(self) -> None:
        """The calls of this Parallel are over; the workers stay warm."""
        workers, self._workers = self._workers, None
        if workers is not None:
            workers.shutdown(wait=False)
        self.reset_batch_stats()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop what this Parallel runs, now."""
        with self._lock:
            self._waiting.clear()
            self._running = 0
            workers, self._workers = self._workers, None
        if workers is not None:
            workers.kill_workers()
        if ensure_ready:
            self._workers = self._client().executor()

    def submit(self, func: Any, callback: Callable[[Any], None] | None = None) -> Any:
        """Run a batch. Whoever asks for it hears of its end in a thread of its own, where the
        program's inputs may be read on however long that takes."""
        try:
            arguments = (*self._sharing.dump(func), self._begin)
        except Exception as error:  # noqa: BLE001 - of pickling; joblib hears of no other end
            return self._refuse(error, callback)
        with self._lock:
            if self._limit and self._running >= self._limit:
                self._waiting.append((arguments, callback))
                return None
            return self._submit(arguments, callback)

    apply_async = submit  # its name before joblib 1.5

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        return out.result()

    def get_nested_backend(self) -> tuple[Any, int | None]:
        """Inside a call there is what the call was given: its cpus, as threads."""
        level = (self.nesting_level or 0) + 1
        cpus = int(self._task_options.get("cpus", 1))
        if cpus > 1:
            return ThreadingBackend(nesting_level=level), cpus
        return SequentialBackend(nesting_level=level), None

    # --- inside ---------------------------------------------------------------------------------
    def _client(self) -> Client:
        return self._given_client or ambient()

    def _slots(self, client: Client) -> int:
        needs = task(**self._task_options)(run_batch).options.resources.amount()
        return client._slots(needs)

    def _for(self, parallel: Any) -> HanseBackend:
        """One for this Parallel alone: joblib gives one to all within a `parallel_config`, and
        does not say whose calls shall be stopped."""
        own = HanseBackend(
            self.nesting_level, self.inner_max_num_threads, client=self._given_client,
            **self._task_options,
        )  # fmt: skip
        own._owner, own._initializer = parallel, self._initializer
        return own

    def _put(self, value: Any) -> Future[Any]:
        return self._client().put(value)

    def _submit(self, arguments: tuple[Any, ...], callback: Callable[[Any], None] | None) -> Any:
        """With the lock."""
        workers, callbacks = self._workers, self._callbacks
        if workers is None:
            return None  # it was aborted just now
        try:
            future = workers.submit(self._run, *arguments)
        except Exception as error:  # noqa: BLE001 - the client was closed: as above
            return self._refuse(error, callback)
        self._running += 1

        def done(future: Any) -> None:
            self._next(workers)
            if callback is not None and callbacks is not None:
                callbacks.add(callback, future)

        future.add_done_callback(done)
        return future

    def _refuse(self, error: Exception, callback: Callable[[Any], None] | None) -> Any:
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        future.set_exception(error)
        if callback is not None and self._callbacks is not None:
            self._callbacks.add(callback, future)
        return future

    def _next(self, workers: Executor) -> None:
        """A call has ended: give the next one of those that wait."""
        with self._lock:
            if workers is not self._workers:
                return  # it was aborted meanwhile
            self._running -= 1
            while self._waiting and self._running < self._limit:
                self._submit(*self._waiting.popleft())


def _plain(task_options: dict[str, Any]) -> HanseBackend:
    return HanseBackend(**task_options)


def _inside() -> bool:
    """Whether this is a call of Hanse's own, which has the cores that it was given and no more."""
    return current_item() is not None


_begun: set[bytes] = set()  # initializers that this worker has called


def run_batch(stream: bytes, buffers: list[Any], shared: list[Shared], begin: Shared | None) -> Any:
    """In a worker: all calls of a batch."""
    register()  # a nested Parallel may name it
    if begin is not None and begin.stream not in _begun:
        initializer, initargs = begin.value()
        initializer(*initargs)
        _begun.add(begin.stream)
    return load(stream, buffers, shared)()


class _Callbacks:
    """A thread that tells joblib of ends: it reads the program's inputs and pickles them there,
    which the loop's thread must not wait for."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[Callable[[Any], None], Any] | None] = (
            queue.SimpleQueue()
        )
        threading.Thread(target=self._run, name="hanse-joblib", daemon=True).start()

    def add(self, callback: Callable[[Any], None], future: Any) -> None:
        self._queue.put((callback, future))

    def end(self) -> None:
        self._queue.put(None)

    def _run(self) -> None:
        while (one := self._queue.get()) is not None:
            callback, future = one
            callback(future)
            del one, callback, future  # and with it the results, while this waits
