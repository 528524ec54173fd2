"""What goes wrong in a rehearsal: evictions, and the faults that the scenario names.

Faults of one kind may overlap at a machine: it is well again when the last of them has passed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

from hanse import limits
from hanse.sim.draws import Draws
from hanse.sim.network import Direction
from hanse.sim.rehearsal_books import Mark
from hanse.sim.rehearsal_scenario import FaultKind
from hanse.sim.rehearsal_site import Machine
from hanse.sim.rehearsal_times import Times

_FOREVER_NS = 1 << 62


class Troubles:
    """Of one machine. `lines` are its two directions to the home."""

    def __init__(self, machine: Machine, lines: tuple[Direction, Direction], seed: int) -> None:
        self._machine, self._lines, self._seed = machine, lines, seed
        self._world = machine.world
        self._held: Counter[str] = Counter()  # how many faults of each kind last
        self._luck = Draws(seed, machine.name, "evictions")
        self._strikes = 0

    def begin(self, faults: list[FaultKind]) -> None:
        """Plan all that will happen to it."""
        kind = self._machine.kind
        if kind.start_s:
            self._machine.up = False
            self._hold("kill")
            self._world.at(_ns(kind.start_s), self._release, "kill", 1.0)
        else:
            self._machine.begin()
        if math.isfinite(kind.stop_s):
            self._world.at(_ns(kind.stop_s - kind.notice_s), self._drain)
            self._world.at(_ns(kind.stop_s), self._take_down)
        if kind.evictions_per_hour:
            self._next_eviction()
        for number, fault in enumerate(faults):
            self._plan(number, fault)

    def _plan(self, number: int, fault: FaultKind) -> None:
        if math.isnan(fault.per_hour):
            self._world.at(_ns(fault.at_s), self._strike, fault)
            return
        draws = Draws(self._seed, self._machine.name, "fault", number)

        def strike() -> None:
            self._strike(fault)
            self._next(draws, fault.per_hour, strike)

        self._next(draws, fault.per_hour, strike)

    def _next(self, draws: Draws, per_hour: float, action: Callable[[], None]) -> None:
        """As rarely or often as that, whatever came before."""
        self._strikes += 1
        if self._strikes <= limits.REHEARSED_STRIKES:
            gap_s = Times("exponential", 3600 / per_hour).at(draws.random())
            self._world.after(_ns(gap_s), action)

    # --- evictions ------------------------------------------------------------------------------
    def _next_eviction(self) -> None:
        self._next(self._luck, self._machine.kind.evictions_per_hour, self._evict)

    def _evict(self) -> None:
        """Tell it; one that is down already is left alone."""
        machine = self._machine
        if not machine.up:
            self._next_eviction()
            return
        self._drain()
        self._world.after(_ns(machine.kind.notice_s), self._evicted)

    def _drain(self) -> None:
        self._machine.drain(_ns(self._machine.kind.notice_s))

    def _evicted(self) -> None:
        machine = self._machine
        machine.books.sites[machine.name].evictions += 1
        self._mark("evicted", machine.kind.back_after_s)
        self._take_down()
        self._world.after(_ns(machine.kind.back_after_s), self._back)

    def _back(self) -> None:
        self._release("kill", 1.0)
        self._next_eviction()

    def _take_down(self) -> None:
        self._hold("kill")
        self._machine.crash()

    # --- faults ---------------------------------------------------------------------------------
    def _strike(self, fault: FaultKind) -> None:
        self._mark({"kill": "killed", "freeze": "frozen"}.get(fault.what, fault.what), fault.for_s)
        self._hold(fault.what)
        match fault.what:
            case "kill":
                self._machine.crash()
            case "freeze":
                self._machine.freeze()
            case "cut":
                for line in self._lines:
                    line.cut = True
            case "slow":
                self._machine.factors.append(fault.factor)
        if math.isfinite(fault.for_s):
            self._world.after(_ns(fault.for_s), self._release, fault.what, fault.factor)

    def _mark(self, what: str, for_s: float) -> None:
        now_ns = self._world.now_ns
        stop_ns = now_ns + _ns(for_s) if math.isfinite(for_s) else _FOREVER_NS
        self._machine.books.marks.append(Mark(self._machine.name, what, now_ns, stop_ns))

    def _hold(self, what: str) -> None:
        self._held[what] += 1

    def _release(self, what: str, factor: float) -> None:
        self._held[what] -= 1
        if what == "slow":
            self._machine.factors.remove(factor)
        elif self._held[what]:
            return
        elif what == "kill":
            self._machine.restart()
        elif what == "freeze":
            self._machine.thaw()
        elif what == "cut":
            for line in self._lines:
                line.heal()


def _ns(seconds: float) -> int:
    return round(max(0.0, seconds) * limits.SECOND)
