"""Named jobs at their edges: every way to stop while inputs are compared, classes of `__main__`,
options that change between runs. No case may hang, and none may lie."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator

import pytest
from system.programs import Program, committed
from system.real import until

import hanse


def double(x: int) -> int:
    return 2 * x


def slow_double(x: int) -> int:
    time.sleep(0.002)
    return 2 * x


def odd_ones_fail(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


# --- nothing recorded yet, and everything done ----------------------------------------------------
def test_inputs_that_broke_off_before_the_first_may_come_the_next_time(client):
    def broken() -> Iterator[int]:
        raise OSError("no such tape")
        yield

    with pytest.raises(hanse.InputError):
        list(client.map(double, broken(), name="tape"))
    assert list(client.map(double, [1, 2], name="tape")) == [2, 4]


def test_a_job_left_before_its_first_input_goes_on(client):
    def late() -> Iterator[int]:
        time.sleep(0.3)
        yield from range(5)

    for _ in range(2):
        job = client.map(double, late(), name="late")
        job.cancel()
        job.join()
    assert list(client.map(double, late(), name="late")) == [0, 2, 4, 6, 8]


class Stopper:
    """The inputs of a second run: the recorded ones, and in their midst something else."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.reached = False

    def __iter__(self) -> Iterator[int]:
        for x in range(200):
            if x == 150:
                self.reached = True
                if self.what == "raises":
                    raise OSError("torn")
                if self.what == "ends":
                    return
                if self.what == "waits":
                    time.sleep(3)
                if self.what == "changes":
                    yield -1
                    continue
            yield x


@pytest.fixture
def nearly_done(client) -> str:
    """A job whose 200 inputs are recorded, and most of whose items are done."""
    job = client.map(slow_double, iter(range(200)), name="nearly")
    taken = job.as_completed()
    for _ in range(150):
        next(taken)
    while job.progress().total != 200:  # all inputs are recorded
        time.sleep(0.005)
    del job, taken
    return "nearly"


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("raises", hanse.InputError),
        ("ends", hanse.JobChanged),
        ("changes", hanse.JobChanged),
    ],
)
def test_what_goes_wrong_while_inputs_are_compared_ends_the_wait(client, nearly_done, what, error):
    job = client.map(slow_double, iter(Stopper(what)), name=nearly_done)
    with pytest.raises(error) as caught:
        list(job)
    job.join()
    if what == "ends":
        assert "150 inputs, and had 200" in str(caught.value)
    assert job.state == "failed"
    assert sum(client.map(slow_double, iter(range(200)), name=nearly_done)) == 39_800


def test_a_job_can_be_cancelled_while_its_inputs_are_compared(client, nearly_done):
    job = client.map(slow_double, iter(Stopper("waits")), name=nearly_done)
    until(lambda: len(committed(nearly_done)) == 200)
    job.cancel()
    with pytest.raises(hanse.JobCancelled):
        list(job)


# --- classes of the program -----------------------------------------------------------------------
def test_classes_of_main_are_the_same_classes_in_every_run(tmp_path):
    program = Program(tmp_path, """
        import dataclasses, enum, hanse

        @dataclasses.dataclass
        class Case:
            x: int

        class Plain:
            def __init__(self, x): self.x = {x, "a", "b"}

        class Colour(enum.Enum):
            RED = 1

        class Broken(ValueError):
            pass

        def work(case):
            if isinstance(case, Plain):
                raise Broken("plain")
            return case, Colour.RED

        def main():
            inputs = [Case(1), Colour.RED, Plain(2)]
            with hanse.connect() as client:
                first, second, third = client.map(work, inputs, name="classes", on_error="collect")
            assert first == (Case(1), Colour.RED), first
            assert isinstance(first[0], Case) and first[1] is Colour.RED
            assert second[0] is Colour.RED
            assert isinstance(third, Broken), third
            print("right")

        main()
    """)  # fmt: skip
    for seed in ("1", "2", "3"):
        assert program.result(env={"PYTHONHASHSEED": seed}) == "right"


def test_an_object_that_changed_inside_is_another_input(tmp_path):
    text = """
        import hanse
        class Plain:
            def __init__(self, x): self.x = {x, "a"}
        def work(case): return sorted(map(str, case.x))
        with hanse.connect() as client:
            print(list(client.map(work, [Plain(VALUE)], name="plain")))
    """
    program = Program(tmp_path, text.replace("VALUE", "1"))
    assert program.result() == program.result()
    program.write(text.replace("VALUE", "2"))
    code, _, err = program.run()
    assert code == 1
    assert "JobChanged" in err


# --- options that change --------------------------------------------------------------------------
def test_failures_that_were_collected_run_again_for_who_wants_none(client):
    job = client.map(odd_ones_fail, itertools.chain(range(4), forever()), name="choosy",
                     on_error="collect")  # fmt: skip
    taken = iter(job)
    [next(taken) for _ in range(4)]
    job.cancel()
    job.join()
    del taken
    again = client.map(odd_ones_fail, itertools.chain(range(4), forever()), name="choosy")
    with pytest.raises(ValueError, match="odd"):
        list(again)
    again.join()
    assert again.state == "failed"


def forever() -> Iterator[int]:
    while True:
        yield 2


def test_a_done_job_with_failures_raises_for_who_wants_none(client):
    assert len(list(client.map(odd_ones_fail, range(6), name="six", on_error="collect"))) == 6
    job = client.map(odd_ones_fail, range(6), name="six")
    with pytest.raises(ValueError, match="1 is odd"):
        job.wait()
    with pytest.raises(ValueError, match="1 is odd"):
        list(client.map(odd_ones_fail, range(6), name="six"))
