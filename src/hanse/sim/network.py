"""Lines between nodes: messages take a while, overtake each other, get lost and come twice.

Each direction of a line is cut or clogged by itself. A clogged direction holds what is sent, and
when it is healed all of it comes at once, in any order.
"""

from __future__ import annotations

from collections.abc import Callable

from hanse.sim.draws import Draws
from hanse.sim.plan import Line
from hanse.sim.world import World, require

_HELD = 1000  # messages in a clogged direction; what is sent beyond is lost
_IN_FLIGHT = 20_000


class Direction:
    """From one node to another."""

    def __init__(self, world: World, line: Line, draws: Draws, network: Network) -> None:
        self._world, self._line, self._draws, self._network = world, line, draws, network
        self.cut = False
        self.clogged = False
        self.storm = 0
        self._held: list[Callable[[], None]] = []

    def send(self, deliver: Callable[[], None]) -> None:
        if self.cut:
            return
        if self.clogged:
            if len(self._held) < _HELD:
                self._held.append(deliver)
            return
        calm = self._network.calm
        if not calm and self._draws.chance(self._line.loss + self.storm):
            return
        self._fly(deliver)
        if not calm and self._draws.chance(self._line.repeat + self.storm):
            self._fly(deliver)

    def _fly(self, deliver: Callable[[], None]) -> None:
        delay = self._line.delay_ns + self._draws.below(self._line.jitter_ns + 1)
        if not self._network.calm and self._draws.chance(20):
            delay *= 8  # a straggler
        self._network.in_flight += 1
        require(self._network.in_flight < self._network.most, "too many messages are on their way")
        self._world.after(delay, self._arrive, deliver)

    def _arrive(self, deliver: Callable[[], None]) -> None:
        self._network.in_flight -= 1
        if not self.cut:
            deliver()

    def heal(self) -> None:
        self.become(cut=False, clogged=False, storm=0)

    def become(self, cut: bool, clogged: bool, storm: int) -> None:
        self.cut, self.clogged, self.storm = cut, clogged, storm
        if clogged:
            return
        held, self._held = self._held, []
        for deliver in held:
            self._fly(deliver)


class Network:
    """All directions, made when they are first used."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._seed = world, seed
        self.calm = False  # nothing is lost or repeated any more
        self.most = _IN_FLIGHT  # messages on their way at a time; more are a mistake of somebody
        self.in_flight = 0
        self.directions: dict[str, Direction] = {}

    def open(self, source: str, target: str, line: Line) -> Direction:
        name = f"{source}>{target}"
        draws = Draws(self._seed, name)
        direction = self.directions[name] = Direction(self._world, line, draws, self)
        return direction
