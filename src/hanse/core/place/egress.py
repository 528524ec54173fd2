"""What it costs to carry bytes from region to region."""

from __future__ import annotations

from collections.abc import Mapping

from hanse.model.aims import NANO

GIGABYTE = 10**9


class Egress:
    """Prices for a gigabyte, by the pair of regions. Within a region nothing is charged."""

    def __init__(
        self, nano_per_gb: Mapping[tuple[str, str], int] | None = None, default: int = NANO // 50
    ) -> None:
        self._prices = dict(nano_per_gb or {})
        self._default = default  # between regions that are not listed

    def price(self, source: str, target: str) -> int:
        """Nano for a gigabyte."""
        if source == target:
            return 0
        return self._prices.get((source, target), self._default)

    def cost(self, source: str, target: str, size: int) -> int:
        """Nano for so many bytes."""
        return self.price(source, target) * size // GIGABYTE
