"""Every error of Hanse, as one tree.

    HanseError
    ├── UsageError             your mistake: the call itself was wrong
    │   ├── ClientClosed           the client was closed, or belongs to the process we forked from
    │   ├── PickleError            a function cannot travel to another process (also pickle's)
    │   ├── ResultsConsumed        results were handed out before and are not kept
    │   ├── JobChanged             a named job's function or inputs are not what they were
    │   ├── JobBusy                another program runs this named job
    │   │   └── NameTaken              another program made a job of this name just now
    │   ├── NoSuchJob              there is no job of this id or name
    │   ├── JobOver                the job has ended, and takes nothing more
    │   ├── CodeMissing            a node does not have the project's code that a job names
    │   └── NotAllowed             a node refuses this token, or the token may not do this
    ├── WorldError             the world failed: try again, or give it more of something
    │   ├── EngineError            worker processes cannot be started or kept
    │   ├── NodeError              a node cannot be used
    │   │   ├── NodeUnavailable        it may pass: no network, it restarts, it is full of work
    │   │   └── NodeVersion            it speaks another protocol
    │   ├── InputError             the iterable of inputs raised; what it yielded before is done
    │   └── JournalError           what is recorded of named jobs cannot be read or written
    │       ├── JournalUnavailable     it may pass: a server restarts, another program holds it
    │       ├── JournalFull            no room: the disk is full, or the quota is reached
    │       ├── JournalDamaged         what is there is not what was written
    │       ├── JournalVersion         it was written by a newer Hanse
    │       └── Fenced                 another run of the job took over
    ├── JobFailed              the job ended without all its results
    │   ├── BudgetSpent            its budget= has no room for a further item
    │   └── JobCancelled           somebody cancelled it (also a concurrent.futures.CancelledError)
    ├── TaskError              one item failed; says which, where, how often, and what it printed
    │   ├── WorkerDied             its process ended: signal or exit code (also a BrokenExecutor)
    │   ├── OutOfMemory            it passed its memory= limit (also a MemoryError)
    │   ├── ItemTimeout            it ran longer than timeout= (also a TimeoutError)
    │   ├── InitializerFailed      the executor's initializer raised (also a BrokenExecutor)
    │   ├── ArgumentError          its arguments cannot travel there (also a PicklingError)
    │   ├── ResultError            its result cannot travel back (also a PicklingError)
    │   └── DependencyFailed       an item whose result it needs failed
    └── InternalError          our bug: please report it

An item that raised re-raises its own exception in the caller, with the `TaskError` that tells the
whole story as its `__cause__`. Each class has a stable `code`, the same in API, command and docs.
"""

from __future__ import annotations

from _pickle import PicklingError  # the class alone, not all of pickle
from concurrent.futures import BrokenExecutor, CancelledError
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hanse.model.failure import Failure


class HanseError(Exception):
    """The root of all errors that Hanse raises itself."""

    code: ClassVar[str] = "error"


class UsageError(HanseError):
    """The call was wrong; the message says what to change."""

    code = "usage"


class ClientClosed(UsageError, RuntimeError):
    """The client was closed, or was opened by the process that this one was forked from."""

    code = "client-closed"


class PickleError(UsageError, PicklingError):
    """A function or argument cannot be sent to another process."""

    code = "pickle"


class ResultsConsumed(UsageError):
    """The results of this job were handed out before and are not kept a second time."""

    code = "results-consumed"


class JobChanged(UsageError):
    """A job of this name is recorded with another function or other inputs; says what differs."""

    code = "job-changed"


class JobBusy(UsageError):
    """Another program runs the job of this name now; says which."""

    code = "job-busy"


class NameTaken(JobBusy):
    """There is a job of this name that its maker did not know of; nobody runs it now."""

    code = "name-taken"


class NoSuchJob(UsageError):
    """There is no job of this id or name."""

    code = "no-such-job"


class CodeMissing(UsageError):
    """A node does not have the code that a job names; clients send it, and ask again."""

    code = "code-missing"


class JobOver(UsageError):
    """The job has ended, and takes nothing more; its record says how."""

    code = "job-over"


class NotAllowed(UsageError):
    """A node refuses this token, or the token's role does not reach so far."""

    code = "not-allowed"


class WorldError(HanseError):
    """Something outside the program failed."""

    code = "world"


class EngineError(WorldError):
    """Worker processes cannot be started or kept alive."""

    code = "engine"


class NodeError(WorldError):
    """A node cannot be used; what it has committed is not lost by that."""

    code = "node"


class NodeUnavailable(NodeError):
    """The node cannot be reached now; this may pass by itself."""

    code = "node-unavailable"


class BadLink(NodeError):
    """A site and its home have to greet each other first, or again."""

    code = "bad-link"


class NodeVersion(NodeError):
    """The node speaks a protocol that this version does not."""

    code = "node-version"


class InputError(WorldError):
    """The iterable that feeds a job raised. Its exception is the `__cause__`."""

    code = "input"


class JournalError(WorldError):
    """The journal cannot be read or written. Nothing that was committed is lost by that."""

    code = "journal"


class JournalUnavailable(JournalError):
    """The journal cannot be reached now; this may pass by itself."""

    code = "journal-unavailable"


class JournalFull(JournalError):
    """There is no room for more: the disk is full, or the quota is reached."""

    code = "journal-full"


class JournalDamaged(JournalError):
    """What is read is not what was written."""

    code = "journal-damaged"


class JournalVersion(JournalError):
    """The journal was written by a newer version of Hanse."""

    code = "journal-version"


class Fenced(JournalError):
    """Another run of this job has taken over; what this one finds is not recorded any more."""

    code = "fenced"


class JobFailed(HanseError):
    """The job ended without all its results."""

    code = "job-failed"


class BudgetSpent(JobFailed):
    """The job's budget has no room for a further item. What is done is kept: a job that has a name,
    or a node, goes on where it was when it is run again with more, or with no budget.

    Attributes:
        budget: what it was given, in the currency of the sites' prices.
        spent: what it has cost.
        done: items that have a result.
        left: items that were known and have none.
    """

    code = "budget-spent"

    budget: float = 0.0
    spent: float = 0.0
    done: int = 0
    left: int = 0


class JobCancelled(JobFailed, CancelledError):
    """The job was cancelled before all its items were done."""

    code = "job-cancelled"


class TaskError(HanseError):
    """One item failed. `failure` holds every detail as plain values.

    Attributes:
        failure: function, item, host, process, attempt, exit code or signal, the remote traceback
            and the last lines that the item printed.
    """

    code = "task"

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.describe())
        self.failure = failure

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failure,)


class WorkerDied(TaskError, BrokenExecutor):
    """The worker process ended while it ran this item, on every attempt."""

    code = "worker-died"


class OutOfMemory(TaskError, MemoryError):
    """The item used more memory than its `memory=` allows."""

    code = "out-of-memory"


class ItemTimeout(TaskError, TimeoutError):
    """The item ran longer than its `timeout=`."""

    code = "item-timeout"


class InitializerFailed(TaskError, BrokenExecutor):
    """The executor's initializer raised in a worker."""

    code = "initializer-failed"


class ArgumentError(TaskError, PicklingError):
    """The item's arguments cannot be pickled here, or cannot be unpickled there."""

    code = "argument"


class ResultError(TaskError, PicklingError):
    """The item's result cannot be pickled there, or cannot be unpickled here."""

    code = "result"


class DependencyFailed(TaskError):
    """An item whose result is an argument of this one failed or was cancelled."""

    code = "dependency-failed"


class InternalError(HanseError):
    """A bug in Hanse. The message holds what a maintainer needs."""

    code = "internal"


def error_of(code: str, words: str) -> HanseError | None:
    """The error of this code, as another process has told it; None if words alone make none."""
    for kind in _classes(HanseError):
        if kind.__dict__.get("code") == code and kind.__init__ is HanseError.__init__:
            return kind(words)
    return None


def _classes(root: type[HanseError]) -> Iterator[type[HanseError]]:
    yield root
    for each in root.__subclasses__():
        yield from _classes(each)
