"""However a program ends, nothing of it is left: no process, no shared memory, no open socket.

Every test runs a real script. All of its processes carry a mark in their environment, by which
they are found wherever they went, sessions of their own included.
"""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from system.real import until

import hanse

PRELUDE = """
import hanse, os, signal, subprocess, sys, time
from pathlib import Path
notes = Path(sys.argv[1])
def mark(name):
    (notes / name).write_text(str(os.getpid()))
def linger(x):
    mark(f"began-{x}")
    while True:
        time.sleep(0.01)
def began(count=2):
    while len(list(notes.glob("began-*"))) < count:
        time.sleep(0.005)
def connect():
    return hanse.connect(resources=hanse.Resources(cpus=2))
"""


class Program:
    """A script that runs, and whatever it started."""

    def __init__(self, notes: Path, text: str, **options: object) -> None:
        self.notes = notes
        self.mark = uuid.uuid4().hex
        path = notes.parent / "program.py"
        path.write_text(PRELUDE + textwrap.dedent(text))
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", str(path), str(notes)],
            env={**os.environ, "HANSE_TEST_MARK": self.mark}, **given,  # type: ignore[call-overload]
        )  # fmt: skip

    def began(self, count: int = 2) -> None:
        until(lambda: len(list(self.notes.glob("began-*"))) >= count)

    def pid_of(self, name: str) -> int:
        until(lambda: (self.notes / name).exists() and (self.notes / name).read_text())
        return int((self.notes / name).read_text())

    def end(self, timeout_s: float = 60) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, (out or b"").decode(), (err or b"").decode()

    def alive(self) -> list[psutil.Process]:
        """All processes of the program, by their mark."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("HANSE_TEST_MARK") == self.mark
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.Error, OSError):
                pass
        return found

    def nursery(self) -> psutil.Process:
        (found,) = psutil.Process(self.process.pid).children()
        return found


@pytest.fixture
def program(tmp_path: Path) -> Iterator[type[Program]]:
    """Starts programs; at the end each must be gone with all that it started."""
    started: list[Program] = []

    def start(text: str, **options: object) -> Program:
        notes = tmp_path / f"notes-{len(started)}"
        notes.mkdir()
        started.append(Program(notes, text, **options))
        return started[-1]

    try:
        yield start  # type: ignore[misc]
        for one in started:
            one.process.wait(60)
            until(lambda one=one: not one.alive())  # type: ignore[misc]
    finally:
        for one in started:
            for process in one.alive():
                process.kill()
            one.process.wait()
            for stream in (one.process.stdout, one.process.stderr):
                if stream is not None:
                    stream.close()


# --- the program ends by itself -------------------------------------------------------------------
def test_a_client_need_not_be_closed(program):
    one = program("""
        client = connect()
        print(list(client.map(abs, [-1, -2])), client.submit(abs, -3).result())
    """)
    assert one.end() == (0, "[1, 2] 3\n", "")


@pytest.mark.parametrize(("text", "code"), [
    ("sys.exit(3)", 3), ("raise SystemExit('said')", 1), ("1 / 0", 1), ("os._exit(5)", 5),
    ("os.abort()", -6),
])  # fmt: skip
@pytest.mark.parametrize("closing", [True, False])
def test_an_end_in_the_middle_of_a_job(program, text, code, closing):
    one = program(f"""
        client = connect()
        if {closing}:
            client.__enter__()
        job = client.map(linger, range(5))
        began()
        {text}
    """)
    returned, _, err = one.end()
    assert returned == code
    assert ("ZeroDivisionError" in err) == (text == "1 / 0")
    assert err.count("Traceback") == (text == "1 / 0")


def test_an_error_within_the_with_block_ends_the_job(program):
    one = program("""
        with connect() as client:
            job = client.map(linger, range(5))
            began()
            raise ValueError("mine")
    """)
    code, _, err = one.end()
    assert code == 1
    assert err.count("Traceback") == 1
    assert "ValueError: mine" in err


def test_two_clients_live_in_one_program(program):
    one = program("""
        first, second = connect(), connect()
        jobs = first.map(abs, range(-500, 0)), second.map(abs, range(-500, 0))
        assert [*jobs[0]] == [*jobs[1]] == [*range(500, 0, -1)]
        first.close()
        print(second.submit(abs, -4).result())
    """)
    assert one.end() == (0, "4\n", "")


def test_two_programs_at_once_know_nothing_of_each_other(program):
    text = """
        with connect() as client:
            pids = set(client.map(lambda x: os.getpid(), range(200)))
            print(sum(client.map(abs, range(1000))))
    """
    both = [program(text), program(text)]
    assert [one.end() for one in both] == [(0, "499500\n", "")] * 2


def test_a_client_that_nobody_holds_leaves_nothing(program):
    one = program("""
        import gc, psutil
        for _ in range(3):
            assert connect().submit(abs, -1).result() == 1
        gc.collect()
        end = time.monotonic() + 10
        while psutil.Process().children() and time.monotonic() < end:
            time.sleep(0.01)
        print(len(psutil.Process().children()))
    """)
    assert one.end() == (0, "0\n", "")


def test_what_a_forgotten_client_was_asked_still_comes():
    def later() -> hanse.Job[int]:
        return hanse.connect().map(abs, range(-5000, 0))

    assert sum(later()) == sum(range(5001))
    future = hanse.connect().submit(time.sleep, 0.2)
    assert future.result(30) is None


# --- the program is ended -------------------------------------------------------------------------
def test_ctrl_c_interrupts_the_program_and_nothing_else_speaks(program):
    main, theirs = pty.openpty()
    one = program(
        """
        try:
            with connect() as client:
                list(client.map(linger, range(5)))
        except KeyboardInterrupt:
            print("interrupted")
            sys.exit(7)
        """,
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=_own_terminal,
    )  # fmt: skip
    os.close(theirs)
    one.began()
    os.write(main, b"\x03")
    assert one.process.wait(60) == 7
    until(lambda: not one.alive())
    said = _read_all(main)
    assert said.replace("^C", "").split() == ["interrupted"]


def _own_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _read_all(fd: int) -> str:
    said = b""
    try:
        while data := os.read(fd, 4096):
            said += data
    except OSError:
        pass  # how a terminal tells its end
    os.close(fd)
    return said.decode()


@pytest.mark.parametrize("waiting", [
    "list(client.map(linger, range(5)))", "client.submit(linger, 0).result()",
    "client.map(linger, range(5)).wait()", "list(client.executor().map(linger, range(5)))",
    "client.map(linger, range(5)).reduce(max)", "client.executor().submit(linger, 1).result()",
])  # fmt: skip
def test_an_interrupt_ends_every_way_to_wait(program, waiting):
    one = program(f"""
        with connect() as client:
            {waiting}
    """)
    one.began(1)
    one.process.send_signal(signal.SIGINT)
    code, _, err = one.end(10)
    assert code == -signal.SIGINT
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
def test_a_killed_program_takes_everything_with_it(program, number):
    one = program("""
        def parent(x):
            subprocess.Popen(["sleep", "1000"])
            subprocess.Popen(["sleep", "1000"], start_new_session=True)
            linger(x)
        with connect() as client:
            list(client.map(parent, range(2)))
    """)
    one.began()
    until(lambda: len(one.alive()) >= 8)  # it, the nursery, two workers, four children
    one.process.send_signal(number)
    assert one.end()[0] == -number
    until(lambda: not one.alive())


def test_a_stopped_program_that_is_killed_takes_everything_with_it(program):
    one = program("""
        with connect() as client:
            list(client.map(linger, range(2)))
    """)
    one.began()
    one.process.send_signal(signal.SIGSTOP)
    one.process.kill()
    one.process.wait()
    until(lambda: not one.alive())


# --- others end -----------------------------------------------------------------------------------
def test_a_job_outlives_the_process_that_starts_workers(program):
    one = program("""
        def note(x):
            mark(f"began-{x}")
            time.sleep(0.02)
            return x
        with connect() as client:
            print(sum(client.map(note, range(100))))
    """)
    one.began(10)
    one.nursery().kill()
    assert one.end() == (0, "4950\n", "")


def test_a_fork_of_the_program_harms_nothing(program):
    one = program("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        with connect() as client:
            job = client.map(lambda x: (time.sleep(0.02), x)[1], range(50))
            first = next(iter(job))
            pid = os.fork()
            if pid == 0:
                sys.exit(4)  # with all exit handlers
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
            print(first + sum(job), client.submit(abs, -1).result())
    """)
    assert one.end() == (0, "1225 1\n", "")


def test_a_forked_child_may_open_a_client_of_its_own(program):
    one = program("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        client = connect()
        client.submit(abs, -1).result()
        pid = os.fork()
        with connect() as own:
            assert own.submit(abs, -2).result() == 2
            assert list(own.map(abs, range(100))) == list(range(100))
        if pid:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            print(client.submit(abs, -3).result())
    """)
    assert one.end() == (0, "3\n", "")


def test_a_forked_child_that_lives_on_keeps_no_worker_alive(program):
    one = program("""
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        client = connect()
        job = client.map(linger, range(5))
        began()
        if os.fork() == 0:
            os.closerange(0, 3)
            mark("child")
            signal.pause()
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    child = one.pid_of("child")
    try:
        assert one.end()[0] == -signal.SIGKILL
        until(lambda: [process.pid for process in one.alive()] == [child])
    finally:
        os.kill(child, signal.SIGKILL)


def test_what_a_task_left_running_ends_with_its_worker(program):
    one = program("""
        def leave(x):
            child = subprocess.Popen(["sleep", "1000"], start_new_session=x % 2 == 0)
            child.returncode = 0  # nobody waits for it, which Python would warn of
            pid = os.fork()
            if pid == 0:
                time.sleep(1000)
            return child.pid
        with connect() as client:
            print(len(list(client.map(leave, range(4)))))
    """)
    assert one.end() == (0, "4\n", "")


def test_a_task_may_use_multiprocessing(program):
    one = program("""
        import multiprocessing
        def inner(x):
            with multiprocessing.get_context("fork").Pool(2) as pool:
                return sum(pool.map(abs, range(x)))
        with connect() as client:
            print(list(client.map(inner, [10, 20])))
    """)
    assert one.end() == (0, "[45, 190]\n", "")


# --- output ---------------------------------------------------------------------------------------
def test_a_flood_of_output_arrives_in_flat_memory(program, tmp_path):
    with open(tmp_path / "out", "wb") as out:
        one = program(
            """
            def flood(x):
                line = "x" * 999 + chr(10)
                for _ in range(1000):
                    sys.stdout.write(line * 100)
            import resource
            with connect() as client:
                client.submit(abs, 1).result()
                before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                list(client.map(flood, range(2)))
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000)
            """,
            stdout=out,
        )
        assert one.end(40)[0] == 0
    assert (tmp_path / "out").stat().st_size == 200_000_000 + len("True\n")
    with open(tmp_path / "out", "rb") as out:
        out.seek(-5, os.SEEK_END)
        assert out.read() == b"True\n"


def test_a_reader_that_leaves_hangs_nothing(program):
    one = program("""
        def say(x):
            for i in range(20_000):
                print("line", x, i)
            return x
        with connect() as client:
            done = sum(client.map(say, range(20)))
        sys.stderr.write(f"done {done}")
        os._exit(0)  # sys.exit would tell of the broken pipe, as of any program
    """)
    assert one.process.stdout.readline().startswith(b"line")
    one.process.stdout.close()
    one.process.stdout = None
    assert one.end()[::2] == (0, "done 190")


def test_a_program_without_streams_works(program):
    one = program("""
        os.closerange(0, 3)
        sys.stdin = sys.stdout = sys.stderr = None
        def say(x):
            print("into the void")
            return x
        with connect() as client:
            (notes / "sum").write_text(str(sum(client.map(say, range(100)))))
    """)
    assert one.end()[0] == 0
    assert (one.notes / "sum").read_text() == "4950"


def test_a_client_that_cannot_be_made_leaves_nothing(program):
    one = program("""
        import psutil
        os.environ["HANSE_CPUS"] = "none"
        for _ in range(2):  # the first imports the client meanwhile
            try:
                hanse.connect()
            except hanse.UsageError as error:
                print(error, len(psutil.Process().children()), psutil.Process().num_threads())
    """)
    told = "HANSE_CPUS='none' is not a number of cores 0 1\n"
    assert one.end() == (0, told * 2, "")


def test_nothing_starts_before_a_client_is_made(program):
    one = program("""
        import psutil
        hanse.connect, hanse.Client, hanse.Executor, hanse.task
        print(len(psutil.Process().children()), psutil.Process().num_threads())
    """)
    assert one.end() == (0, "0 1\n", "")


def test_garbage_is_collected_as_before_in_the_program_and_as_ever_in_its_workers(program):
    one = program("""
        import gc
        def collected(_):
            import weakref
            class Ring: pass
            ring = Ring()
            ring.itself, gone = ring, weakref.ref(ring)
            del ring
            made = [[] for _ in range(100_000)]
            return gc.isenabled() and gone() is None
        for wanted in (True, False):  # the first imports the client meanwhile
            gc.enable() if wanted else gc.disable()
            with connect() as client:
                print(gc.isenabled() == wanted, set(client.map(collected, range(4))))
    """)
    assert one.end() == (0, "True {True}\nTrue {True}\n", "")


def test_a_program_from_standard_input_sends_its_functions_at_once():
    text = """
import hanse
client = hanse.connect()
print(client.submit(lambda x: x + 1, 41).result(), hanse.__name__)
"""
    command = [sys.executable, "-"]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "42 hanse\n"), done.stderr


# --- nothing gathers ------------------------------------------------------------------------------
def test_fifty_clients_leave_nothing_behind(program):
    one = program("""
        import psutil, threading
        me = psutil.Process()
        def count():
            return me.num_fds(), threading.active_count(), len(me.children(recursive=True))
        def once():
            with connect() as client:
                assert client.submit(abs, -1).result() == 1
        once()
        before = count()
        for _ in range(20):
            once()
        for _ in range(30):
            connect().close()
        print(before == count(), before[1:])
    """)
    assert one.end(40) == (0, "True (1, 0)\n", "")


def test_no_socket_listens_or_leaves_the_machine(program):
    one = program("""
        with connect() as client:
            list(client.map(linger, range(2)))
    """)
    one.began()
    processes = one.alive()
    assert len(processes) >= 4
    for process in processes:
        assert process.net_connections("inet") == []
        assert all(c.status == psutil.CONN_NONE for c in process.net_connections("unix"))
        assert not any(c.laddr for c in process.net_connections("unix"))
    one.process.kill()
