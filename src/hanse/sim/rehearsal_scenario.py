"""A scenario: sites, jobs and faults as a person writes them down, checked where they come in.

Every mistake is a `UsageError` that names the table and the key and says what would be right. All
is bounded: a scenario from anybody can be read. What may not live here: files, and the rehearsal.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from hanse.errors import UsageError
from hanse.limits import (
    REHEARSED_BUCKETS,
    REHEARSED_CPUS,
    REHEARSED_DATA,
    REHEARSED_FAULTS,
    REHEARSED_ITEMS,
    REHEARSED_JOBS,
    REHEARSED_SITES,
    REHEARSED_SLOTS,
)
from hanse.model.data import Lies
from hanse.model.usage import Usage, middle_of
from hanse.sim.rehearsal_times import Times

_YEAR_S = 366 * 86_400.0
_NAME_CHARS = 100


@dataclass(frozen=True)
class Number:
    """What a key may hold: a number from `low` to `high`."""

    low: float
    high: float
    default: float | None  # None: it must be given
    whole: bool = False


@dataclass(frozen=True)
class Words:
    """What a key may hold: text, one of `choices` if there are any."""

    default: str | None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Numbers:
    """What a key may hold: an array of numbers."""

    low: float
    high: float
    whole: bool = False


@dataclass(frozen=True)
class Tables:
    """What a key may hold: tables with these keys."""

    keys: Mapping[str, Number | Words]


Kind = Number | Words | Numbers | Tables
DISTRIBUTIONS: Final = ("constant", "lognormal", "exponential", "pareto", "histogram")
FAULTS: Final = ("kill", "freeze", "cut", "slow")

SITE: Final[Mapping[str, Kind]] = {
    "name": Words(None),
    "count": Number(1, REHEARSED_SITES, 1, whole=True),
    "cpus": Number(1, REHEARSED_CPUS, None, whole=True),
    "speed": Number(0.001, 1000, 1),
    "price_per_hour": Number(0, 1e6, 0),
    "region": Words(""),
    "round_trip_ms": Number(0, 5_000, 0.2),
    "lease_cost_ms": Number(0, 600_000, 2),
    "evictions_per_hour": Number(0, 1000, 0),
    "notice_s": Number(0, 86_400, 0),
    "back_after_s": Number(0.001, _YEAR_S, 60),
    "spot": Number(0, 1, 0, whole=True),
    "told_speed": Number(0, 1000, 0),
    "start_s": Number(0, _YEAR_S, 0),
    "stop_s": Number(0, _YEAR_S, math.inf),
}
DATA: Final[Mapping[str, Number | Words]] = {
    "items": Number(1, REHEARSED_ITEMS, None, whole=True),
    "region": Words(None),
    "gigabytes": Number(0, 1e6, 0),
    "name": Words(""),
}
JOB: Final[Mapping[str, Kind]] = {
    "name": Words(None),
    "items": Number(1, REHEARSED_ITEMS, None, whole=True),
    "mean_s": Number(1e-6, 1e6, 1),
    "distribution": Words("constant", DISTRIBUTIONS),
    "sigma": Number(0, 4, 1),
    "alpha": Number(1.01, 100, 1.5),
    "seconds": Numbers(1e-6, 1e6),
    "counts": Numbers(0, 1e12, whole=True),
    "failures": Number(0, 1, 0),
    "retries": Number(0, 100, 0, whole=True),
    "cpus": Number(1, REHEARSED_CPUS, 1, whole=True),
    "weight": Number(1, 1000, 1, whole=True),
    "submitted_s": Number(0, _YEAR_S, 0),
    "objective": Words("fastest", ("fastest", "cheapest")),
    "deadline_s": Number(0, _YEAR_S, math.inf),
    "budget": Number(0, 1e9, math.inf),
    "regions": Words(""),
    "data": Tables(DATA),
}
FAULT: Final[Mapping[str, Kind]] = {
    "what": Words(None, FAULTS),
    "site": Words(""),
    "region": Words(""),
    "at_s": Number(0, _YEAR_S, math.nan),
    "per_hour": Number(1e-6, 1000, math.nan),
    "for_s": Number(0.001, _YEAR_S, math.inf),
    "factor": Number(1, 1000, 10),
}
_TABLES: Final = {"site": SITE, "job": JOB, "fault": FAULT}


@dataclass(frozen=True)
class SiteKind:
    """`count` machines that are alike. See docs/simulate.md for what each field means."""

    name: str
    count: int
    cpus: int
    speed: float
    price_per_hour: float
    region: str
    round_trip_ms: float
    lease_cost_ms: float
    evictions_per_hour: float
    notice_s: float
    back_after_s: float
    start_s: float
    stop_s: float
    spot: int = 0  # 1: it says of itself that it can be taken away
    told_speed: float = 0.0  # what it says of its speed; 0: nothing

    def names(self) -> list[str]:
        """Of its machines."""
        if self.count == 1:
            return [self.name]
        return [f"{self.name}-{number}" for number in range(1, self.count + 1)]


@dataclass(frozen=True)
class JobKind:
    name: str
    items: int
    times: Times
    failures: float
    retries: int
    cpus: int
    weight: int
    submitted_s: float
    objective: str = "fastest"
    deadline_s: float = math.inf  # after it was submitted
    budget: float = math.inf
    regions: str = ""  # those that it may run in, with commas between them
    data: tuple[Lies, ...] = ()  # where what its items read lies

    def places(self) -> list[str]:
        """The regions that it may run in; none: all."""
        return [region.strip() for region in self.regions.split(",") if region.strip()]


@dataclass(frozen=True)
class FaultKind:
    """What happens to the machines that `site` or `region` names; all, if neither does."""

    what: str
    site: str
    region: str
    at_s: float  # nan: it comes `per_hour`
    per_hour: float
    for_s: float  # inf: for good
    factor: float


@dataclass(frozen=True)
class Scenario:
    sites: tuple[SiteKind, ...]
    jobs: tuple[JobKind, ...]
    faults: tuple[FaultKind, ...] = ()

    def like(self, usage: Usage) -> Scenario:
        """The first job with the times that a recorded job's items took.

        Raises UsageError if none were recorded.
        """
        if not usage.items:
            raise UsageError("of that job no times are recorded: did any of its items run?")
        buckets = sorted(usage.times.items())
        times = Times(
            "histogram",
            seconds=tuple(middle_of(bucket) / 1e9 for bucket, _ in buckets),
            counts=tuple(count for _, count in buckets),
        )
        return replace(self, jobs=(replace(self.jobs[0], times=times), *self.jobs[1:]))


def parse(text: str) -> Scenario:
    """Read a scenario. Raises UsageError."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"the scenario is not TOML: {_short(str(error))}") from None
    for key in document:
        if key not in _TABLES:
            raise UsageError(f"{_short(repr(key))} is no table of a scenario{_near(key, _TABLES)}: "
                             "there are [[site]], [[job]] and [[fault]]")  # fmt: skip
    sites = tuple(_site(*row) for row in _rows(document, "site", REHEARSED_SITES))
    jobs = tuple(_job(*row) for row in _rows(document, "job", REHEARSED_JOBS))
    faults = tuple(_fault(*row) for row in _rows(document, "fault", REHEARSED_FAULTS))
    scenario = Scenario(sites, jobs, faults)
    _check_whole(scenario)
    return scenario


# --- one table ----------------------------------------------------------------------------------
Row = tuple[str, dict[str, Any]]


def _rows(document: Mapping[str, Any], table: str, most: int) -> list[Row]:
    """The tables of one kind, each with what to call it."""
    found = document.get(table, [])
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise UsageError(f"{table!r} must be tables: write [[{table}]] above each of them")
    if not found and table != "fault":
        raise UsageError(f"the scenario has no [[{table}]]: it needs one at least")
    if len(found) > most:
        raise UsageError(f"{len(found):,} [[{table}]] are too many: at most {most:,}")
    return [_row(table, number, row) for number, row in enumerate(found, 1)]


def _row(table: str, number: int, row: dict[str, Any]) -> Row:
    name = row.get("name")
    named = f" ({name!r})" if isinstance(name, str) and len(name) <= _NAME_CHARS else ""
    where = f"[[{table}]] number {number}{named}"
    return where, _values(where, row, _TABLES[table])


def _values(where: str, row: dict[str, Any], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    for key in row:
        if key not in kinds:
            raise UsageError(f"{where}: there is no key {_short(repr(key))}{_near(key, kinds)}; "
                             f"there are {', '.join(kinds)}")  # fmt: skip
    return {key: _value(where, key, kind, row.get(key)) for key, kind in kinds.items()}


def _value(where: str, key: str, kind: Kind, given: Any) -> Any:
    if isinstance(kind, Tables):
        return _tables(where, key, kind, given)
    if isinstance(kind, Numbers):
        return _numbers(where, key, kind, given)
    if given is None:
        if kind.default is None:
            raise UsageError(f"{where}: {key} is missing: {_wanted(kind)}")
        return _typed(kind, kind.default)
    if isinstance(kind, Number):
        if not _fits(kind, given):
            raise _wrong(where, key, kind, given)
        return _typed(kind, given)
    if not isinstance(given, str) or (kind.choices and given not in kind.choices):
        raise _wrong(where, key, kind, given)
    if not given or len(given) > _NAME_CHARS:
        raise UsageError(f"{where}: {key} must have 1 to {_NAME_CHARS} characters")
    return given


def _tables(where: str, key: str, kind: Tables, given: Any) -> list[dict[str, Any]]:
    rows = [] if given is None else given
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{where}: {key} must be tables: write [[job.{key}]] above each of them")
    if len(rows) > REHEARSED_DATA:
        raise UsageError(f"{where}: {len(rows):,} [[job.{key}]] are too many: at most "
                         f"{REHEARSED_DATA:,}")  # fmt: skip
    return [_values(f"{where}, {key} number {n}", row, kind.keys) for n, row in enumerate(rows, 1)]


def _numbers(where: str, key: str, kind: Numbers, given: Any) -> tuple[float, ...]:
    if given is None:
        return ()
    one = Number(kind.low, kind.high, None, kind.whole)
    if not isinstance(given, list) or not 0 < len(given) <= REHEARSED_BUCKETS:
        raise UsageError(f"{where}: {key} must be an array of 1 to {REHEARSED_BUCKETS:,} numbers")
    for value in given:
        if not _fits(one, value):
            raise _wrong(where, f"a number in {key}", one, value)
    return tuple(_typed(one, value) for value in given)


def _fits(kind: Number, given: Any) -> bool:
    right = isinstance(given, int) or (isinstance(given, float) and not kind.whole)
    return right and not isinstance(given, bool) and kind.low <= given <= kind.high


def _typed(kind: Number | Words, value: Any) -> Any:
    if isinstance(kind, Words):
        return value
    return int(value) if kind.whole else float(value)


def _wrong(where: str, key: str, kind: Number | Words, given: Any) -> UsageError:
    near = _near(given, kind.choices) if isinstance(kind, Words) else ""
    shown = repr(given) if not isinstance(given, int) or abs(given) < 1e30 else "a huge number"
    return UsageError(f"{where}: {key} must be {_wanted(kind)}, not {_short(shown)}{near}")


def _wanted(kind: Number | Words) -> str:
    if isinstance(kind, Words):
        return f"one of {', '.join(kind.choices)}" if kind.choices else "text"
    what = "a whole number" if kind.whole else "a number"
    return f"{what} from {kind.low:,g} to {kind.high:,.12g}"


def _short(shown: str) -> str:
    return shown if len(shown) <= _NAME_CHARS else f"{shown[:_NAME_CHARS]}..."


def _near(word: Any, known: Any) -> str:
    found = difflib.get_close_matches(str(word)[:_NAME_CHARS], list(known), 1)
    return f" (did you mean {found[0]!r}?)" if found else ""


# --- what belongs together ----------------------------------------------------------------------
def _site(where: str, row: dict[str, Any]) -> SiteKind:
    site = SiteKind(**row)
    if site.stop_s <= site.start_s:
        raise UsageError(f"{where}: stop_s must be later than start_s, {site.start_s:g}")
    return site


def _job(where: str, row: dict[str, Any]) -> JobKind:
    kind, seconds, counts = row.pop("distribution"), row.pop("seconds"), row.pop("counts")
    if (kind == "histogram") != bool(seconds) or len(seconds) != len(counts):
        raise UsageError(f"{where}: distribution = \"histogram\" needs the arrays seconds and "
                         "counts, one as long as the other, and no other distribution has them"
                         )  # fmt: skip
    if seconds and not sum(counts):
        raise UsageError(f"{where}: counts are all 0: nothing can be drawn from them")
    times = Times(kind, row.pop("mean_s"), row.pop("sigma"), row.pop("alpha"), seconds, counts)
    row["data"] = _data(where, row["items"], row["data"])
    return JobKind(times=times, **row)


def _data(where: str, items: int, rows: list[dict[str, Any]]) -> tuple[Lies, ...]:
    """Each row is told of the items after those of the row before."""
    found, start = [], 0
    for row in rows:
        stop = start + row["items"]
        nbytes = round(row["gigabytes"] * 1e9)
        found.append(Lies(start, stop, row["region"], nbytes, row["name"]))
        start = stop
    if start > items:
        raise UsageError(f"{where}: data is told of {start:,} items, and it has {items:,}")
    return tuple(found)


def _fault(where: str, row: dict[str, Any]) -> FaultKind:
    fault = FaultKind(**row)
    if math.isnan(fault.at_s) == math.isnan(fault.per_hour):
        raise UsageError(f"{where}: say either at_s, when it happens, or per_hour, how often")
    if not math.isnan(fault.per_hour) and math.isinf(fault.for_s):
        raise UsageError(f"{where}: for_s is missing: what comes per_hour must pass again")
    return fault


def _check_whole(scenario: Scenario) -> None:
    names = [name for site in scenario.sites for name in {*site.names(), site.name}]
    _check_names("site", names)
    _check_names("job", [job.name for job in scenario.jobs])
    machines = sum(site.count for site in scenario.sites)
    slots = sum(site.count * site.cpus for site in scenario.sites)
    items = sum(job.items for job in scenario.jobs)
    for what, count, most in (
        ("machines (count of all [[site]])", machines, REHEARSED_SITES),
        ("cpus (cpus of all machines)", slots, REHEARSED_SLOTS),
        ("items (of all [[job]])", items, REHEARSED_ITEMS),
    ):
        if count > most:
            raise UsageError(f"{count:,} {what} are too many: a rehearsal has {most:,} at most")
    regions = {site.region for site in scenario.sites} - {""}
    for job in scenario.jobs:
        _check_home(job, scenario.sites, regions)
    for number, fault in enumerate(scenario.faults, 1):
        for key, given, known in (("site", fault.site, names), ("region", fault.region, regions)):
            if given and given not in known:
                raise UsageError(f"[[fault]] number {number}: there is no {key} {given!r}"
                                 f"{_near(given, known)}")  # fmt: skip


def _check_home(job: JobKind, sites: Sequence[SiteKind], known: Collection[str]) -> None:
    """Some site may run it."""
    asked = job.places()
    for region in asked:
        if region not in known:
            raise UsageError(f"[[job]] {job.name!r}: no site is in its region {region!r}"
                             f"{_near(region, known)}")  # fmt: skip
    widest = max(site.cpus for site in sites if not asked or site.region in asked)
    if job.cpus > widest:
        where = " in its regions" if asked else ""
        raise UsageError(f"[[job]] {job.name!r}: cpus = {job.cpus}, and no site{where} has more "
                         f"than {widest}")  # fmt: skip


def _check_names(table: str, names: list[str]) -> None:
    seen = set()
    for name in names:
        if name in seen:
            raise UsageError(f"two [[{table}]] are called {name!r}: give each its own name")
        seen.add(name)
