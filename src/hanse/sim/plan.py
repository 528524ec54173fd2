"""What happens in a run, as plain data: who is there, what work comes, what goes wrong and when.

A plan is drawn from a seed before the run (`drawing`), can be written to a file and read again, and
is what `shrink` makes smaller. Times are virtual nanoseconds from the start of the run.
"""

from __future__ import annotations

import enum

import msgspec

from hanse import limits
from hanse.decoding import from_json
from hanse.model.aims import Aims, Tariff

RUN_BITS = 32
"""A lease number is the run of its home, and below these bits its number within that run."""


class Line(msgspec.Struct, frozen=True):
    """How messages travel between two nodes, in each direction."""

    delay_ns: int  # at least
    jitter_ns: int  # and up to so much more: messages overtake each other
    loss: int = 0  # of a thousand messages
    repeat: int = 0  # of a thousand messages


class HomePlan(msgspec.Struct, frozen=True):
    name: str
    line: Line  # to its clients and sites
    sync_ns: int = limits.MS  # what the disk takes for a commit
    embedded: bool = False  # after a crash its programs resume their jobs one by one
    drift_ppm: int = 0
    clock_ns: int = 0  # what its clock shows at the start


class SitePlan(msgspec.Struct, frozen=True):
    name: str
    cpus: int  # for each home
    speed: int = 100  # per cent
    drift_ppm: int = 0
    clock_ns: int = 0
    tariff: Tariff | None = None  # it introduces itself with these


class JobPlan(msgspec.Struct, frozen=True):
    """A job, the program behind its items, and what its client does with it."""

    name: str
    number: int  # decides, with the seed, about every item's time and failures
    home: str
    at_ns: int
    sizes: list[int]  # how many items there are after each step of growth
    pause_ns: int = 0  # between those steps
    item_ns: int = limits.MS  # mean, on a site of speed 100
    spread: int = 0  # 0: all alike, 1: half to three halves of the mean, 2: heavy tail
    cpus: int = 1
    retries: int = 0
    fail_fast: bool = False
    weight: int = 1
    durable: bool = True
    folded: bool = False
    failing: int = 0  # of a thousand items: fail on their first attempt or attempts
    deadly: int = 0  # of a thousand items: kill their worker at the first attempt
    waits: list[tuple[int, list[tuple[str, int]]]] = []  # item: items of jobs that it needs
    cancel_ns: int = 0  # after its submission, if at all
    drop: tuple[int, int, int] | None = None  # after so long, drop the items from .. to ..
    aims: Aims | None = None
    data: int = 0  # so many items in a row read data that lies together; 0: nothing is said of it
    forget: bool = False  # the client wants no more of it when it has ended

    @property
    def size(self) -> int:
        return self.sizes[-1]

    def replace(self, **changes: object) -> JobPlan:
        return msgspec.structs.replace(self, **changes)


class What(enum.StrEnum):
    """Kinds of trouble. `who` names a node, or `from>to` a line in one direction."""

    CRASH = "crash"  # and restart after for_ns, with what its disk had taken and a part of the rest
    OLD_DISK = "old-disk"  # the same, and nothing of the rest
    AT_COMMIT = "at-commit"  # the same, right after the next commit, of which nobody hears
    NO_DISK = "no-disk"  # the same, with nothing at all
    FULL_DISK = "full-disk"  # no commit succeeds for for_ns
    SLOW_DISK = "slow-disk"  # commits take `amount` times as long, for for_ns
    FREEZE = "freeze"  # stands still for for_ns
    JUMP = "jump"  # its clock jumps forward by `amount` ns
    DRIFT = "drift"  # its clock is off by `amount` ppm, for for_ns
    SLOW = "slow"  # items take `amount` times as long, for for_ns
    DEATH = "death"  # one of the site's workers dies
    LOSE = "lose"  # the site gives up one of its leases
    NOTICE = (
        "notice"  # eviction of the site: it drains, is gone after `amount` ns, back after for_ns
    )
    CUT = "cut"  # messages of the line are lost, for for_ns
    CLOG = "clog"  # messages of the line wait, for for_ns
    STORM = "storm"  # `amount` of a thousand messages are lost, and as many repeated, for for_ns
    AWAY = "away"  # the client leaves, and comes back after for_ns


class Fault(msgspec.Struct, frozen=True):
    at_ns: int
    what: What
    who: str
    for_ns: int = 0
    amount: int = 0
    armed: bool = False  # waits from at_ns on until a site has begun a lease, a home a commit

    def __str__(self) -> str:
        lasts = f" for {self.for_ns / limits.SECOND:.3f} s" if self.for_ns else ""
        amount = f", {self.amount}" if self.amount else ""
        armed = ", at work" if self.armed else ""
        return f"{self.at_ns / limits.SECOND:9.3f} s  {self.what} {self.who}{lasts}{amount}{armed}"


class Plan(msgspec.Struct, frozen=True):
    seed: int
    homes: list[HomePlan]
    sites: list[SitePlan]
    jobs: list[JobPlan]
    faults: list[Fault]
    calm_ns: int  # from here on nothing goes wrong any more, and what did is healed

    def replace(self, **changes: object) -> Plan:
        return msgspec.structs.replace(self, **changes)


def encode(plan: Plan) -> bytes:
    return msgspec.json.format(msgspec.json.encode(plan), indent=1)


def decode(data: bytes) -> Plan:
    """Raises msgspec.ValidationError, which names the field."""
    return from_json(data, Plan)
