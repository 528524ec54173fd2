"""The client: where functions and inputs go in.

Embedded, a client owns a runtime: worker processes of this machine, with no daemon. The ambient
client, which `task.map` uses, is the innermost one that a `with` block holds open, or one that is
made at first use and closed when the program ends.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from hanse import limits
from hanse.client.aims import aims_of, check_here, sharing
from hanse.client.calls import CallSource
from hanse.client.connecting import connect
from hanse.client.data import DataOf, Places, lies_of
from hanse.client.functions import dump_function, dump_whole, program_keys
from hanse.client.future import Future
from hanse.client.inputs import SIZED, Feeder, snapshot
from hanse.client.job import Job, in_notebook, progress, waiting, watching
from hanse.client.mapping import MapSource
from hanse.client.options import OnError, Options, check_on_error
from hanse.client.results import Results
from hanse.client.task import unwrap
from hanse.client.tracing import traceparent
from hanse.engines.local.engine import LocalEngine
from hanse.engines.port import Program
from hanse.errors import ClientClosed, UsageError
from hanse.ids import JobId, job_id
from hanse.model.aims import Aims
from hanse.model.environment import Environment
from hanse.model.fit import Requires
from hanse.model.job import JobSpec
from hanse.model.resources import Amount, Resources
from hanse.payloads.functions import name_of
from hanse.payloads.payload import Payload, dump_one
from hanse.payloads.references import PUT
from hanse.runtime.machine import capacity
from hanse.runtime.runner import Runner
from hanse.runtime.runtime import Runtime

if TYPE_CHECKING:
    from hanse.client.named import Opened
    from hanse.engines.local.spawning import Early

R = TypeVar("R")

_logger = logging.getLogger("hanse")
_HAND_OVER_S = 10.0

_open: list[Client] = []  # entered clients, innermost last
_default: Client | None = None
_lock = threading.Lock()


def ambient(early: Early | None = None) -> Client:
    """The innermost open client, or the program's own, made of that nursery if there is one."""
    global _default
    with _lock:
        for client in reversed(_open):
            if not client.closed:
                return client
        if _default is None or _default.closed:
            _default = connect() if early is None else Client(early=early)
        return _default


class Client:
    """Runs functions on the cores of this machine, or on a node. Thread-safe; made by
    `hanse.connect()`.

    Leaving its `with` block, or `close`, cancels what is still running: wait for what you want. On
    a node jobs go on with the inputs that they have.
    """

    def __init__(
        self, *, resources: Resources | None = None,
        initializer: tuple[Callable[..., Any], tuple[Any, ...]] | None = None,
        max_items_per_worker: int | None = None, early: Early | None = None,
        runtime: Runner | None = None, prints: bool | None = None,
    ) -> None:  # fmt: skip
        """`runtime`: a node's; by default one is made here."""
        self._prints = prints
        self._forked = False
        self._initializer: Payload | None = None
        if initializer is not None:
            self._initializer = dump_function_with_args(*initializer)
        self._max_items = max_items_per_worker
        self._runtime = _embedded(resources, early) if runtime is None else runtime
        self._capacity = self._runtime.capacity
        self._calls: dict[tuple[Any, ...], CallSource] = {}
        self._jobs: weakref.WeakValueDictionary[JobId, Job[Any]] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._closed = False
        _clients.add(self)
        weakref.finalize(self, _forgotten, self._runtime, self._calls).atexit = False

    def __enter__(self) -> Client:
        self._check()
        with _lock:
            _open.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        with _lock:
            if self in _open:
                _open.remove(self)
        self.close()

    def close(self) -> None:
        """Cancel what still runs and end the workers; nothing of them is left."""
        if not self._closed:
            if self._runtime.keeps_inputs:
                self._hand_over()
            self._closed = True
            self._runtime.close()
            for job in list(self._jobs.values()):
                job.end_with(ClientClosed("this client was closed"))

    def _hand_over(self) -> None:
        """A node's jobs go on, so they get what was promised; single calls have nobody left."""
        for calls in list(self._calls.values()):
            calls.abort(ClientClosed("this client was closed"))
        for job in list(self._jobs.values()):
            if not job.hand_over(_HAND_OVER_S):
                _logger.warning(
                    "hanse: %s (%s) has only a part of its inputs: its node did not take the rest "
                    "in time. Run the program again to send it", job.name, job.id,
                )  # fmt: skip

    @property
    def closed(self) -> bool:
        return self._closed

    # --- running things -------------------------------------------------------------------------
    def map(
        self, function: Callable[..., R], /, *iterables: Iterable[Any], name: str | None = None,
        resources: Resources | None = None, retries: int | None = None,
        timeout: float | None = None, on_error: OnError = "raise", ordered: bool = True,
        fresh: bool = False, prints: bool | None = None,
        packages: Sequence[str] | None = None,
        requirements: str | os.PathLike[str] | None = None,
        objective: Literal["fastest", "cheapest"] | None = None,
        deadline: float | str | None = None, budget: float | None = None,
        regions: str | Sequence[str] | None = None, spot: bool | None = None,
        data: Mapping[str, int | str] | DataOf | None = None,
    ) -> Job[R]:  # fmt: skip
        """Call a function for every item of an iterable (or of several, in step).

        Returns at once. The iterable may be endless: it is read as results are taken.

        Args:
            name: makes the job durable: inputs and results are recorded as they come, and the
                same call in a later run of the program goes on where this one was left, whatever
                ended it, or hands out the results of a finished job without running anything.
            resources, retries, timeout, packages, requirements: as for `task`, and instead of what
                it said.
            on_error: `"raise"` ends the job at the first item that fails for good; `"collect"`
                goes on, and hands out exceptions in place of results.
            ordered: whether iterating the job gives results in the order of the inputs.
            fresh: start a named job over; what was recorded of it goes with the next `hanse gc`.
            prints: as for `connect`, and instead of what it said.
            objective: `"fastest"`, or `"cheapest"`: the cheapest sites that meet the deadline.
            deadline: seconds from now, or text such as `"2h"`.
            budget: what the job may cost, in the currency of the sites' prices: nothing is begun
                that could pass it, and then the job fails; what is done is kept if it has a name.
            regions: where it may run; None: everywhere.
            spot: False: not on sites that can be taken away at any time.
            data: what its items read, by the region where that lies, such as `{"eu-west":
                "40GiB"}`: each item needs its part. Or a function of an item that gives what that
                item reads, `hanse.Data("eu-west", "4GiB")`: items then run where it lies, unless
                it pays to move it. What crosses regions costs.

        Raises:
            PickleError: the function cannot be sent to a worker.
            JobChanged: the named job was recorded with another function or other inputs.
            JobBusy: another program runs the named job now.
            JournalError: what is recorded cannot be read or written.
            UsageError: an option is wrong, or an item needs more than this machine has.
        """
        if not iterables:
            raise UsageError("map needs at least one iterable of inputs")
        given = {
            "resources": resources, "retries": retries, "timeout": timeout,
            "packages": packages, "requirements": requirements,
        }  # fmt: skip
        aims = aims_of(objective, deadline, budget, regions, spot, data)
        if os.environ.get("HANSE_QUOTE"):
            from hanse.client import quoting

            quoting.answer(
                self, function, iterables, None if fresh else name, given, aims,
                lies_of(data, len(iterables) > 1),
            )  # fmt: skip
        iterable, total = snapshot(iterables)
        return self._map(
            function, iterable, total, star=len(iterables) > 1, name=name, given=given,
            raising=check_on_error(on_error), ordered=ordered, fresh=fresh, prints=prints,
            aims=aims, places=lies_of(data, len(iterables) > 1),
        )  # fmt: skip

    def _map(
        self, function: Callable[..., R], iterable: Iterable[Any], total: int | None, *,
        star: bool, name: str | None = None, given: Mapping[str, Any] | None = None,
        raising: bool = True, ordered: bool = True, ahead: int | None = None, fresh: bool = False,
        prints: bool | None = None, aims: Aims | None = None, places: Places | None = None,
    ) -> Job[R]:  # fmt: skip
        self._check()
        target, options = unwrap(function)
        options = options.but(**(given or {}))
        payload, needs = dump_function(target)
        if needs and name is None and self._runtime.keeps_inputs:
            payload, needs = dump_whole(target, needs), ()
        id = job_id(os.urandom(6))
        label = name_of(target)
        if name is not None:
            from hanse.client.named import check_name

            check_name(name)
        spec = self._spec(name or label, options, raising, total, durable=name is not None)
        if aims is not None:
            if not self._runtime.keeps_inputs:
                check_here(aims)
            spec = msgspec.structs.replace(spec, aims=sharing(aims, payload))
        opened = None
        if name is not None:
            opened = self._open_named(name, id, target, payload, needs, options, spec, star, fresh)
            id = opened.id
        program = self._program(
            id, label, options, payload, star=star, logged=name is not None
        )  # fmt: skip
        results = Results(total)
        arguments = (self._runtime, id, program, results, needs, raising)
        source = MapSource(*arguments) if opened is None else opened.source(*arguments)
        source.places = places
        slots = self._slots(spec.needs)
        feeder = Feeder(
            iterable, results, slots, block=source.feed, seal=source.seal, close=source.close,
            ahead=ahead, exact=lambda: source.exact, wanted=partial(self._runtime.wanted, id),
            whole=self._runtime.keeps_inputs and isinstance(iterable, SIZED),
        )  # fmt: skip
        source.waits = partial(waiting, feeder, results)
        job: Job[R] = Job(self._runtime, id, spec.name, source, results, feeder,
                          raising=raising, ordered=ordered)  # fmt: skip
        self._jobs[id] = job
        if in_notebook():
            from hanse.client.notebook import begun

            begun(job)
        if watching():
            from hanse.client.watcher import watch

            watch(id, spec.name, partial(progress, results))
        if opened is None or opened.durable is not None:
            self._show_prints(id, prints, again=opened is not None and opened.record is not None)
        if opened is None:
            self._runtime.submit(id, spec, source)
        else:
            opened.submit(self._runtime, spec, source)
        source.hungry = feeder.hungry
        try:
            feeder.start(at_once=total is not None)
        except BaseException:  # changed inputs; Ctrl-C while the first were pickled
            source.abandon()
            raise
        return job

    def _open_named(
        self, name: str, id: JobId, function: Any, pickled: Payload, needs: Sequence[Future[Any]],
        options: Options, spec: JobSpec, star: bool, fresh: bool,
    ) -> Opened:  # fmt: skip
        from hanse.client import named

        if needs:
            raise UsageError(
                f"the function of the named job {name!r} holds futures, which mean nothing to a "
                "later run: give it their results, or no name"
            )
        return named.open_named(
            self._runtime, id, name, function, pickled, name_of(function), options, spec,
            star=star, fresh=fresh,
        )  # fmt: skip

    def submit(self, function: Callable[..., R], /, *args: Any, **kwargs: Any) -> Future[R]:
        """Call a function once. Returns at once; the future has the result later.

        Futures anywhere inside the arguments stand for their results: the call waits for them,
        which makes a graph. A function's options are those of its `task`.

        Raises:
            PickleError: the function cannot be sent to a worker.
        """
        target, options = unwrap(function)
        return self._calls_for(options).submit(target, args, kwargs)

    def put(self, value: R) -> Future[R]:
        """Send a large value once, and use it as an argument of many calls. A map on a node takes
        it with its function: `functools.partial(function, value)`.

        Returns a future that is done. Raises PickleError.
        """
        self._check()
        future: Future[R] = Future(
            (JobId(PUT), next(program_keys)), lambda index: None, self._runtime
        )
        payload = dump_one(value)
        future.set_running_or_notify_cancel()
        future.arrive(payload)
        return future

    def executor(self) -> Any:
        """A `concurrent.futures.Executor` on this client."""
        from hanse.client.executor import Executor

        return Executor._on(self)

    def job(self, id_or_name: str, *, prints: bool | None = None) -> Job[Any]:
        """A job by its id or name: the newest of this client, or a recorded one that has ended,
        whose results are read back.

        On a node also one that runs: results come as they are recorded, from the first on, whoever
        feeds the job; letting go of it does not stop it, `cancel` does. `prints`: as for `connect`,
        and from the first line on.

        Raises NoSuchJob if there is none, UsageError if its program has to go on with it first.
        """
        self._check()
        found = [j for j in list(self._jobs.values()) if id_or_name in (j.id, j.name)]
        if found:
            return found[-1]
        from hanse.client.recorded import read_back

        begins = partial(self._show_prints, told=prints, again=False)
        job = read_back(self._runtime, id_or_name, begins)
        if job.state == "running":
            self._jobs[job.id] = job
        return job

    def resume(self, id_or_name: str, *, retry_failed: bool = False) -> Job[Any]:
        """Go on with a recorded job without its program: from the function and the inputs that are
        recorded. With `retry_failed` the items that failed for good run again.

        Raises NoSuchJob, JobBusy, JournalError; UsageError if not all its inputs are recorded.
        """
        self._check()
        from hanse.client.recorded import resume

        job = resume(self, id_or_name, retry_failed)
        self._jobs[job.id] = job
        return job

    def _repr_mimebundle_(self, **_what: Any) -> dict[str, str]:
        """How a notebook shows it."""
        from hanse.client.notebook import client_card

        offered = f"{self._capacity.cpus_milli / 1000:g} cores"
        return client_card(self, self._runtime.place, offered, list(self._jobs.values()))

    # --- inside ---------------------------------------------------------------------------------
    def _check(self) -> None:
        if self._forked:
            raise ClientClosed("this client belongs to the process that this one was forked from: "
                               "open a new one here with hanse.connect()")  # fmt: skip
        if self._closed:
            raise ClientClosed("this client was closed")

    def _slots(self, needs: Amount) -> int:
        """How many items run at once, as far as that is known; at least one."""
        if self._capacity == Amount():
            return limits.SLOTS_ELSEWHERE
        return max(1, self._capacity.times(needs))

    def _show_prints(self, job: JobId, told: bool | None, again: bool) -> None:
        """If the user wants to see what its items print; `again`: it ran before."""
        told = self._prints if told is None else told
        if told or (told is None and os.environ.get("HANSE_PRINTS") == "1"):
            self._runtime.show_prints(job, again)

    def _program(
        self, job: JobId, name: str, options: Options, function: Payload | None, *,
        star: bool = False, logged: bool = False, code: str = "",
        environment: Environment | None = None,
    ) -> Program:  # fmt: skip
        needs = options.resources.amount()
        return Program(
            key=next(program_keys), job=job, name=name, function=function, star=star,
            each=function is None, initializer=self._initializer, timeout_ns=options.timeout_ns,
            memory_bytes=needs.memory_bytes or None, needs=needs, logged=logged, code=code,
            max_items_per_worker=self._max_items,
            environment=environment or options.environment, trace=traceparent(),
            family=not self._runtime.keeps_inputs,
        )  # fmt: skip

    def _spec(
        self, name: str, options: Options, raising: bool, total: int | None, durable: bool = False,
        requires: Requires | None = None,
    ) -> JobSpec:  # fmt: skip
        needs = options.resources.amount()
        if not self._runtime.keeps_inputs and not self._capacity.fits(needs):
            raise UsageError(
                f"an item needs more than {self._runtime.place} offers: "
                + ", ".join(self._capacity.lacks(needs))
            )
        return JobSpec(
            name=printable(name),
            needs=needs,
            retries=options.retries,
            fail_fast=raising,
            total=total,
            durable=durable,
            requires=_requires(options) if requires is None else requires,
        )

    def _calls_for(self, options: Options) -> CallSource:
        key = self._calls_key(options)
        calls = self._calls.get(key)
        if calls is not None and not self._closed and not calls.over:
            return calls
        with self._lock:
            self._check()
            calls = self._calls.get(key)
            if calls is None or calls.over:
                calls = self._calls[key] = self._new_calls(options)
            return calls

    def _calls_key(self, options: Options) -> tuple[Any, ...]:
        """What calls of one job have in common: their options, and the code that they run with."""
        return (*options.key, self._runtime.code(look=False))

    def _new_calls(self, options: Options) -> CallSource:
        self._check()
        id = job_id(os.urandom(6))
        calls = CallSource(self._runtime, id, self._program(id, "submit", options, None))
        self._show_prints(id, None, again=False)
        self._runtime.submit(id, self._spec("submit", options, False, None), calls)
        return calls


def _embedded(resources: Resources | None, early: Early | None) -> Runner:
    offered = capacity(resources)
    # As many idle workers are kept as may work at once: none is started twice for nothing.
    workers = max(1, offered.cpus_milli // 1000)
    return Runtime(offered, partial(LocalEngine, max_idle=workers, early=early))


def _requires(options: Options) -> Requires:
    environment = options.environment
    name = "" if environment is None else environment.name
    return Requires(environment=name, site=options.site)


def printable(name: str) -> str:
    """A job's name as it may be shown anywhere: no control characters, no second line."""
    return "".join(c if c.isprintable() else "?" for c in name)[:200]


def dump_function_with_args(function: Callable[..., Any], args: tuple[Any, ...]) -> Payload:
    """An initializer and its arguments as a payload."""
    if not callable(function):
        raise TypeError("initializer must be a callable")
    return dump_one((function, args))


def _forgotten(runtime: Runner, calls: dict[tuple[Any, ...], CallSource]) -> None:
    """Nobody holds the client any more: it ends with the jobs that somebody still waits for."""
    for source in list(calls.values()):
        source.seal()
    runtime.retire(lambda: None)


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _forked() -> None:
    """A forked child has the objects but neither the threads nor the right to the workers."""
    for client in _clients:
        client._closed = client._forked = True


os.register_at_fork(after_in_child=_forked)


@atexit.register
def _close_all() -> None:
    for client in list(_clients):
        client.close()
