"""The virtual machine under the federation: clocks, lines, disks."""

from __future__ import annotations

from hanse.core.events import JobSealed
from hanse.ids import JobId
from hanse.sim.disk import Disk
from hanse.sim.draws import Draws
from hanse.sim.network import Network
from hanse.sim.node import Alarm, Node
from hanse.sim.plan import Line
from hanse.sim.world import World

LINE = Line(delay_ns=10, jitter_ns=0)


def run(world: World, until_ns: int) -> None:
    world.at(until_ns, lambda: None)
    while world.now_ns < until_ns:
        world.step()


def test_what_is_due_at_once_happens_in_the_order_in_which_it_was_asked_for() -> None:
    world, said = World(), list[int]()
    for number in range(5):
        world.at(7, said.append, number)
    run(world, 7)
    run(world, 8)
    assert said == [0, 1, 2, 3, 4]


def test_a_clock_that_runs_fast_rings_early_and_one_that_jumps_rings_at_once() -> None:
    world, rung = World(), list[int]()
    node = Node(world, "n", base_ns=500, drift_ppm=1_000_000)
    alarm = Alarm(node, lambda: rung.append(world.now_ns))
    alarm.set(500 + 100)
    run(world, 60)
    assert rung == [50]
    alarm.set(node.clock.now_ns() + 1000)
    node.change_clock(jump_ns=2000)
    run(world, 61)
    assert len(rung) == 2


def test_what_comes_to_a_frozen_node_waits_and_what_comes_to_a_dead_one_is_lost() -> None:
    world, done = World(), list[str]()
    node = Node(world, "n")
    node.freeze()
    node.run(lambda: done.append("frozen"))
    assert done == []
    node.thaw()
    node.die()
    node.run(lambda: done.append("dead"))
    assert done == ["frozen"]


def test_a_cut_line_loses_messages_and_a_clogged_one_keeps_them() -> None:
    world, came = World(), list[str]()
    network = Network(world, 1)
    network.calm = True
    line, back = network.open("a", "b", LINE), network.open("b", "a", LINE)
    line.cut = True
    line.send(lambda: came.append("cut"))
    back.send(lambda: came.append("other way"))
    line.heal()
    line.clogged = True
    line.send(lambda: came.append("clogged"))
    run(world, 100)
    assert came == ["other way"]
    line.heal()
    run(world, 200)
    assert came == ["other way", "clogged"]
    assert network.in_flight == 0


def facts(count: int) -> list[JobSealed]:
    return [JobSealed(JobId(f"j{n}")) for n in range(count)]


def test_a_crash_keeps_what_was_synced_and_whole_decisions_of_the_rest() -> None:
    kept = set()
    for seed in range(50):
        world = World()
        disk = Disk(world, Draws(seed), 100)
        disk.append(facts(2), 2)
        run(world, 300)
        assert disk.synced == 2
        disk.append(facts(3), 5)
        disk.append(facts(4), 9)
        disk.crash(keep_some=True)
        kept.add(len(disk.facts))
        assert disk.synced == len(disk.facts)
    assert kept == {2, 5, 9}


def test_a_full_disk_commits_nothing_until_there_is_room() -> None:
    world, told = World(), list[int]()
    disk = Disk(world, Draws(1), 100)
    disk.on_synced = lambda some, position: told.append(position)
    disk.full = True
    disk.append(facts(2), 2)
    run(world, 2_000_000_000)
    assert (disk.synced, told) == (0, [])
    disk.full = False
    run(world, 3_000_000_000)
    assert (disk.synced, told) == (2, [2])
    disk.append(facts(1), 3)
    disk.crash(keep_some=False)
    run(world, 4_000_000_000)
    assert told == [2]
