"""The least that one job on spot machines can cost, all of the trace known beforehand.

Dynamic programming over ticks; states are the zone, the kind of machine, how long it yet takes to
begin, and the progress. Of progress only what can have been made by then and still makes the
deadline is kept.
"""

from __future__ import annotations

import numpy as np
from placement.trace import Trace


def optimum(trace: Trace, work: int, deadline: int) -> float:
    """Of so many steps of work within so many steps. Infinite if nothing makes it."""
    return _Search(trace, work, deadline).run()


class _Search:
    def __init__(self, trace: Trace, work: int, deadline: int) -> None:
        self.trace, self.work, self.deadline = trace, work, deadline
        self.hours = trace.step_s / 3600
        names = sorted(set(trace.regions))
        self.region = np.array([names.index(name) for name in trace.regions])
        self.members = [np.flatnonzero(self.region == n) for n in range(len(names))]
        first = [int(members[0]) for members in self.members]
        self.egress = trace.egress[np.ix_(first, first)].astype(float)
        np.fill_diagonal(self.egress, np.inf)  # those of a region are told apart: they start sooner
        tick = trace.tick
        later = {0}
        for takes in (trace.restart, trace.far):
            while takes > tick:
                takes -= tick
                later.add(takes)
        self.starting = sorted(later)  # steps that a machine may need yet at the begin of a tick
        zones, states = len(trace.zones), len(self.starting)
        self.idle = np.full((len(names), work + 1), np.inf)  # by region: the save is there
        self.runs = np.full((2, states, zones, work + 1), np.inf)  # spot and sure
        self.best = np.inf

    def run(self) -> float:
        trace = self.trace
        for tick in range(min(len(trace.available), -(-self.deadline // trace.tick))):
            room = self.deadline - tick * trace.tick
            low, high = max(0, self.work - room), min(self.work, tick * trace.tick + 1)
            if low < high:
                self._tick(tick, room, low, high)
        return float(self.best)

    def _tick(self, tick: int, room: int, low: int, high: int) -> None:
        """Progress from `low` to before `high` goes on."""
        before = self.runs[..., low:high]
        zones = before.min(axis=(0, 1))
        here = np.array([zones[members].min(axis=0) for members in self.members])
        here = np.minimum(here, self.idle[:, low:high])
        near = here.copy()
        if low == 0:
            near[:, 0] = 0.0  # nothing was ever begun
        far = (here[:, None] + self.egress[:, :, None]).min(axis=0)
        after = np.full_like(self.runs[..., : self.work + 1], np.inf)
        for kind in (0, 1):
            price = (self.trace.sure if kind else self.trace.spot[tick]) * self.hours
            ups = np.isfinite(price) & (True if kind else self.trace.available[tick])
            picks = np.flatnonzero(ups)
            if not len(picks):
                continue
            for state, takes in enumerate(self.starting):
                self._go(after[kind], picks, price, before[kind, state, picks], takes, room, low)
            regions = self.region[picks]
            self._go(after[kind], picks, price, near[regions], self.trace.restart, room, low)
            self._go(after[kind], picks, price, far[regions], self.trace.far, room, low)
        self.idle[:, low:high] = here
        self.runs = after

    def _go(self, after: np.ndarray, picks: np.ndarray, price: np.ndarray, costs: np.ndarray,
            takes: int, room: int, low: int) -> None:  # fmt: skip
        """One tick on in these zones, from costs by progress; it begins to work after `takes`."""
        tick, work = self.trace.tick, self.work
        gain = max(0, tick - takes)
        state = self.starting.index(max(0, takes - tick))
        ends = max(0, work - gain - low)  # from there on the work is done within this tick
        if gain and ends < costs.shape[1]:
            used = takes + work - np.arange(low + ends, low + costs.shape[1])
            whole = costs[:, ends:] + price[picks, None] * used
            whole = whole[:, used <= room]
            if whole.size:
                self.best = min(self.best, float(whole.min()))
        goes = costs[:, :ends] if gain else costs
        begin = low + gain
        part = after[state, picks, begin : begin + goes.shape[1]]
        after[state, picks, begin : begin + goes.shape[1]] = np.minimum(
            part, goes + price[picks, None] * tick
        )
