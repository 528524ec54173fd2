"""What must hold of a home after every event, in one function.

Tests call `check` after each step of every scenario. It reads everything and changes nothing, and
costs what the leases and ranges cost, so it may stay on for jobs of any size. Each rule is written
beside the fields that it is about, in `job.py`; here it is enforced.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hanse import limits
from hanse.core.job import ItemRef, Job
from hanse.core.lease import Lease
from hanse.model.ranges import RangeSet

if TYPE_CHECKING:
    from hanse.core.home import Home


def check(home: Home) -> None:
    """Assert every invariant of the home; the message names the culprit."""
    _check_indexes(home)
    awaited = _awaited(home)
    for job in home.jobs.values():
        _check_job(job)
        _check_waiting(job, awaited)
        if job.state.ended:
            _check_ended(job)
        else:
            _check_partition(job)
    for lease in home.leases.values():
        _check_lease(home, lease)
    for site in home.sites.values():
        assert site.notes_durable <= site.notes_seen, f"{site.id}: acknowledged what is not known"
        assert site.notes_durable == site.notes_seen or home._recorded < home._position, (
            f"{site.id}: all is recorded, and not acknowledged"
        )
    assert not home._gone.keys() & home._awaited.keys()
    assert len(home._awaited) <= limits.SITES_GONE
    for id in (*home._gone, *home._awaited):
        assert home.sites[id].withdrawn, f"{id} takes part, and would be forgotten"
        assert not home.sites[id].leases, f"{id} has left, and holds leases"
    _check_shapes(home)
    unsaid = (
        home._facts or home._dirty or home._strays or home._roomy or home._fresh or home._dropped
    )
    assert not unsaid, f"decided, and not said: {unsaid}"


def _check_indexes(home: Home) -> None:
    """By id, by job and by site, the leases are the same; what is filed belongs where it is."""
    by_job = {lease.id: lease for job in home.jobs.values() for lease in job.leases.values()}
    by_site = {lease.id: lease for site in home.sites.values() for lease in site.leases}
    assert by_job == home.leases, "leases by job and by id differ"
    assert by_site == home.leases, "leases by site and by id differ"
    for id, lease in home.leases.items():
        assert lease.id == id < home._next_lease, id
        assert lease in home.sites[lease.site].leases, f"lease {id} is filed under another site"
    for job in home.jobs.values():
        assert all(lease.job == job.id for lease in job.leases.values()), f"{job.id}: strangers"
        _check_placement(home, job)
        for lease in job.leases.values():
            found = (
                job.leases.over(lease.start, lease.stop) if lease.start < lease.stop else [lease]
            )
            assert lease in found, f"lease {lease.id} is not found by its items"
        running, leased = not job.state.ended, len(job.leases) > 0
        runnable = running and not job.withheld and bool(job.ready)
        assert (job.id in home._roomless) == (runnable and not leased), f"{job.id}: roomless"
        tail = running and leased and not job.ready
        assert (job.id in home._tails) == tail, f"{job.id}: tails"
        rates = job.rates.values()
        assert job.slots == sum(rate.slots for rate in rates), f"{job.id}: slots"
        assert job.power == sum(rate.power for rate in rates), f"{job.id}: power"
        if job.reserved is not None:
            assert home.sites[job.reserved].reserved == job.id, f"{job.id}: reserved"
    assert all(id in home.jobs for index in (home._roomless, home._tails) for id in index)


def _check_placement(home: Home, job: Job) -> None:
    """What is counted of a job with aims is what there is, and it holds no lease beside its plan
    but those that it held before."""
    place = job.place
    assert (place is not None) == (job.spec.aims is not None), f"{job.id}: placement"
    if place is None:
        return
    held = Counter(lease.site for lease in job.leases.values())
    assert place.held == dict(held), f"{job.id}: {place.held} counted, {held} held"
    assert place.purse.open.keys() == {lease.id for lease in job.leases.values()}, (
        f"{job.id}: purse"
    )
    assert all(nano >= 0 for nano in place.purse.spent.values()), f"{job.id}: spent"
    assert job.state.ended or job.id in home._placed, f"{job.id} is not looked at"


def _check_shapes(home: Home) -> None:
    """Jobs and sites are filed under the shapes that they belong to, and none idles in vain."""
    for job in home.jobs.values():
        shape = job.shape
        assert shape is not None, f"{job.id} has no shape"
        assert shape.needs == job.spec.needs, f"{job.id} is filed under other needs"
        runnable = bool(job.ready) and not job.state.ended and not job.withheld
        assert (job.id in shape.runnable) == runnable, f"{job.id}: runnable"
    for shape in home._shapes:
        assert (shape.key in home._runnable) == bool(shape.runnable), "shapes of runnable jobs"
        functions = Counter(job.spec.function for job in shape.runnable.values())
        assert shape.functions == functions, "functions of runnable jobs"
        best = min(shape.runnable.values(), key=lambda job: (job.vtime, job.id), default=None)
        assert shape.first() is best, "the first of a shape"
        sites = home.sites.values()
        for site in sites:
            kept = site.tariff.rented and shape.place is None
            able = not kept and site.lacks(shape.requires) is None
            assert shape.suits(site) == able, f"{site.id}: whether it can run such code"
        assert shape.idle.keys() | shape._unfit <= home.sites.keys(), "sites that nobody knows"
        slots = sum(s.capacity.times(shape.needs) for s in sites if shape.suits(s))
        assert shape.slots == slots, f"slots: {shape.slots} counted, {slots} there"
        for site in home.sites.values():
            fits = shape.fits(site)
            if site.restricted:
                runs = fits and shape.first_for(site) is not None
                assert site.silent(home._now_ns) or not runs, f"{site.id} idles in vain"
                fits = False
            silent = site.silent(home._now_ns)
            assert silent or (site.id in shape.idle) == fits, f"{site.id}: idle"
            assert silent or not (fits and shape.runnable), f"{site.id} idles in vain"


def _check_job(job: Job) -> None:
    for name in ("settled", "ready", "failed"):
        items: RangeSet = getattr(job, name)
        last, count = -1, 0
        for start, stop in items:
            assert last < start < stop, f"{job.id}: {name} from {start} to {stop}, after {last}"
            last, count = stop, count + stop - start
        assert last <= job.size, f"{job.id}: {name} up to {last} of {job.size}"
        assert count == len(items), f"{job.id}: {name} counts wrong"
    assert all(job.settled.covers(a, b) for a, b in job.failed), f"{job.id}: failed, not settled"
    for start, stop in job.withdrawn:
        assert not job.ready.within(start, stop)
        assert not job.settled.within(start, stop)
    for name in ("attempts", "crashes", "failed_under", "waiting", "linked", "dependents"):
        sparse: dict[int, object] = getattr(job, name)
        for item, value in sparse.items():
            assert 0 <= item < job.size, f"{job.id}: {name} of item {item}, which is not there"
            assert item not in job.settled, f"{job.id}: {name} of item {item}, which is settled"
            assert value, f"{job.id}: {name} of item {item} is empty"
    leased = sum(lease.stop - lease.begun for lease in job.leases.values())
    assert job.leased == leased, f"{job.id}: leased is {job.leased}, leases hold {leased}"
    assert job.vtime >= 0


def _check_partition(job: Job) -> None:
    """Every item of a running job is in exactly one of settled, ready, waiting, held."""
    assert not job.complete, f"{job.id} is complete and still running"
    held, first = RangeSet(), RangeSet()
    for lease in job.leases.values():
        for start, stop in job.open_under(lease):
            if lease.backup_of is None:
                twice = first.within(start, stop)
                assert not twice, f"{job.id}: {twice} under two leases, one of them {lease.id}"
                first.add(start, stop)
            held.add(start, stop)
    for name, items in (("settled", job.settled), ("held", held)):
        both = [span for a, b in job.ready for span in items.within(a, b)]
        assert not both, f"{job.id}: {both} ready and {name}"
    for item in job.waiting:
        assert item not in job.ready, f"{job.id}: {item} waits and is ready"
        assert item not in held, f"{job.id}: {item} waits and is held"
    for item in job.linked:
        assert item in held, f"{job.id}: {item} is linked and not held"
    known = len(job.settled) + len(job.ready) + len(job.waiting) + len(held)
    assert known == job.size, f"{job.id}: {job.size} items, {known} accounted for"


def _awaited(home: Home) -> Counter[ItemRef]:
    """How many results each item waits for, counted from the side of those results."""
    return Counter(
        ref for job in home.jobs.values() for refs in job.dependents.values() for ref in refs
    )


def _check_waiting(job: Job, awaited: Counter[ItemRef]) -> None:
    """What waits is awaited: an item never waits for a result that nobody will announce."""
    for item, count in [*job.waiting.items(), *job.linked.items()]:
        there = awaited[job.id, item]
        assert count == there, f"{job.id}: item {item} waits for {count} results, {there} will come"


def _check_ended(job: Job) -> None:
    left = job.ready or job.waiting or job.linked or job.dependents
    assert not left, f"{job.id} has ended, and still has {left}"
    assert all(lease.cancelled for lease in job.leases.values()), f"{job.id}: ended, still runs"
    assert not (job.forgotten and not job.leases), f"{job.id} should be forgotten"


def _check_lease(home: Home, lease: Lease) -> None:
    site, job = home.sites[lease.site], home.jobs[lease.job]
    assert 0 <= lease.start <= lease.begun <= lease.stop <= job.size, f"lease {lease.id}: bounds"
    assert lease.cut_to is None or lease.start <= lease.cut_to < lease.stop, (
        f"lease {lease.id}: cut"
    )
    assert lease.granted_seq <= site.orders_seq, f"lease {lease.id} is in no orders"
    original = home.leases.get(lease.backup_of) if lease.backup_of is not None else None
    if original is not None:
        assert original.site != lease.site, f"lease {lease.id}: a backup beside its original"
        assert lease.stop - lease.start <= 1, f"lease {lease.id}: a backup of more than one item"
