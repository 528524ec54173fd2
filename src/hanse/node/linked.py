"""The sites at other nodes that work for this home, from the home's side."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from hanse import limits
from hanse.core.messages import EndNote, FailureNote, Orders, Report, SegmentNote
from hanse.decoding import from_json
from hanse.engines import port
from hanse.engines.port import Printed, Work
from hanse.errors import BadLink, HanseError, JournalUnavailable, NoSuchJob, UsageError
from hanse.ids import JobId, SiteId
from hanse.journal import private
from hanse.model.aims import Tariff
from hanse.node.tokens import Token, Tokens
from hanse.payloads.parcel import Deferred
from hanse.payloads.payload import Payload
from hanse.runtime.reported import Told
from hanse.runtime.runtime import Runtime
from hanse.wire import codec, link

if TYPE_CHECKING:
    from hanse.runtime.checkpoints import Within

_logger = logging.getLogger("hanse")
_NAME = re.compile(r"[^\w.@+-]+")
_ASK_S = 10.0


class LinkedSite:
    """One of them, while it takes part."""

    def __init__(self, id: SiteId, hello: link.Hello, token: Token) -> None:
        self.id = id
        self.node = hello.node
        self.token = token
        self.incarnation = hello.incarnation
        self.orders: bytes = b""  # the latest: they repeat all that the site has not shown yet
        self.number = 0  # of these
        self.spoke_s = time.monotonic()
        self.machines: list[link.Machine] = []  # that it consists of, if it tells
        self.jobs: set[JobId] = set()  # of which it has run something lately: their lines are its
        self._listening: set[Callable[[], None]] = set()
        self._lock = threading.Lock()

    def ordered(self, orders: Orders) -> None:
        self.orders, self.number = codec.encode(orders), self.number + 1
        self.wake()

    @property
    def connected(self) -> bool:
        """Orders would reach it at once."""
        return bool(self._listening)

    def wake(self) -> None:
        with self._lock:
            listening = list(self._listening)
        for news in listening:
            news()

    def listen(self, news: Callable[[], None]) -> Callable[[], None]:
        """Call back, on any thread, when there are orders; returns what ends that."""
        with self._lock:
            self._listening.add(news)

        def end() -> None:
            with self._lock:
                self._listening.discard(news)

        return end


class Linked:
    """All of them. Methods may be called from any thread but the runtime's.

    Args:
        path: where their names are kept, so that the home waits for them when it comes back.
        earlier: those that were kept there; see `earlier_sites`.
        node: this node's id.
        tokens: who may link; a site whose token is revoked is dismissed at once.
    """

    def __init__(
        self, runtime: Runtime, path: Path, earlier: list[SiteId], node: str, tokens: Tokens
    ) -> None:
        self.boot = os.urandom(8).hex()
        self._runtime = runtime
        self._path = path
        self._node = node
        self._tokens = tokens
        self._sites: dict[str, LinkedSite] = {}  # by their nodes
        self._earlier = earlier
        self._earlier_until_s = time.monotonic() + limits.LINK_FORGOTTEN_S
        self._trouble = ""
        self.tariff_of: Callable[[str], Tariff | None] = lambda _: None  # of rented machines
        self._names: dict[SiteId, str] = {}  # which node has had a name, in this run
        self._lock = threading.Lock()
        runtime.loop.post(self._look)

    @property
    def sites(self) -> list[LinkedSite]:
        return list(self._sites.values())

    # --- what sites ask ---------------------------------------------------------------------------
    def hello(self, token: Token, hello: link.Hello) -> link.Welcome:
        """Let a site take part. Raises UsageError, BadLink if a later process speaks for it."""
        link.check_hello(hello)
        if hello.node == self._node:
            raise UsageError("this is the same node: it works for itself already")
        with self._lock:
            known = self._sites.get(hello.node)
            if known is not None and known.token.id != token.id and self._tokens.holds(known.token):
                raise BadLink("a site of this node is linked with another token")
            if known is not None and known.incarnation > hello.incarnation:
                raise BadLink(f"a later run of this site is linked as {known.id}")
            if token.site:
                self._check_rented(token, hello)
            if known is None and len(self._sites) >= limits.LINK_SITES:
                raise BadLink(f"{limits.LINK_SITES:,} sites are linked: no more can be")
            site = LinkedSite(self._name(token, hello), hello, token)
            self._sites[hello.node] = site
            self._keep()
        if known is not None:
            known.wake()
            if known.id != site.id:
                self._runtime.ask(lambda: self._runtime.dismiss(known.id, known.ordered), _ASK_S)
        offer = hello.offer
        if token.site and (tariff := self.tariff_of(token.site)) is not None:
            offer = msgspec.structs.replace(offer, tariff=tariff)
        self._runtime.ask(lambda: self._runtime.admit(site.id, offer, site.ordered), _ASK_S)
        if known is None:
            _logger.info("hanse: the site %s takes part", site.id)
        return link.Welcome(boot=self.boot, site=site.id, node=self._node)

    def _check_rented(self, token: Token, hello: link.Hello) -> None:
        """A rented machine's token is for that machine. Raises BadLink."""
        for site in self._sites.values():
            if site.token.id == token.id and site.node != hello.node:
                raise BadLink(f"another node takes part as {token.site} already")

    def _name(self, token: Token, hello: link.Hello) -> SiteId:
        """Whom it is for, and what it calls itself; told apart from others of that name."""
        if token.site:
            return SiteId(token.site)
        if len(self._names) > 2 * limits.LINK_SITES:  # those that left long ago come first
            live = set(self._sites)
            self._names = {name: node for name, node in self._names.items() if node in live}
        base = name = f"{_plain(token.name)}/{_plain(hello.site)}"
        number = 1
        while self._names.setdefault(SiteId(name), hello.node) != hello.node:
            number += 1
            name = f"{base}-{number}"
        return SiteId(name)

    def find(self, token: Token, node: str) -> LinkedSite:
        """The site that speaks with this token. Raises BadLink if it has not said hello."""
        site = self._sites.get(node)
        if site is None or site.token.id != token.id:
            raise BadLink("this site has not said hello to this run of the home")
        return site

    def holds(self, site: LinkedSite) -> bool:
        return self._sites.get(site.node) is site and self._tokens.holds(site.token)

    def told(self, site: LinkedSite, told: link.Told, payloads: Sequence[Payload]) -> None:
        """Take a report. Raises BadLink if the site thinks that it speaks to another run of the
        home, JournalUnavailable if so much waits to be recorded that it has to come again."""
        self._check(site, told.boot)
        if self._runtime.durables.full:
            raise JournalUnavailable("so much waits to be recorded that no more is taken now")
        report = link.check_report(codec.decode_report(told.report))
        if report.site != site.id or report.incarnation != site.incarnation:
            raise BadLink("a site reports for itself, as it said hello")
        values = _values(report, told, payloads)
        if not self._runtime.ask(lambda: self._runtime.hear(report, values), _ASK_S):
            raise BadLink("the values of some notes are missing: say hello again")
        site.spoke_s = time.monotonic()
        own = {note.job for note in report.notes if not isinstance(note, EndNote)}
        own |= {running.job for running in report.running} | site.jobs
        site.jobs = own if len(own) <= limits.TENANT_JOBS else set()
        for line in told.lines:
            if line.job in own:
                self._printed(line)

    def saved(self, site: LinkedSite, told: link.Saved, payloads: Sequence[Payload]) -> None:
        """An item that the site runs keeps something for a later attempt."""
        self._check(site, told.boot)
        if len(payloads) != 1 or payloads[0].count != 1:
            raise UsageError("one value is saved at a time")
        event = port.Saved(told.lease, told.item, payloads[0])
        self._runtime.ask(lambda: self._runtime.save_of(site.id, told.job, event), _ASK_S)

    def consists(self, site: LinkedSite, told: link.Machines) -> None:
        """Which machines the site has, for people to look at."""
        self._check(site, told.boot)
        site.machines = link.check_machines(told).machines

    def work(self, site: LinkedSite, wanted: link.Wanted) -> tuple[Work, Within]:
        """What a lease of the site runs, and what its items have saved. Raises NoSuchJob if it is
        none."""
        self._check(site, wanted.boot)
        grant = wanted.grant

        def find() -> tuple[Work, Within] | None:
            lease = self._runtime.home.leases.get(grant.lease)
            if lease is None or lease.site != site.id or lease.job != grant.job:
                return None
            attempts = self._runtime.home.jobs[lease.job].attempts_within(lease.start, lease.stop)
            asked = msgspec.structs.replace(
                grant, start=lease.start, stop=lease.stop, attempts=attempts
            )
            work = self._runtime.works.of(asked)
            return None if work is None else (work, self._runtime.works.saved(asked))

        found = self._runtime.ask(find, _ASK_S)
        if found is None:
            raise NoSuchJob("this site has no such lease")
        return found

    def find_saved(self, job: JobId, within: Within) -> Mapping[int, Payload | Deferred]:
        """What these items have saved. Raises JournalError."""
        return self._runtime.checkpoints.find(job, within)

    def leave(self, site: LinkedSite) -> None:
        with self._lock:
            if self._sites.get(site.node) is not site:
                return
            del self._sites[site.node]
            self._keep()
        self._runtime.loop.post(lambda: self._runtime.dismiss(site.id, site.ordered))
        site.wake()
        _logger.info("hanse: the site %s takes part no more", site.id)

    # --- inside -----------------------------------------------------------------------------------
    def _check(self, site: LinkedSite, boot: str) -> None:
        if boot != self.boot or self._sites.get(site.node) is not site:
            raise BadLink("this site has not said hello to this run of the home")

    def _printed(self, line: link.Lines) -> None:
        if line.job in self._runtime.home.jobs and line.stream in ("stdout", "stderr"):
            self._runtime.durables.printed(
                Printed(line.job, line.lease, line.item, line.stream, line.text)
            )

    def _look(self) -> None:
        """Dismiss whoever's token holds no longer, and forget who has been silent for long."""
        try:
            long_ago_s = time.monotonic() - limits.LINK_FORGOTTEN_S
            for site in self.sites:
                if not self._tokens.holds(site.token) or site.spoke_s < long_ago_s:
                    self.leave(site)
        except (HanseError, OSError) as error:  # the tokens' file: until it is mended all stay
            if str(error) != self._trouble:
                _logger.error("hanse: whether sites may stay cannot be seen: %s", error)
            self._trouble = str(error)
        loop = self._runtime.loop
        loop.call_at(loop.now_ns() + limits.LINK_TOKEN_LOOK_NS, self._look)

    def _keep(self) -> None:
        """Those of the run before stay, too, until they have had the time to come back."""
        if time.monotonic() > self._earlier_until_s:
            self._earlier = []
        with contextlib.suppress(OSError):  # it costs a wait at the next start, no more
            private.write(
                self._path,
                msgspec.json.encode(sorted({site.id for site in self.sites}.union(self._earlier))),
            )


def earlier_sites(path: Path) -> list[SiteId]:
    """The sites that took part when the home ended."""
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return [SiteId(each) for each in from_json(path.read_bytes(), list[str])]
    return []


def _plain(name: str) -> str:
    """A name that can stand in a site's id."""
    return _NAME.sub("-", name)[:40].strip("-") or "site"


def _values(report: Report, told: link.Told, payloads: Sequence[Payload]) -> Mapping[int, Told]:
    """What came beside a report, by the numbers of its notes. Raises UsageError."""
    notes = dict(enumerate(report.notes, report.first_note))
    if len(payloads) != len(told.segments):
        raise UsageError("a report has one payload for each segment")
    values: dict[int, Told] = {}
    for segment, payload in zip(told.segments, payloads, strict=True):
        note = notes.get(segment.note)
        if isinstance(note, SegmentNote):
            values[segment.note] = port.Segment(
                note.lease,
                note.start,
                note.stop,
                payload,
                note.busy_ns,
                note.folded,
                link.check_usage(segment.usage),
            )
    for failed in told.failures:
        note = notes.get(failed.note)
        if isinstance(note, FailureNote):
            event = port.ItemFailed(
                note.lease, note.item, failed.failure, note.busy_ns, link.check_usage(failed.usage)
            )
            values[failed.note] = note.job, event
    return values
