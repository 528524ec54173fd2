"""A model of an engine: each lease has a worker that works through its items, streams results,
stops where it is told to, and dies at times.

One event of the world serves a whole batch of items: what a worker finishes until it flushes. A
worker that dies takes with it what it has not streamed, and another runs that again.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Protocol

from hanse import limits
from hanse.core.messages import Grant
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Cause
from hanse.sim import work
from hanse.sim.plan import JobPlan
from hanse.sim.world import World


class Listener(Protocol):
    """What an engine says."""

    def segment(self, run: Run, start: int, stop: int, busy_ns: int) -> None: ...
    def failed(self, run: Run, item: int, cause: Cause, busy_ns: int) -> None: ...
    def cut(self, run: Run) -> None: ...
    def ended(self, run: Run, lost: str) -> None: ...


class Run:
    """A lease and its worker. `at` is the first item that is not reported; items `at` to
    `at + len(ends)` are the batch, and `ends` is when each of them is finished."""

    __slots__ = ("at", "born", "cancelled", "ends", "fate", "grant", "needs", "omit", "plan",
                 "since_ns", "stop", "turn")  # fmt: skip

    def __init__(self, grant: Grant, plan: JobPlan, now_ns: int) -> None:
        self.grant = grant
        self.plan = plan
        self.at = grant.start
        self.stop = grant.stop
        self.ends: list[int] = []
        self.since_ns = now_ns
        self.fate: Cause | None = None  # of the batch's last item
        self.born = grant.start  # the first item of the worker that lives
        self.needs = {  # items: those before them in the lease whose results they need
            item: [need for job, need in refs if job == plan.name and need >= grant.start]
            for item, refs in plan.waits
            if grant.start <= item < grant.stop
        }
        self.omit: set[int] = set()  # they failed already
        self.cancelled = False
        self.turn = 0  # events of earlier turns are void

    @property
    def lease(self) -> LeaseId:
        return self.grant.lease

    @property
    def job(self) -> JobId:
        return self.grant.job

    def lacks(self, item: int) -> bool:
        """Whether the worker does not have some result that it should have made itself."""
        return any(need < self.born or need in self.omit for need in self.needs.get(item, ()))

    def current(self, now_ns: int) -> int:
        """The item that runs, or comes next."""
        return self.at + bisect_right(self.ends, now_ns)


class Engine:
    """The workers of one site, for one home."""

    def __init__(
        self,
        world: World,
        seed: int,
        plans: Callable[[JobId], JobPlan],
        percent: Callable[[], int],
        frozen: Callable[[], bool],
        listener: Listener,
    ) -> None:
        self._world, self._seed, self._plans = world, seed, plans
        self._percent = percent  # time that items take now, in per cent of speed 100
        self._frozen = frozen  # nothing happens then; `shift` makes up for it
        self._listener = listener
        self.runs: dict[LeaseId, Run] = {}

    # --- the port -------------------------------------------------------------------------------
    def start(self, grant: Grant) -> Run:
        now_ns = self._world.now_ns
        run = self.runs[grant.lease] = Run(grant, self._plans(grant.job), now_ns)
        self._next_batch(run)
        return run

    def begun(self, lease: LeaseId) -> int:
        return self.runs[lease].current(self._world.now_ns)

    def cut(self, lease: LeaseId, stop: int) -> None:
        """End the lease at `stop`, or past the item that runs now."""
        run = self.runs.get(lease)
        if run is None or run.cancelled:
            return
        now_ns = self._world.now_ns
        stop = max(stop, min(run.current(now_ns) + 1, run.stop))
        if stop < run.stop:
            run.stop = stop
            if stop < run.at + len(run.ends):
                del run.ends[stop - run.at :]
                run.fate = None
                self._expect(run)
        self._listener.cut(run)

    def cancel(self, lease: LeaseId, grace_ns: int) -> None:
        run = self.runs.get(lease)
        if run is None or run.cancelled:
            return
        run.cancelled = True
        run.turn += 1
        self._world.after(grace_ns, self._end, run, run.turn, "")

    # --- trouble --------------------------------------------------------------------------------
    def kill_worker(self, run: Run) -> None:
        """The worker of this lease dies: the item that runs has failed."""
        item = run.current(self._world.now_ns)
        if run.cancelled or not run.at <= item < run.stop or item in run.omit:
            return
        self._died(run, item)
        self._next_batch(run)

    def lose(self, run: Run, why: str) -> None:
        """Give the lease up; what was not reported did not run."""
        if not run.cancelled:
            run.turn += 1
            self._end(run, run.turn, why)

    def shift(self, lost_ns: int) -> None:
        """All workers have stood still for so long."""
        now_ns = self._world.now_ns
        for run in self.runs.values():
            run.ends = [end + lost_ns if end > now_ns - lost_ns else end for end in run.ends]
            if run.cancelled:
                run.turn += 1
                self._world.after(0, self._end, run, run.turn, "")
            else:
                self._expect(run)

    def silence(self) -> None:
        """All processes are gone."""
        for run in self.runs.values():
            run.turn += 1
        self.runs.clear()

    # --- work -----------------------------------------------------------------------------------
    def _takes_ns(self, run: Run, item: int) -> int:
        """How long an item would take if it began now."""
        late = self._world.now_ns < self._world.calm_ns
        return work.item_ns(self._seed, run.plan, item, run.lease, late) * self._percent() // 100

    def _fate(self, run: Run, item: int, attempt: int) -> Cause | None:
        """What ends this attempt, or None."""
        if run.lacks(item):
            return Cause.DEPENDENCY
        return work.fate(self._seed, run.plan, item, attempt)

    def _next_batch(self, run: Run) -> None:
        """Decide what the worker does until it says something."""
        while run.at in run.omit:
            run.at += 1
        run.ends, run.fate = [], None
        run.since_ns = when = self._world.now_ns
        item = run.at
        flush_ns = when + (1 << 62 if run.plan.folded else limits.FLUSH_NS)
        while item < run.stop and when < flush_ns and item not in run.omit:
            when += self._takes_ns(run, item)
            run.ends.append(when)
            run.fate = self._fate(run, item, run.grant.attempts.get(item, 1))
            if run.fate is not None:
                break
            item += 1
        self._expect(run)

    def _expect(self, run: Run) -> None:
        run.turn += 1
        when = run.ends[-1] if run.ends else self._world.now_ns
        self._world.at(when, self._batch_done, run, run.turn)

    def _batch_done(self, run: Run, turn: int) -> None:
        if turn != run.turn or self._frozen():
            return
        last = run.at + len(run.ends) - 1
        if run.fate is Cause.DIED:
            self._died(run, last)
        else:
            self._report(run, last + (run.fate is None))
            if run.fate is not None:
                busy_ns = run.ends[-1] - (run.ends[-2] if len(run.ends) > 1 else run.since_ns)
                run.omit.add(last)
                self._listener.failed(run, last, run.fate, busy_ns)
                run.at = last + 1
        if run.turn == turn:
            if run.at >= run.stop:
                self._end(run, turn, "")
            else:
                self._next_batch(run)

    def _report(self, run: Run, stop: int) -> None:
        if stop > run.at:
            start, busy_ns = run.at, run.ends[stop - run.at - 1] - run.since_ns
            run.at = stop
            self._listener.segment(run, start, stop, busy_ns)

    def _died(self, run: Run, item: int) -> None:
        """What the worker had not streamed is gone with it."""
        done = item - run.at
        begun_ns = run.ends[done - 1] if done else run.since_ns
        run.omit.add(item)
        self._listener.failed(run, item, Cause.DIED, self._world.now_ns - begun_ns)
        run.born = run.at

    def _end(self, run: Run, turn: int, lost: str) -> None:
        if turn == run.turn and not self._frozen():
            run.turn += 1
            del self.runs[run.lease]
            self._listener.ended(run, lost)
