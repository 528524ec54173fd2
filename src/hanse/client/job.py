"""A job in its user's hands: results as they come, in order or not, or folded into one."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from functools import partial
from itertools import chain
from typing import Any, Generic, TypeVar

from hanse.client.functions import dump_function, program_keys
from hanse.client.inputs import Feeder
from hanse.client.mapping import MapSource
from hanse.client.results import Part, Results
from hanse.client.unreadable import unreadable
from hanse.errors import JobCancelled, ResultsConsumed, UsageError
from hanse.ids import JobId
from hanse.model.account import Account
from hanse.model.failure import Cause, Failure
from hanse.model.job import JobState
from hanse.model.progress import Progress
from hanse.model.resources import format_bytes
from hanse.payloads import ours
from hanse.payloads import pickling as here
from hanse.payloads.exceptions import to_exception
from hanse.payloads.payload import load, load_each
from hanse.runtime.runner import Runner

T = TypeVar("T")
_NOTHING: Any = object()


def watching() -> bool:
    """Whether the user wants to see the progress of all jobs: in a notebook, and with `hanse run`,
    unless told otherwise."""
    told = os.environ.get("HANSE_PROGRESS")
    return told == "1" or (told is None and in_notebook())


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if "ipykernel" not in sys.modules:
        return False
    from hanse.client.notebook import shell

    return shell() is not None


class Job(Generic[T]):
    """A running or finished map.

    Results are handed out once; those of a named job that has ended, as often as one likes. Memory
    is bounded: while nobody takes results, the job reads no further inputs once a window of them
    waits. A job that nobody holds any more is cancelled; a named one stops, and can be resumed.

    Attributes:
        id: the job's id.
        name: its name, or that of its function.
    """

    def __init__(
        self, runtime: Runner, id: JobId, name: str, source: MapSource, results: Results,
        feeder: Feeder, *, raising: bool, ordered: bool,
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self.id = id
        self.name = name
        self._source = source
        self._results = results
        self._feeder = feeder
        self._raising = raising
        self._cost = 0.0
        self._ordered = ordered
        self._mode = ""  # how results are handed out: set by the first who asks
        self._withdrawn: BaseException | None = None  # why further inputs are not read
        self._next = 0  # the first item that was not handed out, in order
        self._finished = False  # all of them were handed out
        self._rest: Iterator[Any] | None = None  # what is left of the part that is handed out

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name} {self.state}: {self._results.settled} items ended>"

    def __del__(self) -> None:
        # The collector may call this anywhere, with any lock held: so it takes none itself.
        try:
            if not self._results.state.ended and self._withdrawn is None:
                self._runtime.loop.post(partial(_abandon, self._source, self._feeder))
        except AttributeError:
            pass  # it never came to be

    # --- results --------------------------------------------------------------------------------
    def __iter__(self) -> Iterator[T]:
        """Results in the order of the inputs (or as they come, with `ordered=False`).

        A loop that was left early goes on where it was when the job is iterated again. With
        `on_error="collect"` a failed item's place is taken by its exception.

        Raises:
            Exception: what the first failed item raised, with a `TaskError` as its cause.
            InputError: the inputs raised; all results before that were handed out.
            ResultsConsumed: all results were handed out before.
        """
        self._enter("iteration")
        return chain.from_iterable(self._parts())

    def _parts(self) -> Iterator[Iterator[T]]:
        if self._rest is not None:
            yield self._rest
        while (part := self._take(self.comes_next())) is not None:
            error = self.took(part)
            yield self._rest  # type: ignore[misc] # it was set just now
            if error is not None:
                raise error
        self.end_of_results()

    def _take(self, start: int | None) -> Part | None:
        try:
            return self._results.take(start)
        except KeyboardInterrupt:
            if in_notebook():  # the traceback holds the job, which would run on for nobody
                self.let_go()
            raise

    def comes_next(self) -> int | None:
        """Which part is handed out next: the one that begins with this item, or any."""
        return self._next if self._ordered else None

    def took(self, part: Part) -> BaseException | None:
        """Hand this part out: its values are in `_rest`. Returns the error that comes after."""
        self._next = part.stop
        values, error = self._values(part)
        self._rest = iter(values)
        return error

    def __aiter__(self) -> AsyncIterator[T]:
        """Results as iterating hands them out, in a coroutine."""
        self._enter("iteration")
        from hanse.client.awaiting import each

        return each(self)

    def __await__(self) -> Generator[Any, None, list[T]]:
        """Wait in a coroutine, for a list of all results. Cancelling that does not end the job."""
        self._enter("iteration")
        from hanse.client.awaiting import everything

        return everything(self).__await__()

    def as_completed(self) -> Iterator[tuple[int, T]]:
        """Pairs of (index of the item, result), in order of completion.

        A loop that was left early goes on where it was when this is called again.
        """
        self._enter("as_completed")
        return chain.from_iterable(self._pairs())

    def _pairs(self) -> Iterator[Iterator[tuple[int, T]]]:
        if self._rest is not None:
            yield self._rest
        while (part := self._take(None)) is not None:
            values, error = self._values(part)
            self._rest = enumerate(values, part.start)
            yield self._rest
            if error is not None:
                raise error
        self.end_of_results()

    def reduce(self, function: Callable[[T, T], T], initial: T = _NOTHING) -> T:
        """Fold all results with an associative function, in order, where they are.

        Workers fold what they computed, so only one value per lease travels. The function may
        change and return its left argument. With `on_error="collect"`, items that failed are left
        out, and so are those whose result could not be folded in.

        Raises:
            TypeError: there are no results and no `initial`.
        """
        self._enter("reduce")
        payload, needs = dump_function(function)
        if needs:
            raise UsageError("the function of reduce cannot hold futures")
        self._source.check_fold(function)
        key = next(program_keys)
        self._runtime.loop.post(lambda: self._source.fold(payload, key))
        self._runtime.refold(self.id, payload, self._source.fold_print)
        runs = _Runs(function)
        while (part := self._take(None)) is not None:
            if part.failure is not None and not self._raising:
                runs.add(part.start, part.stop, _NOTHING)
                continue
            values, error = self._values(part)
            if error is not None:
                raise error
            runs.add(part.start, part.stop, functools.reduce(function, values))
        self.end_of_results()
        result = runs.total()
        if initial is not _NOTHING:
            return initial if result is _NOTHING else function(initial, result)
        if result is _NOTHING:
            raise TypeError("reduce of no results and no initial value")
        return result  # type: ignore[no-any-return]

    def _enter(self, mode: str) -> None:
        if self._finished and self._source.recorded and self._results.state is JobState.DONE:
            self._begin_again()
        if self._finished or (mode == "reduce" and self._mode):
            raise ResultsConsumed(
                f"the results of {self.name} were handed out; keep them in a list"
            )
        if self._mode not in ("", mode):
            raise ResultsConsumed(
                f"the results of {self.name} are being handed out by {self._mode}, not by {mode}"
            )
        self._mode = mode

    def _begin_again(self) -> None:
        """Hand out the results of a recorded job once more, from the journal."""
        from hanse.client.recorded import results_of

        self._results = results_of(self._runtime, self.id)
        self._finished, self._mode, self._next = False, "", 0

    def end_of_results(self) -> None:
        """All are handed out. Raises what ended the job."""
        self._finished, self._rest = True, None
        self._raise_end()

    def _values(self, part: Part) -> tuple[list[T], BaseException | None]:
        """The part's values, and the error that comes after them."""
        if part.failure is not None:
            error = to_exception(part.failure)
            return ([], error) if self._raising else ([error], None)  # type: ignore[list-item]
        if part.first is None and self._mode != "reduce":
            raise ResultsConsumed(
                f"the results of {self.name} were folded by reduce, and only that is recorded: "
                "reduce it again, or start it over with fresh=True"
            )
        payload = self._results.read(part)
        first = part.first or 0
        count = 1 if part.first is None else part.stop - part.start
        try:
            loads = ours.loads if part.restored else here.loads
            whole, sound = load(payload, loads), True
        except (Exception, SystemExit):  # noqa: BLE001 - by the user's classes; find which value
            whole, sound = load_each(payload, _Broken, loads), False
        values = whole if count == len(whole) else whole[first : first + count]
        values = values if isinstance(values, list) else list(values)
        return (values, None) if sound else self._without_broken(part, values)

    def _without_broken(
        self, part: Part, values: list[Any]
    ) -> tuple[list[T], BaseException | None]:
        for at, value in enumerate(values):
            if type(value) is _Broken:
                error = unreadable(part.start + at, value.error, self.name)
                if self._raising:
                    return values[:at], error
                values[at] = error
        return values, None

    def _raise_end(self) -> None:
        if watching():
            from hanse.client.watcher import settle

            settle()
        error = self._results.read_error()
        if error is not None:
            raise error
        if self._results.state is JobState.CANCELLED:
            raise JobCancelled(f"{self.name} was cancelled after {self._results.settled} items")

    @property
    def lazy(self) -> bool:
        """Whether inputs are read as results are taken."""
        return not self._results.keep_all

    # --- the job --------------------------------------------------------------------------------
    @property
    def state(self) -> str:
        """`running`, `done`, `failed` or `cancelled`."""
        return self._results.outcome

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job has ended; False if `timeout` seconds were too short.

        Results are kept in memory meanwhile. Raises what ended a failed job.
        """
        self._runtime.check_can_wait()
        self._results.want_all()
        try:
            if not self._results.wait(timeout):
                return False
        except KeyboardInterrupt:
            if in_notebook():
                self.let_go()
            raise
        error = self._results.read_error()
        if error is not None:
            raise error
        return True

    def join(self) -> None:
        """Wait until the job has ended, whatever came of it."""
        self._runtime.check_can_wait()
        self._results.wait(None)

    def hand_over(self, patience_s: float) -> bool:
        """Wait until a node has all inputs that are there already; whether it has."""
        return self._results.state.ended or self._feeder.hand_over(patience_s)

    def run_ahead(self) -> None:
        """Read on though nobody takes results yet; they are kept in memory."""
        self._results.want_all()

    def when_ended(self, callback: Callable[[], None]) -> None:
        """Call back on the loop's thread once the job has ended."""
        self._source.when_ended(callback)

    def in_order_until(self, until_s: float | None) -> Iterator[T]:
        """Results in order; TimeoutError past that moment (monotonic).

        However the iterator ends, what no worker was given by then is cancelled."""
        try:
            while True:
                left = None if until_s is None else max(0, until_s - time.monotonic())
                part = self._results.take(self._next, left, handing=False)
                if part is None:
                    if self._withdrawn is not None and not self._feeder.finished:
                        raise self._withdrawn
                    self._raise_end()
                    return
                self._next = part.stop
                if part.failure is not None:
                    raise _failed(part.failure)
                values, error = self._values(part)
                for value in values:
                    self._results.hand(1)
                    yield value
                if error is not None:
                    raise error
        finally:
            self.withdraw()

    def withdraw(self) -> None:
        """Cancel the items that no worker was given; those that run go on to their end."""
        self.read_no_more(JobCancelled(f"{self.name} was cancelled"))
        self._source.cancel_ready()

    def read_no_more(self, because: BaseException) -> None:
        """End with the inputs that were read so far; who iterates gets the error after them."""
        if not self._results.state.ended:
            self._withdrawn = self._withdrawn or because
            self._feeder.stop()
            self._source.close()

    def cancel(self) -> None:
        """Stop the job: within a second none of its code runs any more. Results that were
        committed can still be taken."""
        self._feeder.stop()
        self._source.cancel()

    def let_go(self) -> None:
        """Nobody wants results any more: cancel the job; a named one stops, and can be resumed."""
        if not self._results.state.ended:
            _abandon(self._source, self._feeder)

    def end_with(self, error: BaseException) -> None:
        """Nothing comes any more: whoever waits gets the error, if the job has not ended."""
        self._feeder.stop()
        if not self._results.state.ended:
            self._results.end(JobState.CANCELLED, error)

    def failures(self) -> list[Failure]:
        """The items that failed for good, each with all that is known about it, in the order in
        which they failed; the first thousand."""
        return list(self._results.failures)

    def progress(self) -> Progress:
        """How far the job is."""
        return progress(self._results, self._runtime.running(self.id))

    def _repr_mimebundle_(self, **_what: Any) -> dict[str, str]:
        """How a notebook shows it."""
        from hanse.client.notebook import job_card

        return job_card(self)

    @property
    def cost(self) -> float:
        """What it has cost so far, in the currency of the sites' prices; 0 where nothing was asked
        of its placement, as then nothing is counted."""
        cost = self._runtime.cost(self.id)
        if cost is None and not self._cost and self._results.state.ended:
            cost = self.account().spent  # of a run before this one
        self._cost = cost or self._cost
        return self._cost

    def account(self) -> Account:
        """What it has cost and is expected to, by when, and where; see `Account`."""
        from hanse.client.recorded import account_of

        told = account_of(self._runtime, self.id, self._source.recorded)
        return told or Account(spent=self._cost)

    def explain(self) -> str:
        """What the job waits for, in words and with numbers; once it has ended, what it has cost,
        and where."""
        if self._results.state.ended:
            from hanse.core.why import bill

            return "\n".join([f"{self.name} is {self.state}.", *bill(self.account())])
        return "\n".join(self._runtime.reasons(self.id))


def waiting(feeder: Feeder, results: Results) -> list[str]:
    """Why no further inputs are read, if so."""
    if feeder.waits and not results.settled:
        return ["Further inputs are read once the first results tell how large they are."]
    if feeder.waits:
        return [
            f"No further inputs are read: results of {results.settled - results.handed} items "
            f"({format_bytes(results.held_bytes)} held) wait to be taken."
        ]
    return []


def _abandon(source: MapSource, feeder: Feeder) -> None:
    feeder.stop()
    source.abandon()


def progress(results: Results, running: int = 0) -> Progress:
    """How far a job is, for whoever must not hold the job itself. How many of its items run has to
    be asked for, of a node maybe."""
    now = results.ended_s or time.monotonic()
    rate = results.rate_per_s()
    left = None if results.total is None else results.total - results.settled
    return Progress(
        done=results.done,
        failed=results.failed,
        running=running,
        total=results.total,
        rate_per_s=rate,
        eta_s=left / rate if left is not None and rate > 0 else None,
        elapsed_s=now - results.started_s,
        state=results.outcome,
        restored=results.restored,
    )


def _failed(failure: Failure) -> BaseException:
    if failure.cause is Cause.CANCELLED:
        return JobCancelled(f"item {failure.item} of {failure.function} was cancelled")
    return to_exception(failure)


class _Broken:
    """Stands for a value that cannot be unpickled."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Runs:
    """Folds neighbours as they come: an associative function needs no more order than that."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        self._function = function
        self._runs: dict[int, tuple[int, Any]] = {}  # start: (stop, value)
        self._starts: dict[int, int] = {}  # stop: start

    def add(self, start: int, stop: int, value: Any) -> None:
        if start in self._starts:
            left = self._starts.pop(start)
            _, before = self._runs.pop(left)
            start, value = left, self._fold(before, value)
        if stop in self._runs:
            right, after = self._runs.pop(stop)
            del self._starts[right]
            stop, value = right, self._fold(value, after)
        self._runs[start] = (stop, value)
        self._starts[stop] = start

    def _fold(self, left: Any, right: Any) -> Any:
        if left is _NOTHING or right is _NOTHING:
            return right if left is _NOTHING else left
        return self._function(left, right)

    def total(self) -> Any:
        value = _NOTHING
        for start in sorted(self._runs):
            value = self._fold(value, self._runs[start][1])
        return value
