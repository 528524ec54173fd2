"""What a job would take and cost, said beforehand: nothing is submitted.

Each row is reckoned as for a job with these aims that was submitted now: see `reckoning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

from msgspec.structs import replace

from hanse.core.events import Timed
from hanse.core.fetched import Moved
from hanse.core.home import Home
from hanse.core.placement import NOT_YET
from hanse.core.reckoning import Question, Reckoned, question, reckon, sooner, sureness
from hanse.core.why import refusals
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import HOUR_NS, NANO, Aims
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.quote import Brought, Quote, Row, SiteShare, Sureness

_NAMED = 5  # jobs beside it


class _About(NamedTuple):
    """One row, before it is reckoned."""

    aims: Aims
    asked: Question
    why: dict[SiteId, str]  # sites that get nothing now
    unrented: dict[str, str] | None  # None: none could be rented


class Asked(NamedTuple):
    """What a quote rests on, as of one moment."""

    told: Quote  # without rows
    about: list[_About]


def quote(
    home: Home, spec: JobSpec, timed: Sequence[Timed], aims: Sequence[Aims], now_ns: int,
    of: JobId | None = None, data: Sequence[Lies] = (),
) -> Quote:  # fmt: skip
    """For a job of `spec.total` items of which these segments were timed, one row for each of these
    aims: objective, deadline and budget. Regions, data and kinds of sites are those of the spec.

    Args:
        of: the job that runs here and is asked about: what it holds is free to it.
        data: where what the items read lies, if they say it and it is not about a job.
    """
    return answer(ask(home, spec, timed, aims, now_ns, of, data))


def ask(
    home: Home, spec: JobSpec, timed: Sequence[Timed], aims: Sequence[Aims], now_ns: int,
    of: JobId | None = None, data: Sequence[Lies] = (),
) -> Asked:  # fmt: skip
    """What the home has to say to that. The answer may take a second, and needs no home."""
    told = Quote(items=spec.total or 0, timed=0, able=False)
    about: list[_About] = []
    for each in aims:
        whole = replace(
            spec.aims or Aims(), objective=each.objective, deadline_ns=each.deadline_ns,
            budget_nano=each.budget_nano,
        )  # fmt: skip
        with home.imagined(replace(spec, aims=whole), timed, now_ns, of, data) as job:
            assert job.place is not None
            asked = question(home, job, now_ns, about[0].asked.ahead if about else None)
            why = refusals(home, job, now_ns, of)
            unrented = None
            if each.deadline_ns is not None or each.budget_nano is not None:
                unrented = asked.rents.refused
            about.append(_About(each, asked, why, unrented))
            able = any(home.may_run(job, site) for site in home.sites.values())
            rivals = [name for one in job.place.beside.values() for name in one.rivals]
            mean, variance, count = job.place.work.moments()
        told = replace(told, able=told.able or able, beside=list(dict.fromkeys(rivals))[:_NAMED])
        if count:
            told = replace(told, timed=int(count), item_s=mean / SECOND,
                           spread=sqrt(variance) * mean / SECOND)  # fmt: skip
    return Asked(told, about)


def answer(to: Asked) -> Quote:
    refused: list[dict[str, str]] = []  # by row
    rows = []
    for aims, asked, why, _ in to.about:
        found = reckon(asked)
        used = {part[0].site for part in found.sites} if found is not None else ()
        reasons = _reasons(why, found)
        refused.append({str(site): words for site, words in reasons.items()
                        if site not in used and site in asked.fetched.regions})  # fmt: skip
        if found is not None and to.told.items:
            rows.append(_row(found, aims, sooner(asked, HOUR_NS, found)))
    unrented = [each.unrented for each in to.about if each.unrented is not None]
    return replace(to.told, rows=rows, refused=_by_all(refused), unrented=_by_all(unrented))


def _reasons(why: dict[SiteId, str], found: Reckoned | None) -> dict[SiteId, str]:
    """Why sites get nothing. What the plan does not need is left to others, if there is a plan."""
    if found is None:
        return {site: words for site, words in why.items() if words != NOT_YET}
    told = {
        site: "others do all of it for less, or sooner" if words == NOT_YET else words
        for site, words in why.items()
    }
    return {**told, **found.reasons}


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
            SiteShare(
                site=offer.site, slots=offer.slots, share=share, cost=cost / NANO,
                moved_bytes=round(moved.nbytes), moved_cost=moved.nano / NANO,
            )
            for offer, share, cost in found.sites
            for moved in [found.moved.get(offer.site, Moved(0.0, 0.0))]
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
