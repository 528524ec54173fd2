"""What a job would take and cost, said beforehand: nothing is submitted.

Each row is reckoned as for a job with these aims that was submitted now: see `reckoning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

from msgspec.structs import replace

from hanse.core.events import Timed
from hanse.core.home import Home
from hanse.core.reckoning import Reckoned, reckon, sooner, sureness
from hanse.core.why import refusals
from hanse.ids import JobId
from hanse.limits import SECOND
from hanse.model.aims import HOUR_NS, NANO, Aims
from hanse.model.job import JobSpec
from hanse.model.quote import Brought, Quote, Row, SiteShare, Sureness


def quote(
    home: Home, spec: JobSpec, timed: Sequence[Timed], aims: Sequence[Aims], now_ns: int,
    of: JobId | None = None,
) -> Quote:  # fmt: skip
    """For a job of `spec.total` items of which these segments were timed, one row for each of these
    aims: objective, deadline and budget. Regions, data and kinds of sites are those of the spec.

    Args:
        of: the job that runs here and is asked about: what it holds is free to it.
    """
    told = Quote(items=spec.total or 0, timed=0, able=False)
    refused: list[dict[str, str]] = []  # by row
    unrented: list[dict[str, str]] = []  # by row that may have machines rented
    rows = []
    for each in aims:
        whole = replace(
            spec.aims or Aims(), objective=each.objective, deadline_ns=each.deadline_ns,
            budget_nano=each.budget_nano,
        )  # fmt: skip
        with home.imagined(replace(spec, aims=whole), timed, now_ns, of) as job:
            assert job.place is not None
            found = reckon(home, job, now_ns)
            used = {part[0].site for part in found.sites} if found is not None else ()
            able = any(home.may_run(job, site) for site in home.sites.values())
            why = refusals(home, job, now_ns)
            refused.append({str(site): words for site, words in why.items() if site not in used})
            if each.deadline_ns is not None or each.budget_nano is not None:
                rents = home.rents(job, now_ns).refused
                unrented.append({f"{name}, rented,": words for name, words in rents.items()})
            mean, variance, count = job.place.work.moments()
            if found is not None and spec.total:
                more = sooner(home, job, now_ns, HOUR_NS, found)
                rows.append(_row(found, each, more))
        told = replace(told, able=told.able or able)
        if count:
            told = replace(told, timed=int(count), item_s=mean / SECOND,
                           spread=sqrt(variance) * mean / SECOND)  # fmt: skip
    return replace(told, rows=rows, refused=_by_all(refused) | _by_all(unrented))


def unsettled(home: Home, asked_ns: int) -> bool:
    """Whether a site may have more free than it has said: it spoke last before this was asked, and
    said that it was busier than with what it is known to have. A job that has just ended is told
    of before its slots are."""
    for site in home.sites.values():
        if site.heard_ns >= asked_ns or site.silent(asked_ns):
            continue
        free = site.capacity
        for lease in site.leases:
            holder = home.jobs[lease.job]
            if not holder.state.ended:
                free = free.minus(holder.spec.needs)
        if not site.free.fits(free):
            return True
    return False


def _by_all(refused: Sequence[dict[str, str]]) -> dict[str, str]:
    """What no row has any use for, as the last has it."""
    last = refused[-1] if refused else {}
    return {name: why for name, why in last.items() if all(name in each for each in refused)}


def _row(found: Reckoned, aims: Aims, more: float | None) -> Row:
    def seconds(ns: float) -> float | None:
        return ns / SECOND if found.timed else None

    return Row(
        objective=aims.objective,
        deadline_s=None if aims.deadline_ns is None else aims.deadline_ns / SECOND,
        end_s=seconds(found.end_ns), end_high_s=seconds(found.end_high_ns),
        cost=found.cost / NANO, cost_high=found.cost_high / NANO,
        met=found.met, paid=_paid(aims, found),
        sites=[
            SiteShare(site=offer.site, slots=offer.slots, share=share, cost=cost / NANO)
            for offer, share, cost in found.sites
        ],
        machines=[
            Brought(
                offer=each.kind.rental.name, count=each.many, asked_s=each.at_ns / SECOND,
                up_s=each.up_ns / SECOND, share=share, cost=cost / NANO,
            )
            for each, share, cost in found.machines
        ],
        renting=found.renting, sooner=None if more is None else more / NANO,
    )  # fmt: skip


def _paid(aims: Aims, found: Reckoned) -> Sureness:
    if aims.budget_nano is None:
        return "sure"
    return sureness(found.cost, found.cost_high, aims.budget_nano) if found.timed else "unknown"
