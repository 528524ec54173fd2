"""Which tails are cut, where, and what is worth a backup."""

from __future__ import annotations

from core_builders import rate
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.rate import Rate
from hanse.core.place.tail import Helper, best_backup, current_left_ns, cuts
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.job import JobSpec

HERE, THERE = SiteId("here"), SiteId("there")
JOB = JobId("a")

means = st.integers(1, 20 * limits.SECOND)
spots = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 60), st.integers(0, 70)), min_size=1, max_size=5
)


def lease(id: int, start: int, stop: int, begun: int = 0, begun_ns: int = 0) -> Lease:
    made = Lease(LeaseId(id), JOB, HERE, (start, stop), 0)
    made.begun, made.begun_ns = min(max(begun, start), stop), begun_ns
    return made


def job(*leases: Lease, size: int = 1000) -> Job:
    made = Job(JOB, JobSpec(name="a"), 0)
    made.grow(size, {})
    for each in leases:
        made.leases.add(each)
        made.ready.remove(each.start, each.stop)
    return made


@given(spots, means, means, st.integers(1, 64), st.integers(0, 60 * limits.SECOND))
def test_a_cut_is_behind_what_has_begun_and_before_the_end(
    where: list[tuple[int, int, int]], mean_ns: int, helper_ns: int, idle: int, now_ns: int
) -> None:
    leases = [
        lease(n, 100 * n + a, 100 * n + a + b, 100 * n + c) for n, (a, b, c) in enumerate(where)
    ]
    helpers = [Helper(THERE, idle, rate(helper_ns))]
    for late, stop in cuts(leases, {HERE: rate(mean_ns)}, helpers, now_ns):
        assert late.begun + 1 <= stop < late.stop


@given(spots, means, means, st.integers(1, 64))
def test_a_cut_is_expected_to_win_more_than_it_costs(
    where: list[tuple[int, int, int]], mean_ns: int, helper_ns: int, idle: int
) -> None:
    leases = [lease(n, 100 * n, 100 * n + b) for n, (_, b, _) in enumerate(where)]
    helper = rate(helper_ns)
    found = cuts(leases, {HERE: rate(mean_ns)}, [Helper(THERE, idle, helper)], 0)
    moved = sum(late.stop - stop for late, stop in found)
    theirs = helper.cost_ns + max(moved / idle, 1) * helper_ns if moved else 0
    for late, stop in found:
        before = (late.stop - late.begun) * mean_ns
        after = max((stop - late.begun) * mean_ns, theirs - len(found) * helper_ns)
        assert after <= before - limits.TAIL_MIN_GAIN_NS + 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(100, 1000))
def test_one_look_brings_work_to_all_who_idle(busy: int, idle: int, items: int) -> None:
    """Long leases of equal length, and idle sites: all end at about the same time."""
    leases = [lease(n, 1000 * n, 1000 * n + items) for n in range(busy)]
    known = rate(limits.SECOND)
    helpers = [Helper(SiteId(f"h{n}"), 1, known) for n in range(idle)]
    found = cuts(leases, {HERE: known}, helpers, 0)
    moved = sum(late.stop - stop for late, stop in found)
    share = busy * items / (busy + idle)
    assert len(found) == busy
    assert abs(moved / idle - share) <= 2 * busy / idle + 1
    assert all(abs(stop - late.start - share) <= 2 for late, stop in found)


def test_a_quick_helper_is_given_more_than_a_slow_one() -> None:
    one = lease(1, 0, 1000)
    stops = [
        cuts([one], {HERE: rate(limits.SECOND)}, [Helper(THERE, 1, rate(mean_ns))], 0)[0][1]
        for mean_ns in (limits.SECOND // 4, limits.SECOND, 4 * limits.SECOND)
    ]
    assert stops == sorted(stops)
    assert abs(stops[0] - 200) < 3
    assert abs(stops[2] - 800) < 3


@given(means, st.integers(2, 100))
def test_two_equal_slots_share_a_long_tail_in_halves(mean_ns: int, items: int) -> None:
    helpers = [Helper(THERE, 1, rate(mean_ns))]
    found = cuts([lease(1, 0, items)], {HERE: rate(mean_ns)}, helpers, 0)
    if not found:
        assert items <= 3 or items * mean_ns < 8 * limits.MS
    else:
        assert abs(found[0][1] - items / 2) <= 2 + limits.MS / mean_ns


def test_what_is_cut_or_cancelled_already_is_left_alone() -> None:
    cut, cancelled = lease(1, 0, 100), lease(2, 100, 200)
    cut.cut_to, cancelled.cancelled = 50, True
    known = rate(limits.SECOND)
    assert not cuts([cut, cancelled], {HERE: known}, [Helper(THERE, 1, known)], 0)


def test_the_item_that_runs_is_expected_to_take_its_mean_then_as_long_again() -> None:
    running = lease(1, 0, 10, begun_ns=100)
    assert current_left_ns(running, 50.0, 120) == 30
    assert current_left_ns(running, 50.0, 150) == 50
    assert current_left_ns(running, 50.0, 1100) == 1000


def backup(made: Job, site: SiteId = THERE, helper: Rate | None = None, now_s: int = 100) -> bool:
    mean = float(limits.SECOND)
    helper = rate(limits.SECOND) if helper is None else helper
    return best_backup(made, site, helper, mean, now_s * limits.SECOND) is not None


def test_a_late_last_item_is_worth_a_backup_elsewhere() -> None:
    assert backup(job(lease(1, 5, 6)))
    assert not backup(job(lease(1, 5, 6)), site=HERE)
    assert not backup(job(lease(1, 5, 6)), now_s=2)
    assert not backup(job(lease(1, 5, 6)), helper=rate(200 * limits.SECOND))


def test_an_item_that_others_may_still_take_over_is_not_backed_up() -> None:
    assert not backup(job(lease(1, 5, 9)))  # its tail can be cut
    assert not backup(job(lease(1, 5, 6, begun=6)))  # finished


def test_an_item_that_is_settled_or_given_back_is_not_backed_up() -> None:
    settled, given = job(lease(1, 5, 6)), lease(1, 5, 6)
    settled.settle(5, 6)
    given.given_back = {5: None}
    assert not backup(settled)
    assert not backup(job(given))


def test_nothing_is_backed_up_twice_and_no_backup_is() -> None:
    second = lease(2, 5, 6)
    second.backup_of = LeaseId(1)
    assert not backup(job(lease(1, 5, 6), second))


def test_backups_that_lost_stay_below_their_share() -> None:
    made = job(lease(1, 5, 6), size=100)
    made.backups = 100 // limits.BACKUP_SHARE
    assert not backup(made)


def test_a_backup_that_still_runs_counts_half() -> None:
    share = 100 // limits.BACKUP_SHARE
    runs = [lease(n, n, n + 1) for n in range(10, 10 + 2 * share)]
    for count in (2 * share - 1, 2 * share):
        backups = [lease(100 + n, n, n + 1) for n in range(10, 10 + count)]
        for run, second in zip(runs, backups, strict=False):
            second.backup_of = run.id
        made = job(lease(1, 5, 6), *runs[:count], *backups, size=100)
        made.backups = count
        assert bool(backup(made)) is (count < 2 * share)


def test_a_helper_counts_its_way() -> None:
    late, item = [lease(1, 0, 11)], rate(20 * limits.MS)
    assert cuts(late, {HERE: item}, [Helper(THERE, 1, item, 0)], 0)
    assert not cuts(late, {HERE: item}, [Helper(THERE, 1, item, 300 * limits.MS)], 0)


def test_what_is_far_away_is_cut_only_where_it_is_back_in_time() -> None:
    late, item = [lease(1, 0, 6)], rate(20 * limits.MS)
    helpers = [Helper(THERE, 4, item)]
    assert cuts(late, {HERE: item}, helpers, 0, {HERE: 10 * limits.MS})
    assert not cuts(late, {HERE: item}, helpers, 0, {HERE: 150 * limits.MS})
