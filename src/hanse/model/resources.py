"""What a site has and an item needs: cpus, gpus, memory and whatever a team names itself.

Counts are integers in thousandths ("milli"), memory is in bytes, so that sums are exact and equal
on every machine.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import msgspec

from hanse.errors import UsageError

SCRIPTS = "scripts"
"""What a node has a number of for scripts that mostly wait for jobs of their own: such a one takes
one of these and no core, so it can never hold the core that it waits for."""

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([A-Za-z]*)\s*")


def parse_bytes(size: int | str) -> int:
    """Read a size in bytes from a number or text such as `"512MiB"` or `"1.5 GB"`."""
    if isinstance(size, int) and not isinstance(size, bool):
        if size < 0:
            raise UsageError(f"a size cannot be negative: {size}")
        return size
    found = _SIZE.fullmatch(size) if isinstance(size, str) else None
    if found is None or found[2].upper() not in _UNITS:
        raise UsageError(f"{size!r} is not a size: write bytes, or text such as '512MiB' or '2GB'")
    unit = _UNITS[found[2].upper()]
    digits: str = found[1]
    whole, _, part = digits.partition(".")
    parts: int = 10 ** len(part)
    return int(whole) * unit + int(part or 0) * unit // parts


def format_bytes(size: int) -> str:
    """Write a size for people: `"512 MiB"`."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.4g} {name}"
    return f"{size} bytes"


def _milli(name: str, amount: float) -> int:
    if not isinstance(amount, (int, float)) or not 0 <= amount < math.inf:
        raise UsageError(f"{name} must be a number from 0 up, not {amount!r}")
    return round(amount * 1000)


class Amount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An amount of every resource. Users write `Resources`."""

    cpus_milli: int = 0
    gpus_milli: int = 0
    memory_bytes: int = 0
    custom_milli: dict[str, int] = {}

    def _all(self) -> dict[str, int]:
        return {
            "cpus": self.cpus_milli,
            "gpus": self.gpus_milli,
            "memory": self.memory_bytes,
            **self.custom_milli,
        }

    def each(self) -> list[int]:
        """All of its numbers."""
        return list(self._all().values())

    def resources(self) -> Resources:
        """As users write it."""
        return Resources(
            cpus=self.cpus_milli / 1000,
            gpus=self.gpus_milli / 1000,
            memory=self.memory_bytes,
            custom={name: amount / 1000 for name, amount in self.custom_milli.items()},
        )

    def plus(self, other: Amount, times: int = 1) -> Amount:
        if not self.custom_milli and not other.custom_milli:
            return Amount(
                cpus_milli=self.cpus_milli + other.cpus_milli * times,
                gpus_milli=self.gpus_milli + other.gpus_milli * times,
                memory_bytes=self.memory_bytes + other.memory_bytes * times,
            )
        custom = dict(self.custom_milli)
        for name, amount in other.custom_milli.items():
            custom[name] = custom.get(name, 0) + amount * times
        return Amount(
            cpus_milli=self.cpus_milli + other.cpus_milli * times,
            gpus_milli=self.gpus_milli + other.gpus_milli * times,
            memory_bytes=self.memory_bytes + other.memory_bytes * times,
            custom_milli=custom,
        )

    def minus(self, other: Amount, times: int = 1) -> Amount:
        return self.plus(other, -times)

    def fits(self, need: Amount) -> bool:
        """Whether `need` can be taken from this."""
        return (
            need.cpus_milli <= self.cpus_milli
            and need.gpus_milli <= self.gpus_milli
            and need.memory_bytes <= self.memory_bytes
            and (
                not need.custom_milli
                or all(n <= self.custom_milli.get(k, 0) for k, n in need.custom_milli.items())
            )
        )

    def fits_but_for_scripts(self, need: Amount) -> bool:
        """Whether nothing but other scripts stands in the way of `need`: to empty a site for it
        would help nobody, and hold up the very jobs that these scripts wait for."""
        if SCRIPTS not in need.custom_milli:
            return False
        others = {name: n for name, n in need.custom_milli.items() if name != SCRIPTS}
        return self.fits(msgspec.structs.replace(need, custom_milli=others))

    def times(self, need: Amount) -> int:
        """How often `need` fits into this. `need` asks for something."""
        if not need.gpus_milli and not need.memory_bytes and not need.custom_milli:
            return max(0, self.cpus_milli) // need.cpus_milli
        have = self._all()
        return min(max(0, have.get(k, 0)) // n for k, n in need._all().items() if n > 0)

    def share_milli(self, need: Amount) -> int:
        """The largest part of any resource here that `need` takes, in cpus of this site: what it
        counts in a fair share (dominant resource fairness: Ghodsi et al., NSDI 2011)."""
        cpus = self.cpus_milli or 1000
        if not need.gpus_milli and not need.memory_bytes and not need.custom_milli:
            return max(1, need.cpus_milli)
        have = self._all()
        parts = (n * cpus // have[k] for k, n in need._all().items() if n > 0 and have.get(k))
        return max(1, *parts, 0)

    def lacks(self, need: Amount) -> list[str]:
        """In words, what is missing for `need`: `["gpus: needs 1, has 0"]`."""
        have = self._all()
        return [
            f"{name}: needs {_show(name, n)}, has {_show(name, max(0, have.get(name, 0)))}"
            for name, n in need._all().items()
            if n > have.get(name, 0)
        ]


def _show(name: str, amount: int) -> str:
    return format_bytes(amount) if name == "memory" else f"{amount / 1000:g}"


ONE_CPU = Amount(cpus_milli=1000)


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """What one item needs while it runs, or what a machine offers.

    Args:
        cpus: cores, in steps of a thousandth.
        gpus: devices, in steps of a thousandth.
        memory: bytes, or text such as `"1GiB"`; for an item also the limit that it is held to.
        custom: anything else that is counted, by name: `{"licence": 1}`.

    Raises:
        UsageError: an amount is negative or no number, or there is nothing of anything.
    """

    cpus: float = 1
    gpus: float = 0
    memory: int | str = 0
    custom: Mapping[str, float] = {}

    def __post_init__(self) -> None:
        self.amount()

    def amount(self) -> Amount:
        """The same, counted exactly."""
        clash = {"cpus", "gpus", "memory"} & set(self.custom)
        if clash:
            raise UsageError(f"custom resources cannot be called {', '.join(sorted(clash))}")
        amount = Amount(
            cpus_milli=_milli("cpus", self.cpus),
            gpus_milli=_milli("gpus", self.gpus),
            memory_bytes=parse_bytes(self.memory),
            custom_milli={k: _milli(k, v) for k, v in sorted(self.custom.items())},
        )
        if not any(amount._all().values()):
            raise UsageError("an item that needs nothing would have no bound: give it cpus")
        return amount
