"""What changes, told to every page that is open: looked for once for all of them, and only while
there are any."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec

from hanse import limits
from hanse.errors import HanseError
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.model.aims import NANO
from hanse.node.dash.sight import Sight
from hanse.records.tally import usage_of
from hanse.wire.api import MachineInfo, SiteSeen

_logger = logging.getLogger("hanse")
_encode = msgspec.json.Encoder().encode


class JobRow(msgspec.Struct, frozen=True):
    """A line in the list of jobs."""

    id: JobId
    name: str
    function: str
    state: str  # "interrupted": it was running, and no program runs it
    user: str
    host: str
    created_s: float
    updated_s: float
    ended_s: float | None
    size: int
    total: int | None
    done: int
    failed: int
    leased: int
    stored_bytes: int
    cost: float | None = None


class SiteRow(msgspec.Struct, frozen=True):
    """A line in the list of sites; nothing in it changes while nothing happens."""

    id: str
    state: str
    incarnation: int
    cpus: float
    free_cpus: float
    gpus: float
    memory_bytes: int
    leases: int
    runs: dict[str, int]
    trip_ms: int
    silent_since_s: int | None
    python: str
    allow: list[str]
    region: str
    price: float  # for an hour of all of it, now
    spot: bool


class MachineRow(msgspec.Struct, frozen=True):
    """A line in the list of machines."""

    id: str
    site: str
    host: str
    kind: str
    state: str
    cpus: float
    free_cpus: float
    gpus: float
    memory_bytes: int
    runs: dict[str, int]


class _Table:
    """Rows by id, each with the look at which it changed last."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[int, Any]] = {}

    def take(self, rows: list[Any], look: int) -> bool:
        before, self.rows = self.rows, {}
        changed = False
        for row in rows:
            known = before.get(row.id)
            same = known is not None and known[1] == row
            self.rows[row.id] = known if known is not None and same else (look, row)
            changed = changed or not same
        return changed or len(before) != len(self.rows)


class Live:
    """The stream of one sight. On an event loop's thread."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._tables = {name: _Table() for name in ("jobs", "sites", "machines")}
        self._look = 0  # counts looks that found something
        self._listening = 0
        self._news = asyncio.Condition()
        self._looker: asyncio.Task[None] | None = None
        self._trouble = ""

    async def events(self, follow: bool) -> AsyncGenerator[bytes]:
        """Server-sent events, of what there is, or with `follow` for ever: `clock` with our time,
        which all times in rows are by, `jobs`, `sites` and `machines` with the rows that changed
        and the ids that went, `trouble` with what keeps us from looking."""
        self._listening += 1
        if self._looker is None or self._looker.done():
            self._looker = asyncio.create_task(self._go_on_looking())
        known: dict[str, set[str]] = {name: set() for name in self._tables}
        seen, said_s, trouble = 0, time.monotonic(), ""
        try:
            yield _event("clock", {"now_s": time.time()})
            while True:
                await self._wait(seen, trouble)
                look = self._look
                for name, table in self._tables.items():
                    piece = _changes(name, table, seen, known[name]) if look > seen else b""
                    if piece:
                        said_s = time.monotonic()
                        yield piece
                seen = look
                if trouble != self._trouble:
                    trouble = self._trouble
                    yield _event("trouble", {"words": trouble})
                if not follow:
                    return
                if time.monotonic() - said_s >= limits.HEARTBEAT_NS / 1e9:
                    said_s = time.monotonic()
                    yield b": all is well\n\n"
        finally:
            self._listening -= 1

    async def _wait(self, seen: int, trouble: str) -> None:
        """Until there is something new, or a heartbeat is due."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limits.HEARTBEAT_NS / 1e9), self._news:
                await self._news.wait_for(lambda: seen < self._look or trouble != self._trouble)

    async def _go_on_looking(self) -> None:
        while self._listening:
            try:
                rows = await asyncio.to_thread(self._rows)
                self._trouble = ""
                found = [self._tables[name].take(rows[name], self._look + 1) for name in rows]
                if any(found) or not self._look:
                    self._look += 1
            except (HanseError, TimeoutError) as error:
                self._trouble = str(error) or "the scheduler does not answer"
            except Exception:
                _logger.exception("hanse: the page cannot be brought up to date")
                self._trouble = "an error of the node's own: its log says more"
            async with self._news:
                self._news.notify_all()
            await asyncio.sleep(limits.DASH_LOOK_S)

    def _rows(self) -> dict[str, list[Any]]:
        """In a thread."""
        sight = self._sight
        leased, costs = sight.leased(), sight.costs()
        heads = sight.state.journal.heads(limits.DASH_JOBS)
        now_s = time.time()
        return {
            "jobs": [job_row(head, sight.is_run, leased, costs) for head in heads],
            "sites": [_site_row(site, now_s) for site in sight.sites()],
            "machines": [_machine_row(machine) for machine in sight.machines()],
        }


def job_row(
    head: Head, is_run: Callable[[Head], bool], leased: dict[JobId, int],
    costs: dict[JobId, float],
) -> JobRow:  # fmt: skip
    state = head.state
    if state == "running" and not is_run(head):
        state = "interrupted"
    return JobRow(
        head.id, head.name, head.function, state, head.user, head.host, head.created_s,
        head.updated_s, head.ended_s, head.size, head.total, head.done, head.failed,
        leased.get(head.id, 0), head.stored_bytes, _cost(head, costs),
    )  # fmt: skip


def _cost(head: Head, running: dict[JobId, float]) -> float | None:
    """As its home counts, or else by its record; None: nothing was counted."""
    if head.id in running:
        return running[head.id]
    spent = usage_of(head).spent
    return sum(spent.values()) / NANO if spent else None


def _site_row(site: SiteSeen, now_s: float) -> SiteRow:
    return SiteRow(
        site.id, site.state, site.incarnation, site.capacity.cpus_milli / 1000,
        site.free.cpus_milli / 1000, site.capacity.gpus_milli / 1000, site.capacity.memory_bytes,
        site.leases, site.runs, round(site.trip_s * 1000),
        round(now_s - site.heard_s) if site.state == "silent" else None, site.python, site.allow,
        site.region, site.price, site.spot,
    )  # fmt: skip


def _machine_row(machine: MachineInfo) -> MachineRow:
    offers, uses = machine.offers, machine.uses
    state = machine.state or ("at work" if machine.runs else "idle")
    return MachineRow(
        f"{machine.site} {machine.host}", machine.site, machine.host, machine.engine, state,
        offers.cpus_milli / 1000, (offers.cpus_milli - uses.cpus_milli) / 1000,
        offers.gpus_milli / 1000, offers.memory_bytes, machine.runs,
    )  # fmt: skip


def _changes(name: str, table: _Table, seen: int, known: set[str]) -> bytes:
    """What somebody who saw all up to the look `seen` has to be told; empty if nothing."""
    rows = [row for look, row in table.rows.values() if look > seen]
    gone = known - table.rows.keys()
    if seen and not rows and not gone:
        return b""
    known -= gone
    known |= {row.id for row in rows}
    return _event(name, {"rows": rows, "gone": sorted(gone), "whole": not seen})


def _event(name: str, data: Any) -> bytes:
    """JSON has no line breaks of its own, so the data is one line."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), _encode(data))
