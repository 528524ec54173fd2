"""The renter: which machines a home has brought, and which it sends away.

A third pure state machine, beside home and agent. At every look it asks the home what its jobs lack
and has `place.renting` choose; it also judges the machines that there are. What may not live here:
how a machine is brought, which is a provider's affair, and clocks.

A machine is sent away when

- it has had nothing to do for a while, and what is paid for is over;
- nobody wants it any more before it was there;
- it did not come in time, has vanished, or has lived as long as it may. It gets nothing more a
  while before, as if it were evicted: what it runs can end, or save.

A kind that fails is left alone for a while, twice as long each time, so the next cheapest is tried;
so is one that a job was brought and made no use of. What a machine costs beside the leases that run
on it counts against the budget of the job that it was brought for.

Where machines can be taken away, `place.streams` decides by what `core.spots` has seen of them. A
machine that another is brought in place of goes on until that one is up, and ends what it runs.
Machines of one job that will have room count for the jobs that are due later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from hanse import limits
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.place.renting import (
    Choice,
    Group,
    Held,
    Kind,
    Lack,
    Rents,
    by_streams,
    choose,
    grouped,
)
from hanse.core.place.streams import Streams
from hanse.core.place.tables import Tables
from hanse.core.site import Site
from hanse.core.words import duration
from hanse.ids import JobId, SiteId
from hanse.model.aims import HOUR_NS
from hanse.model.rental import Rental, Rented
from hanse.model.resources import Amount

_PAID_MARGIN = 0.05  # of a step that is paid for: what is left of it when a machine is sent away
_STAYS = 5  # times as long as a machine takes to come up: before that it is left for no other


class Steps(NamedTuple):
    """What is to be done, in this order: machines to be sent away, and to be brought.

    They are named at every look until they are gone, or `asked` for: who asks may miss an answer,
    and a machine that is forgotten costs money.
    """

    away: list[Rented]
    bring: list[Rented]


class Failing:
    """A kind that could not be brought, or was of no use."""

    __slots__ = ("count", "until_ns", "why")

    def __init__(self) -> None:
        self.count, self.until_ns, self.why = 0, 0, ""

    def again(self, why: str, now_ns: int, most_ns: int = limits.RENT_RETRY_MAX_NS) -> None:
        wait_ns = min(limits.RENT_RETRY_NS << min(self.count, 20), most_ns)
        self.count, self.until_ns, self.why = self.count + 1, now_ns + wait_ns, why


class Renter:
    """
    Args:
        run: how often the home was started: ids must not come twice.
    """

    def __init__(self, home: Home, rentals: Iterable[Rental], run: int = 1) -> None:
        self.home = home
        self.rentals = home.rentals = {each.name: each for each in rentals}
        home.rents = self.rents
        self.machines: dict[str, Rented] = {}
        self.failing: dict[str, Failing] = {}  # by kind
        self.useless: dict[tuple[JobId, str], Failing] = {}
        self.spots = home.spots
        self.spots.offer(self.rentals.values())
        self._streams: dict[JobId, Streams] = {}
        self._tables = Tables()
        self._run, self._next = run, 1

    # --- what is told ---------------------------------------------------------------------------
    def adopt(self, machine: Rented, now_ns: int) -> None:
        """One of an earlier run of the home is still there."""
        machine.seen_ns, machine.asked = now_ns, True
        self.machines[machine.id] = machine

    def there(self, id: str, site: SiteId) -> None:
        """It takes part, under this name."""
        machine = self.machines.get(id)
        if machine is not None and machine.site != site:
            machine.site, machine.idle_ns = site, -1
            self.spots.rented[site] = machine.kind
            self.failing.pop(machine.kind, None)

    def failed(self, id: str, why: str, now_ns: int) -> None:
        """It could not be brought."""
        machine = self.machines.pop(id, None)
        if machine is not None:
            self._fails(machine, why, now_ns)

    def doubted(self, id: str, why: str, now_ns: int) -> None:
        """Nobody can say whether it was brought: it is sent away, as if it had been."""
        machine = self.machines.get(id)
        if machine is not None:
            machine.why = machine.why or why
            self._fails(machine, why, now_ns)

    def lost(self, id: str, now_ns: int) -> None:
        """Its provider has it no more."""
        machine = self.machines.get(id)
        if machine is not None:
            if not machine.site and not machine.why:
                self._fails(machine, "one was gone before it was there", now_ns, taken=True)
            elif not machine.why:
                self._taken(machine, now_ns)
            self.gone(id)

    def _fails(self, machine: Rented, why: str, now_ns: int, taken: bool = False) -> None:
        rental = self.rentals.get(machine.kind)
        spot = rental is not None and rental.tariff.spot
        most_ns = limits.RENT_RETRY_SPOT_NS if spot else limits.RENT_RETRY_MAX_NS
        self.failing.setdefault(machine.kind, Failing()).again(why, now_ns, most_ns)
        told = self.spots.lost if taken else self.spots.refused
        told(machine.kind, self._others(machine), now_ns)

    def _taken(self, machine: Rented, now_ns: int) -> None:
        if machine.up and not machine.lost:
            machine.lost = True
            self.spots.lost(machine.kind, self._others(machine), now_ns)

    def _others(self, machine: Rented) -> int:
        """Of its kind, that are there."""
        return sum(
            each.up and not each.lost and not each.why
            for each in self.machines.values()
            if each.kind == machine.kind and each is not machine
        )

    def gone(self, id: str) -> None:
        """It was sent away."""
        machine = self.machines.pop(id, None)
        if machine is not None:
            self.spots.rented.pop(machine.site, None)

    # --- looks ----------------------------------------------------------------------------------
    def look(self, now_ns: int) -> Steps:
        """What is to be done now. Whoever asks sees to it, and tells how it went."""
        for job in self.home.placed:
            if job.place is not None:
                job.place.purse.reserved = 0
        paid = self._paid(now_ns) if self.machines else {}
        for machine in self.machines.values():
            self._count(machine, paid.get(machine.site, 0), now_ns)
            self._follow(machine)
            machine.why = machine.why or self._why_away(machine, now_ns)
        there = [each for each in self.machines.values() if each.up and not each.lost]
        self.spots.look((each for each in there if not each.why), now_ns)
        used_ns: dict[str, float] = {}
        self._tables.look()
        for job in self.home.placed:
            self._choose_for(job, used_ns, now_ns)
        self.home.drain({each.site: each.leaving for each in there if each.leaving})
        self._forget_old()
        every = list(self.machines.values())
        bring = [each for each in every if not each.asked and not each.why]
        return Steps([each for each in every if each.why], bring)

    def _follow(self, machine: Rented) -> None:
        """It goes once the one that was brought in its place is up."""
        before = self.machines.get(machine.instead)
        if before is not None and self._is_up(machine):
            before.leaving = before.leaving or f"{machine.id} is there in its place"

    def _choose_for(self, job: Job, used_ns: dict[str, float], now_ns: int) -> None:
        """`used_ns` is how long each machine is busy for jobs that are due earlier."""
        place = job.place
        assert place is not None
        kinds, refused = self._kinds(job, now_ns)
        held = self._held(job, now_ns)
        lack = self.home.lack(job, self._roomy(job, used_ns, now_ns), now_ns, held)
        choice = self._choice(job, lack, kinds, now_ns)
        has = any(machine.job == job.id for machine in self.machines.values())
        place.renting = choice.reasons + (
            [f"no {name}: {why}" for name, why in refused.items()] if choice.reasons or has else []
        )
        place.renting += self._on_their_way(job, now_ns)
        place.waits = choice.waits or bool(lack.sites or lack.on_way())
        for name, count in choice.bring.items():
            for _ in range(count):
                self._bring(job, name, choice.reasons[0], now_ns)
        for move in choice.moves:
            self._bring(job, move.kind, move.why, now_ns, instead=move.machine)
        for id, why in choice.leave.items():
            self.machines[id].leaving = why
        self._use(job, lack, used_ns, now_ns)

    def _choice(self, job: Job, lack: Lack, kinds: list[Kind], now_ns: int) -> Choice:
        if not by_streams(lack, kinds):
            return choose(lack, kinds)
        streams = self._streams.setdefault(job.id, Streams(self.spots.pools, tables=self._tables))
        self._tables.serve(job.id)
        return streams.choose(lack, kinds, now_ns)

    def _bring(self, job: Job, name: str, why: str, now_ns: int, instead: str = "") -> None:
        id = f"{name}-{self._run}-{self._next}"
        self._next += 1
        self.machines[id] = Rented(
            id=id, kind=name, job=job.id, since_ns=now_ns, seen_ns=now_ns, because=why,
            instead=instead,
        )  # fmt: skip

    def rents(self, job: Job, now_ns: int) -> Rents:
        """What could be brought for the job, and what was."""
        kinds, refused = self._kinds(job, now_ns)
        return Rents(kinds, self._held(job, now_ns), refused, self.spots.pools)

    def _kinds(self, job: Job, now_ns: int) -> tuple[list[Kind], dict[str, str]]:
        """Those that can run the job, without room if none may be brought now, and why that is."""
        kinds, refused = [], {}
        lasts_ns = self.spots.lasts_ns(now_ns)
        for name, rental in self.rentals.items():
            held = [each for each in self.machines.values() if each.kind == name]
            why: str | None = None
            failing = self.failing.get(name)
            useless = self.useless.get((job.id, name))
            for found in (failing, useless):
                if found is not None and now_ns < found.until_ns:
                    why = f"{found.why}; again in {duration(found.until_ns - now_ns)}"
            if len(held) >= rental.most:
                why = f"{rental.most} are there or on their way, which is the limit"
            room = rental.most - len(held) if why is None else 0
            like = [each.site for each in held if each.site]
            start_ns = rental.tariff.start_ns
            stays_ns = lasts_ns.get(name, math.inf)
            kind = self.home.kind_of(job, rental, room, start_ns, like, stays_ns)
            if isinstance(kind, Kind):
                kinds.append(kind)
            if why is not None or not isinstance(kind, Kind):
                refused[name] = f"{why or kind}{self._seen(name)}"
        return kinds, refused

    def _seen(self, name: str) -> str:
        words = self.spots.words(name)
        return f" ({words})" if words else ""

    def _held(self, job: Job, now_ns: int) -> list[Held]:
        """What was brought for the job, and will be there."""
        mine = [each for each in self.machines.values() if each.job == job.id]
        followed = {each.instead for each in mine if not each.why}
        lasts_ns = self.spots.lasts_ns(now_ns) if mine else {}
        found = []
        for machine in mine:
            kind = self._as_kind(job, machine, lasts_ns, now_ns)
            if kind is not None:
                rental, age_ns = kind.rental, now_ns - machine.since_ns
                fresh = age_ns < (1 + _STAYS) * rental.tariff.start_ns
                found.append(Held(
                    machine.id, kind, machine.up, fresh or not _paid_up(rental, age_ns),
                    machine.id in followed,
                ))  # fmt: skip
        return found

    def _as_kind(
        self, job: Job, machine: Rented, lasts_ns: Mapping[str, float], now_ns: int
    ) -> Kind | None:
        """What a machine that was brought is to a job; None if it is nothing. One that is late is
        reckoned to take a quarter of its time yet. `lasts_ns` is by kind."""
        rental = self.rentals.get(machine.kind)
        if rental is None or machine.why or machine.leaving or machine.lost:
            return None
        left_ns, like = 0, [machine.site] if machine.site else []
        if not self._is_up(machine):
            start_ns = rental.tariff.start_ns
            left_ns = max(start_ns - (now_ns - machine.since_ns), start_ns // 4)
        stays_ns = lasts_ns.get(machine.kind, math.inf)
        kind = self.home.kind_of(job, rental, 1, left_ns, like, stays_ns)
        return kind if isinstance(kind, Kind) else None

    def _roomy(self, job: Job, used_ns: dict[str, float], now_ns: int) -> list[Group]:
        """Machines of jobs that are due earlier, once those are done with them. What is free there
        now is known already."""
        found, lasts_ns = [], self.spots.lasts_ns(now_ns)
        for machine in self.machines.values():
            if machine.job == job.id or machine.id not in used_ns:
                continue
            site = self.home.sites.get(machine.site)
            if machine.up and (site is None or site.free.fits(job.spec.needs)):
                continue
            kind = self._as_kind(job, machine, lasts_ns, now_ns)
            if kind is not None:
                found.append(kind._replace(start_ns=kind.start_ns + used_ns[machine.id]))
        return grouped(found)

    def _use(self, job: Job, lack: Lack, used_ns: dict[str, float], now_ns: int) -> None:
        """How long the job keeps its machines busy, all of them alike."""
        held = self._held(job, now_ns)
        power = sum(each.kind.power for each in held)
        power += sum(
            site.slots * site.speed
            for site in lack.sites
            if site.site not in self.machines or self.machines[site.site].job != job.id
        )
        for each in held:
            used_ns[each.id] = lack.left.mean / power

    def _on_their_way(self, job: Job, now_ns: int) -> list[str]:
        return [
            f"{machine.id} is on its way, since {duration(now_ns - machine.since_ns)}"
            for machine in self.machines.values()
            if machine.job == job.id and not self._is_up(machine) and not machine.why
            and machine.since_ns < now_ns
        ]  # fmt: skip

    def _is_up(self, machine: Rented) -> bool:
        if not machine.up and (site := self.home.sites.get(machine.site)) is not None:
            machine.up = site.capacity != Amount()
        return machine.up

    # --- away -----------------------------------------------------------------------------------
    def _why_away(self, machine: Rented, now_ns: int) -> str:
        """Why it is to be sent away now; empty if it stays."""
        rental = self.rentals.get(machine.kind)
        if rental is None:
            return "its offer is not there any more"
        age_ns = now_ns - machine.since_ns
        if age_ns > rental.life_ns:
            return f"it has lived for {duration(age_ns)}"
        if not self._is_up(machine):
            return self._why_not_awaited(machine, rental, now_ns)
        site = self.home.sites.get(machine.site)
        if site is None or (gone := _silent(site, now_ns)):
            self._taken(machine, now_ns)
            return "it has fallen silent" if site is None else gone
        if age_ns > rental.life_ns - self._ahead_ns(site, rental):
            machine.leaving = machine.leaving or f"it has lived for {duration(age_ns)}"
        if site.leaving:
            self._taken(machine, now_ns)
        if machine.leaving and not site.leases:
            return machine.leaving
        if site.leases:
            machine.used, machine.idle_ns = True, -1
            self.useless.pop((machine.job, machine.kind), None)
            return ""
        if machine.idle_ns < 0:
            machine.idle_ns = now_ns
        idle_ns = now_ns - machine.idle_ns
        if idle_ns < rental.idle_ns or not _paid_up(rental, age_ns):
            return ""
        if not machine.used:
            useless = self.useless.setdefault((machine.job, machine.kind), Failing())
            useless.again("one that was there had nothing to do", now_ns)
        return f"it has had nothing to do for {duration(idle_ns)}"

    def _ahead_ns(self, site: Site, rental: Rental) -> int:
        """How long before its life is over it gets nothing more: what it runs then should end."""
        jobs = {lease.job for lease in site.leases}
        places = [self.home.jobs[job].place for job in sorted(jobs)]
        items_ns = [
            int(place.work.moments()[0] / place.work.speed(site.id))
            for place in places
            if place is not None
        ]
        ahead_ns = max(limits.RENT_LEAVE_NS, 2 * max(items_ns, default=0))
        return min(ahead_ns, rental.life_ns // 4)

    def _why_not_awaited(self, machine: Rented, rental: Rental, now_ns: int) -> str:
        age_ns = now_ns - machine.since_ns
        if age_ns > max(rental.patience_ns, rental.tariff.start_ns):
            why = f"it was not there after {duration(age_ns)}"
            self._fails(machine, why, now_ns)
            return why
        if machine.leaving:
            return machine.leaving
        job = self.home.jobs.get(machine.job)
        if (job is None or job.state.ended) and not self._wanted(rental):
            return "nobody waits for it any more"
        return ""

    def _wanted(self, rental: Rental) -> bool:
        """Whether a job without any room at all could use it."""
        return any(
            job.place is not None and not job.place.quota and rental.amount.fits(job.spec.needs)
            for job in self.home.placed
        )

    # --- money ----------------------------------------------------------------------------------
    def _paid(self, now_ns: int) -> dict[SiteId, int]:
        """What the leases that run now pay for an hour, by site."""
        paid: dict[SiteId, int] = {}
        for job in self.home.placed:
            if job.place is not None:
                for one in job.place.purse.open.values():
                    if one.since_ns <= now_ns:
                        paid[one.site] = paid.get(one.site, 0) + one.price_nano
        return paid

    def _count(self, machine: Rented, paid: int, now_ns: int) -> None:
        """Its time that no lease paid for is paid by the job that it was brought for; leases pay
        `paid` for an hour."""
        rental = self.rentals.get(machine.kind)
        since_ns, machine.seen_ns = machine.seen_ns, now_ns
        if rental is None:
            return
        price = rental.tariff.price_nano
        nano = max(0, price - paid) * (now_ns - since_ns) // HOUR_NS if machine.asked else 0
        age_ns = now_ns - machine.since_ns
        start_ns = 0 if machine.up else max(age_ns, rental.tariff.start_ns) - age_ns
        ends_ns = age_ns + start_ns + rental.idle_ns + 2 * limits.RENT_LOOK_NS
        yet = int(rental.cost_nano(ends_ns)) - price * age_ns // HOUR_NS
        job = self.home.jobs.get(machine.job)
        if job is not None and job.place is not None and not job.state.ended:
            job.place.purse.reserved += max(0, yet)
            if nano:
                job.place.purse.idled(SiteId(f"{machine.id}, starting and idle"), nano)

    def cost_nano(self, machine: Rented, now_ns: int) -> float:
        """What it has cost so far, all in all."""
        rental = self.rentals.get(machine.kind)
        return 0.0 if rental is None else rental.cost_nano(now_ns - machine.since_ns)

    def _forget_old(self) -> None:
        if len(self.useless) > limits.RENT_USELESS:
            live = {job.id for job in self.home.placed}
            self.useless = {key: one for key, one in self.useless.items() if key[0] in live}
        if self._streams:
            live = {job.id for job in self.home.placed}
            self._streams = {id: one for id, one in self._streams.items() if id in live}


def _silent(site: Site, now_ns: int) -> str:
    """Why it is not to be waited for any more; empty if it is."""
    silent_ns = now_ns - site.heard_ns
    if site.withdrawn and silent_ns > limits.LEASE_TTL_NS:
        return "it has left"
    return (
        f"it has been silent for {duration(silent_ns)}"
        if silent_ns > 4 * limits.LEASE_TTL_NS
        else ""
    )


def _paid_up(rental: Rental, age_ns: int) -> bool:
    """What was paid for is nearly over, so nothing is lost by sending it away."""
    if age_ns < rental.least_ns:
        return False
    left_ns = rental.paid_ns(age_ns) - age_ns
    return left_ns <= max(_PAID_MARGIN * rental.billed_ns, limits.RENT_LOOK_NS)
