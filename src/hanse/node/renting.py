"""Machines that a node rents: the core decides, providers bring and send away, a file remembers.

Every step is written down before it is taken. A machine is in the file before its provider is asked
for it, and leaves it once the provider has said that it is gone; so whatever a killed node had
under way is found by its next run: what providers have of ours and the file does not know is ended.

Each machine links with a token of its own, for one machine of that name, which is revoked before
the machine is sent away.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from hanse import limits
from hanse.core.renter import Renter, Steps
from hanse.core.words import duration
from hanse.errors import HanseError
from hanse.ids import JobId
from hanse.model.aims import NANO, Tariff
from hanse.model.rental import Rental, Rented
from hanse.node import files
from hanse.node.linked import Linked
from hanse.node.providers.config import Brings
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned
from hanse.node.tokens import Role, Tokens
from hanse.runtime.runtime import Runtime
from hanse.wire import api

_logger = logging.getLogger("hanse")

_RESTORE = (
    "It names machines that are rented: restore it; without it they are found by what their "
    "providers list"
)
_UNKNOWN = "the file that says what can be rented has it no more: its machines cannot be ended"


class Kept(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A machine in the file. `handle` is empty until its provider has answered."""

    id: str
    kind: str
    provider: str
    job: JobId
    since_s: float
    token: str  # the id of its token, which is no secret
    handle: str = ""
    leaving: str = ""  # it is being sent away, and why


class Kepts(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The file: the machines, and what those that are gone have cost. A machine leaves the one and
    comes to the other in one write, so it is counted once, whenever a node is killed."""

    machines: list[Kept]
    spent_nano: dict[str, int] = {}  # by kind


class _Machine:
    """One of them, in this run."""

    def __init__(self, kept: Kept) -> None:
        self.kept = kept
        self.busy = False  # its provider is being asked
        self.missed = 0  # lists in a row that it was not on
        self.tries = 0  # to send it away that failed
        self.next_try_s = 0.0
        self.unlinked = -1  # looks in a row that it was not linked; -1: it never was


class Renting:
    """Methods may be called from any thread but the runtime's.

    Args:
        path: the file.
        run: how often the node was started.
        token_text: the whole of a token that carries this secret, as machines are given it.
    """

    def __init__(
        self, runtime: Runtime, linked: Linked, tokens: Tokens, path: Path, run: int,
        brings: Sequence[Brings], token_text: Callable[[str], str],
    ) -> None:  # fmt: skip
        self._runtime = runtime
        self._linked = linked
        self._tokens = tokens
        self._path = path
        self._brings = {each.name: each for each in brings}
        self._by_kind = {rental.name: each for each in brings for rental in each.rentals}
        self._rentals: dict[str, Rental] = {
            rental.name: rental for each in brings for rental in each.rentals
        }
        self._token_text = token_text
        self._machines: dict[str, _Machine] = {}
        self._spent_nano: dict[str, int] = {}  # of machines that are gone, by kind
        self._listed: set[str] = set()  # providers whose machines are known
        self._list_s: dict[str, float] = {}  # when a provider is to be asked again
        self._began_s = time.monotonic()
        self._trouble: dict[str, str] = {}  # by provider, in words
        self._lock = threading.Lock()  # of the machines and the file
        self._ended = threading.Event()
        self._calls = threading.Semaphore(limits.RENT_CALLS)
        self._closed = False  # the file is the next run's
        self._renter = Renter(runtime.home, self._rentals.values(), run)
        self._thread = threading.Thread(target=self._go, name="hanse-renting", daemon=True)

    def begin(self) -> None:
        """Take over what the last run has left. Raises WorldError if the file cannot be read."""
        now_s, now_ns = time.time(), self._runtime.loop.now_ns()
        file = self._read()
        self._spent_nano = dict(file.spent_nano)
        for kept in file.machines:
            self._machines[kept.id] = _Machine(kept)
            age_ns = int(max(0.0, now_s - kept.since_s) * 1e9)
            rented = Rented(id=kept.id, kind=kept.kind, job=kept.job, since_ns=now_ns - age_ns,
                            why=kept.leaving)  # fmt: skip
            self._runtime.ask(partial(self._renter.adopt, rented, now_ns))
        self._linked.tariff_of = self._tariff
        self._thread.start()

    def close(self) -> None:
        """Machines stay: the next run takes them over. It also finds what a provider that takes its
        time does yet."""
        self._ended.set()
        self._thread.join(limits.LINK_LEAVE_S)
        until_s = time.monotonic() + limits.LINK_LEAVE_S
        for _ in range(limits.RENT_CALLS):
            self._calls.acquire(timeout=max(0.0, until_s - time.monotonic()))
        with self._lock:
            self._closed = True

    # --- for people -----------------------------------------------------------------------------
    def providers(self) -> list[api.ProviderInfo]:
        """What could be had, and what there is."""
        return self._runtime.ask(self._told)

    def _told(self) -> list[api.ProviderInfo]:
        now_ns = self._runtime.loop.now_ns()
        machines = [self._about(each, now_ns) for each in list(self._machines.values())]
        told = []
        for name in dict.fromkeys([*self._brings, *(each.provider for each in machines)]):
            brings = self._brings.get(name)
            offers = [] if brings is None else brings.rentals
            told.append(api.ProviderInfo(
                name=name, trouble=_UNKNOWN if brings is None else self._trouble.get(name, ""),
                offers=[self._offer(rental, now_ns) for rental in offers],
                machines=[each for each in machines if each.provider == name],
            ))  # fmt: skip
        return told

    def _offer(self, rental: Rental, now_ns: int) -> api.OfferInfo:
        failing = self._renter.failing.get(rental.name)
        why = failing.why if failing is not None and now_ns < failing.until_ns else ""
        return api.OfferInfo(
            name=rental.name, amount=rental.amount, region=rental.tariff.region,
            price=rental.tariff.price_nano / NANO, spot=rental.tariff.spot, most=rental.most,
            trouble=why, seen=self._renter.spots.words(rental.name),
            spent=self._spent_nano.get(rental.name, 0) / NANO,
        )  # fmt: skip

    def _about(self, machine: _Machine, now_ns: int) -> api.RentedInfo:
        kept, rented = machine.kept, self._renter.machines.get(machine.kept.id)
        site = "" if rented is None else rented.site
        state = "there" if site else "on its way"
        if kept.leaving:
            state = f"going: {kept.leaving}"
        elif rented is not None and rented.idle_ns >= 0 and site:
            state = f"idle for {duration(now_ns - rented.idle_ns)}"
        cost = 0.0 if rented is None else self._renter.cost_nano(rented, now_ns) / NANO
        amount = self._rentals[kept.kind].amount if kept.kind in self._rentals else None
        return api.RentedInfo(
            id=kept.id, offer=kept.kind, provider=kept.provider, job=kept.job, site=site,
            handle=kept.handle, state=state, since_s=kept.since_s, cost=cost, amount=amount,
        )  # fmt: skip

    def coming(self) -> list[api.MachineInfo]:
        """Machines that are not there yet, or are going."""
        return [
            api.MachineInfo(site=each.id, host=each.handle or each.id, engine=provider.name,
                            offers=each.amount, state=each.state)
            for provider in self.providers() for each in provider.machines
            if each.amount is not None and (not each.site or each.state.startswith("going"))
        ]  # fmt: skip

    def _tariff(self, id: str) -> Tariff | None:
        """On what terms a rented machine works: ours, as we pay for it."""
        machine = self._machines.get(id)
        rental = None if machine is None else self._rentals.get(machine.kept.kind)
        return None if rental is None else msgspec.structs.replace(rental.tariff, start_ns=0)

    # --- the thread -----------------------------------------------------------------------------
    def _go(self) -> None:
        while not self._ended.is_set():
            try:
                self._look_at_providers()
                self._step()
            except TimeoutError:  # the loop is busy; what was to be done is named again
                pass
            except Exception:  # it must not end by a bug: machines cost money
                _logger.exception("hanse: renting machines")
            self._ended.wait(limits.RENT_LOOK_NS / 1e9)

    def _step(self) -> None:
        there = {site.token.site: site.id for site in self._linked.sites if site.token.site}
        self._ask_after({site.token.site for site in self._linked.sites if site.connected})

        def look() -> Steps:
            now_ns = self._runtime.loop.now_ns()
            for id, site in there.items():
                self._renter.there(id, site)
            return self._renter.look(now_ns)

        steps = self._runtime.ask(look)
        for rented in steps.away:
            self._mark(rented)
        for rented in steps.bring:
            self._order(rented)
        for machine in list(self._machines.values()):
            if machine.kept.leaving and not machine.busy and time.monotonic() > machine.next_try_s:
                machine.busy = True
                self._call(self._send_away, machine)

    def _ask_after(self, connected: set[str]) -> None:
        """Machines that were there and have gone from the line may have been taken away: their
        providers are asked soon."""
        for machine in list(self._machines.values()):
            if machine.kept.id in connected:
                machine.unlinked = 0
            elif machine.unlinked >= 0 and not machine.kept.leaving:
                machine.unlinked += 1
                name = machine.kept.provider
                asked = math.isinf(self._list_s.get(name, math.inf))
                if machine.unlinked <= limits.RENT_ASK_AFTER and not asked:
                    self._list_s[name] = 0.0

    def _call(self, do: Callable[[_Machine], None], machine: _Machine) -> None:
        """In a thread of its own, which nobody waits for at the end of the process."""
        threading.Thread(
            target=self._guarded, args=(do, machine), name="hanse-rent", daemon=True
        ).start()

    def _guarded(self, do: Callable[[_Machine], None], machine: _Machine) -> None:
        try:
            with self._calls:
                if not self._ended.is_set():
                    do(machine)
        except Exception:  # as above
            _logger.exception("hanse: the machine %s", machine.kept.id)
        finally:
            machine.busy = False

    # --- bringing -------------------------------------------------------------------------------
    def _order(self, rented: Rented) -> None:
        brings = self._by_kind[rented.kind]
        rental = self._rentals[rented.kind]
        if brings.name not in self._listed:  # there may be some that we do not know of
            why = self._trouble.get(brings.name, "")
            if why or time.monotonic() - self._began_s > limits.RENT_FIRST_LIST_S:
                rented.asked = True
                silent = "it has not said yet what it has"
                self._failed(rented.id, f"{brings.name}: {why or silent}")
            return
        rented.asked = True
        try:
            machine, secret = self._written(rented, brings.name)
        except (HanseError, OSError) as error:
            self._failed(rented.id, f"it could not be written down: {error}")
            return
        order = Order(rented.id, rental, brings.how[rented.kind], self._token_text(secret))
        _logger.warning("hanse: %s is asked for %s: %s", brings.name, rented.id, rented.because)
        self._call(partial(self._bring, order), machine)

    def _written(self, rented: Rented, provider: str) -> tuple[_Machine, str]:
        """It is in the file; with the secret of its token. Raises HanseError, OSError."""
        life_s = (self._rentals[rented.kind].life_ns + limits.LEASE_TTL_NS) / 1e9
        token, secret = self._tokens.create(
            Role.LINK, f"rented {rented.id}", time.time() + life_s, site=rented.id
        )
        machine = _Machine(Kept(
            id=rented.id, kind=rented.kind, provider=provider, job=rented.job,
            since_s=time.time(), token=token.id,
        ))  # fmt: skip
        machine.busy = True
        with self._lock:
            self._machines[rented.id] = machine
            try:
                self._write()
            except OSError:
                del self._machines[rented.id]
                self._revoke(token.id)
                raise
        return machine, secret

    def _bring(self, order: Order, machine: _Machine) -> None:
        brings = self._by_kind[machine.kept.kind]
        try:
            handle = brings.provider.bring(order)
        except Exception as error:  # noqa: BLE001 - whatever it is, a machine may be there
            _logger.warning("hanse: %s brings no %s: %s", brings.name, order.id, error)
            if not isinstance(error, NotBrought) or isinstance(error, InDoubt):
                self._doubted(order.id, str(error))
                return
            self._drop(machine, paid=False)
            self._failed(order.id, str(error))
            return
        with self._lock:
            machine.kept.handle = handle
            self._write()

    def _failed(self, id: str, why: str) -> None:
        loop = self._runtime.loop
        loop.post(lambda: self._renter.failed(id, why, loop.now_ns()))

    def _doubted(self, id: str, why: str) -> None:
        loop = self._runtime.loop
        loop.post(lambda: self._renter.doubted(id, why, loop.now_ns()))

    def _gone(self, id: str) -> None:
        self._runtime.loop.post(lambda: self._renter.gone(id))

    def _lost(self, id: str) -> None:
        loop = self._runtime.loop
        loop.post(lambda: self._renter.lost(id, loop.now_ns()))

    # --- sending away ---------------------------------------------------------------------------
    def _mark(self, rented: Rented) -> None:
        machine = self._machines.get(rented.id)
        if machine is None:  # it was never brought
            self._gone(rented.id)
            return
        if machine.kept.leaving:
            return
        with self._lock:
            machine.kept.leaving = rented.why
            self._write()
        self._revoke(machine.kept.token)

    def _send_away(self, machine: _Machine) -> None:
        kept = machine.kept
        self._revoke(kept.token)
        brings = self._brings.get(kept.provider)
        try:
            if brings is None:
                raise NotBrought(f"{kept.provider}: {_UNKNOWN}")
            brings.provider.send_away(Owned(kept.id, kept.handle))
        except Exception as error:  # noqa: BLE001 - it is tried again, whatever it is
            machine.tries += 1
            wait_ns = limits.RENT_RETRY_NS << min(machine.tries - 1, 20)
            wait_s = min(wait_ns, limits.RENT_RETRY_MAX_NS) / 1e9
            machine.next_try_s = time.monotonic() + wait_s
            _logger.error("hanse: %s cannot be sent away: %s", kept.id, error)
            return
        _logger.info("hanse: %s was sent away: %s", kept.id, kept.leaving)
        try:
            self._drop(machine)
        finally:  # also with a full disk
            self._gone(kept.id)

    def _drop(self, machine: _Machine, paid: bool = True) -> None:
        """It is not there any more; not `paid`: it never was."""
        kept = machine.kept
        self._revoke(kept.token)
        rental = self._rentals.get(kept.kind)
        with self._lock:
            there = self._machines.pop(kept.id, None)
            if paid and there is not None and rental is not None:
                age_ns = max(0.0, time.time() - kept.since_s) * 1e9
                nano = int(rental.cost_nano(min(age_ns, rental.life_ns)))
                self._spent_nano[kept.kind] = self._spent_nano.get(kept.kind, 0) + nano
            self._write()

    def _revoke(self, token: str) -> None:
        with suppress(HanseError):  # it was
            self._tokens.revoke(token)

    # --- what providers have --------------------------------------------------------------------
    def _look_at_providers(self) -> None:
        """Each in a thread of its own: one that takes long holds up no other, and nothing else."""
        now_s = time.monotonic()
        for name, brings in self._brings.items():
            if now_s >= self._list_s.get(name, 0.0):
                self._list_s[name] = math.inf  # until it has answered
                threading.Thread(
                    target=self._look_at, args=(brings,), name="hanse-rent-list", daemon=True
                ).start()

    def _look_at(self, brings: Brings) -> None:
        name, before = brings.name, set(self._machines)
        try:
            owned = brings.provider.owned()
            self._trouble.pop(name, None)
            if owned is not None:
                self._compare(brings, owned, before)
            self._listed.add(name)
        except Exception as error:  # noqa: BLE001 - it is asked again, whatever it is
            if self._trouble.get(name) != str(error):
                _logger.warning("hanse: what %s has cannot be seen: %s", name, error)
            self._trouble[name] = str(error)
        often_s = limits.RENT_LIST_S if name in self._listed else limits.RENT_LOOK_NS / 1e9
        self._list_s[name] = time.monotonic() + often_s

    def _compare(self, brings: Brings, owned: list[Owned], before: set[str]) -> None:
        """Machines that nobody knows of, and doubles, are ended; those that are not there any more
        are lost."""
        listed: dict[str, Owned] = {}
        for each in owned:
            known = self._machines.get(each.id)
            first = listed.setdefault(each.id, each)
            if known is None:
                self._end_leaked(brings, each)
            elif first is not each and known.kept.handle in (first.handle, each.handle):
                mine = known.kept.handle == first.handle
                self._end_leaked(brings, each if mine else first)
                listed[each.id] = first if mine else each
        for machine in list(self._machines.values()):
            kept = machine.kept
            if kept.provider != brings.name or kept.id not in before or machine.busy:
                continue
            if (found := listed.get(kept.id)) is not None:
                machine.missed = 0
                if not kept.handle:
                    kept.handle = found.handle
            elif not kept.leaving:
                machine.missed += 1
                if machine.missed > 1 or brings.name not in self._listed:
                    _logger.warning("hanse: %s has no %s any more", brings.name, kept.id)
                    self._drop(machine)
                    self._lost(kept.id)

    def _end_leaked(self, brings: Brings, leaked: Owned) -> None:
        _logger.warning("hanse: %s has %s, which nobody wants: it is ended", brings.name, leaked.id)
        try:
            brings.provider.send_away(leaked)
        except NotBrought as error:
            _logger.error("hanse: %s cannot be ended: %s", leaked.id, error)

    # --- the file -------------------------------------------------------------------------------
    def _read(self) -> Kepts:
        found: list[Kept] | Kepts = files.read(
            self._path, list[Kept] | Kepts, Kepts(machines=[]), _RESTORE
        )
        # Before there was anything else to keep, it was a list.
        return Kepts(machines=found) if isinstance(found, list) else found

    def _write(self) -> None:
        if self._closed:
            return
        machines = [each.kept for each in self._machines.values()]
        files.write(self._path, Kepts(machines=machines, spent_nano=self._spent_nano))
