"""When a job ends: right in the middle, and honest about the spread."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest
from core_builders import Town, cpus, rate
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.core.events import Describe, Hear, Submit
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.messages import Report, Running, SegmentNote
from hanse.core.place.estimate import Estimate, estimate, unknown
from hanse.core.place.rate import Spread
from hanse.core.why import explain
from hanse.core.words import durations
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.job import JobSpec

JOB, SITE = JobId("a"), SiteId("here")


# --- the spread -----------------------------------------------------------------------------------
@given(st.integers(1, 10**12), st.lists(st.integers(1, 100), min_size=2, max_size=50))
def test_items_that_are_all_alike_have_no_spread(mean: int, batches: list[int]) -> None:
    spread = Spread()
    for items in batches:
        spread.observe(items, items * mean)
    assert spread.mean_ns == pytest.approx(mean)
    assert spread.relative_variance < 1e-9


@pytest.mark.parametrize("size", [1, 7, 60])
def test_the_variance_of_one_item_is_found_whatever_the_batches(size: int) -> None:
    draw = random.Random(size)
    found = []
    for _ in range(200):
        spread = Spread()
        for _ in range(30):
            items = draw.randint(1, size)
            spread.observe(items, sum(int(draw.expovariate(1e-9)) for _ in range(items)))
        found.append(spread.relative_variance)
    assert sum(found) / len(found) == pytest.approx(1, rel=0.1)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**15)), min_size=1, max_size=40))
def test_a_spread_is_never_negative_nor_endless(batches: list[tuple[int, int]]) -> None:
    spread = Spread()
    for items, busy_ns in batches:
        spread.observe(items, max(items, busy_ns))
    assert 0 <= spread.relative_variance < 1e30
    assert spread.items > 0


# --- calibration ----------------------------------------------------------------------------------
class Farm:
    """A real home, a site whose slots take as long as the dice say, and no time in between."""

    def __init__(self, times: list[int], slots: int) -> None:
        self.home = Home()
        self.times, self.slots = times, slots
        self.now_ns = self.seq = self.orders_seen = 0
        self.notes_seen = 0
        self.running: dict[LeaseId, list[int]] = {}  # item that runs, stop
        self.ends: list[tuple[int, LeaseId]] = []
        self.done = 0
        self.home.handle(Submit(JOB, JobSpec(name="a"), len(times), True), 0)
        self.report([])

    def report(self, notes: list[SegmentNote]) -> None:
        from hanse.core.messages import EndNote, Note

        some: list[Note] = list(notes)
        for lease in [one for one, (at, stop) in self.running.items() if at >= stop]:
            del self.running[lease]
            some.append(EndNote(lease, 0, 0, ""))
        self.seq += 1
        free = cpus(self.slots - len(self.running))
        shown = [Running(lease, JOB, at, at, stop) for lease, (at, stop) in self.running.items()]
        first = self.notes_seen + 1
        self.notes_seen += len(some)
        said = Report(
            SITE, 1, self.seq, self.orders_seen, cpus(self.slots), free, first, some, shown
        )
        for orders in self.home.handle(Hear(said), self.now_ns).sends:
            self.orders_seen = orders.seq
            for grant in orders.grants:
                if grant.lease not in self.running:
                    self.running[grant.lease] = [grant.start, grant.stop]
                    self.begin(grant.lease)
            for cut in orders.cuts:
                if cut.lease in self.running:
                    at, stop = self.running[cut.lease]
                    self.running[cut.lease] = [at, min(stop, max(cut.stop, at + 1))]

    def begin(self, lease: LeaseId) -> None:
        at = self.running[lease][0]
        heapq.heappush(self.ends, (self.now_ns + self.times[at], lease))

    def step(self) -> None:
        """One item ends."""
        self.now_ns, lease = heapq.heappop(self.ends)
        at, stop = self.running[lease]
        self.running[lease][0] = at + 1
        self.done += 1
        if at + 1 < stop:
            self.begin(lease)
        self.report([SegmentNote(lease, JOB, at, at + 1, self.times[at], False)])

    def guesses(self) -> tuple[dict[int, Estimate], int]:
        """The estimates at 10, 50 and 90 % of the items, and the true end."""
        found = {}
        marks = {len(self.times) * share // 100: share for share in (10, 50, 90)}
        while self.ends:
            self.step()
            if self.done in marks:
                guess = estimate(self.home.jobs[JOB], self.home, self.now_ns)
                assert guess is not None
                found[marks[self.done]] = guess
        return found, self.now_ns


def exponential(draw: random.Random) -> int:
    return int(draw.expovariate(1 / limits.SECOND))


def lognormal(draw: random.Random) -> int:
    return int(draw.lognormvariate(0, 1) * limits.SECOND)


def mild(draw: random.Random) -> int:
    return int(draw.lognormvariate(0, 0.6) * limits.SECOND)


@pytest.mark.parametrize("kind", [exponential, lognormal, mild])
@pytest.mark.parametrize("slots", [1, 2, 8])
def test_the_interval_holds_the_true_end_in_about_four_cases_of_five(
    kind: Callable[[random.Random], int], slots: int
) -> None:
    held = {10: 0, 50: 0, 90: 0}
    seeds = 150
    for seed in range(seeds):
        draw = random.Random(1000 + seed)
        guesses, end = Farm([kind(draw) for _ in range(200)], slots).guesses()
        for share, guess in guesses.items():
            held[share] += guess.low_ns <= end <= guess.high_ns
    assert all(0.70 * seeds <= count <= 0.95 * seeds for count in held.values()), held


def test_items_that_are_nearly_alike_end_when_their_sum_says() -> None:
    draw = random.Random(1)
    times = [int(draw.uniform(0.95, 1.05) * limits.SECOND) for _ in range(400)]
    farm = Farm(times, 4)
    guesses, end = farm.guesses()
    guess = guesses[50]
    assert guess.low_ns <= end <= guess.high_ns
    assert abs(guess.end_ns - end) < 2 * limits.SECOND
    assert guess.high_ns - guess.low_ns < 10 * limits.SECOND


@given(
    st.integers(1, 10**7),
    st.integers(1, 10**13),
    st.integers(1, 64),
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 10**13)), max_size=20),
)
def test_the_expected_end_lies_in_its_interval_and_not_in_the_past(
    size: int, mean_ns: int, slots: int, batches: list[tuple[int, int]]
) -> None:
    town = Town()
    job = town.known("a", size, mean_ns)
    for items, busy_ns in batches:
        town.job(job).rates[SiteId("taught")].observe(items, busy_ns)
    town.place("x", slots)
    for after_s in (0, 1, 20):
        town.now_ns += after_s * limits.SECOND
        guess = estimate(town.job(job), town.home, town.now_ns)
        assert guess is not None
        assert town.now_ns <= guess.low_ns <= guess.end_ns <= guess.high_ns
        assert guess.items >= 1


# --- what cannot be said, and what is -------------------------------------------------------------
def reason(job: Job, home: Home) -> str | None:
    assert (estimate(job, home, 0) is None) == (unknown(job, home) is not None)
    return unknown(job, home)


def test_what_is_not_known_is_said_with_its_reason() -> None:
    town = Town()
    job = town.submit("a", 100, sealed=False)
    assert reason(town.job(job), town.home) == "further inputs may come"
    job = town.submit("b", 100)
    assert reason(town.job(job), town.home) == "no item has been timed yet"
    town.teach(job)
    assert reason(town.job(job), town.home) == "no site that can run it takes part"
    town.place("x", 2)
    assert reason(town.job(job), town.home) is None


def test_a_job_whose_total_is_known_has_an_end_before_all_inputs_came() -> None:
    town = Town()
    town.place("x", 1)
    job = town.submit("a", 10, sealed=False, total=1000)
    town.job(job).rates[SiteId("x")] = rate(limits.SECOND)
    guess = estimate(town.job(job), town.home, 0)
    assert guess is not None
    assert guess.items == 1000
    assert 999 * limits.SECOND < guess.end_ns < 1003 * limits.SECOND


def test_other_jobs_take_their_share_of_the_slots() -> None:
    town = Town()
    town.place("x", 4)
    job = town.known("a", 1000, limits.SECOND)
    alone = estimate(town.job(job), town.home, 0)
    town.known("b", 10_000, limits.SECOND, weight=3)
    shared = estimate(town.job(job), town.home, 0)
    assert alone is not None
    assert shared is not None
    assert (alone.slots, shared.slots) == (4, 1)
    assert shared.end_ns > 3 * alone.end_ns


def test_a_job_that_ends_earlier_leaves_its_slots() -> None:
    town = Town()
    town.place("x", 4)
    job = town.known("a", 1000, limits.SECOND)
    town.known("b", 500, limits.SECOND)
    guess = estimate(town.job(job), town.home, 0)
    assert guess is not None
    assert guess.slots == pytest.approx(4 * 1000 / 1500)
    assert guess.end_ns == pytest.approx(375 * limits.SECOND, rel=0.01)


def test_explain_says_when_it_ends_who_holds_the_slots_and_what_it_is_told() -> None:
    town = Town()
    for name in "ab":
        town.known(name, 3200, 450 * limits.MS)
    town.place("x", 2)
    waits = ["Its journal has not been written for 12 s: the disk is full."]
    lines = explain(town.home, JobId("a"), town.now_ns, waits)
    assert lines[1].startswith("About 24 min left (between ")
    assert "3,200 items at 0.45 s each (±" in lines[1]
    assert lines[1].endswith("on 1 slot.")
    assert lines[2:3] == waits
    assert any(line.startswith("Of 2 leases that run, ") for line in lines)
    assert not any("nan" in line or "inf" in line for line in lines)


def test_durations_are_told_in_the_unit_of_the_first() -> None:
    second = limits.SECOND
    assert durations(720 * second, 600 * second, 905 * second) == ["12 min", "10", "15"]
    assert durations(450 * limits.MS, 30 * limits.MS) == ["0.45 s", "0.03"]
    assert durations(90 * second) == ["90 s"]
    assert durations(5 * 3600 * second + 1800 * second) == ["5.5 h"]
    assert durations(1500) == ["1.5 us"]
    assert durations(0) == ["0.00 ns"]


@pytest.mark.parametrize(
    "offer", [Offer(allow=["others"]), Offer(tariff=Tariff(rented=True))], ids=["closed", "rented"]
)
def test_sites_that_are_for_other_jobs_do_not_end_it_sooner(offer: Offer) -> None:
    town = Town()
    town.tell(Describe(SiteId("b"), offer))
    town.place("a")
    town.place("b")
    job = town.known("j", 90, mean_ns=limits.SECOND)
    found = estimate(town.job(job), town.home, town.now_ns)
    assert found is not None
    assert found.slots == 1


# --- jobs with aims -------------------------------------------------------------------------------
def _asks(town: Town, aims: Aims) -> Estimate:
    """Of 90 items of a second, half of which are known."""
    job = town.known("j", 90, mean_ns=limits.SECOND, aims=aims)
    place = town.job(job).place
    assert place is not None
    for _ in range(50):
        place.work.observe(SiteId("a"), 1, limits.SECOND)
    place.look_ns = 0
    town.wait(0)
    found = estimate(town.job(job), town.home, town.now_ns)
    assert found is not None
    return found


def _north_and_south() -> Town:
    town = Town()
    for name, price in (("a", 1), ("b", 3)):
        tariff = Tariff(region=f"in-{name}", price_nano=price * NANO)
        town.tell(Describe(SiteId(name), Offer(tariff=tariff)))
        town.place(name)
    return town


def test_sites_that_a_job_may_not_use_do_not_end_it_sooner() -> None:
    both = _asks(_north_and_south(), Aims())
    one = _asks(_north_and_south(), Aims(regions=["in-a"]))
    assert (both.slots, one.slots) == (2, 1)
    assert one.end_ns == pytest.approx(2 * both.end_ns, rel=0.1)


@pytest.mark.parametrize("regions", [["in-b"], ["nowhere"]])
def test_a_job_that_runs_elsewhere_or_nowhere_takes_nothing(regions: list[str]) -> None:
    town = _north_and_south()
    alone = _asks(_north_and_south(), Aims(regions=["in-a"]))
    town.submit("other", 1000, aims=Aims(regions=regions))
    town.wait(0)
    found = _asks(town, Aims(regions=["in-a"]))
    assert (found.slots, found.end_ns) == (alone.slots, alone.end_ns)


def test_a_site_that_the_plan_leaves_out_does_not_end_a_job_sooner() -> None:
    found = _asks(_north_and_south(), Aims(objective="cheapest", deadline_ns=200 * limits.SECOND))
    assert found.slots == 1
    assert found.end_ns == pytest.approx(90 * limits.SECOND, rel=0.1)


def test_a_job_that_needs_more_sites_later_ends_at_its_deadline() -> None:
    deadline_ns = 80 * limits.SECOND
    found = _asks(_north_and_south(), Aims(objective="cheapest", deadline_ns=deadline_ns))
    assert found.low_ns < found.end_ns == deadline_ns <= found.high_ns


def test_a_deadline_that_no_site_can_keep_is_not_the_end() -> None:
    deadline_ns = 20 * limits.SECOND
    found = _asks(_north_and_south(), Aims(objective="cheapest", deadline_ns=deadline_ns))
    assert found.end_ns == pytest.approx(45 * limits.SECOND, rel=0.1)
