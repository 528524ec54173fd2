"""`hanse demo`: what Hanse promises, shown on this machine within a minute.

A named job counts the words of this Python's own library. One of its workers is killed in the
middle, with SIGKILL, as a machine that dies would; the answer is compared with that of a plain
loop. Everything it makes is in a temporary directory, which is gone afterwards, whatever happens.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

import click

from hanse.cli.shared import exits
from hanse.cli.shared.command import Command
from hanse.cli.shared.output import Output

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.client.job import Job

FILES_FOR_EACH: Final = 300  # some two seconds for each core: a worker dies long before the end
FILES_MOST: Final = 3_000  # a plain loop counts them too, within a minute
KILL_AT: Final = 8  # when an eighth of the files is counted
NAME: Final = "demo"


@click.command(cls=Command)
@click.pass_obj
def demo(out: Output) -> None:
    """Count words, lose a worker, and prove the answer right.

    Counts the words of this Python's own library on every core, kills one of its own workers in
    the middle, and compares the answer with that of a plain loop. Takes less than a minute and
    leaves nothing behind.
    """
    from hanse.cli.shared.counting import files_below
    from hanse.runtime.machine import usable_cpus

    most = min(FILES_MOST, FILES_FOR_EACH * max(2, round(usable_cpus())))
    files = files_below(sysconfig.get_path("stdlib"), most)
    if not files:
        raise click.UsageError("this Python's library holds no .py files to count")
    with _somewhere_else(), _ended_by_sigterm():
        document = _shown(out, files)
    out.result(document, lambda: None)
    raise SystemExit(exits.OK if document["right"] else exits.FAILED)


def _shown(out: Output, files: list[str]) -> dict[str, Any]:
    import hanse

    out.say(f"1. {len(files):,} files of {sysconfig.get_path('stdlib')}: one item each.")
    began = time.perf_counter()
    with hanse.connect() as client:
        words, killed = _counted(out, client, files)
    seconds = time.perf_counter() - began
    out.say(f"   Counted on every core in {seconds:.1f} s: {words.total():,} words.")
    again, again_s = _asked_again(out, files, words)
    expected, serial_s = _in_a_loop(files)
    right = words == again == expected
    out.say(f"4. The same in a plain loop takes {serial_s:.1f} s: {expected.total():,} words.")
    common = ", ".join(f"{word} {times:,}" for word, times in words.most_common(5))
    out.say(f"   Most common: {common}.")
    out.say(f"   {'Every count is the same: the answer is right.' if right else 'They DIFFER.'}")
    return {
        "files": len(files), "words": words.total(), "different": len(words), "killed": killed,
        "seconds": seconds, "again_seconds": again_s, "serial_seconds": serial_s, "right": right,
    }  # fmt: skip


def _counted(out: Output, client: Client, files: list[str]) -> tuple[Counter[str], int | None]:
    """The words of all files, and which worker was killed while they were counted."""
    from hanse.cli.shared.counting import count

    job: Job[tuple[int, Counter[str]]] = client.map(count, files, name=NAME, ordered=False)
    words: Counter[str] = Counter()
    killed = None
    for done, (pid, some) in enumerate(job, 1):
        words.update(some)
        # Only while there is work left to lose.
        due = done * KILL_AT >= len(files) and job.progress().done < len(files)
        if killed is None and due and _kill(pid):
            killed = pid
            out.say(f"2. {done:,} files are counted. Worker {pid} is killed now, with SIGKILL.")
    if killed is None:
        out.say("2. All files were counted before a worker could be killed: this machine is fast.")
    return words, killed


def _kill(pid: int) -> bool:
    """Kill a worker of ours, if it still is one."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:  # it ended by itself
        return False
    return True


def _asked_again(out: Output, files: list[str], words: Counter[str]) -> tuple[Counter[str], float]:
    import hanse
    from hanse.cli.shared.counting import count

    began = time.perf_counter()
    with hanse.connect() as client:
        again: Counter[str] = Counter()
        for _, some in client.map(count, files, name=NAME):
            again.update(some)
    seconds = time.perf_counter() - began
    same = "the same answer" if again == words else "ANOTHER answer"
    out.say(f"3. Asked again under the same name: {same} from its record in {seconds:.1f} s.")
    return again, seconds


def _in_a_loop(files: list[str]) -> tuple[Counter[str], float]:
    from hanse.cli.shared.counting import count

    began = time.perf_counter()
    total: Counter[str] = Counter()
    for path in files:
        total.update(count(path)[1])
    return total, time.perf_counter() - began


@contextlib.contextmanager
def _somewhere_else() -> Iterator[None]:
    """Records in a directory of their own: a demo must not touch the user's."""
    before = {name: os.environ.pop(name, None) for name in ("HANSE_JOURNAL", "HANSE_FRESH")}
    before["HANSE_HOME"] = os.environ.get("HANSE_HOME")
    try:
        with tempfile.TemporaryDirectory(prefix="hanse-demo-") as home:
            os.environ["HANSE_HOME"] = home
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends the demo as Ctrl-C does: with its directory removed."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
