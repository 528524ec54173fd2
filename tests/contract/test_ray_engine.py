"""What only the Ray engine promises: slots on machines that Ray chose, and what becomes of works
when Ray's processes die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from builders import Bench, Running, eventually, program
from packages import wheel

from hanse.engines.port import Building, End, Printed, Waiting
from hanse.engines.ray import messages
from hanse.engines.ray.engine import RayEngine
from hanse.engines.ray.starting import Driver
from hanse.errors import EngineError
from hanse.model.environment import Environment
from hanse.model.resources import Amount, Resources


@pytest.fixture
def ray_bench(ray_driver: Any) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**more: Any) -> Bench:
        made.append(Bench(lambda loop, emit: RayEngine(loop, emit, driver=ray_driver, **more)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def bench(ray_bench: Callable[..., Bench]) -> Bench:
    return ray_bench()


def needing(function: Any, **needs: Any) -> Any:
    return msgspec.structs.replace(program(function), needs=Resources(**needs).amount())


def where(_: Any) -> tuple[int, str | None]:
    """The slot that an item runs in, by the process above its nursery, and the GPUs it sees."""
    import psutil

    return psutil.Process().parent().parent().pid, os.environ.get("CUDA_VISIBLE_DEVICES")


def run(bench: Bench, work: Any, count: int = 1) -> Running:
    running = bench.start(work, range(count))
    running.end()
    assert not running.failures()
    return running


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_works_with_parts_of_a_gpu_share_it_and_see_no_other(bench: Bench, tmp_path: Path) -> None:
    def meet(x: int) -> tuple[int, str | None]:
        (tmp_path / str(x)).touch()
        while len(list(tmp_path.iterdir())) < 4:
            time.sleep(0.005)
        return where(x)

    halves = needing(meet, cpus=1, gpus=0.5)
    runnings = [bench.start(halves, [x], start=x) for x in range(4)]
    seen = []
    for running in runnings:
        running.end()
        seen += [gpus for _, gpus in running.results().values()]
    assert sorted(seen) == ["0", "0", "1", "1"]  # type: ignore[type-var]
    (found,) = run(bench, needing(where, cpus=1)).results().values()
    assert not found[1]


def test_a_slot_is_used_again_and_makes_room_for_others(bench: Bench) -> None:
    one = needing(where, cpus=1)
    first = run(bench, one).results()[0][0]
    assert run(bench, one).results()[0][0] == first
    run(bench, needing(where, cpus=4))  # all that there is
    eventually(lambda: not alive(first))


def test_what_no_machine_offers_is_said_with_numbers(bench: Bench) -> None:
    eventually(lambda: bench.engine.machines)  # type: ignore[attr-defined]
    ended = bench.start(needing(abs, cpus=5), [1]).end()
    assert ended.end is End.LOST
    assert "cpus: needs 5, has 4" in ended.because
    custom = bench.start(needing(abs, custom={"licence": 1}), [1]).end()
    assert "licence: needs 1, has 0" in custom.because


def test_what_ray_refuses_is_said(bench: Bench) -> None:
    ended = bench.start(needing(abs, gpus=1.5), [1]).end()
    assert ended.end is End.LOST
    assert "GPU" in ended.because


def test_the_work_of_a_slot_that_was_killed_goes_on_in_another(
    bench: Bench, tmp_path: Path
) -> None:
    def wait(x: int) -> int:
        (tmp_path / str(x)).touch()
        while x == 3 and not (tmp_path / "go").exists():
            time.sleep(0.005)
        return where(x)[0]

    running = bench.start(program(wait), range(6))
    bench.wait(lambda: len(running.results()) == 3)
    slot = running.results()[0]
    os.kill(slot, signal.SIGKILL)
    eventually(lambda: not alive(slot))
    (tmp_path / "go").touch()
    assert running.end().end is End.DONE
    assert not running.failures()
    assert running.reported() == list(range(6))
    assert running.results()[5] != slot


def test_an_item_that_kills_its_slot_ends_its_work_with_a_reason(bench: Bench) -> None:
    def murder(_: int) -> None:
        os.kill(where(0)[0], signal.SIGKILL)
        time.sleep(60)

    ended = bench.start(program(murder), [0]).end()
    assert ended.end is End.LOST
    assert "3 slots in a row were lost" in ended.because


def test_when_the_process_that_speaks_to_ray_is_killed_works_run_again(
    bench: Bench, ray_driver: Any, tmp_path: Path
) -> None:
    def wait(x: int) -> int:
        (tmp_path / f"{x} {os.getpid()}").touch()
        while x == 1 and not (tmp_path / "go").exists():
            time.sleep(0.005)
        return x

    running = bench.start(program(wait), range(3))
    (path,) = eventually(lambda: list(tmp_path.glob("1 *")))
    worker = int(path.name.split()[1])
    os.kill(ray_driver._process.pid, signal.SIGKILL)
    eventually(lambda: not alive(worker))
    (tmp_path / "go").touch()
    assert running.end().end is End.DONE
    assert running.reported() == list(range(3))


def test_a_process_that_was_killed_and_cannot_be_waited_for_yet_is_started_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its sockets are closed before it is dead: that was taken for a Ray that cannot be used."""
    driver, ends = Driver("auto"), list[socket.socket]()
    with subprocess.Popen(["sleep", "600"]) as alive_still:

        def start() -> None:
            if driver._control is not None:
                driver._control.close()
            driver._process = alive_still
            driver._control, theirs = socket.socketpair()
            ends.append(theirs)
            if len(ends) == 1:
                theirs.close()

        monkeypatch.setattr(driver, "_start", start)
        driver.session().close()
        assert len(ends) == 2
        ends[1].close()
        start()
        ends[2].close()
        monkeypatch.setattr(driver, "_start", lambda: None)
        with pytest.raises(EngineError, match="speaks to Ray ended"):
            driver.session()
        assert driver._control is not None
        driver._control.close()
        alive_still.kill()


def test_close_leaves_no_slot(ray_bench: Callable[..., Bench]) -> None:
    made = ray_bench()
    slot = run(made, program(where)).results()[0][0]
    running = made.start(program(lambda _: (where(_), __import__("time").sleep(600))), [0])
    eventually(lambda: psutil.Process(slot).children(recursive=True))
    family = [slot, *(one.pid for one in psutil.Process(slot).children(recursive=True))]
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    eventually(lambda: not any(map(alive, family)))
    assert not running.of(End)  # type: ignore[arg-type]


def test_lines_arrive_with_their_items_and_by_the_time_of_close(
    ray_bench: Callable[..., Bench],
) -> None:
    told: list[Printed] = []
    shown: list[str] = []
    made = ray_bench(printed=told.append, forward=lambda _, text: shown.append(text))
    work = program(lambda x: print("I am", x), logged=True)
    running = made.start(work, range(300))
    running.end()
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    assert {piece.lease for piece in told} == {running.work.lease}
    for x in range(300):
        assert "".join(piece.text for piece in told if piece.item == x) == f"I am {x}\n"
    assert "".join(shown) == "".join(f"I am {x}\n" for x in range(300))


def test_much_output_waits_for_whoever_shows_it(ray_bench: Callable[..., Bench]) -> None:
    size = [0]

    def count(_: str, text: str) -> None:
        size[0] += len(text)

    def shout(_: int) -> None:
        for _ in range(100):
            print("x" * 999_999)

    made = ray_bench(forward=count)
    before = psutil.Process().memory_info().rss
    assert not made.run(shout, [1]).failures()
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    assert size[0] == 100_000_000
    assert psutil.Process().memory_info().rss - before < 80_000_000


def test_modules_travel_to_where_they_are_used(bench: Bench, tmp_path: Path) -> None:
    codes = {}
    for name in "ab":
        root = tmp_path / name / "files"
        (root / "kit").mkdir(parents=True)
        (root / "kit" / "__init__.py").write_text("")
        (root / "kit" / "util.py").write_text(f"def call(x):\n    return {name!r}, __file__\n")
        codes[name] = str(root)
    from hanse.payloads.payload import Payload

    stream = b"ckit.util\ncall\n."
    for name in "aba":
        function = Payload(1, stream, (len(stream),))
        work = msgspec.structs.replace(program(None, code=codes[name]), function=function)
        ((found, file),) = run(bench, work).results().values()
        assert found == name
        assert not file.startswith(str(tmp_path))


def test_a_cluster_that_cannot_be_reached_is_said_at_once() -> None:
    from hanse.engines.ray.starting import Driver

    driver = Driver("127.0.0.1:1", {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64})
    with pytest.raises(EngineError, match=r"Ray at 127.0.0.1:1 cannot be reached"):
        driver.session()


def test_amounts_are_ray_s() -> None:
    from hanse.engines.ray.machines import offered, ray_options

    have = {"CPU": 2.0, "GPU": 1.0, "memory": 5e9, "licence": 2.0, "node:10.0.0.1": 1.0}
    assert offered(have) == Amount(
        cpus_milli=2000, gpus_milli=1000, memory_bytes=5_000_000_000, custom_milli={"licence": 2000}
    )
    needs = Resources(cpus=0.5, gpus=0.25, memory="1GiB", custom={"licence": 1}).amount()
    assert ray_options(needs) == {
        "num_cpus": 0.5, "num_gpus": 0.25, "memory": 1 << 30, "resources": {"licence": 1.0},
    }  # fmt: skip


def test_an_environment_is_built_where_the_slot_is(bench: Bench, tmp_path: Path) -> None:
    wheel(tmp_path, "tiny", "1.0")
    needed = Environment(packages=(f"tiny @ file://{tmp_path}/tiny-1.0-py3-none-any.whl",))
    work = program(lambda _: __import__("tiny").VERSION, environment=needed)
    given_back = bench.start(work, [0])
    assert given_back.end().end is End.BACK
    first = next(event for event in bench.events if isinstance(event, Building))
    assert list(first.environments) == [needed.name]
    bench.wait(lambda: buildings(bench)[-1] == Building({}, {}))
    running = bench.start(work, [0])
    assert running.end().end is End.DONE
    assert running.results() == {0: "1.0"}


def test_an_environment_that_cannot_be_built_says_why(bench: Bench, tmp_path: Path) -> None:
    needed = Environment(packages=(f"tiny @ file://{tmp_path}/tiny-1.0-py3-none-any.whl",))
    work = program(abs, environment=needed)
    assert bench.start(work, [0]).end().end is End.BACK
    bench.wait(lambda: buildings(bench)[-1].failed)
    assert "cannot be built" in buildings(bench)[-1].failed[needed.name]
    assert bench.run(abs, [-1]).results() == {0: 1}


def buildings(bench: Bench) -> list[Building]:
    return [event for event in list(bench.events) if isinstance(event, Building)]


def test_what_waits_for_room_says_what_for(bench: Bench) -> None:
    holding = bench.start(needing(lambda _: __import__("time").sleep(600), cpus=3), [0])
    eventually(lambda: bench.engine._running)  # type: ignore[attr-defined]
    waiting = bench.start(needing(abs, cpus=2), [-1])
    told = bench.wait(lambda: [each for each in waits(bench) if waiting.work.lease in each.works])
    (words,) = told[0].works.values()
    assert words.endswith("(cpus: needs 2, has 1)"), words
    bench.call(lambda: bench.engine.cancel(holding.work.lease))
    assert waiting.end().end is End.DONE
    bench.wait(lambda: not waits(bench)[-1].works)


def waits(bench: Bench) -> list[Waiting]:
    return [event for event in list(bench.events) if isinstance(event, Waiting)]


def test_in_a_sandbox_items_see_nothing_of_ray(ray_bench: Callable[..., Bench]) -> None:
    def look(_: int) -> tuple[list[str], list[str]]:
        with open("/proc/net/dev") as file:
            devices = [line.partition(":")[0].strip() for line in file if ":" in line]
        return [name for name in os.environ if name.startswith("RAY")], devices

    bench = ray_bench(sandbox=True)
    running = bench.start(program(look), [0])
    running.end()
    assert running.results() == {0: ([], ["lo"])}


def test_machines_are_looked_at_again_though_ray_did_not_answer_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from hanse.engines.ray import driver

    one = messages.Machine("1", "host", "10.0.0.1", Amount(cpus_milli=1000))
    answers: list[list[messages.Machine] | None] = [[one], None, []]
    first_seen = threading.Event()

    def machines() -> list[messages.Machine]:
        if len(answers) < 3:
            first_seen.wait()
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if found is None:
            raise RuntimeError("the cluster does not answer")
        return found

    monkeypatch.setattr(driver, "machines", machines)
    monkeypatch.setattr(driver, "_LOOK_S", 0.001)
    watch = driver.Watch()
    assert watch.machines == [one]
    first_seen.set()
    eventually(lambda: watch.machines == [])
    watch._stop.set()
    eventually(lambda: "hanse-watch" not in {each.name for each in threading.enumerate()})
