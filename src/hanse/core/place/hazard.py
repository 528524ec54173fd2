"""How likely a spot machine is lost, by how long it has run.

A hazard that is constant within classes of age, each with a Gamma posterior: losses that were seen
over time that was watched. A machine that was given up, or still runs, counts with its time and no
loss, so nothing is thrown away (right-censored data). Classes double, because hazards of real spot
machines fall with age and where they do is not known beforehand (SkyNomad, 2026, predicts lifetimes
by survival analysis too).
"""

from __future__ import annotations

from hanse.core.place.exact import exp

_FIRST_NS = 600 * 1_000_000_000
CLASSES = 9
EDGES = (0, *(_FIRST_NS << n for n in range(CLASSES - 1)))
"""Ages at which the classes begin: 0, 10 min, 20 min, ... 21 h."""


class Hazard:
    """Of one pool of machines that are alike. Starts from a belief of `prior_losses` losses in
    `prior_ns` of watched time, which each class shares."""

    __slots__ = ("_losses", "_prior", "_watched")

    def __init__(self, prior_losses: float = 0.5, prior_ns: float = 8 * 3600e9) -> None:
        self._prior = prior_losses, prior_ns
        self._losses = [0.0] * CLASSES
        self._watched = [0.0] * CLASSES

    def observe(self, start_ns: int, stop_ns: int, lost: bool) -> None:
        """A machine was watched from one age to another, and lost there or not."""
        for n, low in enumerate(EDGES):
            high = EDGES[n + 1] if n + 1 < CLASSES else stop_ns + 1
            if start_ns < high and stop_ns > low:
                self._watched[n] += min(stop_ns, high) - max(start_ns, low)
        if lost:
            self._losses[_class_of(stop_ns)] += 1

    def rate(self, age_ns: int) -> float:
        """Losses per nanosecond at this age: the mean of the posterior. Each class leans on all of
        them together, as far as it has seen little itself."""
        losses, watched = self._prior
        whole = (sum(self._losses) + losses) / (sum(self._watched) + watched)
        n = _class_of(age_ns)
        lean_ns = 2 / whole  # the weight of two losses
        return (self._losses[n] + whole * lean_ns) / (self._watched[n] + lean_ns)

    def survival(self, age_ns: int, for_ns: int) -> float:
        """The chance that it lives so much longer."""
        return exp(-min(600.0, self.summed(age_ns, for_ns)))

    def summed(self, age_ns: int, for_ns: int) -> float:
        """Losses to be expected in that time, if each were followed by another life."""
        total, at, end = 0.0, age_ns, age_ns + for_ns
        while at < end:
            n = _class_of(at)
            high = EDGES[n + 1] if n + 1 < CLASSES else end
            total += self.rate(at) * (min(high, end) - at)
            at = min(high, end)
        return total

    def lasts_ns(self, age_ns: int, horizon_ns: int) -> float:
        """How long it is expected to run on, within the horizon."""
        total, alive, at, end = 0.0, 1.0, age_ns, age_ns + horizon_ns
        while at < end and alive > 1e-6:
            n = _class_of(at)
            high = min(end, EDGES[n + 1]) if n + 1 < CLASSES else end
            rate, span = self.rate(at), high - at
            stays = exp(-min(600.0, rate * span))
            total += alive * (1 - stays) / rate
            alive *= stays
            at = high
        return total


def _class_of(age_ns: int) -> int:
    n = 0
    while n + 1 < CLASSES and age_ns >= EDGES[n + 1]:
        n += 1
    return n
