"""Memory and queues: what a home keeps is bounded by what it has to do. Each bound is drawn from
the plan or from the watch's own book, so that a run of a minute can pass it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse import limits
from hanse.ids import SiteId
from hanse.sim.checks.book import most_leases
from hanse.sim.disk import BACKLOG
from hanse.sim.plan import JobPlan
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.sim.checks.watch import Watch
    from hanse.sim.home import HomeNode

_BACKLOG_SLACK = 1000  # facts that come of what is not a report, beyond the backlog


def facts_of(plan: JobPlan) -> int:
    """What a job may come to in one life: it is submitted or resumed, grows, is sealed, ends and is
    forgotten; each item succeeds or fails for good once, and fails before as often as it may."""
    return 4 + len(plan.sizes) + plan.size * (plan.retries + limits.MAX_CRASHES)


def check(watch: Watch, node: HomeNode) -> None:
    """After an event."""
    _check_facts(watch, node)
    _check_leases(watch, node)
    _check_unrecorded(node)
    for id, job in node.home.jobs.items():
        beside = sum(entry.beside for entry in watch.book.of_job(id))
        require(len(job.leases._beside) <= beside, "leases beside others:", id)
        require(job.seen <= watch.timed[id], "learnt from a note twice:", id, job.seen)


def _check_facts(watch: Watch, node: HomeNode) -> None:
    most = 0
    for id, account in watch.known.jobs.items():
        own = facts_of(watch.plans[id]) * account.lives
        require(account.facts <= own, "too many facts:", id, account.facts)
        age_ns = node.clock.now_ns() - account.begun_ns
        often = 2 * (node.runs + account.lives) + age_ns // limits.SPENT_LEAST_NS
        require(account.accounts <= often, "it says too often what it costs:", id, account.accounts)
        most += own + account.accounts
    waits = node.disk.backlog
    require(waits <= min(most, BACKLOG + _BACKLOG_SLACK), "too much waits for the disk:", waits)


def _check_leases(watch: Watch, node: HomeNode) -> None:
    for link in watch.truth.links:
        name = link.site.name
        count = len(watch.book.of_site(name))
        most = most_leases(link.site.plan.cpus, watch.book.is_short(name))
        require(count <= most, "too many leases are open:", link.site.name, count)


def _check_unrecorded(node: HomeNode) -> None:
    """What is to be acknowledged once it is on the disk: each word of a site at most once."""
    waiting = [(site.id, inc, notes) for _, site, inc, notes in node.home._unrecorded]
    require(len(set(waiting)) == len(waiting), "waits twice to be acknowledged:", waiting)


def check_rates(node: HomeNode, site: SiteId, leases: int) -> None:
    """A lease of the site has ended, of so many: its own pace is kept for so many jobs, beside a
    few of late."""
    rated = len(node.home.sites[site].rated)
    most = limits.RATES_KEPT + leases
    require(rated <= most, "the pace of too many jobs is kept:", site, rated)
