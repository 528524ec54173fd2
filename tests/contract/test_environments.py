"""Environments: built once, used whole or not at all, removed when nobody needs them. All of it is
real, but for the packages, which are tiny."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import Bench, Running, eventually, program
from packages import Slow, wheel

from hanse import limits
from hanse.engines.environments.own import MODULES
from hanse.engines.environments.store import Build, Held, collect, digest_of
from hanse.engines.port import Building, End, Ended, Program
from hanse.errors import EngineError
from hanse.model.environment import Environment


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


def packages(*names: str) -> Environment:
    return Environment(packages=names)


class Built:
    """One build that was run to its end."""

    def __init__(self, root: Path, environment: Environment, wheels: bool = False) -> None:
        self.words: list[str] = []
        self.held = Build(root, environment, wheels, self.words.append).run()
        self.held.release()
        self.anew = "it begins" in self.words


def version_in(held: Held) -> str:
    python = held.directory / "env" / "bin" / "python"
    code = "import tiny; print(tiny.VERSION)"
    return subprocess.check_output([python, "-I", "-c", code], text=True).strip()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# --- the store ------------------------------------------------------------------------------------
def test_an_environment_is_built_once(index: Path, root: Path) -> None:
    first, second = (Built(root, packages("tiny==1.0")) for _ in range(2))
    assert (first.anew, second.anew) == (True, False)
    assert first.held.directory == second.held.directory
    assert version_in(second.held) == "1.0"
    other = Built(root, packages("tiny"))
    assert other.anew
    assert version_in(other.held) == "2.0"


def test_a_lock_file_is_held_to_its_hashes(index: Path, root: Path) -> None:
    digest = wheel(index, "locked", "1.0")
    good = Environment(requirements=f"locked==1.0 \\\n    --hash=sha256:{digest}\n")
    assert Built(root, good).anew
    bad = Environment(requirements=f"locked==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    with pytest.raises(EngineError, match=r"(?i)hash"):
        Built(root, bad)


def test_what_cannot_be_built_is_told_in_uvs_words_and_leaves_nothing(
    index: Path, root: Path
) -> None:
    with pytest.raises(EngineError, match=r"tiny==9\.0"):
        Built(root, packages("tiny==9.0"))
    assert not [path for path in root.iterdir() if path.is_dir()]


def test_without_uv_it_says_what_to_install(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "uv", None)
    with pytest.raises(EngineError, match=r"pip install 'hanse\[envs\]'"):
        Built(root, packages("tiny"))


def test_with_wheels_alone_nothing_of_the_makers_runs(index: Path, root: Path) -> None:
    slow = Slow(index, "slow")
    slow.gate.touch()
    with pytest.raises(EngineError):
        Built(root, packages("slow"), wheels=True)
    assert slow.builds() == []
    assert Built(root, packages("slow")).anew
    assert len(slow.builds()) == 1


BUILD = """
    import sys
    from pathlib import Path
    from hanse.engines.environments.store import Build
    from hanse.model.environment import Environment
    Build(Path(sys.argv[1]), Environment(packages=(sys.argv[2],)), False, print).run()
"""


def start(root: Path, package: str) -> subprocess.Popen[str]:
    """A build in a process of its own."""
    command = [sys.executable, "-u", "-c", textwrap.dedent(BUILD), str(root), package]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_that_want_the_same_build_it_once(index: Path, root: Path) -> None:
    slow = Slow(index, "slow")
    two = [start(root, "slow"), start(root, "slow")]
    eventually(slow.builds)
    slow.gate.touch()
    words = [process.communicate()[0] for process in two]
    assert [process.returncode for process in two] == [0, 0]
    assert sum("it begins" in each for each in words) == 1
    assert len(slow.builds()) == 1


def test_a_build_that_is_killed_leaves_no_process_and_nothing_that_is_used(
    index: Path, root: Path
) -> None:
    slow = Slow(index, "slow")
    process = start(root, "slow")
    (pid,) = eventually(slow.builds)
    process.kill()
    process.communicate()
    eventually(lambda: not alive([pid]))  # of uv's own children the last
    (half,) = (path for path in root.iterdir() if path.is_dir())
    assert not (half / "ready").exists()
    slow.gate.touch()
    assert Built(root, packages("slow")).anew
    assert not Built(root, packages("slow")).anew


def test_a_build_that_is_stopped_ends_at_once(index: Path, root: Path) -> None:
    slow = Slow(index, "slow")
    build = Build(root, packages("slow"), False, print)
    errors: list[EngineError] = []

    def run() -> None:
        try:
            build.run()
        except EngineError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    (pid,) = eventually(slow.builds)
    build.stop()
    thread.join(20)
    assert not thread.is_alive()
    assert len(errors) == 1
    eventually(lambda: not alive([pid]))
    assert not [path for path in root.iterdir() if path.is_dir()]


# In a mount namespace of its own: nothing is left behind, whatever happens.
FULL = """
    import json, os, subprocess, sys
    from pathlib import Path
    from hanse.engines.environments.store import Build
    from hanse.errors import EngineError
    from hanse.model.environment import Environment

    home = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", home], check=True)

    def build(name):
        return Build(home / "e", Environment(packages=(name,)), False, lambda words: None).run()

    errors = []
    for _ in range(2):
        try:
            build("large")
        except EngineError as error:
            errors.append(str(error))
    left = [path.name for path in (home / "e").iterdir() if path.is_dir()]
    print(json.dumps([errors, left, (build("tiny").directory / "ready").exists()]))
"""


def test_a_full_disk_says_so_and_costs_nothing_but_that_build(
    index: Path, tmp_path: Path, root: Path
) -> None:
    wheel(index, "large", "1.0", extra=os.urandom(6 << 20))
    alone = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "-Urm")
    (tmp_path / "disk").mkdir()
    command = [*alone, sys.executable, "-c", textwrap.dedent(FULL), str(tmp_path / "disk")]
    told = subprocess.check_output(command, text=True, timeout=60)
    errors, left, went_on = json.loads(told.splitlines()[-1])
    assert len(errors) == 2
    assert all("No space left" in each for each in errors)
    assert left == []
    assert went_on


# --- the sweep ------------------------------------------------------------------------------------
def test_only_what_nobody_has_used_for_long_is_removed(index: Path, root: Path) -> None:
    old, new = (Built(root, packages(f"tiny=={version}")).held for version in ("1.0", "2.0"))
    os.utime(old.directory / "ready", (0, 0))
    assert collect(root, dry_run=True) == 1
    assert collect(root) == 1
    assert (old.directory.exists(), new.directory.exists()) == (False, True)
    assert collect(root) == 0
    assert Built(root, packages("tiny==1.0")).anew


def test_what_is_in_use_stays_and_what_a_kill_left_goes(index: Path, root: Path) -> None:
    held = Build(root, packages("tiny"), False, print).run()
    os.utime(held.directory / "ready", (0, 0))
    (root / ("0" * 32)).mkdir()
    (root / f"{'0' * 32}.lock").touch()
    assert collect(root) == 1
    assert {path.name for path in root.iterdir() if path.is_dir()} >= {held.directory.name}
    assert not (root / ("0" * 32)).exists()
    held.release()
    assert collect(root) == 1


def test_a_build_goes_on_when_its_lock_file_was_collected(index: Path, root: Path) -> None:
    """Whoever waited for a lock that is removed meanwhile takes the new one."""
    root.mkdir()
    path = root / f"{digest_of(packages('tiny'))}.lock"
    held = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    process = start(root, "tiny")
    assert process.stdout is not None
    assert "another program" in process.stdout.readline()
    path.unlink()
    os.close(held)
    assert "it begins" in process.communicate()[0]
    assert process.returncode == 0
    assert path.exists()


# --- the engine -----------------------------------------------------------------------------------
@pytest.fixture
def engine(local_bench: Callable[..., Bench], index: Path, root: Path) -> Iterator[Bench]:
    return local_bench(environments=root)


def buildings(bench: Bench) -> list[Building]:
    return [event for event in list(bench.events) if isinstance(event, Building)]


def idle(bench: Bench) -> Building:
    """Wait until nothing is built."""
    bench.wait(lambda: buildings(bench) and not buildings(bench)[-1].environments)
    return buildings(bench)[-1]


def run(bench: Bench, told: Program, inputs: Iterable[Any]) -> Running:
    """As a home would: what is given back comes again once nothing is built."""
    inputs = list(inputs)
    while True:
        running = bench.start(told, inputs)
        if running.end().end is not End.BACK:
            return running
        assert running.reported() == []
        idle(bench)


def test_two_versions_of_a_package_run_side_by_side(engine: Bench) -> None:
    def told(_: object) -> tuple[str, str, bool]:
        import sys

        import tiny  # type: ignore[import-not-found]

        try:
            import pytest  # noqa: F401 - ours, which they must not see

            return tiny.VERSION, sys.prefix, True
        except ImportError:
            return tiny.VERSION, sys.prefix, False

    both = [run(engine, program(told, environment=packages(f"tiny=={one}")), range(3))
            for one in ("1.0", "2.0")]  # fmt: skip
    for one, running in zip(("1.0", "2.0"), both, strict=True):
        assert running.end().end is End.DONE
        assert {value[0] for value in running.results().values()} == {one}
        assert not any(value[2] for value in running.results().values())
    assert both[0].results()[0][1] != both[1].results()[0][1]
    plain = engine.run(lambda _: __import__("sys").prefix, [0])
    assert plain.results() == {0: sys.prefix}


def test_workers_of_an_environment_have_hanse_and_the_users_modules(
    engine: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "modules").mkdir()
    text = "import hanse, tiny\n@hanse.task(packages=['tiny'])\ndef work(x):\n    return x + 1\n"
    (tmp_path / "modules" / "theirs.py").write_text(text)

    def use(x: int) -> Any:
        import importlib

        for each in MODULES:
            importlib.import_module(each)
        import theirs  # type: ignore[import-not-found]

        import hanse
        import hanse.client.client
        import hanse.remote.runtime

        return theirs.work(x), hanse.current_item().index

    monkeypatch.syspath_prepend(tmp_path / "modules")
    running = run(engine, program(use, environment=packages("tiny")), range(2))
    assert (running.results(), running.failures()) == ({0: (1, 0), 1: (2, 1)}, {})


def test_works_are_given_back_while_their_environment_is_built(engine: Bench, index: Path) -> None:
    slow = Slow(index, "slow")
    needed = packages("slow")
    told = program(lambda x: x, environment=needed)
    two = engine.start(told, range(2)), engine.start(told, range(2))
    assert [running.end().end for running in two] == [End.BACK, End.BACK]
    first = next(event for event in engine.events if isinstance(event, (Building, Ended)))
    assert isinstance(first, Building)  # why, before that
    eventually(slow.builds)
    words = buildings(engine)[-1].environments
    assert list(words) == [needed.name]
    assert "building environment" in words[needed.name]
    assert "(slow)" in words[needed.name]
    assert engine.run(abs, [-1]).results() == {0: 1}  # others do not wait
    slow.gate.touch()
    idle(engine)
    assert engine.start(told, range(2)).end().end is End.DONE
    assert len(slow.builds()) == 1


def test_a_failed_build_is_told_with_uvs_words_and_not_tried_for_each_work(
    engine: Bench, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Slow(index, "slow")
    slow.gate.write_text("the compiler is on holiday")
    needed = packages("slow")
    told = program(lambda x: x, environment=needed)
    ends = []
    for _ in range(3):
        ends.append(engine.start(told, range(2)).end().end)
        why = idle(engine).failed[needed.name]
    assert ends == [End.BACK] * 3
    assert "the compiler is on holiday" in why
    assert "slow cannot be built on" in why
    assert len(slow.builds()) == 1


def test_a_failed_build_is_tried_again_after_a_while(
    engine: Bench, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ENVIRONMENT_RETRY_NS", limits.MS)
    slow = Slow(index, "slow")
    slow.gate.write_text("the compiler is on holiday")
    told = program(lambda x: x, environment=packages("slow"))
    assert engine.start(told, range(2)).end().end is End.BACK
    engine.wait(lambda: any(each.failed for each in buildings(engine)))
    engine.wait(lambda: not buildings(engine)[-1].failed)  # it may come again
    slow.gate.write_text("")
    assert run(engine, told, range(2)).end().end is End.DONE


def test_close_ends_a_build(local_bench: Callable[..., Bench], index: Path, root: Path) -> None:
    slow = Slow(index, "slow")
    made = local_bench(environments=root)
    made.start(program(lambda x: x, environment=packages("slow")), range(4)).end()
    (pid,) = eventually(slow.builds)
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    eventually(lambda: not alive([pid]))
    assert not list(root.glob("*/ready"))


def test_workers_of_an_environment_that_is_not_used_end(
    engine: Bench, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    monkeypatch.setattr(limits, "ENVIRONMENT_IDLE_NS", limits.MS)
    engine.run(lambda x: x, [0])  # its worker stays
    before = set(engine.engine.pids())  # type: ignore[attr-defined]
    told = program(lambda _: os.getpid(), environment=packages("tiny"))
    pid = run(engine, told, [0]).results()[0]
    eventually(lambda: not alive([pid]))
    eventually(lambda: set(engine.engine.pids()) == before)  # type: ignore[attr-defined]
    os.utime(next(root.glob("*/ready")), (0, 0))
    assert collect(root) == 1
    again = program(lambda _: __import__("tiny").VERSION, environment=packages("tiny"))
    assert run(engine, again, [0]).results() == {0: "2.0"}
