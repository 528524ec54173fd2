"""A node and clouds that hang, lie and answer late, and a disk that is full: no machine is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from hanse import limits
from hanse.core.events import Submit
from hanse.ids import JobId
from hanse.journal import private
from hanse.limits import SECOND
from hanse.model.aims import Aims, Tariff
from hanse.model.job import JobSpec
from hanse.model.rental import Rental
from hanse.model.resources import Amount
from hanse.node.linked import Linked
from hanse.node.providers.config import Brings
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned
from hanse.node.renting import Kept, Renting
from hanse.node.tokens import Tokens
from hanse.runtime.runtime import Runtime

CORE = Amount(cpus_milli=1000)


class NoEngine:
    """The home itself runs nothing here."""

    def reasons(self, job: JobId) -> list[str]:
        return []

    def close(self) -> None: ...


class Job:
    """The client's side of a job that nobody runs."""

    fold_print = b""

    def ended(self, *_: object) -> None: ...
    def why(self) -> list[str]:
        return []


class Cloud:
    """
    Attributes:
        there: its machines; ended: those that it was told to end, in turn.
        brings: what it answers once a machine is there.
        lists: asked before it lists anything.
    """

    def __init__(self) -> None:
        self.there: set[str] = set()
        self.ended: list[str] = []
        self.brings: Callable[[], None] = lambda: None
        self.lists: Callable[[], None] = lambda: None

    def bring(self, order: Order) -> str:
        self.there.add(order.id)
        self.brings()
        return f"h-{order.id}"

    def owned(self) -> list[Owned] | None:
        self.lists()
        return None

    def send_away(self, machine: Owned) -> None:
        self.there.discard(machine.id)
        self.ended.append(machine.id)


class World:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.runtime = Runtime(Amount(), lambda *_, **__: NoEngine(), directory)  # type: ignore[arg-type,return-value]
        self.tokens = Tokens(directory / "tokens.json")
        self.linked = Linked(
            self.runtime, directory / "sites.json", [], "n-" + "0" * 12, self.tokens
        )
        self.path = directory / "rented.json"
        self.renting: Renting | None = None

    def rents(self, **clouds: Cloud) -> Renting:
        """Begin to, from these, the first the cheapest."""
        brings = []
        for n, (name, cloud) in enumerate(clouds.items()):
            tariff = Tariff(price_nano=(n + 1) * 10**9, rented=True, start_ns=SECOND)
            brings.append(Brings(name, cloud, [Rental(name=name, amount=CORE, tariff=tariff)],
                                 {name: {}}))  # fmt: skip
        self.renting = Renting(
            self.runtime, self.linked, self.tokens, self.path, 2, brings, lambda secret: secret
        )
        self.renting.begin()
        return self.renting

    def left(self, *machines: Kept) -> None:
        """By an earlier run, of a Hanse that kept machines and nothing else."""
        private.write(self.path, msgspec.json.encode(machines))

    def kept(self) -> list[str]:
        found = msgspec.json.decode(self.path.read_bytes())
        machines = found if isinstance(found, list) else found["machines"]  # as `left` left it
        return [each["id"] for each in machines]

    def job(self) -> None:
        spec = JobSpec(name="f", aims=Aims(deadline_ns=3600 * SECOND))
        event = Submit(JobId("j-000000000001"), spec)
        self.runtime.ask(lambda: self.runtime.begin(event.job, Job(), event))  # type: ignore[arg-type]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(limits, "RENT_LOOK_NS", 20 * limits.MS)
    monkeypatch.setattr(limits, "RENT_LIST_S", 0.02)
    monkeypatch.setattr(limits, "RENT_RETRY_NS", 50 * limits.MS)
    tmp_path.chmod(0o700)
    made = World(tmp_path)
    yield made
    if made.renting is not None:
        made.renting.close()
    made.runtime.close()


def until(holds: Callable[[], object]) -> None:
    late_s = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < late_s
        time.sleep(0.01)


def kept(id: str, kind: str = "a", **more: str) -> Kept:
    return Kept(
        id=id, kind=kind, provider=kind, job=JobId("j-1"), since_s=time.time(), token="t-0", **more
    )


def test_a_full_disk_and_a_busy_loop_forget_no_machine_that_is_to_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three of an ended job are sent away, though nothing can be written and answers are missed."""
    ask, missed = world.runtime.ask, []

    def late(question: Callable[[], object], timeout_s: float = 10) -> object:
        found = ask(question, timeout_s)
        if threading.current_thread().name == "hanse-renting" and len(missed) < 2:
            missed.append(found)
            raise TimeoutError
        return found

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    cloud = Cloud()
    cloud.there = {"a-1-1", "a-1-2", "a-1-3"}
    world.left(*map(kept, sorted(cloud.there)))
    monkeypatch.setattr(world.runtime, "ask", late)
    monkeypatch.setattr(private, "write", full)
    world.rents(a=cloud)
    until(lambda: not cloud.there)
    assert len(missed) == 2


def test_what_may_have_been_brought_is_ended_and_the_next_cheapest_is_asked(world: World) -> None:
    cheap, dear = Cloud(), Cloud()

    def late() -> None:
        raise InDoubt("it took longer than 300 s")

    cheap.brings = late
    world.job()
    world.rents(cheap=cheap, dear=dear)
    until(lambda: dear.there)
    until(lambda: not cheap.there)
    assert cheap.ended
    until(lambda: all(id.startswith("dear-") for id in world.kept()))


def test_a_bug_of_a_provider_leaves_no_machine(world: World) -> None:
    cloud, dear = Cloud(), Cloud()
    cloud.brings = lambda: None + 1  # type: ignore[operator]
    world.job()
    world.rents(a=cloud, dear=dear)
    until(lambda: dear.there and not cloud.there)


def test_a_cloud_that_hangs_holds_up_no_other(world: World) -> None:
    gate = threading.Event()
    hanging, other = Cloud(), Cloud()
    hanging.lists = lambda: bool(gate.wait(60))  # type: ignore[assignment]
    other.there = {"b-1-1"}
    world.left(kept("b-1-1", "b", leaving="it has had nothing to do"))
    try:
        world.rents(a=hanging, b=other)
        until(lambda: not other.there)
    finally:
        gate.set()


def test_nothing_is_asked_of_a_cloud_before_it_has_said_what_it_has(world: World) -> None:
    gate, cloud = threading.Event(), Cloud()
    cloud.lists = lambda: bool(gate.wait(60))  # type: ignore[assignment]
    world.job()
    renting = world.rents(a=cloud)
    until(lambda: world.runtime.ask(lambda: renting._renter.machines))
    assert not cloud.there
    gate.set()
    until(lambda: cloud.there)
    assert list(cloud.there) == world.kept(), "the first that was wanted: it failed no time"


def test_machines_of_a_provider_that_is_gone_from_the_file_are_kept_in_mind(world: World) -> None:
    world.left(kept("a-1-1"))
    renting = world.rents()
    until(lambda: "going" in renting.providers()[0].machines[0].state)
    (told,) = renting.providers()
    assert "cannot be ended" in told.trouble
    assert world.kept() == ["a-1-1"]
    renting.close()
    cloud = Cloud()
    cloud.there = {"a-1-1"}
    world.rents(a=cloud)
    until(lambda: not cloud.there)
    until(lambda: not world.kept())


def test_a_call_that_hangs_holds_up_no_end_and_changes_nothing_of_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_LEAVE_S", 0.1)
    gate, cloud, calls = threading.Event(), Cloud(), []

    def hang() -> None:
        calls.append(threading.current_thread())
        assert gate.wait(60)

    cloud.brings = hang
    world.job()
    renting = world.rents(a=cloud)
    until(lambda: calls)
    renting.close()
    (hangs,) = calls
    assert hangs.is_alive()
    assert hangs.daemon
    world.left(kept("a-3-1"))
    gate.set()
    hangs.join(60)
    assert not hangs.is_alive()
    assert world.kept() == ["a-3-1"]


def test_what_was_spent_is_counted_over_all_runs_and_each_machine_once(world: World) -> None:
    """A node is killed when a machine is gone and that is not written down yet: it is ended again,
    and counted then."""
    cloud = Cloud()
    hour_ago = kept("a-1-1", leaving="it has had nothing to do")
    hour_ago.since_s -= 3600
    world.left(hour_ago)
    before = world.path.read_bytes()
    renting = world.rents(a=cloud)
    until(lambda: not world.kept())
    renting.close()
    world.path.write_bytes(before)
    renting = world.rents(a=cloud)
    until(lambda: not world.kept())
    spent = renting.providers()[0].offers[0].spent
    assert 1 <= spent < 1.1, "an hour at 1 an hour"
    renting.close()
    renting = world.rents(a=cloud)
    assert renting.providers()[0].offers[0].spent == spent
    world.job()
    until(lambda: cloud.there)
    until(world.kept)
    renting.close()
    assert world.rents(a=cloud).providers()[0].offers[0].spent == spent, "none is gone since"
    assert cloud.ended == ["a-1-1", "a-1-1"]


def test_what_was_never_brought_costs_nothing(world: World) -> None:
    cloud, dear = Cloud(), Cloud()

    def refuse() -> None:
        cloud.there.clear()
        raise NotBrought("there is no capacity")

    cloud.brings = refuse
    world.job()
    renting = world.rents(a=cloud, dear=dear)
    until(lambda: dear.there)
    assert renting.providers()[0].offers[0].spent == 0
