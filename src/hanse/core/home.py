"""Home: owns jobs. Grants leases, commits segments, ends jobs.

`handle(event, now_ns)` is the only way in and its `Decision` the only way out. An event first
changes what is known (a fact is applied the moment it is decided, by the same `apply` that recovery
uses), then every site with something free is served, then tails are looked at. What may not live
here: I/O, clocks, payloads, and the question where a lease goes or how long it is (`place/`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from hanse import limits
from hanse.core.events import (
    CancelItems,
    CancelJob,
    Decision,
    Describe,
    Event,
    Fact,
    Forget,
    Grow,
    Hear,
    JobGrown,
    JobResumed,
    JobSealed,
    JobSubmitted,
    Recorded,
    Resume,
    Seal,
    Shortfall,
    Submit,
    Tick,
    Withdraw,
)
from hanse.core.facts import apply
from hanse.core.job import ItemRef, Job
from hanse.core.noting import Noting
from hanse.core.purse import Purse
from hanse.core.site import Site
from hanse.core.words import of_budget
from hanse.ids import JobId, SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobState
from hanse.model.resources import Amount


class Home(Noting):
    """The scheduler of the jobs that were submitted here."""

    def __init__(self, first_lease: int = 1, sites: Iterable[SiteId] = ()) -> None:
        """`sites`: those that may still run leases of an earlier run, of which `first_lease` has
        to be above all numbers. Jobs that are resumed wait for them to speak, see `recover`."""
        super().__init__(first_lease)
        self._withheld: dict[JobId, Job] = {}  # of an earlier run: sites may still run them
        self._withheld_until_ns = -1  # set at the first event
        # Sites that are waited for, if known.
        self._unheard: dict[SiteId, None] | None = dict.fromkeys(sites)
        self._all_spoke = False

    def handle(self, event: Event, now_ns: int) -> Decision:
        """Take one event at one moment; say what to record, tell and send."""
        assert not self._facts
        assert not self._dirty
        self._now_ns = now_ns
        if self._withheld or self._unheard:
            self._see_whether_all_spoke(event)
        _HANDLERS[type(event)](self, event)
        if self._withheld and self._all_spoke:
            self._go_on()
        if self._placed:
            self._plan_all()
        self._grant_all()
        if self._placed:
            self._rescue_all()
            self._stop_broke()
            self._grant_all()
        if self._roomless:
            self._make_rooms()
        if self._placed:
            self._account_all()
        if self._tails and self._look_at_tails():
            self._grant_all()
        if type(event) is Hear:
            self._note_recorded(event.report.site)
        self._moved.clear()
        facts, self._facts = self._facts, []
        return Decision(facts, self._orders(), self._position)

    def _grant_all(self) -> None:
        while self._dropped:
            self._drop()
        self._serve()
        self._file_moved()

    def _stop_broke(self) -> None:
        """End jobs whose budget has no room for one more item, once nothing of them is out; and
        those whose items took longer than was reckoned, before they pass it."""
        for job in list(self._placed.values()):
            place = job.place
            assert place is not None
            budget = place.aims.budget_nano
            if (
                budget is None
                or job.state.ended
                or (job.leases and not place.spent_up(self._now_ns))
            ):
                continue
            if place.stopped and job.shape is not None:
                job.shape.idle.clear()  # nothing more is granted to it
            if place.stopped and (job.ready or job.leases):
                short = self._shortfall(job, place.purse, budget)
                self._release_failed(self._stop(job, JobState.FAILED, of_budget(short), short))

    def _shortfall(self, job: Job, purse: Purse, budget_nano: int) -> Shortfall:
        spent = purse.total() + purse.due(self._now_ns)
        known = max(job.size, job.spec.total or 0)
        return Shortfall(budget_nano, spent, job.done, known - len(job.settled))

    def next_expiry_ns(self) -> int | None:
        """When a `Tick` is due, if any lease runs or any job waits for sites to speak."""
        due = self._silence_expires_ns() if self.leases else None
        if self._withheld:
            return self._withheld_until_ns if due is None else min(due, self._withheld_until_ns)
        return due

    @classmethod
    def recover(
        cls, facts: Iterable[Fact], first_lease: int, sites: Iterable[SiteId] | None = None
    ) -> Home:
        """A home that knows what these facts say, in the order in which they were recorded.

        Leases are no facts: the agents that still run some show them in their reports, and they
        are taken back. So nothing of these jobs is granted before all `sites` have spoken, which
        are those that may run some of them; None: they are not known. Whoever has not spoken a
        report interval after the first event is waited for no longer. `first_lease` must be above
        every number that an earlier run has granted.
        """
        home = cls(first_lease)
        home._unheard = None if sites is None else dict.fromkeys(sites)
        for fact in facts:
            apply(home.jobs, fact)
        for job in home.jobs.values():
            job.recall()
            home._join(job, ())
            for start, stop in [(0, job.size)] if job.state.ended else job.failed:
                job.released(start, stop)  # whoever waited for these has failed with them
            job.withheld = home._unheard is None or bool(home._unheard)
            if job.withheld and not job.state.ended:
                home._withheld[job.id] = job
            home._refile(job)
        home._fresh.clear()  # there is no site yet
        home._file_moved()
        home._moved.clear()
        return home

    def _see_whether_all_spoke(self, event: Event) -> None:
        """Jobs of an earlier run go on once every site has said what it still runs of them."""
        if self._withheld_until_ns < 0:
            self._withheld_until_ns = self._now_ns + limits.REPORT_EVERY_NS
        if type(event) is Hear and self._unheard is not None:
            self._unheard.pop(event.report.site, None)
            self._all_spoke = not self._unheard
        if self._now_ns >= self._withheld_until_ns:
            self._all_spoke, self._unheard = True, {}

    def _go_on(self) -> None:
        """Nobody is waited for any longer."""
        withheld, self._withheld = self._withheld, {}
        for job in withheld.values():
            job.withheld = False
            if not job.state.ended:  # it may even be forgotten
                self._refile(job)

    # --- clients --------------------------------------------------------------------------------
    def _submit(self, event: Submit) -> None:
        assert event.job not in self.jobs
        self._decide(JobSubmitted(event.job, event.spec, self._now_ns))
        job = self.jobs[event.job]
        if event.size:
            lies = list(event.data)
            self._decide(JobGrown(job.id, event.size, {}, self._first_lease, lies))
        if event.sealed:
            self._decide(JobSealed(job.id))
        self._settled(job)

    def _resume(self, event: Resume) -> None:
        assert event.job not in self.jobs
        for fact in event.facts:
            assert fact.job == event.job
            apply(self.jobs, fact)
        self._decide(JobResumed(event.job, event.spec, event.again, self._now_ns))
        job = self.jobs[event.job]
        if job.place is not None:
            for site, items, busy_ns in event.timed:
                job.place.work.observe(site, items, busy_ns)
        if self._unheard and not self._all_spoke:
            job.withheld = True
            self._withheld[job.id] = job
        self._settled(job)

    def _grow(self, event: Grow) -> None:
        job = self._running(event.job)
        if job is None:
            return
        assert not job.sealed
        assert event.size >= job.size
        waits: dict[int, list[ItemRef]] = {}
        failed: list[tuple[int, ItemRef]] = []
        for item, needed in sorted(event.waits.items()):
            for ref in sorted(set(needed)):
                other = self.jobs.get(ref[0])
                if other is None or other.lost(ref[1]):
                    failed.append((item, ref))
                elif ref[1] not in other.settled:
                    waits.setdefault(item, []).append(ref)
        heard = job.data is None or not job.data.full
        lies = list(event.data) if heard else []
        self._decide(JobGrown(job.id, event.size, waits, self._first_lease, lies))
        for item in event.broken:
            self._fail(job, item, Cause.ARGUMENT, None)
        for item, ref in failed:
            self._fail(job, item, Cause.DEPENDENCY, None, ref)
        self._settled(job)

    def _seal(self, event: Seal) -> None:
        job = self._running(event.job)
        if job is not None and not job.sealed:
            self._decide(JobSealed(job.id, event.whole))
            self._settled(job)

    def _cancel_job(self, event: CancelJob) -> None:
        job = self._running(event.job)
        if job is not None:
            self._end(job, JobState.CANCELLED)

    def _cancel_items(self, event: CancelItems) -> None:
        job = self._running(event.job)
        if job is None:
            return
        free = job.ready.within(event.start, event.stop)
        free += [(i, i + 1) for i in sorted(job.waiting) if event.start <= i < event.stop]
        self._dropped += [(job, start, stop) for start, stop in free]
        for lease in job.leases.over(event.start, event.stop):
            first = max(event.start, lease.after(0))
            if first < min(event.stop, lease.stop) and not lease.cancelled:
                for a, b in job.settled.gaps(first, min(event.stop, lease.stop)):
                    job.withdrawn.add(a, b)
                self._cut(lease, first)

    def _forget(self, event: Forget) -> None:
        job = self.jobs.get(event.job)
        if job is not None and job.state.ended:
            job.forgotten = True
            self._forget_if_idle(job)

    # --- sites ----------------------------------------------------------------------------------
    def _hear(self, event: Hear) -> None:
        report = event.report
        site = self.sites.get(report.site) or self._new_site(report.site)
        if report.incarnation < site.incarnation:
            return
        if report.incarnation > site.incarnation:
            for lease in list(site.leases):
                self._close(lease)  # it died with the process that ran it
            if site.incarnation:
                self._site_down(site)
            site.restarted(report.incarnation)
        if report.seq <= site.report_seq:
            return
        site.report_seq = report.seq
        site.orders_seen = report.orders_seen
        site.orders_seq = max(site.orders_seq, report.orders_seen)  # an earlier home counted on
        site.heard_ns = self._now_ns
        site.withdrawn = False
        self._unfile_gone(site.id)
        if self._now_ns >= self._forgets_ns:
            self._forget_gone()
        if site.up_ns is None:
            self._site_up(site)
        self._time_trip(site, report)
        self._heard[site.id] = site
        self._heard.move_to_end(site.id)
        if report.leaving and not site.leaving:
            self._site_taken(site, report.leaving)
        if (report.building, report.failed) != (site.building, site.failed):
            news = {name: why for name, why in report.failed.items() if name not in site.failed}
            with self._told_anew(site):
                site.building, site.failed = report.building, report.failed
            self._give_up_on(news)
        self._take_notes(site, report)
        self._follow_running(site, report)
        self._take_free(site, report)
        busy = site.leases or report.running or site.look_ns < limits.REPORT_EVERY_NS
        if busy or site.owed or not report.notes:
            self._dirty[site.id] = site
        else:  # all that is to be said is that notes came: the next orders or report will do
            site.owed = True

    def _describe(self, event: Describe) -> None:
        """Its leases of jobs that it cannot run any more go on: the site itself ends what it
        must."""
        site = self.sites.get(event.site) or self._new_site(event.site)
        with self._told_anew(site):
            site.offer, site.tariff = event.offer, event.offer.tariff
        self._unfile_gone(site.id)  # it is about to speak
        self._look_soon()

    @contextmanager
    def _told_anew(self, site: Site) -> Iterator[None]:
        """What the site can run is told inside: what is counted by that is counted anew."""
        capacity, free = site.capacity, site.free
        self._set_room(site, Amount(), Amount())
        yield
        for shape in self._shapes:
            shape.meet(site)
        if site.restricted:
            self._restricted[site.id] = site
        else:
            self._restricted.pop(site.id, None)
        self._set_room(site, capacity, free)

    def _give_up_on(self, failed: Mapping[str, str]) -> None:
        """End the jobs whose environment cannot be built where they might run."""
        sites = [site for site in self.sites.values() if not site.silent(self._now_ns)]
        for job in [job for job in self.jobs.values() if job.spec.requires.environment in failed]:
            if not job.state.ended and not any(site.may_run(job.spec) for site in sites):
                why = failed[job.spec.requires.environment]
                self._release_failed(self._stop(job, JobState.FAILED, why))

    def _withdraw(self, event: Withdraw) -> None:
        if self._unheard is not None:
            self._unheard.pop(event.site, None)
        site = self.sites.get(event.site)
        if site is not None:
            self._heard.pop(site.id, None)
            site.withdrawn = True
            self._empty(site, lost=False)
            self._unfile_gone(site.id)
            self._gone[site.id] = self._now_ns
            self._forget_gone()

    def _tick(self, event: Tick) -> None:
        while (due := self._silence_expires_ns()) is not None and due <= self._now_ns:
            _, site = self._heard.popitem(last=False)
            self._empty(site)
        self._forget_gone()

    def _empty(self, site: Site, lost: bool = True) -> None:
        """It runs nothing any more, and counts for nothing until it speaks. Not `lost`: its owner
        has other plans with it."""
        for lease in list(site.leases):
            self._close(lease)
        if site.reserved is not None:
            self._unreserve(self.jobs[site.reserved])
        self._site_down(site, lost)
        self._set_room(site, Amount(), Amount())


_HANDLERS: Mapping[type, Callable[[Home, Any], None]] = {
    Submit: Home._submit,
    Resume: Home._resume,
    Grow: Home._grow,
    Seal: Home._seal,
    CancelJob: Home._cancel_job,
    CancelItems: Home._cancel_items,
    Forget: Home._forget,
    Hear: Home._hear,
    Describe: Home._describe,
    Withdraw: Home._withdraw,
    Recorded: Home._take_recorded,
    Tick: Home._tick,
}
