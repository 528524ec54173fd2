"""Named jobs: nothing that was committed runs again, whatever ended the program."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from system.programs import Program, committed, record
from system.real import until

import hanse
from hanse.model.ranges import RangeSet
from hanse.records.checking import damages
from hanse.records.state import open_state

SQUARES = """
    import os, sys, time
    import hanse

    def square(x):
        with open(os.environ["LOG"], "a") as log:
            log.write(f"{os.environ['RUN']} {x}\\n")
        time.sleep(PAUSE)
        return x * x

    def main():
        with hanse.connect(resources=hanse.Resources(cpus=2)) as client:
            print(sum(client.map(square, INPUTS, name="squares")))

    if __name__ == "__main__":
        main()
"""


def squares(tmp_path: Path, inputs: str, pause: str = "0.002") -> Program:
    return Program(tmp_path, SQUARES.replace("INPUTS", inputs).replace("PAUSE", pause))


@pytest.mark.parametrize("inputs", ["range(4000)", "(x for x in range(4000))"])
def test_a_program_killed_thirty_times_runs_nothing_again_that_was_committed(tmp_path, inputs):
    program, moments = squares(tmp_path, inputs), random.Random(20)
    known: list[tuple[int, list[tuple[int, int]]]] = []  # after this run these were committed
    for _ in range(30):
        program.kill_after(moments.choice((0, *(moments.randrange(400) for _ in range(3)))))
        known.append((program.runs, list(committed("squares"))))
    assert int(program.result()) == sum(x * x for x in range(4000))
    ran = program.ran()
    for run, ranges in known:
        items = {item for start, stop in ranges for item in range(start, stop)}
        again = [item for later, item in ran if later > run and item in items]
        assert not again, f"committed by run {run} and run again later: {again}"
    assert {item for _, item in ran} == set(range(4000))
    assert len({tuple(ranges) for _, ranges in known}) >= 8  # it was killed as it went on


def test_the_results_of_a_finished_job_are_read_back_and_nothing_runs(tmp_path):
    program = squares(tmp_path, "range(200)")
    first = program.result()
    lines = program.lines()
    assert program.result() == first
    assert program.lines() == lines


def test_ctrl_c_leaves_a_job_that_goes_on(tmp_path):
    program = squares(tmp_path, "range(300)", "0.01")
    process = program.start()
    until(lambda: len(program.lines()) > 20)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    done = committed("squares")
    assert len(done)
    assert int(program.result()) == sum(x * x for x in range(300))
    assert not [item for run, item in program.ran() if run == 2 and item in done]


def test_two_programs_at_once_the_second_is_told_who_runs_it(tmp_path):
    program = squares(tmp_path, "range(400)", "0.01")
    first = program.start()
    until(lambda: len(program.lines()) > 4)
    code, _, err = program.run()
    assert code == 1
    assert "JobBusy" in err
    assert str(first.pid) in err
    first.kill()
    first.communicate()
    assert int(program.result()) == sum(x * x for x in range(400))


# --- what changed -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("inputs", "now", "says"),
    [
        ("[1, 2, 3]", "[1, 7, 3]", "input 1 was 2 (builtins.int), and is 7"),
        ("[1, 2, 3]", "[1, 2]", "2 inputs"),
        ("[1, 2, 3]", "[1, 2, 3, 4]", "more inputs than the 3"),
        ("iter([1, 2, 3])", "iter([1, 7, 3])", "input 1 was 2 (builtins.int), and is 7"),
        ("iter([1, 2, 3])", "iter([1, 2])", "2 inputs"),
        ("iter([1, 2, 3])", "iter([1, 2, 3, 4])", "more inputs than the 3"),
        ("range(10)", "range(11)", "input"),
    ],
)
def test_changed_inputs_are_refused_in_words(tmp_path, inputs, now, says):
    program = squares(tmp_path, inputs)
    first = program.result()
    ran = program.lines()
    text = program.path.read_text()
    program.write(text.replace(inputs, now))
    code, out, err = program.run()
    assert code == 1, out
    assert "JobChanged" in err
    assert says in err
    assert "fresh=True" in err
    assert program.lines() == ran
    program.write(text)
    assert program.result() == first


def test_inputs_that_are_equal_and_pickled_otherwise_are_the_same(tmp_path):
    program = Program(tmp_path, """
        import hanse
        def size(words): return len(words)
        if __name__ == "__main__":
            with hanse.connect() as client:
                words = [{"a", "b", "c", "hanse", str(i)} for i in range(50)]
                print(sum(client.map(size, words, name="sets")))
    """)  # fmt: skip
    assert program.result(env={"PYTHONHASHSEED": "1"}) == program.result(
        env={"PYTHONHASHSEED": "2"}
    )


def test_a_changed_function_is_refused_and_fresh_starts_over(tmp_path):
    text = SQUARES.replace("INPUTS", "range(20)").replace("PAUSE", "0")
    program = Program(tmp_path, text)
    program.result()
    program.write(text.replace("x * x", "x + x"))
    code, _, err = program.run()
    assert code == 1
    assert "JobChanged" in err
    assert "square" in err
    before = len(program.lines())
    assert int(program.result(env={"HANSE_FRESH": "1"})) == sum(x + x for x in range(20))
    assert len(program.lines()) == before + 20
    program.write(text.replace("x * x", "x + x").replace('s")', 's", fresh=True)'))
    assert int(program.result()) == sum(x + x for x in range(20))
    assert len(program.lines()) == before + 40


def test_changed_code_that_the_function_calls_is_refused(tmp_path):
    helper = tmp_path / "helper.py"
    helper.write_text("def half(x):\n    return x / 2\n")
    program = Program(tmp_path, """
        import hanse, helper
        def work(x): return helper.half(x)
        if __name__ == "__main__":
            with hanse.connect() as client:
                print(sum(client.map(work, range(10), name="halves")))
    """)  # fmt: skip
    program.result()
    # Of another length: Python finds bytecode by a source's size and second.
    helper.write_text("def half(x):\n    return x / 3.0\n")
    code, _, err = program.run()
    assert code == 1
    assert "helper.half" in err


# --- ends ---------------------------------------------------------------------------------------
def test_a_job_that_failed_runs_what_failed_again_and_nothing_else(tmp_path):
    program = Program(tmp_path, """
        import os, sys, hanse
        def work(x):
            with open(os.environ["LOG"], "a") as log:
                log.write(f"{os.environ['RUN']} {x}\\n")
            if x == 60 and os.environ["RUN"] == "1":
                raise ValueError("the network is down")
            return x
        if __name__ == "__main__":
            with hanse.connect() as client:
                print(sum(client.map(work, range(100), name="flaky")))
    """)  # fmt: skip
    code, _, err = program.run()
    assert code == 1
    assert "the network is down" in err
    done = committed("flaky")
    assert 60 not in done
    assert int(program.result()) == sum(range(100))
    assert not [item for run, item in program.ran() if run == 2 and item in done]


def test_inputs_that_broke_off_may_come_whole_the_next_time(tmp_path):
    program = Program(tmp_path, """
        import os, hanse
        def work(x):
            with open(os.environ["LOG"], "a") as log:
                log.write(f"{os.environ['RUN']} {x}\\n")
            return x
        def inputs():
            for x in range(50):
                if x == 30 and os.environ["RUN"] == "1":
                    raise OSError("the tape is torn")
                yield x
        if __name__ == "__main__":
            with hanse.connect() as client:
                print(sum(client.map(work, inputs(), name="tape")))
    """)  # fmt: skip
    code, _, err = program.run()
    assert code == 1
    assert "the tape is torn" in err
    assert int(program.result()) == sum(range(50))
    assert sorted(item for _, item in program.ran()) == list(range(50))


def test_a_cancelled_job_goes_on_when_its_program_runs_again(tmp_path):
    program = Program(tmp_path, """
        import os, sys, hanse
        def work(x):
            with open(os.environ["LOG"], "a") as log:
                log.write(f"{os.environ['RUN']} {x}\\n")
            return x
        if __name__ == "__main__":
            with hanse.connect() as client:
                job = client.map(work, (x for x in range(500)), name="cancelled")
                if os.environ["RUN"] == "1":
                    next(iter(job))
                    job.cancel()
                    job.join()
                    print(job.state)
                else:
                    print(sum(job))
    """)  # fmt: skip
    assert program.result() == "cancelled"
    done, found = committed("cancelled"), record("cancelled")
    assert found is not None
    assert found.head.state == "cancelled"
    assert int(program.result()) == sum(range(500))
    assert not [item for run, item in program.ran() if run == 2 and item in done]


# --- in one program -----------------------------------------------------------------------------
def double(x: int) -> int:
    return 2 * x


def odd_ones_fail(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


def arrays(x: int) -> bytes:
    return bytes([x]) * 2_000_000


def test_results_of_a_named_job_are_handed_out_as_often_as_one_likes(client):
    job = client.map(double, range(1000), name="doubles")
    assert list(job) == list(job) == [2 * x for x in range(1000)]
    assert sorted(job.as_completed()) == [(x, 2 * x) for x in range(1000)]
    again = client.map(double, range(1000), name="doubles")
    assert again.id == job.id
    assert list(again) == [2 * x for x in range(1000)]


def test_a_job_of_an_earlier_client_is_found_by_name(client):
    with hanse.connect() as first:
        job = first.map(double, range(100), name="earlier")
        assert sum(job) == 9900
    found = client.job("earlier")
    assert (found.id, found.state) == (job.id, "done")
    assert list(found) == [2 * x for x in range(100)]
    assert found.progress().done == 100
    with pytest.raises(hanse.NoSuchJob):
        client.job("nobody's")


def test_failures_are_kept_with_the_results(client):
    job = client.map(odd_ones_fail, range(10), name="odd", on_error="collect")
    assert [type(result) for result in job] == [int, ValueError] * 5
    with hanse.connect() as second:
        again = second.map(odd_ones_fail, range(10), name="odd", on_error="collect")
        results = list(again)
        assert [str(results[x]) for x in (1, 3)] == ["1 is odd", "3 is odd"]
        assert [failure.item for failure in again.failures()] == [1, 3, 5, 7, 9]
        assert "Traceback" in again.failures()[0].traceback


def test_large_results_live_as_blobs_and_come_back_whole(client, hanse_home):
    expected = [bytes([x]) * 2_000_000 for x in range(8)]
    assert list(client.map(arrays, range(8), name="arrays")) == expected
    sizes = [p.stat().st_size for p in (hanse_home / "blobs").rglob("??/*")]
    assert sum(sizes) >= 8 * 2_000_000
    with hanse.connect() as second:
        assert list(second.map(arrays, range(8), name="arrays")) == expected


def test_a_reduced_job_is_reduced_again_by_the_same_function_only(client):
    total = client.map(double, range(1000), name="folded").reduce(max)
    with hanse.connect() as second:
        assert second.map(double, range(1000), name="folded").reduce(max) == total == 1998
    with hanse.connect() as third:
        with pytest.raises(hanse.JobChanged, match="reduce"):
            third.map(double, range(1000), name="folded").reduce(min)
        with pytest.raises(hanse.ResultsConsumed, match="folded"):
            list(third.map(double, range(1000), name="folded"))


def test_futures_in_a_named_job_are_refused_in_words(client):
    future = client.submit(double, 2)
    with pytest.raises(hanse.UsageError, match="futures"):
        client.map(double, [future], name="futures")


def test_an_argument_that_cannot_travel_fails_its_item_in_every_run(client):
    inputs = [1, 2, 3, threading.Lock()]
    for _ in range(2):
        with hanse.connect() as one:
            job = one.map(str, inputs, name="untravelled", on_error="collect")
            results = list(job)
            assert results[0] == "1"
            assert isinstance(results[3], hanse.ArgumentError)


def test_a_job_without_a_name_touches_no_disk(client, hanse_home):
    assert list(client.map(double, range(10))) == [2 * x for x in range(10)]
    assert client.submit(double, 4).result() == 8
    assert not hanse_home.exists()


def sleeps_then_fails(x: int) -> int:
    time.sleep(0.02)
    if x == 3:
        raise ValueError("three")
    return x


def test_what_items_took_is_recorded_of_good_and_of_failed_ones(client):
    job = client.map(sleeps_then_fails, range(20), name="timed", on_error="collect", retries=1)
    assert len(list(job)) == 20
    found = record("timed")
    assert found is not None
    assert found.usage.items == 21  # the failed item twice
    half = found.usage.quantile_ns(0.5)
    assert half is not None
    assert 15_000_000 < half < 200_000_000
    assert found.usage.peak_bytes > 1_000_000
    assert found.usage.cpu_ns > 0


def test_a_damaged_payload_is_an_error_that_names_it_and_no_wrong_result(client, hanse_home):
    assert sum(client.map(double, range(100), name="sound")) == 9900
    with sqlite3.connect(hanse_home / "journal.sqlite") as journal:
        last = "SELECT seq, payload FROM entries WHERE payload IS NOT NULL ORDER BY seq DESC"
        seq, payload = journal.execute(last).fetchone()
        turned = payload[:-1] + bytes([payload[-1] ^ 1])
        journal.execute("UPDATE entries SET payload = ? WHERE seq = ?", (turned, seq))
    journal.close()
    state = open_state()
    assert state is not None
    assert any("payload" in line for line in damages(state))
    state.close()
    with hanse.connect() as second, pytest.raises(hanse.JournalDamaged, match="entry"):
        list(second.map(double, range(100), name="sound"))


def test_a_job_that_was_killed_when_it_was_just_made_begins_anew(client, hanse_home):
    with hanse.connect() as first:
        assert sum(first.map(double, range(10), name="newborn")) == 90
    with sqlite3.connect(hanse_home / "journal.sqlite") as journal:
        journal.execute("DELETE FROM entries")
        journal.execute("UPDATE jobs SET entries = 0, state = 'running', done = 0")
    journal.close()
    assert sum(client.map(double, range(20), name="newborn")) == 380


def test_a_job_is_run_once_at_a_time_in_one_program_too(client):
    job = client.map(slow_double, range(100), name="twice")
    with pytest.raises(hanse.JobBusy, match="this program"):
        client.map(slow_double, range(100), name="twice")
    with pytest.raises(hanse.JobBusy):
        client.map(slow_double, range(100), name="twice", fresh=True)
    with hanse.connect() as second, pytest.raises(hanse.JobBusy):
        second.map(slow_double, range(100), name="twice")
    assert sum(job) == 9900


def test_a_job_that_was_let_go_can_be_taken_up_at_once(client):
    for _ in range(10):
        job = client.map(slow_double, range(2000), name="let go")
        next(iter(job))
        del job
    fresh = client.map(double, range(10), name="let go", fresh=True)
    assert sum(fresh) == 90


def slow_double(x: int) -> int:
    time.sleep(0.002)
    return 2 * x


def test_a_job_goes_on_from_every_beginning_of_its_record(tmp_path, hanse_home):
    """Whatever the moment of a kill, what is recorded is some first part of the record."""
    program = squares(tmp_path, "(x for x in range(12))", "0")
    expected = program.result()
    kept = tmp_path / "kept.sqlite"
    shutil.copy(hanse_home / "journal.sqlite", kept)
    with closing(sqlite3.connect(kept)) as journal:
        (entries,) = journal.execute("SELECT count(*) FROM entries").fetchone()
    assert entries > 5
    for first in range(entries):
        shutil.copy(kept, hanse_home / "journal.sqlite")
        with closing(sqlite3.connect(hanse_home / "journal.sqlite")) as journal, journal:
            journal.execute("DELETE FROM entries WHERE seq >= ?", (first,))
            journal.execute(
                "UPDATE jobs SET entries = ?, state = 'running', ended_s = NULL", (first,)
            )
        done = committed("squares") if first else RangeSet()
        assert program.result() == expected, first
        again = [item for run, item in program.ran() if run == program.runs and item in done]
        assert not again, first


def shouts(path: str) -> str:
    raise ValueError(f"no such file: {path}")


def test_texts_that_are_no_utf8_are_recorded_too_and_cost_no_other_job(client):
    names = [os.fsdecode(b"caf\xe9.txt"), "plain"]
    other = client.map(slow_double, range(50), name="other job")
    job = client.map(shouts, names, name="odd names", on_error="collect")
    assert ["no such file" in str(error) for error in job] == [True, True]
    assert sum(other) == 2450
    [first] = [failure for failure in job.failures() if failure.item == 0]  # in any order
    assert "\\udce9" in first.message
    with hanse.connect() as second:
        assert len(list(second.map(shouts, names, name="odd names", on_error="collect"))) == 2
