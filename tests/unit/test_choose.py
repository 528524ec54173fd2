"""Which job a site gets a lease of."""

from __future__ import annotations

from core_builders import cpus
from hypothesis import given
from hypothesis import strategies as st

from hanse.core.job import Job
from hanse.core.place.choose import choose, refusal
from hanse.ids import JobId
from hanse.model.job import JobSpec


def job(name: str, vtime: int = 0, needs: float = 1, ready: int = 1) -> Job:
    made = Job(JobId(name), JobSpec(name=name, needs=cpus(needs)), 0)
    made.grow(ready, {})
    made.vtime = vtime
    return made


some = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.5, 1, 2, 4])), max_size=6).map(
    lambda js: [job(f"j{n}", vtime, needs) for n, (vtime, needs) in enumerate(js)]
)


@given(some, st.sampled_from([0, 0.5, 1, 2, 8]))
def test_the_job_with_the_least_work_that_fits_comes_first(jobs: list[Job], have: float) -> None:
    fitting = [j for j in jobs if cpus(have).fits(j.spec.needs)]
    assert choose(jobs, cpus(have)) is min(fitting, key=lambda j: (j.vtime, j.id), default=None)


@given(some, st.randoms())
def test_the_choice_does_not_hang_on_the_order_of_the_jobs(jobs: list[Job], random: object) -> None:
    mixed = list(jobs)
    random.shuffle(mixed)  # type: ignore[attr-defined]
    assert choose(jobs, cpus(2)) is choose(mixed, cpus(2))


def test_a_refusal_says_why_with_numbers() -> None:
    wide = job("a", needs=4)
    assert refusal(wide, cpus(2), cpus(2)) == "it can never run an item: cpus: needs 4, has 2"
    assert refusal(wide, cpus(8), cpus(2)) == "it is busy: cpus: needs 4, has 2"
    assert refusal(job("b", ready=0), cpus(8), cpus(8)) == "no item is ready"
    assert refusal(wide, cpus(8), cpus(4)) is None
