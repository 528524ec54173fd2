"""Works for which Ray finds no room: since when, and in words why. No wait is without a reason."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hanse import limits
from hanse.engines.local.execution import Execution
from hanse.engines.ray.messages import Machine
from hanse.ids import LeaseId
from hanse.model.resources import Amount

_SHOWN = 5  # machines


class Room:
    def __init__(self) -> None:
        self._since_ns: dict[LeaseId, int] = {}
        self._free: Mapping[str, Amount] = {}

    def heard(self, free: Mapping[str, Amount]) -> None:
        """What each machine has free, by its id, as Ray says."""
        self._free = free

    def waiting(self, executions: Iterable[Execution], now_ns: int) -> list[Execution]:
        """Those that wait now. Returns the ones that have for too long: others may do better."""
        self._since_ns = {
            each.lease: self._since_ns.get(each.lease, now_ns)
            for each in sorted(executions, key=lambda each: each.lease)
        }
        late = {
            lease
            for lease, since_ns in self._since_ns.items()
            if now_ns - since_ns > limits.RAY_ROOM_NS
        }
        return [each for each in executions if each.lease in late]

    def told(self, lease: LeaseId, now_ns: int) -> bool:
        """Whether it waits for so long that it is to be told."""
        return now_ns - self._since_ns.get(lease, now_ns) >= limits.RAY_ROOM_TOLD_NS

    def words(self, needs: Amount, machines: Sequence[Machine]) -> str:
        """What an item needs that no machine has free."""
        some = [
            f"{machine.host} ({', '.join(lacks)})"
            for machine in machines
            if not machine.draining
            and (lacks := self._free.get(machine.id, machine.offers).lacks(needs))
        ]
        if not some:
            return "Ray has room for it, and is about to begin it"
        more = f", and {len(some) - _SHOWN} more" if len(some) > _SHOWN else ""
        return f"Ray finds no room for an item of it on {', '.join(some[:_SHOWN])}{more}"
