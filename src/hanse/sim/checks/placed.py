"""What jobs ask of the places where they run, against what is granted and recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hanse.ids import SiteId
from hanse.model.aims import Tariff
from hanse.sim.checks.book import Entry
from hanse.sim.checks.ledger import Account
from hanse.sim.world import require

if TYPE_CHECKING:
    from hanse.core.job import Job
    from hanse.model.aims import Aims
    from hanse.sim.home import HomeNode


def check_grant(aims: Aims | None, account: Account, node: HomeNode, entry: Entry) -> None:
    """A lease that is granted is where its job may run, and not beyond what it may cost."""
    if aims is None:
        return
    tariff = node.tariff.get(SiteId(entry.site), Tariff())
    near = not aims.regions or tariff.region in aims.regions
    require(near, f"granted outside of {aims.regions}:", entry.lease, entry.site)
    require(aims.spot or not tariff.spot, "granted at a spot site:", entry.lease, entry.site)
    budget, spent = aims.budget_nano, sum(account.spent.values())
    require(budget is None or spent <= budget, "granted, and its budget is spent:", entry.lease)


def check_job(job: Job, account: Account) -> None:
    """What is known of its time and money is what the facts say."""
    require(job.since_ns == account.since_ns, "its deadline counts from elsewhere:", job.id)
    if job.place is not None and not job.state.ended:
        total, said = job.place.purse.total(), sum(account.spent.values())
        require(total >= said, "it has spent less than was recorded:", job.id, total, said)
