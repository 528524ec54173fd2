"""A client: submits its jobs, lets them grow, cancels, leaves and comes back, and remembers every
fact that it was told.

It speaks to its home by asking, over and over: each question carries the next step of the job's
script, and how many facts it knows; each answer brings the facts that follow. Questions and answers
may be lost, repeated and late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hanse import limits
from hanse.core.events import (
    CancelItems,
    CancelJob,
    Fact,
    Forget,
    Grow,
    JobEnded,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSubmitted,
    Seal,
    Submit,
)
from hanse.core.job import Job
from hanse.ids import JobId
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.resources import Amount
from hanse.sim.network import Direction
from hanse.sim.node import Alarm, Node
from hanse.sim.plan import JobPlan
from hanse.sim.world import World, require

Want = Submit | Grow | Seal | CancelJob | CancelItems | Forget | None

_ASK_NS = 700 * limits.MS


@dataclass(frozen=True)
class Ask:
    """Do this step, if it is not done yet; and what became of the job, behind `seen` facts?"""

    client: str
    job: JobId
    step: Want
    seen: int
    reply: Callable[[Answer], None]

    def wanted(self, job: Job | None, seen: bool) -> Want:
        """What the step comes to at a home that knows the job as this, or has seen it before."""
        step = self.step
        if isinstance(step, Submit):
            return None if seen else step
        if job is None:
            return None
        if isinstance(step, Grow):
            return step if step.size > job.size and not job.sealed else None
        if isinstance(step, Seal):
            return None if job.sealed else step
        return step


@dataclass(frozen=True)
class Answer:
    job: JobId
    seen: int
    facts: list[Fact]
    known: bool  # whether the home knows the job
    run: int  # of the home


def spec_of(plan: JobPlan) -> JobSpec:
    return JobSpec(
        name=plan.name,
        needs=Amount(cpus_milli=1000 * plan.cpus),
        retries=plan.retries,
        fail_fast=plan.fail_fast,
        weight=plan.weight,
        durable=plan.durable,
        aims=plan.aims,
    )


def steps_of(plan: JobPlan) -> list[Submit | Grow | Seal]:
    """How the job comes to be."""
    job, steps = JobId(plan.name), list[Submit | Grow | Seal]()
    if not plan.waits and len(plan.sizes) == 1 and not plan.pause_ns:
        return [Submit(job, spec_of(plan), plan.size, True, lies_of(plan, 0, plan.size))]
    steps.append(Submit(job, spec_of(plan), 0, False))
    before = 0
    for size in plan.sizes:
        waits = {
            item: [(JobId(other), needed) for other, needed in refs]
            for item, refs in plan.waits
            if before <= item < size
        }
        steps.append(Grow(job, size, waits, data=lies_of(plan, before, size)))
        before = size
    return [*steps, Seal(job)]


def lies_of(plan: JobPlan, start: int, stop: int) -> list[Lies]:
    """Where what these items read lies: every third run of them reads nothing."""
    found = []
    while plan.data and start < stop:
        last = min(stop, (start // plan.data + 1) * plan.data)
        place = start // plan.data % 3
        if place:
            region = ("north", "south")[place - 1]
            found.append(Lies(start, last, region, (last - start) * (start % 7) * 10**8))
        start = last
    return found


@dataclass
class Memory:
    """What a client knows of one of its jobs."""

    plan: JobPlan
    steps: list[Submit | Grow | Seal]
    facts: list[Fact] = field(default_factory=list)
    submitted: bool = False
    sealed: bool = False
    size: int = 0
    ended: bool = False
    lost: bool = False  # a crash took it, or its program did not resume it: the checkers say so
    forgotten: bool = False
    cancelling: bool = False
    next_ns: int = 0  # when the next step of growth may come, on the client's clock
    begun_ns: int = 0
    first_run: int = 0  # answers of earlier runs of the home are of another life of the job

    def take(self, fact: Fact) -> None:
        self.facts.append(fact)
        match fact:
            case JobSubmitted():
                self.submitted = True
            case JobGrown(_, size):
                self.size = size
            case JobSealed():
                self.sealed = True
            case JobResumed():
                self.ended = False
            case JobEnded():
                self.ended = True

    def step(self) -> Submit | Grow | Seal | None:
        """The first step that is not known to be done."""
        if not self.submitted:
            return self.steps[0]
        for step in self.steps[1:]:
            if isinstance(step, Grow) and step.size > self.size:
                return step
            if isinstance(step, Seal) and not self.sealed:
                return step
        return None


class ClientNode(Node):
    """The clients of one home: each job has its own script."""

    def __init__(self, world: World, name: str, ask: Callable[[Ask], None]) -> None:
        super().__init__(world, name)
        self._ask = ask
        self.line: Direction | None = None
        self.jobs: dict[JobId, Memory] = {}
        self._alarms: dict[JobId, Alarm] = {}

    def add(self, plan: JobPlan) -> None:
        job = JobId(plan.name)
        self.jobs[job] = Memory(plan, steps_of(plan), begun_ns=plan.at_ns)
        alarm = self._alarms[job] = Alarm(self, lambda: self._go_on(job))
        alarm.set(plan.at_ns)

    def leave(self) -> None:
        """Whatever is said to it meanwhile is lost."""
        self.die()

    def come_back(self) -> None:
        """Ask again, with all that it was told before."""
        if not self.up:
            self.up = True
            for job, alarm in self._alarms.items():
                alarm.set(max(self.clock.now_ns(), self.jobs[job].plan.at_ns))

    def bereave(self, run: int, durable_too: bool) -> None:
        """The home has lost its memory, and its disk if so: what it knew until `run` is gone."""
        for memory in self.jobs.values():
            if durable_too or not memory.plan.durable:
                memory.lost |= memory.submitted
                memory.first_run = run

    def _go_on(self, job: JobId) -> None:
        """Ask, and ask again later."""
        memory = self.jobs[job]
        if memory.lost or memory.forgotten:
            return
        self._alarms[job].set(self.clock.now_ns() + _ASK_NS)
        assert self.line is not None
        ask = Ask(self.name, job, self._wish(memory), len(memory.facts), self._told)
        self.line.send(lambda: self._ask(ask))

    def _wish(self, memory: Memory) -> Want:
        plan, job, now_ns = memory.plan, JobId(memory.plan.name), self.clock.now_ns()
        age_ns = now_ns - memory.begun_ns
        if memory.ended:
            return Forget(job) if plan.forget else None
        if plan.cancel_ns and age_ns > plan.cancel_ns and memory.submitted:
            memory.cancelling = True
            return CancelJob(job)
        if plan.drop and plan.drop[0] < age_ns < plan.drop[0] + 2 * _ASK_NS and memory.submitted:
            return CancelItems(job, plan.drop[1], plan.drop[2])
        if memory.submitted and now_ns < memory.next_ns:
            return None
        return memory.step()

    def _told(self, answer: Answer) -> None:
        self.run(lambda: self._hear(answer))

    def _hear(self, answer: Answer) -> None:
        memory = self.jobs[answer.job]
        if answer.run < memory.first_run or memory.lost:
            return
        if memory.plan.forget and memory.ended and not answer.known:
            memory.forgotten = True
            return
        kept = answer.known or not memory.submitted
        require(kept, "a home forgot a job of its own accord:", answer.job)
        fresh = answer.facts[len(memory.facts) - answer.seen :]
        known = memory.facts[answer.seen :]
        same = answer.facts[: len(known)]
        require(known[: len(same)] == same, "a client was told otherwise before:", answer.job)
        for fact in fresh:
            memory.take(fact)
            if isinstance(fact, JobGrown):
                memory.next_ns = self.clock.now_ns() + memory.plan.pause_ns
