"""Whether a body that is on its way comes on, or is only held open.

Its sender has some seconds to its credit. What passes while it is waited for is taken off, and what
comes adds what it may have taken at the least rate, but never above what there was at first: so
nobody sends much at once and then drips for hours, and a link that stands still for a moment has
lost nothing. Whatever it promises, it cannot take much longer than that at the least rate.
"""

from __future__ import annotations


class Pace:
    """Of one body.

    Args:
        grace_s: the most that there is to its credit, and what it begins with.
        rate: bytes a second that it may not stay below.
    """

    def __init__(self, grace_s: float, rate: float) -> None:
        self.rate = rate
        self._grace_s = self._credit_s = grace_s

    def waited(self, passed_s: float) -> None:
        """It was waited for so long."""
        self._credit_s -= passed_s

    def came(self, nbytes: int) -> None:
        """So much of it is here."""
        self._credit_s = min(self._grace_s, self._credit_s + nbytes / self.rate)

    def behind(self, waits_s: float) -> bool:
        """Whether it is too slow, when it has been waited for so long since something came."""
        return waits_s > self._credit_s
