"""What only the local engine promises: processes, output, and that nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import Bench, eventually, program

from hanse.engines.port import End
from hanse.errors import EngineError
from hanse.model.failure import Cause


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fds() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def test_close_leaves_no_process_and_no_descriptor(local_bench: Callable[..., Bench]) -> None:
    before = len(fds())
    made = local_bench(prestart=2)
    made.run(print, range(3))
    made.start(program(lambda x: __import__("time").sleep(600)), range(3))
    pids = eventually(lambda: len(made.engine.pids()) == 3 and made.engine.pids())  # type: ignore[attr-defined]
    made.close()
    assert not any(map(alive, pids))
    assert len(fds()) <= before
    made.close = lambda: None  # type: ignore[method-assign]


def test_output_is_forwarded_whole_by_the_time_of_close(local_bench: Callable[..., Bench]) -> None:
    said: list[tuple[str, str]] = []
    made = local_bench(forward=lambda stream, text: said.append((stream, text)))

    def talk(x: int) -> None:
        import sys

        print("out", x)
        print("err", x, file=sys.stderr)
        os.write(1, b"raw\n")

    made.run(talk, range(100))
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    out = "".join(text for stream, text in said if stream == "stdout")
    err = "".join(text for stream, text in said if stream == "stderr")
    assert out == "".join(f"out {x}\nraw\n" for x in range(100))
    assert err == "".join(f"err {x}\n" for x in range(100))


def test_an_item_that_prints_200_mb_costs_no_memory(local_bench: Callable[..., Bench]) -> None:
    size = [0]

    def count(_stream: str, text: str) -> None:
        size[0] += len(text)

    def shout(x: int) -> int:
        import resource
        import sys

        for _ in range(200):
            sys.stdout.write("x" * 999_999 + "\n")
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    made = local_bench(forward=count)
    before = psutil.Process().memory_info().rss
    peak_kib = made.run(shout, [1]).results()[0]
    made.close()
    made.close = lambda: None  # type: ignore[method-assign]
    assert size[0] == 200_000_000
    assert peak_kib < 100_000
    assert psutil.Process().memory_info().rss - before < 50_000_000


def test_when_the_nursery_is_killed_the_works_go_on(
    local_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    made = local_bench()

    def wait(x: int) -> int:
        import time

        (tmp_path / str(x)).touch()
        while x == 3 and not (tmp_path / "go").exists():
            time.sleep(0.005)
        return x

    running = made.start(program(wait), range(6))
    eventually((tmp_path / "3").exists)
    *workers, nursery = made.engine.pids()  # type: ignore[attr-defined]
    os.kill(nursery, signal.SIGKILL)
    eventually(lambda: not any(map(alive, workers)))
    (tmp_path / "go").touch()
    assert running.end().end is End.DONE
    assert not running.failures()
    assert running.reported() == list(range(6))


def test_when_main_is_killed_no_process_is_left(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import os, subprocess, sys, threading
        sys.path.insert(0, sys.argv[2])
        from builders import Bench, program
        from hanse.engines.local.engine import LocalEngine

        def work(x):
            import os, subprocess, sys, time
            child = subprocess.Popen(["sleep", "600"])
            far = subprocess.Popen(["sleep", "600"], start_new_session=True)
            path = sys.argv[1] + "/" + str(x)
            with open(path + ".new", "w") as file:
                file.write(f"{os.getpid()} {os.getppid()} {child.pid} {far.pid}")
            os.rename(path + ".new", path)
            time.sleep(600)

        made = Bench(lambda loop, emit: LocalEngine(loop, emit))
        for x in range(2):
            made.start(program(work), [x], start=x)
        threading.Event().wait()
    """)
    home = str(Path(__file__).parent)
    main = subprocess.Popen([sys.executable, "-c", script, str(tmp_path), home])
    try:
        for x in range(2):
            eventually((tmp_path / str(x)).exists)
        pids = [int(pid) for x in range(2) for pid in (tmp_path / str(x)).read_text().split()]
        assert len(set(pids)) == 7
        assert all(map(alive, pids))
    finally:
        main.kill()
        main.wait()
    eventually(lambda: not any(map(alive, pids)))


def test_a_forked_child_of_main_keeps_nothing_alive(local_bench: Callable[..., Bench]) -> None:
    made = local_bench()
    made.run(abs, [1])
    child = os.fork()
    if child == 0:
        signal.pause()
        os._exit(0)
    try:
        pids = made.engine.pids()  # type: ignore[attr-defined]
        made.close()
        made.close = lambda: None  # type: ignore[method-assign]
        eventually(lambda: not any(map(alive, pids)))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_nesting_has_a_limit(
    local_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANSE_DEPTH", "4")
    from hanse.engines.local.engine import LocalEngine

    with pytest.raises(EngineError, match="nested 4 levels deep"):
        LocalEngine(None, print)  # type: ignore[arg-type]


def test_workers_know_that_they_have_one_cpu(local_bench: Callable[..., Bench]) -> None:
    names = ["OMP_NUM_THREADS", "HANSE_CPUS", "HANSE_DEPTH"]
    running = local_bench().run(lambda name: __import__("os").environ[name], names)
    assert list(running.results().values()) == ["1", "1", "1"]


def test_a_killed_engine_that_cannot_start_workers_says_so(
    local_bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = local_bench()
    made.run(abs, [1])
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    os.kill(made.engine.pids()[-1], signal.SIGKILL)  # type: ignore[attr-defined]
    eventually(lambda: not made.engine.pids())  # type: ignore[attr-defined]
    ended = made.run(abs, [1]).end()
    assert ended.end is End.LOST
    assert "cannot be started" in ended.because


def test_many_large_values_hold_few_descriptors(local_bench: Callable[..., Bench]) -> None:
    def make(x: int) -> Any:
        import numpy as np

        return np.full(40_000, x, dtype="i8")

    running = local_bench().run(make, range(600))
    results = running.results()
    assert all(results[x][0] == x for x in range(600))
    assert len(fds()) < 600


def test_an_item_that_closes_its_sockets_costs_only_itself(
    local_bench: Callable[..., Bench],
) -> None:
    def rude(x: int) -> int:
        import os

        if x == 1:
            os.closerange(3, 256)
            import time

            time.sleep(600)
        return x

    running = local_bench().run(rude, range(3))
    assert running.failure().cause is Cause.DIED
    assert sorted(running.results()) == [0, 2]


def test_deaths_are_heard_where_main_blocks_signals(local_bench: Callable[..., Bench]) -> None:
    def die(x: int) -> Any:
        import signal

        if x == 1:
            os._exit(3)
        return int(signal.getsignal(signal.SIGUSR1)), len(signal.pthread_sigmask(0, ()))

    blocked = {signal.SIGCHLD, signal.SIGTERM}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
    ignored = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        running = local_bench().run(die, range(3))
    finally:
        signal.signal(signal.SIGUSR1, ignored)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert running.failure().exit_code == 3
    assert running.results() == {0: (0, 0), 2: (0, 0)}


@pytest.mark.parametrize("kind", ["garbage", "code", "length", "event", "items", "usage"])
def test_what_a_task_writes_to_its_workers_socket_harms_nobody_else(
    local_bench: Callable[..., Bench], tmp_path: Path, kind: str
) -> None:
    def write(x: int) -> int:
        import contextlib
        import pickle
        import socket
        import stat
        import time

        from hanse.engines.local.frames import HEADER, MARK
        from hanse.engines.local.reports import _FIELDS

        class Code:
            def __reduce__(self) -> Any:
                return Path.touch, (tmp_path / "ran",)

        def frame(value: Any) -> bytes:
            body = pickle.dumps(value)
            return HEADER.pack(MARK, len(body), 0) + body

        fields = dict.fromkeys(_FIELDS) | {"cause": "raised"}
        data = {
            "garbage": b"nonsense" * 100,
            "code": frame(Code()),
            "length": HEADER.pack(MARK, 1 << 60, 0),
            "event": frame((1, [("s", "?")])),
            "items": frame((1, [("s", 0, 1 << 40, (1, b"", None, None), 0, ({}, 0, 0))])),
            "usage": frame((1, [("f", 1, fields, 0, ({1 << 70: 1}, 0, 0))])),
        }[kind]
        if x == 1:
            time.sleep(0.2)  # what came before is streamed by now
            for fd in range(3, 30):
                with contextlib.suppress(OSError):
                    if stat.S_ISSOCK(os.fstat(fd).st_mode):
                        socket.socket(fileno=os.dup(fd)).send(data)
            time.sleep(600)
        return x

    running = local_bench().run(write, range(3))
    failure = running.failure()
    assert (failure.item, failure.cause) == (1, Cause.DIED)
    assert "garbage" in failure.what()
    assert sorted(running.results()) == [0, 2]
    assert not (tmp_path / "ran").exists()


def test_a_task_may_use_an_engine_of_its_own_and_takes_it_along_when_it_dies(
    local_bench: Callable[..., Bench], tmp_path: Path
) -> None:
    home = str(Path(__file__).parent)

    def outer(x: int) -> int:
        import os
        import sys
        import time

        sys.path.insert(0, home)
        from builders import Bench, program

        from hanse.engines.local.engine import LocalEngine

        made = Bench(LocalEngine)
        total = sum(made.run(abs, range(10)).results().values())
        made.start(program(time.sleep), [600])
        while len(made.engine.pids()) < 2:  # its nursery and its worker
            time.sleep(0.01)
        (tmp_path / "new").write_text(" ".join(map(str, [os.getpid(), *made.engine.pids()])))
        (tmp_path / "new").rename(tmp_path / "pids")
        assert total == 45
        time.sleep(600)
        return total

    running = local_bench().start(program(outer), [1])
    eventually((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) >= 3
    assert all(map(alive, pids))
    os.kill(pids[0], signal.SIGKILL)
    running.end()
    assert running.failure().signal == "SIGKILL"
    eventually(lambda: not any(map(alive, pids)))


def test_programs_that_a_task_starts_inherit_no_descriptor(
    local_bench: Callable[..., Bench],
) -> None:
    def look(x: int) -> list[str]:
        import subprocess

        return subprocess.run(
            ["ls", "/proc/self/fd"], close_fds=False, check=True, capture_output=True, text=True
        ).stdout.split()

    assert local_bench().run(look, [1]).results()[0] == ["0", "1", "2", "3"]
