"""The engine port: what a runtime asks of whatever runs leases, and what it hears back.

An engine gets `Work` (a lease with its inputs as opaque payloads) and emits events: `Segment` as
results come, `ItemFailed`, and one `Ended` for every work it was given. It decides nothing: which
item runs where and whether a failed one runs again is the core's. All methods are called on the
loop's thread, and events are emitted on it.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from hanse.ids import JobId, LeaseId
from hanse.model.environment import Environment
from hanse.model.failure import Failure
from hanse.model.resources import ONE_CPU, Amount
from hanse.model.usage import Usage
from hanse.payloads.payload import Payload


class Timer(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """What an engine may use of the runtime's loop."""

    def now_ns(self) -> int: ...
    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer: ...
    def post(self, callback: Callable[[], None]) -> None:
        """Run the callback on the loop's thread soon. May be called from any thread."""

    def watch(
        self,
        fd: int,
        on_readable: Callable[[], None] | None,
        on_writable: Callable[[], None] | None = None,
    ) -> None:
        """Watch a descriptor, in place of any earlier watch of it."""

    def unwatch(self, fd: int) -> None: ...


class Program(msgspec.Struct, frozen=True, eq=False):
    """What is called for each item of a job. A worker loads a program once and keeps it warm."""

    key: int  # unique in this process
    job: JobId
    name: str  # the function, for people
    function: Payload | None  # None: an item is (function, or key in Work.functions, args, kwargs)
    star: bool = False  # an item is a tuple of positional arguments
    each: bool = False  # every result is encoded by itself
    fold: Payload | None = None  # a binary function: segments carry one folded value
    initializer: Payload | None = None  # (function, args), called once in each worker
    timeout_ns: int | None = None  # per item
    memory_bytes: int | None = None  # per item
    max_items_per_worker: int | None = None
    logged: bool = False  # what its items print is told, as `Printed`
    # A directory with the modules of its project, which stands in front of sys.path before anything
    # of it is unpickled; a worker imports from one such directory, or from none, as long as it
    # lives: modules of two would be mixed.
    code: str = ""
    # The packages that its items need; None: those of this Python. They are built before the first
    # of its works can run, which may take minutes: see `Building`.
    environment: Environment | None = None
    needs: Amount = ONE_CPU  # of one item while it runs
    calls_home: bool = False  # each of its works has a token, see there
    # The span that its items hang below, as W3C's Trace Context writes it; empty: none. Of so many
    # items one has a span of its own there (see `model.trace`); 0: none has.
    trace: str = ""
    trace_every: int = 0
    # Its workers are the program's own: they are given multiprocessing's key of this process, as
    # its children have it, so that they may use what its managers hold.
    family: bool = False


OUT_OF_REACH = "out-of-reach"
"""In place of `Work.token`: the node cannot be asked, as there is no network."""


class Block(msgspec.Struct, frozen=True, eq=False):
    """Inputs of the items `start` to `start + payload.count`.

    A payload of one stream holds flat values only, because it is read as a whole: what an item
    could change has a stream of its own.
    """

    start: int
    payload: Payload


class Work(msgspec.Struct, eq=False):
    """A lease as an engine gets it. `blocks` are in order and cover `start` to `stop`."""

    lease: LeaseId
    start: int
    stop: int
    program: Program
    blocks: Sequence[Block]
    attempts: Mapping[int, int] = {}  # for items past their first
    skip: frozenset[int] = frozenset()  # cancelled items: report None for them
    functions: Mapping[int, Payload] = {}  # that items name by key
    values: Mapping[tuple[str, int], Payload] = {}  # arguments by future
    # With `each`: items whose results later items of this work name as arguments, and the last
    # item that does. Whoever runs them keeps these results until then.
    links: Mapping[int, int] = {}
    # A token for the node whose job it is, for as long as the lease is held: only what runs the
    # items gets it, over its own line, never as a variable or an argument of a process. Empty: they
    # may ask for nothing. An engine whose workers cannot reach that node says OUT_OF_REACH instead.
    token: str = ""

    # By item: what an earlier attempt of it has saved (`hanse.checkpoint()`).
    saved: Mapping[int, Payload] = {}
    loss_ns: int = 0  # mean time between losses of the machine, to decide when to save; 0: unknown

    def __repr__(self) -> str:
        return (
            f"Work({self.program.name!r}, {self.lease}: {self.start} to {self.stop})"  # no secret
        )


class End(enum.StrEnum):
    """Why a work ended."""

    DONE = "done"  # every item up to its stop was reported
    CANCELLED = "cancelled"
    BACK = "back"  # not now; a `Building` or a `Waiting` that came before says why
    LOST = "lost"  # the engine cannot go on with it; what was not reported did not run


class Segment(msgspec.Struct, frozen=True, tag=True):
    """Results of the items `start` to `stop`. With a fold the payload holds one value for all."""

    lease: LeaseId
    start: int
    stop: int
    payload: Payload
    busy_ns: int  # time spent in items
    folded: bool = False  # the payload holds one value for all
    usage: Usage = Usage()  # what these items took, as far as it is known when they are reported


class ItemFailed(msgspec.Struct, frozen=True, tag=True):
    """One attempt failed; or, with the cause DEPENDENCY, an item was not begun, because the worker
    has no result of an earlier one that it needs (see `Work.links`)."""

    lease: LeaseId
    item: int
    failure: Failure
    busy_ns: int
    usage: Usage = Usage()


class Saved(msgspec.Struct, frozen=True, tag=True):
    """An item that runs has this much behind it: a later attempt of it may begin there."""

    lease: LeaseId
    item: int
    payload: Payload  # of one value


class Cut(msgspec.Struct, frozen=True, tag=True):
    """The lease now ends at `stop`: no item from there on was or will be begun."""

    lease: LeaseId
    stop: int


class Ended(msgspec.Struct, frozen=True, tag=True):
    lease: LeaseId
    end: End
    because: str = ""


class Building(msgspec.Struct, frozen=True, tag=True):
    """What is built here now, by the names of the environments, with words on how far it is; and
    what cannot be built for now, and why. Works that need any of it are given back, and should come
    again once a later `Building` leaves it out."""

    environments: Mapping[str, str]
    failed: Mapping[str, str]


class Waiting(msgspec.Struct, frozen=True, tag=True):
    """Works of which nothing runs now, and what they wait for, in words; all others do not wait."""

    works: Mapping[LeaseId, str]


Event = Segment | ItemFailed | Saved | Cut | Ended | Building | Waiting


class Printed(msgspec.Struct, frozen=True, tag=True):
    """What items of a program with `logged` printed: a piece, which may hold several lines or a
    part of one. No event, because what prints much must not hold up the loop: engines hand it to a
    callback of its own, in a thread of theirs, in the order of each stream."""

    job: JobId
    lease: LeaseId
    item: int | None  # None: something else that its work runs, if it is not known which item's
    stream: str  # "stdout" or "stderr"
    text: str


class Engine(Protocol):
    """Runs works. `start` never waits; a work that has no free worker gets one made for it."""

    def start(self, work: Work) -> None: ...
    def cut(self, lease: LeaseId, stop: int) -> None:
        """End the lease at `stop` or just past the item that runs now; answered by `Cut`."""

    def cancel(self, lease: LeaseId) -> None:
        """Stop the lease's code, with its child processes; answered by `Ended`."""

    def begun(self, lease: LeaseId) -> int:
        """The lowest item that may still be running or not begun: all before it are finished."""

    def close(self) -> None:
        """End every worker with all of its children, and leave nothing behind."""
