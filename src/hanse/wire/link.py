"""What a site at another node and a home say to each other over HTTP (see docs/links.md).

The site asks and the home answers, as only the site dials. A report travels as a parcel: the
`Report` of the core as bytes, and beside it the values of its notes. Orders come back on a stream
that stays open. What a lease runs is asked for by lease.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from hanse.core.messages import EndNote, Grant, Report
from hanse.errors import UsageError
from hanse.ids import JobId, LeaseId, SiteId
from hanse.limits import PARCEL_PAYLOADS
from hanse.model.failure import Failure
from hanse.model.fit import Offer
from hanse.model.resources import Amount
from hanse.model.usage import BUCKETS, Usage

_MOST = 1 << 53
_NAME = 80
_TEXT = 200  # characters of one name or version
_WORDS = 16_384  # characters of a reason
_NAMES = 64
_PACKAGES = 5_000
_CORES = 100_000
_RUNNING = 20_000  # leases
_NOTES = 200_000


class Hello(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A site introduces itself, each time that it dials."""

    node: Annotated[str, msgspec.Meta(pattern="^n-[0-9a-f]{12}$")]  # its node's id
    site: Annotated[str, msgspec.Meta(min_length=1, max_length=_NAME)]  # its name, for people
    incarnation: Annotated[int, msgspec.Meta(ge=1, le=_MOST)]
    offer: Offer  # what it can run


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The home knows the site under this id. All that it said before to a home with another `boot`
    has to be said again, as far as it is not acknowledged."""

    boot: str
    site: SiteId
    node: str  # the home's


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """What belongs to a segment's note; its results are the next payload of the parcel."""

    note: int
    usage: Usage


class Failed(msgspec.Struct, frozen=True, array_like=True):
    """What belongs to a failure's note."""

    note: int
    failure: Failure
    usage: Usage


class Lines(msgspec.Struct, frozen=True, array_like=True):
    """Something that items printed."""

    job: JobId
    lease: LeaseId
    item: int | None
    stream: str
    text: str


class Told(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report, with the values of those of its notes that this home may not have yet."""

    boot: str
    report: bytes
    segments: Annotated[list[Segment], msgspec.Meta(max_length=PARCEL_PAYLOADS)] = []
    failures: Annotated[list[Failed], msgspec.Meta(max_length=_NOTES)] = []
    lines: Annotated[list[Lines], msgspec.Meta(max_length=_NOTES)] = []


class Saved(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an item that the site runs keeps for a later attempt; it is the payload beside this."""

    boot: str
    lease: LeaseId
    job: JobId
    item: int


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the lease runs is asked for. The site has these programs, functions and values."""

    boot: str
    grant: Grant
    program: int = 0  # the key of the job's program
    functions: list[int] = []
    values: list[tuple[str, int]] = []


class Machine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the machines that a site consists of."""

    host: Annotated[str, msgspec.Meta(min_length=1, max_length=_NAME)]
    offers: Amount
    uses: Amount = Amount()  # of that, whoever it is for
    state: Annotated[str, msgspec.Meta(max_length=_TEXT)] = ""  # in words, if not simply there


class Machines(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All machines of a site that consists of several, for people to look at."""

    boot: str
    machines: Annotated[list[Machine], msgspec.Meta(max_length=1000)]


class Gone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The site leaves."""

    boot: str


def check_hello(hello: Hello) -> Hello:
    """Whether a home can count with it. Raises UsageError: it comes from outside."""
    offer = hello.offer
    packages = offer.packages or {}
    texts = [offer.python, offer.tariff.region, *offer.allow, *offer.names]
    texts += [*packages, *packages.values()]
    if (
        len(packages) > _PACKAGES
        or len(offer.allow) > _NAMES
        or len(offer.names) > _NAMES
        or len(offer.tariff.schedule) > 1000
    ):
        raise UsageError("a site says more of itself than can be taken")
    if max(map(len, texts)) > _TEXT:
        raise UsageError(f"no name that a site says has more than {_TEXT} characters")
    return hello


def check_report(report: Report) -> Report:
    """Whether a home can count with it. Raises UsageError: it comes from outside."""
    numbers = [report.incarnation, report.seq, report.first_note, *_amounts(report.capacity)]
    for note in report.notes:
        numbers.append(note.busy_ns)
        if isinstance(note, EndNote):
            numbers.append(note.wall_ns)
            _check_words(note.lost)
    for running in report.running:
        numbers += (running.lease, running.start, running.begun, running.stop)
        _check_words(running.waits)
        if not running.start <= running.begun <= running.stop:
            raise UsageError("a running lease has its numbers in order")
    if min(numbers) < 0 or max(numbers) > _MOST or report.first_note < 1:
        raise UsageError("a number of the report is out of bounds")
    if len(report.running) > _RUNNING or len(report.notes) > _NOTES:
        raise UsageError("the report has more leases or notes than a site can have")
    _check_capacity(report.capacity)
    if not report.capacity.fits(report.free) or abs(min(_amounts(report.free), default=0)) > _MOST:
        raise UsageError("a site has no more free than it has")
    if not -1 <= report.orders_age_ns <= _MOST or not 0 <= report.orders_seen <= _MOST:
        raise UsageError("a number of the report is out of bounds")
    _check_words(report.leaving)
    for words in (report.building, report.failed):
        if len(words) > _NAMES or "" in words:
            raise UsageError("a site names its environments, and not too many")
        for name, why in words.items():
            _check_words(name)
            _check_words(why)
    return report


def check_machines(told: Machines) -> Machines:
    """Whether people can be shown it. Raises UsageError."""
    for machine in told.machines:
        _check_capacity(machine.offers)
        _check_capacity(machine.uses)
        if min(*_amounts(machine.offers), *_amounts(machine.uses)) < 0:
            raise UsageError("a number of a machine is out of bounds")
    return told


def check_usage(usage: Usage) -> Usage:
    """Raises UsageError."""
    if usage.spent or usage.moved or usage.late_ns:
        raise UsageError("what a job has cost is counted by its home")
    numbers = [usage.cpu_ns, usage.peak_bytes, *usage.times.values()]
    buckets = all(0 <= bucket < BUCKETS for bucket in usage.times)
    if not buckets or min(numbers) < 0 or max(numbers) > _MOST:
        raise UsageError("a number of what items took is out of bounds")
    return usage


def _check_capacity(capacity: Amount) -> None:
    custom = capacity.custom_milli
    if len(custom) > _NAMES or {"cpus", "gpus", "memory"} & custom.keys():
        raise UsageError("a site has a few resources of its own naming, and none called cpus")
    if max(map(len, custom), default=0) > _TEXT:
        raise UsageError(f"no resource has a name of more than {_TEXT} characters")
    if max(capacity.cpus_milli, capacity.gpus_milli, *custom.values(), 0) > _CORES * 1000:
        raise UsageError(f"a site has at most {_CORES:,} cores")


def _check_words(text: str) -> None:
    if len(text) > _WORDS:
        raise UsageError(f"a reason has at most {_WORDS:,} characters")


def _amounts(amount: Amount) -> list[int]:
    return [
        amount.cpus_milli, amount.gpus_milli, amount.memory_bytes, *amount.custom_milli.values()
    ]  # fmt: skip
