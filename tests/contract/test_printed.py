"""What the local engine tells of what items print: who, in which stream, and every byte of it."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from builders import PATIENCE_S, Bench, Running, program

from hanse.engines.port import Printed
from hanse.ids import JobId


class Paper:
    """What was printed, as it was told and as it was shown."""

    def __init__(self) -> None:
        self.told: list[Printed] = []
        self.shown: dict[str, str] = {"stdout": "", "stderr": ""}
        self._changed = threading.Condition()

    def printed(self, piece: Printed) -> None:
        with self._changed:
            self.told.append(piece)
            self._changed.notify_all()

    def forward(self, stream: str, text: str) -> None:
        with self._changed:
            self.shown[stream] += text
            self._changed.notify_all()

    def text(self, running: Running, item: int | None, stream: str = "stdout") -> str:
        mine = [p for p in list(self.told) if p.lease == running.work.lease]
        return "".join(p.text for p in mine if p.item == item and p.stream == stream)

    def wait_shown(self, text: str) -> None:
        self.wait(lambda: self.shown["stdout"] == text)

    def wait(self, condition: Callable[[], Any]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), self.told[-5:]


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def bench(paper: Paper, local_bench: Callable[..., Bench]) -> Bench:
    return local_bench(printed=paper.printed, forward=paper.forward)


def test_every_item_is_told_with_its_own_lines(bench: Bench, paper: Paper) -> None:
    def speak(x: int) -> None:
        import sys

        print("I am", x)
        print("und ich", x, "äöü", file=sys.stderr)

    running = bench.run(speak, range(500), logged=True)
    paper.wait(lambda: paper.text(running, 499, "stderr").endswith("äöü\n"))
    paper.wait(lambda: paper.text(running, 499))
    for x in range(500):
        assert paper.text(running, x) == f"I am {x}\n"
        assert paper.text(running, x, "stderr") == f"und ich {x} äöü\n"
    paper.wait_shown("".join(f"I am {x}\n" for x in range(500)))


def test_a_program_that_is_not_logged_is_shown_and_not_told(bench: Bench, paper: Paper) -> None:
    bench.run(print, ["quiet"])
    running = bench.run(print, ["loud"], logged=True)
    paper.wait(lambda: paper.text(running, 0) == "loud\n")
    assert [piece.text for piece in paper.told] == ["loud\n"]
    paper.wait_shown("quiet\nloud\n")


def test_parts_of_lines_belong_to_the_items_that_printed_them(bench: Bench, paper: Paper) -> None:
    running = bench.run(lambda x: print(x, end=";"), range(20), logged=True)
    paper.wait(lambda: paper.text(running, 19))
    for x in range(20):
        assert paper.text(running, x) == f"{x};"


def test_what_programs_and_c_code_write_belongs_to_the_work(bench: Bench, paper: Paper) -> None:
    def write(x: int) -> None:
        import os
        import subprocess
        import sys

        print("before", x)
        os.write(1, b"from C\n")
        subprocess.run([sys.executable, "-c", "print('from a program')"], check=True)
        print("after", x)

    running = bench.run(write, range(3), logged=True)
    paper.wait(lambda: paper.text(running, 2).endswith("after 2\n"))
    for x in range(3):
        assert paper.text(running, x) == f"before {x}\nafter {x}\n"
    assert paper.text(running, None) == "from C\nfrom a program\n" * 3
    paper.wait_shown("".join(f"before {x}\nfrom C\nfrom a program\nafter {x}\n" for x in range(3)))


def test_in_a_lease_of_one_item_all_output_is_that_items(bench: Bench, paper: Paper) -> None:
    running = bench.run(lambda x: os.write(1, b"raw\n"), [0], logged=True)
    paper.wait(lambda: paper.text(running, 0) == "raw\n")


def test_what_goes_past_the_text_layer_is_noted_too(bench: Bench, paper: Paper) -> None:
    def write(x: int) -> None:
        sys.stdout.buffer.write(b"bytes %d\n" % x)
        sys.stdout.buffer.flush()

    running = bench.run(write, range(5), logged=True)
    paper.wait(lambda: paper.text(running, 4))
    assert [paper.text(running, x) for x in range(5)] == [f"bytes {x}\n" for x in range(5)]


def test_ten_megabytes_arrive_whole(bench: Bench, paper: Paper) -> None:
    def shout(x: int) -> None:
        for _ in range(5):
            print(str(x) * ((1 << 20) - 1))
        for line in range(1000):
            print(x, line)

    running = bench.run(shout, range(2), logged=True)
    tail = "".join(f"1 {line}\n" for line in range(1000))
    paper.wait(lambda: paper.told and paper.told[-1].text.endswith("1 999\n"))
    assert paper.text(running, 1) == ("1" * ((1 << 20) - 1) + "\n") * 5 + tail
    assert len(paper.text(running, 0)) == len(paper.text(running, 1))
    assert paper.text(running, None) == ""


def test_an_item_that_is_killed_after_printing_is_told(bench: Bench, paper: Paper) -> None:
    def die(x: int) -> None:
        import os
        import signal

        print("last words of", x)
        if x == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    running = bench.run(die, range(3), logged=True)
    paper.wait(lambda: paper.text(running, 1) and paper.text(running, 2))
    assert [paper.text(running, x) for x in (1, 2)] == ["last words of 1\n", "last words of 2\n"]
    assert set(paper.text(running, 0).splitlines()) == {"last words of 0"}  # it may have run twice


def test_two_workers_at_once_are_kept_apart(bench: Bench, paper: Paper) -> None:
    def chatter(x: int) -> None:
        for line in range(2000):
            print(x, line)

    leases = [
        bench.start(program(chatter, logged=True), [at], start=at)
        for at in (10, 20)
    ]  # fmt: skip
    for running, x in zip(leases, (10, 20), strict=True):
        running.end()
        paper.wait(lambda r=running, x=x: paper.text(r, x).endswith(f"{x} 1999\n"))
        assert paper.text(running, x) == "".join(f"{x} {line}\n" for line in range(2000))


def test_jobs_that_share_a_worker_are_kept_apart(
    paper: Paper, local_bench: Callable[..., Bench]
) -> None:
    import msgspec

    bench = local_bench(printed=paper.printed, forward=paper.forward, max_idle=1)
    for number in range(20):
        job = JobId(f"j-{number:012d}")
        work = msgspec.structs.replace(program(print, logged=True), job=job)
        bench.start(work, [f"of {number}"]).end()
    paper.wait(lambda: len(paper.told) >= 20)
    assert [(piece.job, piece.text) for piece in paper.told] == [
        (f"j-{number:012d}", f"of {number}\n") for number in range(20)
    ]


def test_a_forked_child_and_a_closed_stdout_cost_nothing_but_attribution(
    bench: Bench, paper: Paper
) -> None:
    def odd(x: int) -> int:
        if x == 0:
            pid = os.fork()
            if not pid:
                os.closerange(3, 64)
                print("from the child")
                os._exit(0)
            os.waitpid(pid, 0)
        if x == 1:
            kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            for line in range(20_000):
                print("nobody reads", line)
            os.dup2(kept, 1)
        print("still here", x)
        return x

    running = bench.run(odd, range(3), logged=True)
    assert running.results() == {0: 0, 1: 1, 2: 2}
    paper.wait(lambda: paper.shown["stdout"].endswith("still here 2\n"))
    everything = "".join(piece.text for piece in paper.told)
    assert everything == paper.shown["stdout"]
    assert "nobody" not in everything
    assert paper.text(running, None).startswith("from the child\n")


def test_a_callback_that_fails_stops_no_output(
    paper: Paper, local_bench: Callable[..., Bench]
) -> None:
    failed = threading.Event()

    def fail(_: Printed) -> None:
        failed.set()
        raise OSError("no")

    bench = local_bench(printed=fail, forward=paper.forward)
    bench.run(print, range(10), logged=True)
    bench.run(print, [10], logged=True)
    bench.call(bench.engine.close)  # which brings all that was printed
    assert failed.is_set()
    assert paper.shown["stdout"] == "".join(f"{x}\n" for x in range(11))


def test_an_item_whose_stdout_leads_elsewhere_for_a_while_harms_no_other(
    bench: Bench, paper: Paper
) -> None:
    def capture(x: int) -> None:
        import os

        if x == 0:
            stdout, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 1)
            for line in range(300):
                print("hidden", line)
            os.dup2(stdout, 1)
            os.close(stdout)
            os.close(nowhere)
        print("seen", x)

    running = bench.run(capture, range(40), logged=True)
    paper.wait(lambda: paper.text(running, 39))
    assert [paper.text(running, x) for x in range(40)] == [f"seen {x}\n" for x in range(40)]


def test_an_item_that_writes_notes_of_its_own_gets_nothing_of_later_runs(
    bench: Bench, paper: Paper
) -> None:
    def forge(x: int) -> None:
        import gc
        import os
        import sys

        from hanse.engines.local import attributing, printing

        [noter] = [one for one in gc.get_objects() if isinstance(one, printing._Noter)]
        who = sys.stdout.under.current()  # type: ignore[attr-defined]
        os.write(noter._fd, attributing.note(1, who, b"EVIL\n", 1 << 62))
        os.write(1, b"EVIL\n")

    evil = bench.run(forge, [0], logged=True)
    paper.wait(lambda: paper.text(evil, 0))
    honest = bench.run(lambda x: print("of another", x), range(20), logged=True)
    paper.wait(lambda: paper.text(honest, 19))
    assert [paper.text(honest, x) for x in range(20)] == [f"of another {x}\n" for x in range(20)]
    assert paper.text(evil, 0) == "EVIL\n"
