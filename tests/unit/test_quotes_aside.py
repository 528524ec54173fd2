"""Whoever asks for a quote changes nothing: the home's whole state is what it was, to the bit."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

from core_builders import Place, Town, cpus
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.core.events import Describe, Submit, Timed
from hanse.core.invariants import check
from hanse.core.quoting import quote
from hanse.core.renter import Renter
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import NANO, Aims, Tariff
from hanse.model.data import Lies
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.model.rental import Rental

REGIONS = ("north", "south", "east")
ITEMS = 60

AIMS = st.builds(
    Aims,
    objective=st.sampled_from(("fastest", "cheapest")),
    deadline_ns=st.none() | st.integers(10, 4000).map(lambda seconds: seconds * SECOND),
    budget_nano=st.none() | st.integers(1, 1000).map(lambda amount: amount * NANO),
    shared=st.sampled_from((0, 1 << 30)),
    follows=st.booleans(),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("job", "finish", "wait", "talk", "ask")), st.integers(0, 9), AIMS
    ),
    min_size=3, max_size=12,
)  # fmt: skip


def lies(numbers: Sequence[int] = (0, 1)) -> list[Lies]:
    half = ITEMS // len(numbers)
    return [Lies(at * half, (at + 1) * half, REGIONS[n % 3], 1 << 33, str(n))
            for at, n in enumerate(numbers)]  # fmt: skip


def rental(name: str, spot: bool) -> Rental:
    tariff = Tariff(price_nano=NANO, start_ns=60 * SECOND, rented=True, spot=spot)
    return Rental(name=name, amount=cpus(2), tariff=tariff, most=3)


class Drawn:
    """A home of three sites, one of them on a spot machine, that may rent others."""

    def __init__(self, rents: bool) -> None:
        self.town = Town()
        self.places: list[Place] = []
        for n, region in enumerate(REGIONS):
            tariff = Tariff(region=region, price_nano=(n + 1) * NANO, spot=n == 2)
            self.town.tell(Describe(SiteId(region), Offer(tariff=tariff)))
            self.places.append(self.town.place(region, 1 + n))
        self.town.item_ns = SECOND
        if rents:
            Renter(self.town.home, [rental("sure", False), rental("spot", True)])
        self.jobs: list[JobId] = []

    def step(self, what: str, number: int, aims: Aims) -> None:
        town, place = self.town, self.places[number % 3]
        if what == "job":
            job = JobId(f"j{len(self.jobs)}")
            spec = JobSpec(name=job, aims=aims if number else None)
            data = lies() if number and aims.follows else []
            town.tell(Submit(job, spec, ITEMS, True, data))
            self.jobs.append(job)
        elif what == "finish":
            town.now_ns += SECOND
            place.finish()
        elif what == "wait":
            town.wait(number)
        else:
            place.talk()

    def asks(self, number: int, aims: Aims) -> None:
        """About a job that is there, or about one that is not."""
        home, about = self.town.home, None
        spec, data = JobSpec(name="q", total=ITEMS, aims=aims), lies() if aims.follows else []
        if self.jobs and number % 2:
            about = self.jobs[number % len(self.jobs)]
            spec = JobSpec(name="q", total=ITEMS, aims=home.jobs[about].spec.aims or Aims())
        timed = [Timed(SiteId(region), 1, (n + number + 1) * SECOND)
                 for n, region in enumerate(REGIONS)] * 5  # fmt: skip
        rows = [aims, Aims(), Aims(objective="cheapest", deadline_ns=600 * SECOND)]
        quote(home, spec, timed, rows, self.town.now_ns + number * SECOND, about, data)


@settings(max_examples=80, deadline=None)
@given(STEPS, st.booleans())
def test_a_quote_leaves_the_home_as_it_was(steps: list[tuple[str, int, Aims]], rents: bool) -> None:
    drawn = Drawn(rents)
    home = drawn.town.home
    for what, number, aims in steps:
        if what != "ask":
            drawn.step(what, number, aims)
            continue
        before = pickle.dumps(home)
        drawn.asks(number, aims)
        check(home)
        assert pickle.dumps(home) == before


def test_what_is_known_by_data_set_is_the_live_job_s_own() -> None:
    """It was fitted anew to the job's items by whoever asked about the job."""
    drawn = Drawn(rents=False)
    town, home = drawn.town, drawn.town.home
    aims = Aims(objective="cheapest", deadline_ns=4000 * SECOND, follows=True)
    drawn.step("job", 1, aims)
    for number in (0, 1, 2) * 5:
        town.item_ns = (1 + number) * SECOND // 2
        town.now_ns += SECOND // 10
        drawn.places[number].finish()
        before = pickle.dumps(home)
        drawn.asks(1, aims)
        assert pickle.dumps(home) == before
