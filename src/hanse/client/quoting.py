"""`hanse quote SCRIPT`: the script runs up to its first map, of which a small sample is run.

What the job would take is then reckoned where it would run, and the script ends there: nothing of
the map itself is submitted. A named map that is recorded needs no sample: its own items were timed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec.structs import replace

from hanse.client.aims import check_here, sharing
from hanse.client.data import Places
from hanse.client.functions import dump_function, dump_whole
from hanse.client.inputs import SIZED, snapshot
from hanse.client.named import check_same, starts_over
from hanse.client.task import Task, unwrap
from hanse.core.place.data import Places as Chunks
from hanse.decoding import from_json
from hanse.errors import HanseError, InternalError
from hanse.model.aims import Aims, Objective
from hanse.model.data import Lies
from hanse.model.quote import Quote
from hanse.payloads.functions import name_of
from hanse.payloads.payload import load_one
from hanse.records.record import JobRecord, open_record

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.core.events import Timed
    from hanse.ids import JobId
    from hanse.model.job import JobSpec
    from hanse.records.state import Records

ASKED = "HANSE_QUOTE"  # the environment's, with an `Ask` in it
_ENOUGH = 20  # items that were timed before: no sample is needed
_SHARE = 40  # the sample is one item of so many, within bounds
_LEAST = 4
_INTERRUPTED = 130
_READ = 1_000_000  # items of an iterable without a length that are counted


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for; None: what the map itself asks for."""

    objective: Objective | None = None
    deadline_ns: int | None = None
    budget_nano: int | None = None
    regions: list[str] | None = None
    spot: bool | None = None

    def of(self, own: Aims | None) -> Aims:
        """For a map with these aims of its own."""
        own = own or Aims()
        told = {name: value for name in self.__struct_fields__
                if (value := getattr(self, name)) is not None}  # fmt: skip
        hasty = own.objective == "fastest" and own.deadline_ns is None and own.budget_nano is None
        return replace(own, **{"objective": "cheapest" if hasty else own.objective} | told)


def rows(wanted: Aims) -> list[Aims]:
    """The deadline that is asked for, half and twice of it, and none: in haste, or at leisure."""
    time_ns = wanted.deadline_ns
    times = [] if time_ns is None else [max(1, time_ns // 2), time_ns, 2 * time_ns]
    return [
        replace(wanted, objective="fastest", deadline_ns=None),
        *(replace(wanted, deadline_ns=each) for each in times),
        replace(wanted, objective="cheapest", deadline_ns=None),
    ]


class Ask(msgspec.Struct, frozen=True):
    """What `hanse quote` wants to know."""

    answer: str  # the file that is written
    sample: str  # the file that says which job is the sample, once there may be one
    wanted: Wanted
    items: int  # of the sample, at most
    seconds: float  # how long it may run


class Refused(msgspec.Struct, frozen=True, tag=True):
    """What the map itself would raise, or its quote."""

    code: str
    words: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    quote: Quote
    wanted: Aims  # one of its rows is for this
    more: bool = False  # there are more items than were counted
    trouble: str = ""  # what went wrong with the sample, in words


class Sample(msgspec.Struct, frozen=True):
    """A job that is to be forgotten, whatever becomes of the script."""

    name: str
    url: str  # of its node; empty: it is recorded on this machine


def ask_of(environment: Mapping[str, str]) -> Ask | None:
    told = environment.get(ASKED)
    return None if not told else from_json(told, Ask)


def answer(
    client: Client, function: Callable[..., Any], iterables: Sequence[Iterable[Any]],
    name: str | None, options: Mapping[str, Any], own: Aims | None, places: Places | None,
) -> None:  # fmt: skip
    """Say what the map would come to, or why there is none, and end the program."""
    ask = ask_of(os.environ)
    assert ask is not None
    del os.environ[ASKED]  # the sample is a map like any other
    try:
        _answer(client, function, iterables, name, options, own, places, ask)
    except InternalError:  # only bugs keep their tracebacks
        raise
    except HanseError as error:
        _write(ask, Refused(error.code, str(error)))


def _answer(
    client: Client, function: Callable[..., Any], iterables: Sequence[Iterable[Any]],
    name: str | None, options: Mapping[str, Any], own: Aims | None, places: Places | None, ask: Ask,
) -> None:  # fmt: skip
    target, own_options = unwrap(function)
    star = len(iterables) > 1
    payload, needs = dump_function(target)
    if needs:  # the sample has a name, so its function holds values alone
        payload = dump_whole(target, needs)
        function = Task(load_one(payload), own_options)
    runtime, aims = client._runtime, sharing(ask.wanted.of(own), payload)
    if not runtime.keeps_inputs:
        check_here(aims)

    told: list[Lies] = []  # of what the items read

    def quoted(spec: JobSpec, items: int, timed: Sequence[Timed], of: JobId | None = None) -> Quote:
        whole = replace(spec, total=items, aims=aims)
        return runtime.quote(whole, timed, rows(aims), of, told)

    record = None if name is None else _recorded(runtime.records(), name)
    enough = record is not None and sum(one.items for one in record.timed) >= _ENOUGH
    values, whole = _given(iterables, _most(record) if record is not None and enough else _READ + 1)
    if record is not None and name is not None:
        options_now = own_options.but(**options)
        check_same(runtime, record, name, target, options_now, values, star=star, whole=whole)
        if enough:
            left, aims = left_of(record, aims, snapshot(tuple(iterables))[1] or 0)
            told += unread(record)
            found = quoted(record.job.spec, left, record.timed, record.head.id)
            _write(ask, Answer(found, aims, not whole))
    columns, total, more = _columns(values[:_READ], star), len(values[:_READ]), len(values) > _READ
    if places is not None:
        told += _sets(places, columns)
    if not total:
        _write(ask, Answer(Quote(items=0, timed=0), aims))
    if runtime.keeps_inputs:  # a node: its sites have spoken
        spec = client._spec(name_of(target), own_options.but(**options), True, total)
        found = quoted(spec, total, [])
        if not found.able:  # a sample would wait for ever
            _write(ask, Answer(found, aims, more))
    if not ask.items:
        _write(ask, Answer(Quote(items=total, timed=0), aims, more, "none was run"))
    sample = _sample(client, function, columns, total, options, ask, aims)
    record = open_record(runtime.records(), _head(client, sample))
    # Its sites may not have said yet that it is over: what it holds is as good as free.
    found = quoted(record.job.spec, total, list(record.timed), record.head.id)
    _write(ask, Answer(found, aims, more, _trouble(record, ask)))


def _trouble(record: JobRecord, ask: Ask) -> str:
    """What went wrong with the sample; empty if nothing did."""
    failure = next(record.failures(), None)
    if failure is not None:
        failed = f"{len(record.failed):,} of {record.size:,} items failed"
        return f"{failed}. The first: {failure.what()}"
    if not record.timed:
        return f"no item ended within {ask.seconds:g} s: --seconds gives it more"
    return ""


def _recorded(records: Records, name: str) -> JobRecord | None:
    """What a run would go on with, if there is anything."""
    known = records.journal.find(name)
    if known is None or next(iter(records.journal.read(known.id)), None) is None:
        return None
    return None if starts_over(records, known, False) else open_record(records, known)


def _most(record: JobRecord) -> int:
    """So many inputs are compared: what was an end has to be one, but no more are waited for."""
    return record.size + (record.job.sealed and record.job.whole)


def _given(iterables: Sequence[Iterable[Any]], most: int) -> tuple[Sequence[Any], bool]:
    """The inputs, and whether these are all: so many at most of what has to be read."""
    iterable, _ = snapshot(tuple(iterables))
    if isinstance(iterable, SIZED):
        return cast("Sequence[Any]", iterable), True
    values = list(islice(iterable, most))
    return values, len(values) < most


def _columns(values: Sequence[Any], star: bool) -> list[Sequence[Any]]:
    return list(zip(*values, strict=True)) if star else [values]


def _sets(places: Places, columns: Sequence[Sequence[Any]]) -> list[Lies]:
    """What all items read: in which order they come does not matter."""
    values = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
    chunks = Chunks()
    chunks.add(places.of(values, 0))
    return chunks.grouped([(0, len(values))])


def left_of(record: JobRecord, aims: Aims, given: int = 0) -> tuple[int, Aims]:
    """How many items of a recorded job, whose program gives so many, have no result yet; and these
    aims, with the part of its data that those read."""
    whole = max(record.size, record.head.total or 0, given)
    left = whole - len(record.settled)
    parts = [(region, size * left // max(1, whole)) for region, size in aims.data]
    return left, replace(aims, data=parts)


def unread(record: JobRecord) -> list[Lies]:
    """What the items of a recorded job read that have no result yet."""
    job = record.job
    return [] if job.data is None else job.data.grouped(record.settled.gaps(0, record.size))


def _sample(
    client: Client, function: Callable[..., Any], columns: Sequence[Sequence[Any]], total: int,
    options: Mapping[str, Any], ask: Ask, aims: Aims,
) -> str:  # fmt: skip
    """Run items that are spread evenly; returns the name of the job that did."""
    count = min(total, ask.items, max(_LEAST, ceil(total / _SHARE)))
    chosen = [total * n // count for n in range(count)]
    name = f"quote-{os.urandom(6).hex()}"
    Path(ask.sample).write_bytes(msgspec.json.encode(Sample(name, client._runtime.url)))
    try:
        job = client.map(
            function, *([column[item] for item in chosen] for column in columns), name=name,
            on_error="collect", regions=aims.regions or None, spot=aims.spot, **options,
        )  # fmt: skip
        if not job.wait(ask.seconds):
            job.cancel()
            job.join()
    except KeyboardInterrupt:  # whoever asked cancels it, and says so
        raise SystemExit(_INTERRUPTED) from None
    return name


def _head(client: Client, name: str) -> Any:
    head = client._runtime.records().journal.find(name)
    assert head is not None
    return head


def _write(ask: Ask, answer: Answer | Refused) -> None:
    Path(ask.answer).write_bytes(msgspec.json.encode(answer))
    raise SystemExit(0)
