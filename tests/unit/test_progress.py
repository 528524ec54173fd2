"""What people see of a job's progress."""

from __future__ import annotations

import io
import time
from collections.abc import Callable

import pytest

from hanse.client import progress, watcher
from hanse.client.progress import ProgressDisplay, describe
from hanse.model.progress import Progress


def snapshot(
    done: int = 0,
    failed: int = 0,
    total: int | None = 100,
    rate: float = 0.0,
    eta: float | None = None,
    elapsed: float = 1.0,
    state: str = "running",
) -> Progress:
    return Progress(
        done=done,
        failed=failed,
        running=1,
        total=total,
        rate_per_s=rate,
        eta_s=eta,
        elapsed_s=elapsed,
        state=state,
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (snapshot(), "0/100 (0 %), 1.0 s"),
        (
            snapshot(done=1200, total=24000, rate=3456.7, eta=6.6, elapsed=0.35),
            "1,200/24,000 (5 %), 3,457/s, 0.3 s, 6.6 s left",
        ),
        (
            snapshot(done=7, failed=2, rate=0.51, eta=178.0, elapsed=17.6),
            "9/100 (9 %), 0.51/s, 2 failed, 18 s, 2:58 min left",
        ),
        (snapshot(done=7, total=None, rate=12.34, elapsed=3723), "7, 12.3/s, 1:02:03 h"),
        (snapshot(done=99_999, total=100_000), "99,999/100,000 (99 %), 1.0 s"),
        (
            snapshot(done=100, rate=1.0, elapsed=2.0, state="done"),
            "100/100 (100 %), 50/s, 2.0 s",
        ),
        (snapshot(total=0, state="done"), "0/0 (100 %), 1.0 s"),
        (snapshot(done=5, elapsed=0.0, state="cancelled"), "5/100 (5 %), 0 ms, cancelled"),
        (
            snapshot(done=5, failed=1, eta=3.0, state="failed"),
            "6/100 (6 %), 6/s, 1 failed, 1.0 s, failed",
        ),
        (snapshot(elapsed=59.6), "0/100 (0 %), 1:00 min"),
    ],
)
def test_a_snapshot_is_one_line_for_people(given: Progress, said: str) -> None:
    assert describe(given) == said


def test_a_pipe_gets_few_lines_and_a_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    out = io.StringIO()
    display = ProgressDisplay(out)
    for tenth in range(101):
        display.update("f", "k", snapshot(done=tenth, elapsed=tenth / 10))
    display.finish("k", snapshot(done=100, elapsed=10.0, state="done"))
    lines = out.getvalue().splitlines()
    done = [line.partition(" (")[0] for line in lines]
    assert done == ["f: 30/100", "f: 60/100", "f: 90/100", "f: 100/100"]


def test_a_job_of_hours_gets_a_bounded_number_of_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    out = io.StringIO()
    display = ProgressDisplay(out)
    for second in range(10 * 3600):
        display.update("f", "k", snapshot(elapsed=float(second)))
    assert len(out.getvalue().splitlines()) < 200


def test_a_thousand_short_jobs_do_not_print_a_thousand_lines() -> None:
    out = io.StringIO()
    display = ProgressDisplay(out)
    for job in range(1000):
        display.update("f", str(job), snapshot(elapsed=0.01))
        display.finish(str(job), snapshot(done=100, elapsed=0.01, state="done"))
    display.close()
    display.close()
    lines = out.getvalue().splitlines()
    assert len(lines) == progress.SHORT_JOBS_TOLD + 1
    assert lines[-1] == "and 990 more short jobs"


def test_a_job_that_was_never_shown_ends_without_a_word() -> None:
    out = io.StringIO()
    ProgressDisplay(out).finish("k", snapshot(state="done"))
    assert out.getvalue() == ""


def test_a_stream_that_goes_away_fails_nothing() -> None:
    out = io.StringIO()
    display = ProgressDisplay(out)
    display.update("f", "k", snapshot())
    out.close()
    display.finish("k", snapshot(state="done"))
    display.update("f", "l", snapshot(elapsed=5.0))
    display.close()


class Screen(io.StringIO):
    """A terminal without a descriptor."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setattr(progress, "REDRAW_S", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    return Screen()


def test_a_terminal_gets_a_live_line_that_gives_way_to_one_that_stays(screen: Screen) -> None:
    display = ProgressDisplay(screen)
    display.update("count", "k", snapshot(done=50, elapsed=2.0))
    live = screen.getvalue()
    assert "50/100 (50 %)" in live
    assert "\n" not in live
    display.finish("k", snapshot(done=100, elapsed=4.0, state="done"))
    after = screen.getvalue()[len(live) :]
    assert "\x1b[2K" in after  # the live line is wiped
    assert "\x1b[?25h" in after  # the cursor is back
    assert after.endswith("count: 100/100 (100 %), 25/s, 4.0 s\n")


def test_prints_appear_above_the_live_line_whole_and_in_order(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", screen)
    display = ProgressDisplay(screen)
    display.update("count", "k", snapshot(done=50, elapsed=2.0))
    before = len(screen.getvalue())
    print("be", end="")
    assert screen.getvalue()[before:] == ""  # an unfinished line waits
    print("gun \x1b[31mred\x1b[0m " + "x" * 300)
    text = screen.getvalue()[before:]
    assert text.startswith("\r\x1b[2Kbegun \x1b[31mred\x1b[0m " + "x" * 300 + "\n")
    assert "50/100" in text  # and the live line is drawn again below
    print("your name? ", end="", flush=True)
    assert "your name? \n" in screen.getvalue()
    print("rest", end="")
    display.finish("k", snapshot(done=100, elapsed=4.0, state="done"))
    assert "rest\n" in screen.getvalue()
    print("plain")
    assert screen.getvalue().endswith("s\nplain\n")


def test_a_job_that_is_over_at_once_draws_no_bar(screen: Screen) -> None:
    display = ProgressDisplay(screen)
    display.update("count", "k", snapshot(elapsed=0.1))
    display.finish("k", snapshot(done=100, elapsed=0.2, state="done"))
    assert screen.getvalue() == "count: 100/100 (100 %), 500/s, 0.2 s\n"


def test_more_jobs_than_fit_share_the_screen(screen: Screen) -> None:
    display = ProgressDisplay(screen)
    for job in range(50):
        display.update(f"job{job}", str(job), snapshot(elapsed=1.0))
    assert screen.getvalue().rpartition("\x1b[2K")[2].count("job") <= 8
    for job in range(50):
        display.finish(str(job), snapshot(done=100, state="done"))
    assert "job49: 100/100" in screen.getvalue()


def test_a_job_is_watched_until_it_ends() -> None:
    out = io.StringIO()
    watching = watcher.Watcher(ProgressDisplay(out))
    ahead = [snapshot(), snapshot(elapsed=4.0), snapshot(done=100, state="done")]
    watching.watch("j", "work", lambda: ahead.pop(0))
    until(lambda: not ahead)
    watching.close()
    assert out.getvalue().splitlines() == [
        "work: 0/100 (0 %), 4.0 s",
        "work: 100/100 (100 %), 100/s, 1.0 s",
    ]


def test_a_job_that_ended_is_told_before_the_next_word() -> None:
    out = io.StringIO()
    watching = watcher.Watcher(ProgressDisplay(out))
    watching.watch("j", "work", lambda: snapshot(done=100, state="done"))
    watching.settle()
    assert out.getvalue() == "work: 100/100 (100 %), 100/s, 1.0 s\n"
    watching.settle()
    watching.close()
    assert len(out.getvalue().splitlines()) == 1


def test_a_job_that_still_runs_at_the_end_gets_its_line() -> None:
    out = io.StringIO()
    watching = watcher.Watcher(ProgressDisplay(out))
    watching.watch("j", "work", lambda: snapshot(done=3))
    watching.close()
    assert out.getvalue() == "work: 3/100 (3 %), 1.0 s\n"
    watching.watch("k", "work", lambda: snapshot(done=3))
    watching.close()
    assert len(out.getvalue().splitlines()) == 1


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_progress_is_shown_only_where_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HANSE_PROGRESS", raising=False)
    monkeypatch.delenv("HANSE_DEPTH", raising=False)
    assert watcher.ambient() is None
    monkeypatch.setenv("HANSE_PROGRESS", "0")
    assert watcher.ambient() is None
    monkeypatch.setenv("HANSE_PROGRESS", "1")
    assert watcher.ambient() is watcher.ambient() is not None
    monkeypatch.setenv("HANSE_DEPTH", "1")  # inside a task
    assert watcher.ambient() is None
