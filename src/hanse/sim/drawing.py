"""From a seed to a plan: who is there, what work comes, and what goes wrong.

Every seed gets a temper first: some runs see one kind of trouble, some all of it, a few none, so
that each fault is also met alone. The span of a run is long enough for leases to expire in it.

A fault that meets an idle federation proves little. So most faults come while the home that they
hurt is expected to have work, and many are armed: they strike when their node is in the middle of
something. tests/sim/test_faults.py counts how many hit.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from hanse import limits
from hanse.model.aims import NANO, Aims, Tariff
from hanse.sim.draws import Draws
from hanse.sim.plan import Fault, HomePlan, JobPlan, Line, Plan, SitePlan, What

MS, SECOND = limits.MS, limits.SECOND

_LINES = (What.CUT, What.CLOG, What.STORM)
_SITE = (What.CRASH, What.FREEZE, What.SLOW, What.DEATH, What.LOSE, What.NOTICE)
_HOME = (
    What.CRASH,
    What.AT_COMMIT,
    What.AT_COMMIT,
    What.OLD_DISK,
    What.FULL_DISK,
    What.SLOW_DISK,
    What.FREEZE,
)
_CLOCK = (What.JUMP, What.DRIFT)
_NEVER_ARMED = (What.AT_COMMIT, What.AWAY)
_ARMED = 550  # of a thousand of the others
_GROWTH_NS = 700 * MS  # between two steps of a job's growth, at least: its client asks so often
_TEMPERS: tuple[tuple[What, ...], ...] = (
    (), _LINES, _SITE, _HOME, _CLOCK, _LINES + _SITE, _LINES + _HOME, _SITE + _HOME,
    _LINES + _SITE + _HOME + (What.AWAY,),
    _LINES + _SITE + _HOME + _CLOCK + (What.AWAY, What.NO_DISK),
    _LINES + _SITE + _HOME + _CLOCK + (What.AWAY,), (What.AWAY, What.CRASH, What.STORM),
    (What.CRASH,), (What.AT_COMMIT,), (What.CLOG,), (What.CUT,),
    (What.CRASH, What.OLD_DISK, What.SLOW_DISK), (What.OLD_DISK, What.FULL_DISK, What.CUT),
    (What.NOTICE, What.DEATH, What.LOSE), (What.FREEZE, What.SLOW), (What.NO_DISK, What.CLOG),
)  # fmt: skip


def draw(seed: int) -> Plan:
    """The plan of a seed: the same for ever, as long as this file is."""
    draws = Draws(seed, "plan")
    homes = [_home(draws, n) for n in range(1 + draws.chance(250) + draws.chance(100))]
    sites = [_site(draws, n) for n in range(draws.between(1, 5))]
    jobs: list[JobPlan] = []
    for n in range(draws.between(1, 8)):
        jobs.append(_job(draws, n, homes, jobs))
    calm_ns = draws.pick((5, 20, 60, 80)) * SECOND
    faults = _faults(draws, homes, sites, jobs, calm_ns)
    sites, jobs = _with_aims(seed, sites, jobs)
    return Plan(seed, homes, sites, jobs, faults, calm_ns)


def _with_aims(
    seed: int, sites: list[SitePlan], jobs: list[JobPlan]
) -> tuple[list[SitePlan], list[JobPlan]]:
    """In some runs sites have prices, and some jobs ask where they run. Drawn apart from all else,
    so the rest of a plan is what it would be without."""
    draws = Draws(seed, "aims")
    if not draws.chance(400):
        return sites, jobs
    regions = ("north", "south")
    sites = [
        msgspec.structs.replace(site, tariff=Tariff(
            region=draws.pick(regions), price_nano=draws.below(5) * NANO,
            spot=draws.chance(400), speed_milli=draws.pick((0, 10 * site.speed)),
        ))
        for site in sites
    ]  # fmt: skip
    placed = [
        job.replace(aims=_aims(seed, draws, job, sites)) if draws.chance(600) else job
        for job in jobs
    ]
    return sites, [_with_data(seed, job) for job in placed]


def _with_data(seed: int, job: JobPlan) -> JobPlan:
    """In some jobs with aims items say where what they read lies."""
    draws = Draws(seed, "data", job.name)
    if job.aims is None or not draws.chance(400):
        return job
    aims = msgspec.structs.replace(job.aims, follows=True)
    return job.replace(aims=aims, data=draws.pick((1, 3, 20, 1000)))


def _aims(seed: int, draws: Draws, job: JobPlan, sites: list[SitePlan]) -> Aims:
    """Such that some site can always run the job."""
    able = [s.tariff for s in sites if s.tariff is not None and s.cpus >= job.cpus]
    regions = list(dict.fromkeys(tariff.region for tariff in able))
    sure = any(not tariff.spot for tariff in able)
    deadline = draws.pick((None, 2 * SECOND, 20 * SECOND, 200 * SECOND))
    allowed = draws.pick(([], regions, regions[:1]))
    money = Draws(seed, "budget", job.name)  # what an hour of a slot may cost, for some seconds
    short = Draws(seed, "budget").chance(300) and money.chance(500)
    budget = NANO * money.between(4, 30) // 3600 if short else None
    return Aims(
        objective=draws.pick(("cheapest", "fastest")), deadline_ns=deadline, regions=allowed,
        spot=len(allowed) == 1 or not sure or draws.chance(500), budget_nano=budget,
    )  # fmt: skip


def _line(draws: Draws) -> Line:
    delay_ns = draws.pick((MS // 5, 2 * MS, 20 * MS, 100 * MS))
    bad = draws.chance(400)
    loss, repeat = (draws.below(200), draws.below(150)) if bad else (0, 0)
    return Line(delay_ns, draws.pick((0, delay_ns, 4 * delay_ns)), loss, repeat)


def _home(draws: Draws, n: int) -> HomePlan:
    return HomePlan(
        name=f"home{n}",
        line=_line(draws),
        sync_ns=draws.pick((MS // 10, 3 * MS, 60 * MS)),
        embedded=draws.chance(250),
        drift_ppm=draws.between(-200, 200),
        clock_ns=draws.below(1000 * SECOND),
    )


def _site(draws: Draws, n: int) -> SitePlan:
    return SitePlan(
        name=f"site{n}",
        cpus=draws.between(1, 3) if n else draws.between(2, 3),
        speed=draws.pick((25, 50, 100, 100, 200)),
        drift_ppm=draws.between(-200, 200),
        clock_ns=draws.below(1000 * SECOND),
    )


def _job(draws: Draws, n: int, homes: list[HomePlan], before: list[JobPlan]) -> JobPlan:
    home = draws.pick(homes)
    size = draws.scale(4, 400) if draws.chance(900) else draws.between(0, 2)
    durable = draws.chance(800)
    steps = draws.between(2, 4) if draws.chance(350) else 1
    sizes = sorted({*(draws.between(0, size) for _ in range(steps - 1)), size})
    waits = []
    if not home.embedded and draws.chance(350):
        waits = _waits(draws, f"job{n}", size, home.name, durable, before)
    folded = not waits and draws.chance(500)
    return JobPlan(
        name=f"job{n}",
        number=n,
        home=home.name,
        at_ns=draws.pick((0, 0, draws.below(8 * SECOND), draws.below(40 * SECOND))),
        sizes=sizes,
        pause_ns=draws.pick((0, 0, 300 * MS, 3 * SECOND)),
        item_ns=draws.scale(2 * MS, 1600 * MS) if draws.chance(900) else 4 * SECOND,
        spread=draws.below(3),
        cpus=2 if draws.chance(200) else 1,
        retries=draws.below(3),
        fail_fast=draws.chance(400),
        weight=draws.between(1, 3),
        durable=durable,
        folded=folded,
        failing=draws.pick((0, 0, 50, 300)),
        deadly=draws.pick((0, 0, 0, 20)),
        waits=waits,
        cancel_ns=draws.scale(20 * MS, 10 * SECOND) if draws.chance(150) else 0,
        drop=_drop(draws, size) if draws.chance(200) else None,
        forget=not home.embedded and draws.chance(300),
    )


def _drop(draws: Draws, size: int) -> tuple[int, int, int]:
    start = draws.between(0, size)
    return draws.scale(20 * MS, 5 * SECOND), start, draws.between(start, size + 1)


def _waits(
    draws: Draws, name: str, size: int, home: str, durable: bool, before: list[JobPlan]
) -> list[tuple[int, list[tuple[str, int]]]]:
    """Items that need results of earlier items, here or in other jobs of the same kind."""
    others = [
        job for job in before if job.home == home and job.durable == durable and not job.forget
    ]
    waits = []
    for item in range(size):
        if not draws.chance(150):
            continue
        refs: list[tuple[str, int]] = []
        for _ in range(draws.between(1, 3)):
            if others and draws.chance(500):
                other = draws.pick(others)
                if other.size and other.at_ns == 0:
                    refs.append((other.name, draws.below(other.size)))
            elif item:
                any_item = draws.below(item)
                # One just before it may be in the same lease.
                refs.append((name, any_item if any_item % 2 else item - 1 - any_item % 3 // 2))
        if refs:
            waits.append((item, sorted(set(refs))))
    return waits


# --- when there is work -------------------------------------------------------------------------
class Span(NamedTuple):
    start_ns: int
    stop_ns: int
    home: str


def _spans(home: HomePlan, sites: list[SitePlan], jobs: list[JobPlan], calm_ns: int) -> list[Span]:
    """When the home is expected to have something to do before all is calm: its jobs one after the
    other on all the speed there is, and what nobody can hasten: growing, and a few words."""
    power = sum(site.cpus * site.speed for site in sites)
    words_ns = 2 * (home.line.delay_ns + home.line.jitter_ns) + home.sync_ns
    spans = []
    free_ns = 0
    for job in sorted(jobs, key=lambda job: job.at_ns):
        if job.home != home.name or not job.size or job.at_ns >= calm_ns:
            continue
        growing_ns = (len(job.sizes) - 1) * (job.pause_ns + _GROWTH_NS)
        start_ns = max(free_ns, job.at_ns + words_ns + bool(growing_ns) * _GROWTH_NS)
        free_ns = start_ns + job.size * job.item_ns * job.cpus * 100 // power + words_ns
        end_ns = min(calm_ns, max(free_ns, job.at_ns + growing_ns + job.item_ns))
        if start_ns < end_ns:
            spans.append(Span(start_ns, end_ns, home.name))
    return spans


def _moment(draws: Draws, spans: list[Span], calm_ns: int) -> tuple[int, str]:
    """When, and to which home: mostly within the spans, each moment as likely as any other; else
    at any time."""
    home = draws.pick(spans).home
    at_ns = draws.below(sum(span.stop_ns - span.start_ns for span in spans))
    if draws.chance(150):
        return draws.below(calm_ns), home
    for span in spans:
        length_ns = span.stop_ns - span.start_ns
        if at_ns < length_ns:
            return span.start_ns + at_ns, span.home
        at_ns -= length_ns
    raise AssertionError("a moment behind the last span")


# --- faults -------------------------------------------------------------------------------------
def _faults(
    draws: Draws,
    homes: list[HomePlan],
    sites: list[SitePlan],
    jobs: list[JobPlan],
    calm_ns: int,
) -> list[Fault]:
    temper = draws.pick(_TEMPERS)
    if not temper:
        return []
    spans = [span for home in homes for span in _spans(home, sites, jobs, calm_ns)]
    spans = spans or [Span(0, calm_ns, home.name) for home in homes]
    faults = []
    for _ in range(draws.between(1, 24)):
        at_ns, home = _moment(draws, spans, calm_ns)
        faults += _fault(draws, draws.pick(temper), home, sites, at_ns)
    return sorted(faults, key=lambda fault: (fault.at_ns, fault.what, fault.who))


def _fault(draws: Draws, what: What, home: str, sites: list[SitePlan], at_ns: int) -> list[Fault]:
    for_ns = draws.scale(5 * MS, 20 * SECOND)
    if draws.chance(120):  # longer than leases live
        for_ns = draws.between(31, 60) * SECOND
    site = draws.pick(sites).name
    on_site = what in _SITE and (what not in _HOME or draws.chance(700))
    who, amount = site if on_site else home, 0
    match what:
        case What.CUT | What.CLOG | What.STORM:
            lines = [f"{other.name}>{home}" for other in sites if other.name != site]
            armed = draws.chance(_ARMED)
            return _on_lines(draws, Fault(at_ns, what, "", for_ns, armed=armed), home, site, lines)
        case What.SLOW:
            amount = draws.between(2, 20)
        case What.SLOW_DISK:
            amount = draws.between(2, 50)
        case What.NOTICE:
            amount = draws.scale(10 * MS, 5 * SECOND)
            for_ns += amount
        case What.JUMP:
            who, amount = draws.pick((home, site)), draws.scale(MS, 40 * SECOND)
        case What.DRIFT:
            who, amount = draws.pick((home, site)), draws.between(-300_000, 300_000)
        case What.AWAY:
            who = f"client-{home}"
        case What.CRASH | What.AT_COMMIT if who == home:
            for_ns = min(for_ns, 8 * SECOND)
    armed = what not in _NEVER_ARMED and draws.chance(_ARMED)
    return [Fault(at_ns, what, who, for_ns, amount, armed)]


def _on_lines(draws: Draws, fault: Fault, home: str, site: str, lines: list[str]) -> list[Fault]:
    """One direction, both, or several that are clogged one after the other."""
    other = site if draws.chance(850) else f"client-{home}"
    both = [f"{other}>{home}", f"{home}>{other}"]
    names = both if draws.chance(500) else [draws.pick(both)]
    if fault.what is What.CLOG and draws.chance(200):
        names = draws.shuffled([*both, *lines])  # all lines of the home, one by one
    amount = draws.between(100, 900) if fault.what is What.STORM else 0
    gap_ns = draws.below(2 * SECOND) if fault.what is What.CLOG else 0
    return [
        Fault(fault.at_ns + n * gap_ns, fault.what, name, fault.for_ns, amount, fault.armed)
        for n, name in enumerate(names)
    ]
