"""The page at / and what it asks for. What it shows comes from a `Sight`, so the page is the same
of a node and of one machine's records.

The page, its style and its scripts are open to all, and have nothing in them. All that it shows it
asks for with a token of its own in the Authorization header, as every program does: no cookie, so
nothing that a browser would send by itself, or to another port of this machine.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
from starlette.responses import HTMLResponse, Response

from hanse import limits
from hanse.errors import NoSuchJob
from hanse.ids import JobId
from hanse.journal.port import Head
from hanse.node.dash.codes import Codes
from hanse.node.dash.live import Live, job_row
from hanse.node.dash.sight import Out, Sight
from hanse.node.dash.story import Bar, Shown, Stories, Story, trace
from hanse.node.http.call import Call
from hanse.node.http.problems import problem
from hanse.node.http.turns import Turns
from hanse.records.logs import Piece, log_path, pieces_from
from hanse.records.tally import usage_of
from hanse.wire import api

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
require-trusted-types-for 'script'; trusted-types 'none'"
_KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


class Failures(msgspec.Struct, frozen=True):
    shown: list[Shown]
    more: int  # that are not kept here
    replay: str  # the command, to be followed by the item; empty: single calls cannot be


class Leases(msgspec.Struct, frozen=True):
    bars: list[Bar]  # that have changed since the entry `first`
    out: list[Out]  # the leases that run now, or wait at their sites
    now_ms: int
    next: int  # ask from here on for what is new
    dropped: int  # older leases, which are not kept
    undated: int  # what an older Hanse recorded without a time and a site


class LogPart(msgspec.Struct, frozen=True):
    pieces: list[Piece]
    first: int  # the byte that it begins at
    at: int  # the byte behind it, where reading can go on


class DashRoutes:
    """The handlers."""

    def __init__(self, sight: Sight, codes: Codes, turns: Turns | None = None) -> None:
        self._sight = sight
        self._codes = codes
        self._turns = turns or Turns()
        self._stories = Stories()
        self._live: Live | None = None
        directory = Path(__file__).with_name("page")
        self._files = {path.name: path.read_bytes() for path in sorted(directory.iterdir())}

    # --- the page -------------------------------------------------------------------------------
    async def show_page(self, call: Call) -> Response:
        """A page to look at: jobs, sites, timelines, failures, logs. `hanse dash` opens it."""
        page = self._files["index.html"].decode()
        return HTMLResponse(page, headers={"content-security-policy": POLICY})

    async def page_file(self, call: Call) -> Response:
        """Its scripts and its style."""
        name = call.text("file")
        kind = _KINDS.get(Path(name).suffix)
        if kind is None or name not in self._files:
            return problem(404, "no-such-path", "The page has no such file")
        return Response(self._files[name], media_type=kind)

    async def make_code(self, call: Call) -> Response:
        """A code that lets a browser in, once, to look as the asking token may."""
        code = await call.waiting(self._codes.create, call.token)
        return call.answer(api.DashCode(code=code, valid_s=limits.DASH_CODE_S), 201)

    async def redeem(self, call: Call) -> Response:
        """Exchange a code for a token that may read, for some hours."""
        asked = await call.told(api.Redeem)
        token, secret = await call.waiting(self._codes.redeem, asked.code)
        return call.answer(api.DashSession(secret=secret, expires_s=token.expires_s or 0.0), 201)

    # --- all of it ------------------------------------------------------------------------------
    async def list_sites(self, call: Call) -> Response:
        """The sites that work for this home, and what it knows of each."""
        return await call.large(await call.waiting(self._sight.sites))

    async def about(self, call: Call) -> Response:
        """What the page is about."""
        return call.answer(self._sight.about())

    async def events(self, call: Call) -> Response:
        """Jobs and sites, as server-sent events; with `follow=1` it goes on with what changes."""
        if self._live is None:
            self._live = Live(self._sight)
        follow = bool(call.number("follow", 0, 1))
        return call.stream(self._live.events(follow), media="text/event-stream")

    # --- one job --------------------------------------------------------------------------------
    async def job_story(self, call: Call) -> Response:
        """One job for the page: its row, its program, what its items took."""
        return call.answer(await call.waiting(self._told, call.text("job")))

    async def job_waits(self, call: Call) -> Response:
        """What a job waits for, in words."""
        head = await call.waiting(self._head, call.text("job"))
        async with self._turns.turn(call):
            return call.answer(await call.waiting(self._sight.progress, head.id))

    async def job_failures(self, call: Call) -> Response:
        """Failed items with their stories."""
        return await call.large(await call.waiting(self._failures, call.text("job")))

    async def job_leases(self, call: Call) -> Response:
        """When which lease ran where, as far as that has changed since the entry `first`."""
        found = await call.waiting(self._leases, call.text("job"), call.number("first", 0))
        return await call.large(found)

    async def job_trace(self, call: Call) -> Response:
        """The same as a trace that Chrome and Perfetto read."""
        return await call.large(await call.waiting(self._trace, call.text("job")))

    async def job_log(self, call: Call) -> Response:
        """What a job's items printed, from byte `first` of its log on; without it, its end."""
        first = call.number("first", 0) if "first" in call.request.query_params else None
        return await call.large(await call.waiting(self._log, call.text("job"), first))

    # --- in a thread ----------------------------------------------------------------------------
    def _head(self, job: str) -> Head:
        head = self._sight.state.journal.find(job)
        if head is None:
            raise NoSuchJob(f"there is no job {job!r}")
        return head

    @contextlib.contextmanager
    def _story(self, job: str) -> Iterator[tuple[Head, Story]]:
        """A story as far as it goes now; nobody else changes it meanwhile."""
        head = self._head(job)
        story = self._stories.of(self._sight.state, head.id)
        with story.lock:
            story.read_on(head)
            yield head, story

    def _told(self, job: str) -> dict[str, Any]:
        head = self._head(job)
        story = self._stories.of(self._sight.state, head.id)
        with story.lock:
            story.read_program(head)
            program = story.program
        row = job_row(head, self._sight.is_run, self._sight.leased(), self._sight.costs())
        used = usage_of(head)
        p50, p99 = used.quantile_ns(0.5), used.quantile_ns(0.99)
        plain: dict[str, Any] = msgspec.to_builtins(row)
        return plain | {
            "superseded": head.superseded,
            "usage": {
                "items": used.items, "p50_s": None if p50 is None else p50 / 1e9,
                "p99_s": None if p99 is None else p99 / 1e9, "cpu_s": used.cpu_ns / 1e9,
                "peak_bytes": used.peak_bytes,
            },
            "program": None if program is None else {
                "command": program.command, "cwd": program.cwd, "python": program.python,
                "hanse": program.hanse, "retries": program.retries, "timeout_s": program.timeout_s,
                "calls": program.calls,
            },
        }  # fmt: skip

    def _failures(self, job: str) -> Failures:
        with self._story(job) as (head, story):
            calls = story.program is None or story.program.calls
            replay = "" if calls else f"hanse replay {head.id}"
            shown = sorted(story.failures, key=lambda each: each.item)
            return Failures(shown, story.more_failures, replay)

    def _leases(self, job: str, first: int) -> Leases:
        with self._story(job) as (head, story):
            bars = [msgspec.structs.replace(b) for b in story.bars.values() if b.seq >= first]
            found = story.next, story.dropped, story.undated
        return Leases(bars, self._sight.leases(head.id), int(time.time() * 1000), *found)

    def _trace(self, job: str) -> dict[str, Any]:
        with self._story(job) as (head, story):
            return trace(head, story, self._sight.leases(head.id), int(time.time() * 1000))

    def _log(self, job: str, first: int | None) -> LogPart:
        path = log_path(self._sight.state.home, JobId(self._head(job).id))
        try:
            size = os.stat(path).st_size
        except FileNotFoundError:
            size = 0
        at = begin = max(0, size - limits.DASH_LOG_BYTES) if first is None else min(first, size)
        pieces = []
        for at, piece in pieces_from(path, begin):
            if piece is not None:
                pieces.append(piece)
            if at - begin >= limits.DASH_LOG_BYTES:
                break
        return LogPart(pieces, begin, at)
