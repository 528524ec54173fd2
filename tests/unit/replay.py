"""Seeded stories of whole federations; run as a program, prints a digest of every decision."""

from __future__ import annotations

import hashlib
import random

from core_builders import rate
from federation import Federation, Site

from hanse import limits
from hanse.core.events import CancelItems, Grow, Seal, Submit, Tick
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec
from hanse.model.resources import Amount


def story(seed: int, steps: int = 300) -> Federation:
    """Jobs that need each other, on sites that work; messages are lost, repeated and overtaken,
    agents die, and in every third story the home does."""
    random_ = random.Random(seed)
    world = Federation()
    for n in range(1 + random_.randrange(6)):
        world.add_site(1 + n % 3)
    jobs = [JobId(f"job-{n}") for n in range(6)]
    for n, job in enumerate(jobs):
        _submit(world, random_, job, jobs[:n])
    world.sync()
    for _ in range(steps):
        _step(world, random_, home_dies=seed % 3 == 0)
    world.settle_down(rounds=2000)
    return world


def _submit(world: Federation, random_: random.Random, job: JobId, before: list[JobId]) -> None:
    needs = Amount(cpus_milli=1000, custom_milli={"a": 0, "b": 0})
    spec = JobSpec(
        name=job, needs=needs, retries=3, fail_fast=not before, weight=1 + len(before), durable=True
    )
    world.tell(Submit(job, spec, 200, False))
    if random_.randrange(2):  # sites that have left knew the job: long leases from the first
        mean_ns = random_.choice([1000, limits.MS, 40 * limits.MS])
        world.home.jobs[job].rates[SiteId("left")] = rate(mean_ns)
        world.home.jobs[job].seen = 1 << 20
    refs = [(other, random_.randrange(200)) for other in before]
    world.tell(Grow(job, 203, {200: refs, 202: [(job, 201), (job, 3)]}))
    world.tell(Seal(job))


def _step(world: Federation, random_: random.Random, *, home_dies: bool) -> None:
    """Mostly work, some faults."""
    site = random_.choice(list(world.sites.values()))
    lot = random_.randrange(60)
    match lot:
        case 0:
            world.sites[site.id] = site.restarted()
        case 1 if home_dies:
            world.restart_home()
        case 2:
            start = random_.randrange(200)
            world.tell(CancelItems(random_.choice(list(world.home.jobs)), start, start + 2))
        case 3:
            world.now_ns = max(world.now_ns, world.home.next_expiry_ns() or 0)
            world.tell(Tick())
        case 4 | 5 | 6:
            world.now_ns += random_.randrange(limits.SECOND)
            world.tell(Tick())
        case 7 | 8 | 9:
            world.sync(random_.choice([0, 1, 10, None]))
        case _ if lot < 30:
            for lease in list(site.running):
                _engine(world, site, lease, random_)
            world.report(site.id)
        case _ if lot < 33:
            world.talk(site.id)
        case _:
            _network(world, random_)


def _engine(world: Federation, site: Site, lease: LeaseId, random_: random.Random) -> None:
    """A lease comes along: some items run, some fail, results go out, orders are followed."""
    for _ in range(random_.choice([0, 1, 5, 100])):
        site.run_item(lease)
    if random_.randrange(8) == 0:
        site.fail_item(lease, random_.choice([Cause.RAISED, Cause.DIED, Cause.TIMEOUT]))
    if random_.randrange(2):
        most, item_ns = random_.choice([1, 7, 1000]), random_.choice([1000, 40 * limits.MS])
        site.flush(lease, most, item_ns, folded=random_.randrange(2) == 0)
    if random_.randrange(2):
        site.show_begun(lease)
    if random_.randrange(3):
        site.answer(lease, world.now_ns)
    if lease in site.running:
        site.end_if_done(lease, world.now_ns)
    if lease in site.running and random_.randrange(30) == 0:
        site.end(lease, world.now_ns, lost="the disk is full")


def _network(world: Federation, random_: random.Random) -> None:
    """Messages arrive, mostly in order; some are lost, some come twice, some much later."""
    for _ in range(min(len(world.bag), 1 + random_.randrange(4))):
        if not world.bag:
            return
        which = random_.choice([0, 0, 0, -1, random_.randrange(len(world.bag))])
        message = world.bag[which]
        fate = random_.randrange(10)
        if fate:
            world.bag.remove(message)
        if fate != 1:
            world.deliver(message)


def digest(seed: int) -> str:
    return hashlib.sha256("\n".join(story(seed).said).encode()).hexdigest()


if __name__ == "__main__":
    print(*(digest(seed) for seed in range(3)))
