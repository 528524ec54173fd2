"""A rehearsal in which machines are rented: the real renter, and a cloud that does not always keep
its word. Machines are refused, never come up, come late and are evicted, as the seed has it; and
offers have spells in which there are none of them, which take those away that there are."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import structs

from hanse import limits
from hanse.core.events import Describe, Withdraw
from hanse.core.renter import Renter
from hanse.ids import SiteId
from hanse.model.fit import Offer
from hanse.model.rental import Rental, Rented
from hanse.sim.draws import Draws
from hanse.sim.rehearsal import Stage
from hanse.sim.rehearsal_books import SiteBook
from hanse.sim.rehearsal_scenario import Scenario, SiteKind
from hanse.sim.rehearsal_site import Machine


class Luck(NamedTuple):
    """How often a cloud breaks its word, of a thousand machines."""

    refused: int = 0
    stillborn: int = 0
    late: int = 0
    evicted: int = 0


KEPT = Luck()


class RentingStage(Stage):
    """
    Attributes:
        brought, most_at_once: machines that were asked for, by kind; and how many there were.
        paid_nano: for machines that are gone.
        troubles: machines with which something went wrong.
        moves: machines that were brought in place of others.
    """

    def __init__(
        self, scenario: Scenario, seed: int, rentals: Sequence[Rental], luck: Luck = KEPT,
        spells: Mapping[str, Sequence[int]] | None = None, look_ns: int | None = None,
        renter: type[Renter] = Renter,
    ) -> None:  # fmt: skip
        """`spells` has for offers the moments at which there are none any more, and some again, in
        turn; `look_ns` is how often the renter looks. Whoever would choose otherwise brings the
        `renter`."""
        super().__init__(scenario, seed)
        self.spells = spells or {}
        self._look_ns = look_ns or limits.RENT_LOOK_NS
        self.renter = renter(self.home.home, rentals)
        self.luck = luck
        self.brought = {rental.name: 0 for rental in rentals}
        self.most_at_once = dict(self.brought)
        self.paid_nano = 0.0
        self.troubles = 0
        self.moves = 0
        self._there: set[str] = set()  # machines that are paid for
        self._up: dict[str, Machine] = {}
        self.world.after(self._look_ns, self._look)
        for name, moments in self.spells.items():
            for moment_ns in moments[::2]:
                self.world.at(moment_ns, self._none_left, name)

    def play(self, longest_ns: int) -> None:
        """Until all jobs have ended and every machine was sent away, or for so long."""
        while self.world.now_ns < longest_ns and self.world.step():
            if self.books.all_ended and not self.renter.machines:
                break

    def _look(self) -> None:
        now_ns = self.world.now_ns
        for id in self._up:
            self.renter.there(id, SiteId(id))
        steps = self.renter.look(now_ns)
        for rented in steps.away:
            self.world.after(limits.SECOND, self._end, rented)
        for rented in steps.bring:
            self._bring(rented, Draws(self.seed, "cloud", rented.id))
        for name in self.most_at_once:
            held = sum(each.kind == name for each in self.renter.machines.values())
            self.most_at_once[name] = max(self.most_at_once[name], held)
        self.world.after(self._look_ns, self._look)

    def _none(self, kind: str) -> bool:
        """There are none of the kind at this moment."""
        return bool(bisect_right(self.spells.get(kind, ()), self.world.now_ns) % 2)

    def _none_left(self, kind: str) -> None:
        for rented in list(self.renter.machines.values()):
            if rented.kind == kind and rented.id in self._there:
                self.troubles += 1
                self._evicted(rented)

    def _bring(self, rented: Rented, draws: Draws) -> None:
        rented.asked = True
        self.brought[rented.kind] += 1
        self.moves += bool(rented.instead)
        start_ns = self.renter.rentals[rented.kind].tariff.start_ns
        if self._none(rented.kind) or draws.chance(self.luck.refused):
            self.troubles += 1
            self.world.after(limits.SECOND, self._refused, rented)
            return
        self._there.add(rented.id)
        if draws.chance(self.luck.stillborn):
            self.troubles += 1
        else:
            if draws.chance(self.luck.late):
                self.troubles += 1
                start_ns *= draws.between(2, 6)
            self.world.after(start_ns, self._come_up, rented)
            if draws.chance(self.luck.evicted):
                self.troubles += 1
                self.world.after(2 * start_ns + limits.SECOND, self._evicted, rented)

    def _refused(self, rented: Rented) -> None:
        self.renter.failed(rented.id, "there is no capacity", self.world.now_ns)

    def _come_up(self, rented: Rented) -> None:
        if rented.id not in self.renter.machines:
            return
        rental = self.renter.rentals[rented.kind]
        kind = SiteKind(
            rented.id, count=1, cpus=rental.amount.cpus_milli // 1000,
            speed=rental.tariff.speed_milli / 1000, price_per_hour=rental.tariff.price_nano / 1e9,
            region=rental.tariff.region, round_trip_ms=20.0, lease_cost_ms=20.0,
            evictions_per_hour=0.0, notice_s=0.0, back_after_s=0.0, start_s=0.0, stop_s=math.inf,
        )  # fmt: skip
        book = self.books.sites[rented.id] = SiteBook(rented.id, kind)
        book.free = list(range(kind.cpus))
        machine = Machine(self.world, rented.id, kind, self.seed, self.books)
        self.machines.append(machine)
        self._up[rented.id] = machine
        tariff = structs.replace(rental.tariff, start_ns=0)
        self.home.handle(Describe(SiteId(rented.id), Offer(tariff=tariff)))
        self._connect(machine)

    def _gone(self, id: str) -> None:
        self._there.discard(id)
        machine = self._up.pop(id, None)
        if machine is not None:
            machine.crash()
            self.home.handle(Withdraw(SiteId(id)))

    def _evicted(self, rented: Rented) -> None:
        if rented.id in self._there:
            self._paid(rented)
            self._gone(rented.id)
            self.renter.lost(rented.id, self.world.now_ns)

    def _end(self, rented: Rented) -> None:
        if rented.id in self.renter.machines:
            if rented.id in self._there:
                self._paid(rented)
            self._gone(rented.id)
            self.renter.gone(rented.id)

    def _paid(self, rented: Rented) -> None:
        self.paid_nano += self.renter.cost_nano(rented, self.world.now_ns)
