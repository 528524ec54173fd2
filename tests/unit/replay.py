"""Run one seeded story of a federation and print a digest of every decision in it."""

from __future__ import annotations

import hashlib
import random

from federation import Federation

from hanse import limits
from hanse.core.events import CancelItems, Grow, Seal, Submit, Tick
from hanse.ids import JobId
from hanse.model.failure import Cause
from hanse.model.job import JobSpec
from hanse.model.resources import Amount


def story(seed: int, steps: int = 400) -> Federation:
    """Jobs that need each other on six sites; messages are lost, agents and the home die."""
    random_ = random.Random(seed)
    world = Federation()
    for n in range(6):
        world.add_site(1 + n % 3)
    jobs = [JobId(f"job-{n}") for n in range(8)]
    for n, job in enumerate(jobs):
        needs = Amount(cpus_milli=1000, custom_milli={"a": 0, "b": 0})
        spec = JobSpec(name=job, needs=needs, retries=2, fail_fast=n % 4 == 3, weight=1 + n % 3)
        world.tell(Submit(job, spec, 200, False))
        if n:
            refs = [(other, random_.randrange(200)) for other in jobs[:n]]
            world.tell(Grow(job, 203, {200: refs, 202: [(job, 201), (job, 3)]}))
        world.tell(Seal(job))
    for _ in range(steps):
        _step(world, random_)
    world.settle_down(rounds=2000)
    return world


def _step(world: Federation, random_: random.Random) -> None:
    site = random_.choice(list(world.sites.values()))
    match random_.randrange(40):
        case 0:
            world.sites[site.id] = site.restarted()
        case 1:
            world.restart_home()
        case 2 if world.bag:
            world.bag.pop(random_.randrange(len(world.bag)))
        case 3:
            start = random_.randrange(200)
            world.tell(CancelItems(random_.choice(list(world.home.jobs)), start, start + 2))
        case 4 | 5 | 6 | 7 if site.running:
            site.fail_item(random_.choice(list(site.running)), random_.choice(list(Cause)))
        case n if n < 20:
            for lease in list(site.running):
                world.work_off(site, lease)
            world.talk(site.id)
        case n if n < 30 and world.bag:
            world.deliver(world.bag.pop(random_.randrange(len(world.bag))))
        case _:
            world.now_ns += random_.randrange(limits.SECOND)
            world.tell(Tick())
            world.talk(site.id)


def digest(seed: int) -> str:
    return hashlib.sha256("\n".join(story(seed).said).encode()).hexdigest()


if __name__ == "__main__":
    print(digest(20250))
