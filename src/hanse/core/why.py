"""Why a job is where it is, in words and with numbers, from the same state that decisions use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hanse import limits
from hanse.core.deadlines import late, outlook
from hanse.core.home import Home
from hanse.core.job import Job
from hanse.core.lease import Lease
from hanse.core.place.choose import refusal
from hanse.core.place.data import Places
from hanse.core.place.estimate import Estimate, estimate, unknown
from hanse.core.place.near import Near
from hanse.core.placement import NOT_YET
from hanse.core.placing import RENTED, barred
from hanse.core.reckoning import expected
from hanse.core.site import Site
from hanse.core.words import duration, durations, money
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.account import Account, settled
from hanse.model.aims import NANO
from hanse.model.job import JobSpec
from hanse.model.resources import Amount, format_bytes

_SHORT = 4  # items in a row
_SHOWN = 8  # leases or jobs that are listed; the others are counted


def explain(home: Home, job_id: JobId, now_ns: int, waits: Sequence[str] = ()) -> list[str]:
    """What the job waits for: one line per reason, the most telling first.

    Args:
        home: where the job is.
        job_id: the job.
        now_ns: on the clock of the home.
        waits: sentences on what the job waits for outside of the home, such as its journal.
    """
    job = home.jobs.get(job_id)
    if job is None:
        return ["The job is not known here any more."]
    if job.state.ended:
        return [f"The job is {job.state}.", *bill(settled(job.paid, job.moved, job.late_ns))]
    end = estimate(job, home, now_ns)
    lines = [
        f"{job.done:,} of {_size(job)} items are done, {len(job.failed):,} failed, "
        f"{job.leased:,} are leased, {len(job.ready):,} are ready, {len(job.waiting):,} wait for "
        "results of other items.",
        in_words(end, now_ns)
        if end is not None
        else f"When it ends cannot be said: {unknown(job, home)}.",
        *_aims(home, job, end, now_ns),
        *waits,
        *_leases(home, job, now_ns),
    ]
    if job.withheld:
        lines.append("It waits for its sites to say what they still run since its home came back.")
    elif job.ready or job.place is not None:
        if home.sites and nowhere(home, job, now_ns):
            lines.append("No site takes it, and none will while this is so:")
        lines += _refusals(home, job, now_ns) + _rivals(home, job)
    if not job.sealed and not job.ready and not job.leases:
        lines.append("It waits for further inputs.")
    return lines


def in_words(found: Estimate, now_ns: int) -> str:
    """An estimate, in one sentence."""
    left, low, high = durations(
        found.end_ns - now_ns, found.low_ns - now_ns, found.high_ns - now_ns
    )
    each, spread = durations(found.mean_ns, found.deviation_ns)
    plural = "s" if found.items != 1 else ""
    slots = f"{found.slots:.1f}".removesuffix(".0")
    return (
        f"About {left} left (between {low} and {high}, four times out of five): {found.items:,} "
        f"item{plural} at {each} each (\N{PLUS-MINUS SIGN}{spread}) on {slots} "
        f"slot{'s' if slots != '1' else ''}."
    )


def costs(spent: Mapping[SiteId, int], final: bool) -> list[str]:
    """What it has cost, in nano by site; nothing if that is nothing."""
    total = sum(spent.values())
    if not total:
        return []
    parts = ", ".join(f"{money(nano)} at {site}" for site, nano in spent.items() if nano)
    return [f"It has cost {money(total)}{'' if final else ' so far'}: {parts}."]


def carried(moved: Mapping[SiteId, tuple[int, int]]) -> list[str]:
    """What came from other regions, by site; nothing if nothing did."""
    if not moved:
        return []
    parts = ", ".join(f"{format_bytes(nbytes)} to {site} for {money(nano)}"
                      for site, (nbytes, nano) in moved.items())  # fmt: skip
    return [f"Of that, bytes from other regions: {parts}."]


def bill(account: Account | None, final: bool = True) -> list[str]:
    """The same of a job that nobody runs, and whether it missed its deadline; `final`: it has
    ended."""
    if account is None:
        return []
    spent = {SiteId(site.site): round(site.spent * NANO) for site in account.sites}
    moved = {SiteId(site.site): (site.moved_bytes, round(site.moved_cost * NANO))
             for site in account.sites if site.moved_bytes}  # fmt: skip
    lines = costs(spent, final) + carried(moved)
    if final and account.late_s:
        lines.append(f"It has missed its deadline by {duration(int(account.late_s * SECOND))}.")
    return lines


def _aims(home: Home, job: Job, end: Estimate | None, now_ns: int) -> list[str]:
    """Of a job with aims: what it has cost and will, and what its plan is."""
    place = job.place
    if place is None:
        return []
    found, more = expected(home, job, now_ns)
    lines = costs(place.purse.by_site(now_ns), final=False) + carried(place.moved)
    if place.near is not None and job.data is not None:
        lines += _chunks(place.near, job.data)
    if place.aims.shared:
        size = format_bytes(place.aims.shared)
        lines.append(f"Its function brings {size} along, which each site fetches once.")
    if place.aims.budget_nano is not None:
        lines.append(f"Its budget is {money(place.aims.budget_nano)}.")
    if job.due_ns is not None:
        left = job.due_ns - now_ns
        told = outlook(left, late(job, end, found, now_ns))
        when = f"is in {duration(left)}" if left > 0 else f"was {duration(-left)} ago"
        lines.append(f"Its deadline {when}{f': {told}' if told else ''}.")
    lines += [f"Machines to rent: {each}." for each in place.renting]
    if place.plan is None or found is None or not (found.timed and found.cost):
        return lines
    parts = ", ".join(f"{money(nano)} at {site}" for site, nano in found.by_site().items())
    lines.append(
        f"About {money(found.cost)} more is expected, at most {money(found.cost_high)} in 19 of 20 "
        f"cases{': ' if parts else ''}{parts}"
        f"{'; all sites are used, as the deadline is near' if place.plan.hurry else ''}."
    )
    if more is not None:
        lines.append(f"To finish an hour earlier would cost {money(more)} more.")
    return lines


def _chunks(near: Near, data: Places) -> list[str]:
    """Where what its items read lies, and which of it may go where."""
    totals = data.totals()
    if not totals:
        return []
    regions: dict[str, tuple[int, int]] = {}
    for chunk, (items, nbytes) in totals.items():
        before = regions.get(data.regions[chunk], (0, 0))
        regions[data.regions[chunk]] = before[0] + items, before[1] + nbytes
    parts = ", ".join(f"{format_bytes(nbytes)} in {region} for {items:,} items"
                      for region, (items, nbytes) in regions.items())  # fmt: skip
    way = (
        "each site keeps to what is cheapest there"
        if near.strict
        else "every site takes what lies near it first, and then any other"
    )
    lines = [f"Its data: {parts}; {way}."]
    items = sum(count for count, _ in totals.values())
    if data.runs > limits.LOOK_AHEAD_SHORT and items < _SHORT * data.runs:
        lines.append(
            f"Where it lies changes after every {items / data.runs:.1f} items, and no lease holds "
            "more: sort the inputs by where their data lies if they are short."
        )
    return lines


def _leases(home: Home, job: Job, now_ns: int) -> list[str]:
    lines = [_lease(home, lease, now_ns) for lease in list(job.leases.values())[:_SHOWN]]
    more = len(job.leases) - _SHOWN
    return [*lines, f"{more:,} more leases run."] if more > 0 else lines


def _lease(home: Home, lease: Lease, now_ns: int) -> str:
    items, site = f"items {lease.begun:,} to {lease.stop:,}", home.sites.get(lease.site)
    since = f"{(now_ns - lease.begun_ns) / limits.SECOND:.1f} s"
    if site is not None and (waits := site.waits.get(lease.id)):
        return f"{lease.site} has had {items} for {since} and waits: {waits}."
    return f"{lease.site} runs {items}; the first of them for {since} at least."


def _rivals(home: Home, job: Job) -> list[str]:
    """Who holds what it could use: the other jobs, by leases and weight."""
    held = [other for other in home.jobs.values() if other.leases and other is not job]
    if not held:
        return []
    leases = sum(len(other.leases) for other in held) + len(job.leases)
    held.sort(key=lambda other: (-len(other.leases), other.id))
    some = [
        f"{other.spec.name} holds {len(other.leases):,} ({100 * len(other.leases) // leases} %, "
        f"weight {other.spec.weight})"
        for other in held[:_SHOWN]
    ]
    if len(held) > _SHOWN:
        some.append(f"{len(held) - _SHOWN:,} other jobs hold the rest")
    own = f"it holds {len(job.leases):,} itself (weight {job.spec.weight})"
    return [f"Of {leases:,} leases that run, {', '.join(some)}; {own}."]


def _size(job: Job) -> str:
    if job.sealed:
        return f"{job.size:,}"
    return f"{job.spec.total:,}" if job.spec.total is not None else f"{job.size:,} or more"


def _refusals(home: Home, job: Job, now_ns: int) -> list[str]:
    if not home.sites:
        return ["No site takes part."]
    found = refusals(home, job, now_ns)
    holds = dict.fromkeys(lease.site for lease in job.leases.values())
    lines = [
        f"{site} gets no {'further ' if site in holds else ''}lease of it: {why}."
        for site, why in found.items()
    ]
    full = [home.sites[site] for site in holds if site not in found]
    for site in full if job.ready else ():
        if (why := refusal(job, site.capacity, site.free)) is not None:
            lines.append(f"{site.id} gets no further lease of it: {why}.")
    return lines


def refusals(home: Home, job: Job, now_ns: int, of: JobId | None = None) -> dict[SiteId, str]:
    """The sites that get no lease of the job now, and why. Nothing of machines that are gone. `of`:
    the job that it is imagined in place of; a site that is kept for that one is kept for it."""
    found = {}
    holds = {lease.site for lease in job.leases.values()}
    asks = job.ready or job.place is None
    for site in home.sites.values():
        if site.gone:
            continue
        busy = asks and site.id not in holds  # with other jobs
        aims = None if job.place is None else job.place.why_not(site.id)
        if aims == NOT_YET:  # the plan is made of what is free
            aims = refusal(job, site.capacity, site.free) or aims
        reason = (
            _unfit(job.spec, site)
            or site.lacks(job.spec.requires)
            or (aims if not site.capacity.lacks(job.spec.needs) else None)
            or (refusal(job, site.capacity, site.free) if busy else None)
        )
        if site.leaving:
            reason = f"it {'was' if site.withdrawn else 'is being'} taken away: {site.leaving}"
        elif site.withdrawn:
            reason = _silence(site, now_ns)
        elif now_ns < site.resting_until_ns:
            reason = "it gave up one lease after the other, and rests for a while"
        elif site.silent(now_ns):
            reason = _silence(site, now_ns)
        elif site.reserved is not None and site.reserved not in (job.id, of):
            reason = (
                f"it is kept for {home.jobs[site.reserved].spec.name}, which needs much at once"
            )
        if reason is not None:
            found[site.id] = reason
    return found


def nowhere(home: Home, job: Job, now_ns: int) -> str:
    """Why nothing of the job runs, nor will while sites and offers of machines are as they are, in
    words; empty if something does, or will once there is room, or inputs, or a machine that is on
    its way."""
    if job.state.ended or job.withheld or job.leases or not job.ready:
        return ""
    if job.place is not None and job.place.waits:
        return ""
    reasons: list[str] = []
    more = 0
    for site in home.sites.values():
        if site.gone:
            continue
        why = _useless(job.spec, site, now_ns)
        if why is None:
            return ""
        if len(reasons) < _SHOWN:
            reasons.append(f"{site.id}: {why}")
        else:
            more += 1
    if job.place is not None:
        rents = home.rents(job, now_ns)
        if rents.held or (rents.kinds and not job.place.renting):
            return ""
        reasons += [f"machines to rent: {each}" for each in job.place.renting] or [
            f"{name}, which could be rented: {each}" for name, each in rents.refused.items()
        ]
    more += len(reasons[_SHOWN:])
    if more:
        reasons[_SHOWN:] = [f"and {more:,} more"]
    return f"no site takes it: {'; '.join(reasons)}" if reasons else "no site takes part"


def _useless(spec: JobSpec, site: Site, now_ns: int) -> str | None:
    """Why the site takes nothing of it, however much room it has; None if it may."""
    if site.silent(now_ns):
        return _silence(site, now_ns)
    return _never(spec, site) or (None if spec.aims is None else barred(spec.aims, site.tariff))


def _silence(site: Site, now_ns: int) -> str:
    if site.withdrawn:
        return "it takes part no more"
    if site.incarnation == 0:
        return "it has not spoken yet"
    return f"it has been silent for {duration(now_ns - site.heard_ns)}"


def _never(spec: JobSpec, site: Site) -> str | None:
    """Why a site that speaks cannot run an item of it; None if it can."""
    reason = _unfit(spec, site)
    if reason is None and not site.capacity.fits(spec.needs):
        lacks = ", ".join(site.capacity.lacks(spec.needs))
        reason = f"an item needs more than it offers: {lacks}"
    return reason


def unable(home: Home, spec: JobSpec) -> list[str]:
    """Why none of the sites can ever run an item of such a job, site by site; empty if one can, or
    if there is none yet."""
    reasons = []
    if spec.aims is not None and any(
        each.amount.fits(spec.needs) for each in home.rentals.values()
    ):
        return []  # it can be rented
    for site in home.sites.values():
        if site.withdrawn or (site.offer is not None and not site.offer.works):
            continue  # others may come
        if _unfit(spec, site) is None and site.capacity == Amount():
            return []  # it is silent, and may come back
        reason = _never(spec, site)
        if reason is None:
            return []
        reasons.append(f"{site.id}: {reason}")
    return reasons[:_SHOWN]


def _unfit(spec: JobSpec, site: Site) -> str | None:
    if site.offer is not None and site.tariff.rented and spec.aims is None:
        return RENTED
    if site.offer is not None and not site.offer.lets(spec.function):
        return "its owner lets other functions through only: " + ", ".join(site.offer.allow)
    return site.unfit(spec.requires)
