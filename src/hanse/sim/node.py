"""What homes, sites and clients have in common: they are up or down, may stand still, and each has
a clock of its own that drifts and jumps."""

from __future__ import annotations

from collections.abc import Callable

from hanse.sim.world import World, require

_PPM = 1_000_000
_MISSED = 5000


class Clock:
    """A monotonic clock: it may run fast or slow and jump ahead, and never goes back."""

    def __init__(self, world: World, base_ns: int, drift_ppm: int) -> None:
        self._world = world
        self._base_ns = base_ns
        self._since_ns = world.now_ns
        self._speed = _PPM + drift_ppm

    def now_ns(self) -> int:
        return self._base_ns + (self._world.now_ns - self._since_ns) * self._speed // _PPM

    def world_ns(self, own_ns: int) -> int:
        """When, in the world's time, this clock will show `own_ns`."""
        return self._since_ns - (self._base_ns - own_ns) * _PPM // self._speed

    def change(self, jump_ns: int = 0, drift_ppm: int | None = None) -> None:
        self._base_ns = self.now_ns() + jump_ns
        self._since_ns = self._world.now_ns
        if drift_ppm is not None:
            self._speed = _PPM + drift_ppm


class Node:
    """Something that runs somewhere."""

    def __init__(self, world: World, name: str, base_ns: int = 0, drift_ppm: int = 0) -> None:
        self.world = world
        self.name = name
        self.drift_ppm = drift_ppm
        self.clock = Clock(world, base_ns, drift_ppm)
        self.up = True
        self.frozen = False
        self._frozen_ns = 0
        self._missed: list[Callable[[], None]] = []  # what came while it stood still
        self.alarms: list[Alarm] = []

    def run(self, action: Callable[[], None]) -> None:
        """Do this, or once the node moves again. What comes to a dead node is lost."""
        if self.frozen:
            self._missed.append(action)
            require(len(self._missed) <= _MISSED, "too much waits for a node that stands still")
        elif self.up:
            action()

    def freeze(self) -> None:
        if self.up and not self.frozen:
            self.frozen, self._frozen_ns = True, self.world.now_ns

    def thaw(self) -> None:
        if not self.frozen:
            return
        self.frozen = False
        self.thawed(self.world.now_ns - self._frozen_ns)
        missed, self._missed = self._missed, []
        for action in missed:
            self.run(action)

    def thawed(self, lost_ns: int) -> None:
        """It stood still for so long."""

    def die(self) -> None:
        """Forget whatever was to be done."""
        self.up = self.frozen = False
        self._missed.clear()
        for alarm in self.alarms:
            alarm.set(None)

    def change_clock(self, jump_ns: int = 0, drift_ppm: int | None = None) -> None:
        self.clock.change(jump_ns, drift_ppm)
        for alarm in self.alarms:
            alarm.set(alarm.due_ns)


class Alarm:
    """One thing to do at one moment of a node's own clock; set again, it forgets the old moment."""

    def __init__(self, node: Node, action: Callable[[], None]) -> None:
        self._node = node
        self._action = action
        self._set = 0
        self.due_ns: int | None = None
        node.alarms.append(self)

    def set(self, due_ns: int | None) -> None:
        self._set += 1
        self.due_ns = due_ns
        if due_ns is not None:
            node = self._node
            node.world.at(node.clock.world_ns(due_ns), self._ring, self._set)

    def _ring(self, which: int) -> None:
        if which == self._set:
            self._node.run(lambda: self._act(which))

    def _act(self, which: int) -> None:
        if which != self._set or self.due_ns is None:
            return
        if self._node.clock.now_ns() < self.due_ns:  # rounding
            self._node.world.after(1, self._ring, which)
            return
        self.due_ns = None
        self._action()
