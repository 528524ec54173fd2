"""How much work the items of each chunk are, and how fast sites are, told apart.

A site that runs short items of one data set is not fast, and one that runs long items of another is
not slow. So the logarithm of a time is taken to be that of the chunk less that of the site's speed,
and both are fitted, a little at a time, to what was timed of each chunk at each site.
"""

from __future__ import annotations

from collections.abc import Mapping

from hanse.core.place.exact import exp, ln
from hanse.ids import SiteId

_ROUNDS = 8
_TOLD_VARIANCE = 0.005  # as in `work`: of the logarithm of a speed that a site tells of itself
_BLIND_VARIANCE = 0.5
_PRIOR_SPREAD = 2.0
_BELIEF = 0.5  # items' worth of belief that a chunk is like the others


class _Timed:
    __slots__ = ("batches", "busy", "items", "logs", "square_logs", "squares")

    def __init__(self) -> None:
        self.batches = self.items = 0
        self.busy = self.squares = self.logs = self.square_logs = 0.0


class Efforts:
    """Of one job."""

    __slots__ = ("_means", "_speeds", "_timed", "_usual", "_works")

    def __init__(self) -> None:
        self._timed: dict[tuple[int, SiteId], _Timed] = {}
        self._speeds: dict[SiteId, float] = {}
        self._means: dict[int, tuple[float, int]] = {}  # work and items that were timed, by chunk
        self._works: dict[int, float] = {}  # of one item of these chunks
        self._usual = 0.0  # of one of any other

    def observe(self, chunk: int, site: SiteId, items: int, busy_ns: int) -> None:
        timed = self._timed.get((chunk, site))
        if timed is None:
            timed = self._timed[chunk, site] = _Timed()
        busy = float(max(busy_ns, items))
        log = ln(busy / items)
        timed.batches += 1
        timed.items += items
        timed.busy += busy
        timed.squares += busy * busy / items
        timed.logs += log
        timed.square_logs += log * log

    def fit(self, told: Mapping[SiteId, float]) -> None:
        """Reckon anew. `told` are the speeds that sites tell of themselves, of those that do."""
        sites: dict[SiteId, list[tuple[int, int, float]]] = {}  # chunk, batches, logs
        for (chunk, site), timed in self._timed.items():
            sites.setdefault(site, []).append((chunk, timed.batches, timed.logs))
        batches_at = {site: sum(part[1] for part in parts) for site, parts in sites.items()}
        hints = {site: ln(told[site]) if told.get(site) else 0.0 for site in sites}
        logs = dict(hints)
        batches = sum(timed.batches for timed in self._timed.values())
        squares = sum(t.square_logs - t.logs * t.logs / t.batches for t in self._timed.values())
        within = (squares + 1.0) / max(1, batches - len(self._timed) + 1)
        for _ in range(_ROUNDS):
            levels = self._levels(logs)
            for site, parts in sites.items():
                prior = _TOLD_VARIANCE if told.get(site) else _BLIND_VARIANCE
                count = batches_at[site]
                faster = sum(levels[chunk] * many - sums for chunk, many, sums in parts)
                logs[site] = (faster * prior + hints[site] * within) / (count * prior + within)
        self._speeds = {site: exp(log) for site, log in logs.items()}
        self._means = self._sums()
        self._spread()

    def _spread(self) -> None:
        """Each chunk is taken to be a little like the others."""
        found = {chunk: ln(busy / items) for chunk, (busy, items) in self._means.items()}
        usual = sum(found.values()) / len(found) if found else 0.0
        self._usual = exp(usual) if found else 0.0
        self._works = {
            chunk: exp((log * items + usual * _BELIEF) / (items + _BELIEF))
            for chunk, log in found.items()
            for items in [self._means[chunk][1]]
        }

    def _levels(self, logs: Mapping[SiteId, float]) -> dict[int, float]:
        sums: dict[int, tuple[float, int]] = {}
        for (chunk, site), timed in self._timed.items():
            total, count = sums.get(chunk, (0.0, 0))
            more = timed.logs + logs[site] * timed.batches
            sums[chunk] = total + more, count + timed.batches
        return {chunk: total / count for chunk, (total, count) in sums.items()}

    def _sums(self) -> dict[int, tuple[float, int]]:
        sums: dict[int, tuple[float, int]] = {}
        for (chunk, site), timed in self._timed.items():
            busy, items = sums.get(chunk, (0.0, 0))
            sums[chunk] = busy + timed.busy * self._speeds[site], items + timed.items
        return sums

    def speed(self, site: SiteId) -> float | None:
        """None: nothing was timed there."""
        return self._speeds.get(site)

    def timed(self, chunk: int) -> int:
        """How many items of it were."""
        return self._means.get(chunk, (0.0, 0))[1]

    def variance(self) -> float:
        """Of one item among those of its chunk, relative to their mean."""
        seen = sum(max(0.0, t.squares - t.busy * t.busy / t.items) * (t.items / t.busy) ** 2
                   for t in self._timed.values())  # fmt: skip
        free = sum(timed.batches for timed in self._timed.values()) - len(self._timed)
        return (seen + _PRIOR_SPREAD) / (free + _PRIOR_SPREAD)

    def work(self, chunk: int) -> float:
        """Of one item, in nanoseconds at speed 1; 0 if nothing at all was timed."""
        return self._works.get(chunk, self._usual)
