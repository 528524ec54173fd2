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
from typing import TYPE_CHECKING, Any

import msgspec

from hanse.errors import UsageError
from hanse.model.aims import Aims
from hanse.model.quote import Quote
from hanse.records.record import open_record

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.model.job import JobSpec

ASKED = "HANSE_QUOTE"  # the environment's, with an `Ask` in it
_ENOUGH = 20  # items that were timed before: no sample is needed
_SHARE = 40  # the sample is one item of so many, within bounds
_LEAST = 4
_READ = 1_000_000  # items of an iterable without a length that are counted


class Ask(msgspec.Struct, frozen=True):
    """What `hanse quote` wants to know."""

    answer: str  # the file that is written
    aims: list[Aims]  # a row for each
    base: Aims  # regions and the like
    sample: int  # items at most
    seconds: float  # how long it may run


class Answer(msgspec.Struct, frozen=True):
    quote: Quote
    more: bool = False  # there are more items than were counted
    sample: str = ""  # a job to be removed


def ask_of(environment: Mapping[str, str]) -> Ask | None:
    told = environment.get(ASKED)
    return None if not told else msgspec.json.decode(told, type=Ask)


def answer(
    client: Client, function: Callable[..., Any], iterables: Sequence[Iterable[Any]],
    name: str | None, options: Mapping[str, Any],
) -> None:  # fmt: skip
    """Say what the map would come to, and end the program."""
    ask = ask_of(os.environ)
    assert ask is not None
    del os.environ[ASKED]  # the sample is a map like any other
    runtime = client._runtime
    known = runtime.records().journal.find(name) if name is not None else None
    if known is not None:
        record = open_record(runtime.records(), known)
        if sum(one.items for one in record.timed) >= _ENOUGH:
            left = max(record.size, known.total or 0) - len(record.settled)
            found = runtime.quote(spec_of(record.job.spec, left, ask), record.timed, ask.aims)
            _write(ask, Answer(found))
    columns, total, more = _counted(iterables)
    if not total:
        _write(ask, Answer(Quote(items=0, timed=0)))
    sample = _sample(client, function, columns, total, options, ask)
    record = open_record(runtime.records(), _head(client, sample))
    spec = spec_of(record.job.spec, total, ask)
    found = runtime.quote(spec, list(record.timed), ask.aims)
    _write(ask, Answer(found, more, record.head.id))


def spec_of(spec: JobSpec, items: int, ask: Ask) -> JobSpec:
    return msgspec.structs.replace(spec, total=items, aims=ask.base)


def _counted(iterables: Sequence[Iterable[Any]]) -> tuple[list[list[Any]], int, bool]:
    rows = list(islice(zip(*iterables, strict=False), _READ + 1))
    more = len(rows) > _READ
    columns = [list(column) for column in zip(*rows[:_READ], strict=True)]
    return columns, min(len(rows), _READ), more


def _sample(
    client: Client, function: Callable[..., Any], columns: Sequence[Sequence[Any]], total: int,
    options: Mapping[str, Any], ask: Ask,
) -> str:  # fmt: skip
    """Run items that are spread evenly; returns the name of the job that did."""
    count = min(total, ask.sample, max(_LEAST, ceil(total / _SHARE)))
    if count <= 0:
        raise UsageError("nothing is known of this map, and no sample may be run: give it a name")
    chosen = [total * n // count for n in range(count)]
    name = f"quote-{os.urandom(6).hex()}"
    regions = ask.base.regions or None
    job = client.map(
        function, *([column[item] for item in chosen] for column in columns), name=name,
        on_error="collect", regions=regions, **options,
    )  # fmt: skip
    if not job.wait(ask.seconds):
        job.cancel()
        job.join()
    return name


def _head(client: Client, name: str) -> Any:
    head = client._runtime.records().journal.find(name)
    assert head is not None
    return head


def _write(ask: Ask, answer: Answer) -> None:
    Path(ask.answer).write_bytes(msgspec.json.encode(answer))
    raise SystemExit(0)
