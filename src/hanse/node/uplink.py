"""A link from the site's side: this machine works for the home at another node.

It only dials: reports are posted, orders come back on a stream that stays open, works are fetched.
Whatever breaks is dialled again, and nothing is lost by that: reports repeat what the home has not
acknowledged, with its values.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from hanse import limits
from hanse.core.agent import Agent
from hanse.core.messages import Grant, Orders, Report
from hanse.engines import port
from hanse.engines.port import Printed, Work
from hanse.errors import BadLink, HanseError, JournalUnavailable, NodeUnavailable, NotAllowed
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.fit import Offer
from hanse.model.resources import Amount
from hanse.node.fetching import Fetching
from hanse.node.kept import Kept
from hanse.node.saves import Saves, patience_s
from hanse.node.spill import Spill
from hanse.payloads.payload import Payload
from hanse.remote.address import Address
from hanse.remote.dial import Dial
from hanse.remote.records import framed
from hanse.runtime.runtime import Runtime
from hanse.runtime.seat import Seat
from hanse.wire import codec, link

_logger = logging.getLogger("hanse")
_Have = Callable[[Work | None, str], None]
_LINES_NS = 250 * limits.MS  # for which printed lines wait for others
_AWAY = (NodeUnavailable, JournalUnavailable)


class Uplink:
    """
    Args:
        hello: how this site introduces itself.
        capacity: what the home may have at first.
        fetching: makes what fetches works.
        directory: for results that wait for a home that is away.

    Everything but `close` and the threads' own methods runs on the runtime's loop.

    Attributes:
        state: in words, for people.
        site: what the home calls this site; empty before it was reached.
        machines: which ones this site consists of, if several; asked on a thread.
    """

    def __init__(
        self, runtime: Runtime, address: Address, hello: link.Hello, capacity: Amount,
        fetching: Callable[[Dial, Offer], Fetching], directory: Path,
    ) -> None:  # fmt: skip
        self.state = "it is being dialled"
        self.site = ""
        self.machines: Callable[[], list[link.Machine]] = list
        self._told_machines: tuple[str, list[link.Machine]] = "", []  # to which boot
        self._runtime = runtime
        self._loop = runtime.loop
        self._address = address
        self._hello = hello
        self._boot = ""  # of the home, while it can be reached
        self._last_boot = ""
        self._sending = False
        self._lines_due = False
        self._waiting: dict[LeaseId, _Have] = {}  # leases that have begun without their work
        self._works: dict[LeaseId, Future[Work | None]] = {}
        agent = Agent(SiteId(hello.site), hello.incarnation, capacity, strict=True)
        self._spill = Spill(directory, limits.LINK_DISK_BYTES)
        self._saves = Saves(self._save, self._saved)
        self._unsaid = False  # the end of a lease waits for what its items have saved
        self._kept = Kept(
            agent, self._spill, self._give_back_soon, self._saves.put, self._saves.done
        )
        self.seat: Seat = runtime.seat(agent, self, self._kept, self._print)
        self._sender = ThreadPoolExecutor(1, "hanse-link-report")
        self._fetchers = ThreadPoolExecutor(limits.LINK_FETCHES, "hanse-link-fetch")
        self._make_fetching = fetching
        self._fetching: Fetching | None = None
        self._dial: Dial | None = None
        self._closing = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=self._talk, name="hanse-link", daemon=True)
        self._thread.start()

    @property
    def over(self) -> bool:
        """The home does not want us any more, or we have left it."""
        return self._over

    # --- the home, as the seat sees it ------------------------------------------------------------
    def may_report(self) -> bool:
        return bool(self._boot) and not self._sending and not self._closing.is_set()

    def report(self, report: Report) -> None:
        left_ns = self.seat.agent.leaves_ns - self._loop.now_ns()
        saving = self._saves.items(patience_s(bool(report.leaving), left_ns))
        self._unsaid = bool(saving)
        told, payloads = self._kept.told(self._boot, report, saving)
        self._sending = True
        self._sender.submit(self._send, told, payloads)

    def prepare(self, grant: Grant) -> None:
        if grant.lease not in self._works and self._fetching is not None and not self._over:
            fetched = self._fetchers.submit(self._fetch, self._fetching, grant)
            self._works[grant.lease] = fetched
            fetched.add_done_callback(lambda _: self._loop.post(lambda: self._fetched(grant.lease)))

    def work(self, grant: Grant, have: _Have) -> None:
        if self._over:
            return
        self._waiting[grant.lease] = have
        self.prepare(grant)
        self._fetched(grant.lease)

    def _fetched(self, lease: LeaseId) -> None:
        """A work may be here, and its lease may have begun."""
        fetched = self._works.get(lease)
        if fetched is None or not fetched.done() or fetched.cancelled():
            return
        have = self._waiting.pop(lease, None)
        if have is not None:
            del self._works[lease]
            error = fetched.exception()
            if error is None:
                have(fetched.result(), "")
            else:
                _logger.error("hanse: a lease of %s: %s", self._address.url, error)
                have(None, str(error))

    def _print(self, piece: Printed) -> None:
        """In a thread of the engine's: the home gets it with the next report, or a little later."""
        self._kept.print(piece)
        if not self._lines_due:
            self._lines_due = True
            self._loop.post(self._tell_soon)

    def _tell_soon(self) -> None:
        self._loop.call_at(self._loop.now_ns() + _LINES_NS, self._tell)

    def _tell(self) -> None:
        self._lines_due = False
        if self._kept.has_lines:
            self.seat.pump()

    def _give_back_soon(self) -> None:
        self._loop.post(self.seat.close)

    # --- orders and answers, on the loop ----------------------------------------------------------
    def _welcomed(self, welcome: link.Welcome) -> None:
        if self._over:
            return
        agent = self.seat.agent
        agent.site = welcome.site
        self.site, self.state = welcome.site, "linked"
        if welcome.boot != self._last_boot:
            self._kept.again()
        self._told_machines = "", []
        self._boot = self._last_boot = welcome.boot
        self.seat.go_on()
        self.seat.pump()

    def _parted(self, why: str) -> None:
        self._boot, self.state = "", why

    def _ordered(self, orders: Orders) -> None:
        if not self._over:
            self.seat.ordered(orders)
            self._kept.acknowledged()
            held = self.seat.agent.holds
            for lease in [lease for lease in self._works if not held(lease)]:
                self._works.pop(lease).cancel()
            if self.seat.agent.left and not self._closing.is_set():
                self._closing.set()
                self._sender.submit(self._go)

    def _sent(self, told: link.Told, error: BaseException | None) -> None:
        self._sending = False
        if error is None:
            self._kept.has(told)
            self.seat.go_on()
            return
        if isinstance(error, (*_AWAY, BadLink)):
            self._kept.has_not(told)
        if not isinstance(error, _AWAY):
            _logger.warning("hanse: a report to %s: %s", self._address.url, error)
            self._kept.again()
        self.seat.hold_back(self._loop.now_ns() + limits.REPEAT_NS)

    # --- threads ----------------------------------------------------------------------------------
    def _talk(self) -> None:
        """Dial, listen to orders, and dial again."""
        wait_ns = limits.REDIAL_NS
        while not self._closing.is_set():
            try:
                if self._listen():
                    wait_ns = limits.REDIAL_NS
                why = "the connection ended"
            except NotAllowed as error:
                self._loop.post(partial(self._refused, str(error)))
                return
            except HanseError as error:
                why = str(error)
            except Exception as error:  # the link must not end by a bug
                _logger.exception("hanse: the link to %s", self._address.url)
                why = str(error)
            self._loop.post(partial(self._parted, why))
            self._closing.wait(wait_ns / 1e9)
            wait_ns = min(2 * wait_ns, limits.LINK_REDIAL_MAX_NS)

    def _listen(self) -> bool:
        """One connection, until it breaks. Returns whether the home has welcomed us."""
        if self._dial is None:
            self._dial = Dial(self._address, limits.LINK_PATIENCE_S)
            self._fetching = self._make_fetching(self._dial, self._hello.offer)
        assert self._fetching is not None
        welcome = self._dial.ask("POST", "/v1/link/hello", link.Welcome, self._hello)
        self._fetching.boot = welcome.boot
        first = True
        for data in framed(
            self._dial.stream(f"/v1/link/{self._hello.node}/orders"), limits.ORDERS_BYTES
        ):
            if self._closing.is_set():
                break
            if first:  # the stream stands: orders cannot be missed from here on
                self._loop.post(partial(self._welcomed, welcome))
                first = False
            if data:
                self._loop.post(partial(self._ordered, codec.decode_orders(data)))
        return not first

    def _send(self, told: link.Told, payloads: list[Payload]) -> None:
        error: BaseException | None = None
        try:
            assert self._dial is not None
            self._dial.ask(
                "POST", f"/v1/link/{self._hello.node}/report", type(None), told, payloads
            )
        except Exception as raised:  # noqa: BLE001 - it is dealt with on the loop
            error = raised
        self._loop.post(partial(self._sent, told, error))
        if error is None and not self._closing.is_set():
            with suppress(HanseError, TimeoutError):  # an older home; a loop that is busy
                self._tell_machines(told.boot)

    def _tell_machines(self, boot: str) -> None:
        """After a report: so it is said soon, and what is said over and over costs little."""
        machines = self.machines()
        if machines and self._told_machines != (boot, machines) and self._dial is not None:
            self._told_machines = boot, machines
            about = link.Machines(boot=boot, machines=machines)
            self._dial.ask("POST", f"/v1/link/{self._hello.node}/machines", type(None), about)

    def _save(self, job: JobId, event: port.Saved) -> None:
        """Raises HanseError."""
        dial, boot = self._dial, self._boot
        if dial is None or not boot:
            raise NodeUnavailable("the home is away")
        told = link.Saved(boot=boot, lease=event.lease, job=job, item=event.item)
        dial.ask("POST", f"/v1/link/{self._hello.node}/saved", type(None), told, [event.payload])

    def _saved(self) -> None:
        """One is there, or lost."""

        def tell() -> None:
            if self._unsaid and not self._over:
                self.seat.pump()

        self._loop.post(tell)

    def _fetch(self, fetching: Fetching, grant: Grant) -> Work | None:
        wait_ns = limits.REDIAL_NS
        while not self._closing.is_set():
            try:
                return fetching.work(grant)
            except (*_AWAY, BadLink):  # one that was started again waits for our hello
                self._closing.wait(wait_ns / 1e9)
                wait_ns = min(2 * wait_ns, limits.LINK_REDIAL_MAX_NS)
        return None

    # --- ends -------------------------------------------------------------------------------------
    def evict(self, why: str, left_ns: int) -> None:
        """This machine is taken away in so long. The home is left as soon as it has all that was
        done for it."""
        if not self._over:
            self.seat.leave(why, left_ns)

    def _go(self) -> None:
        self._leave()
        self._boot = ""
        self._loop.post(self._stop)

    def _refused(self, why: str) -> None:
        """The home does not want us any more: what runs for it ends at once."""
        _logger.warning("hanse: the link to %s ended: %s", self._address.url, why)
        self._parted(why)
        self._stop()
        if self._dial is not None:
            self._dial.close()

    def _stop(self) -> None:
        if not self._over:
            self._over = True
            self._closing.set()
            self.seat.close()
            self._spill.close()
            self._saves.close()
            self._fetchers.shutdown(wait=False, cancel_futures=True)
            self._sender.shutdown(wait=False)

    def close(self) -> None:
        """Leave the home, and cancel what runs for it. May be called from any thread but the
        loop's."""
        self._closing.set()
        with suppress(TimeoutError):
            self._runtime.ask(self._stop)
        self._sender.shutdown(wait=True)
        self._leave()

    def _leave(self) -> None:
        """Say so, if that is quick: else the home notices by the silence."""
        dial, boot = self._dial, self._boot
        if dial is not None and boot:
            try:
                dial.ask(
                    "POST", f"/v1/link/{self._hello.node}/leave", type(None), link.Gone(boot=boot)
                )
            except HanseError as error:
                _logger.info("hanse: %s was not told that this site leaves: %s", dial.url, error)
        if dial is not None:
            dial.close()
