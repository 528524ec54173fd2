"""Logs of jobs: kept, bounded, read while they grow, and never in the way."""

from __future__ import annotations

import resource
import stat
import threading
from pathlib import Path

from hanse.engines.port import Printed
from hanse.ids import JobId, LeaseId
from hanse.records.logs import Logs, LogWriter, Piece, log_path, read_log, shown


def writer(path: Path, said: list[str] | None = None, **more: int) -> LogWriter:
    return LogWriter(path, (said if said is not None else []).append, **more)


def texts(path: Path, item: int | None = None) -> list[str]:
    return [piece.text for piece in read_log(path, item)]


def test_pieces_are_read_back_by_item_as_they_were_printed(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "one.jsonl"
    log = writer(path)
    log.write(1, "stdout", "half a line, \x1b[31mred\x00")
    log.write(None, "stderr", "C\n")
    log.write(2, "stdout", "zwölf\n")
    log.close()
    assert texts(path) == ["half a line, \x1b[31mred\x00", "C\n", "zwölf\n"]
    assert texts(path, 2) == ["zwölf\n"]
    (first, *_) = read_log(path)
    assert (first.item, first.stream) == (1, "stdout")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert texts(tmp_path / "none") == []


def test_a_torn_last_line_is_stepped_over_and_the_next_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = writer(path)
    log.write(1, "stdout", "whole\n")
    log.close()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole + whole[:length])
        assert texts(path) == ["whole\n"]
        again = writer(path)
        again.write(1, "stdout", "next\n")
        again.close()
        assert texts(path)[:: max(1, len(texts(path)) - 1)] == ["whole\n", "next\n"]


def test_a_full_log_says_so_once_and_how_much_is_missing(tmp_path: Path) -> None:
    path, said = tmp_path / "log", []
    log = writer(path, said, most=2000)
    for _ in range(100):
        log.write(1, "stdout", "x" * 50 + "\n" + "y\n")
    log.close()
    *kept, last, missing = read_log(path)
    assert len(said) == 1
    assert last.stream == missing.stream == "hanse"
    assert "full" in last.text
    assert missing.text == f"{200 - 2 * len(kept)} lines of output are missing here\n"
    assert 10 < len(kept) < 40
    assert path.stat().st_size < 2200


def test_a_full_disk_costs_output_is_said_once_and_raises_nothing() -> None:
    said: list[str] = []
    log = writer(Path("/dev/full"), said)
    for _ in range(10):
        log.write(1, "stdout", "lost")
    log.close()
    assert len(said) == 1
    assert "No space left" in said[0]


def test_after_a_full_disk_the_log_goes_on_and_says_what_is_missing(tmp_path: Path) -> None:
    path, said = tmp_path / "log", []
    log = writer(path, said)
    log.write(1, "stdout", "first\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, before[1]))
    try:
        for _ in range(3):
            log.write(1, "stdout", "lost\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.write(1, "stdout", "last\n")
    log.close()
    assert texts(path) == ["first\n", "3 lines of output are missing here\n", "last\n"]
    assert len(said) == 1


def test_a_directory_that_cannot_be_made_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said: list[str] = []
    writer(tmp_path / "file" / "log", said).write(1, "stdout", "x")
    assert len(said) == 1


def test_two_readers_follow_until_the_job_has_ended(tmp_path: Path) -> None:
    path, ended = tmp_path / "log", threading.Event()
    found: list[list[Piece]] = [[], []]

    def follow(into: list[Piece]) -> None:
        for piece in read_log(path, follow=True, ended=ended.is_set):
            into.append(piece)
            seen.release()

    seen = threading.Semaphore(0)
    readers = [threading.Thread(target=follow, args=(into,)) for into in found]
    for reader in readers:
        reader.start()
    log = writer(path)
    for number in range(5):
        log.write(number, "stdout", f"{number}\n")
        for _ in readers:
            assert seen.acquire(timeout=20)
    log.write(5, "stdout", "5\n")
    ended.set()
    for reader in readers:
        reader.join(20)
    log.close()
    assert [[piece.item for piece in one] for one in found] == [list(range(6))] * 2


def test_each_job_has_a_log_of_its_own(tmp_path: Path) -> None:
    logs = Logs(tmp_path, [].append)
    jobs = [JobId(f"j-{number:012d}") for number in range(100)]
    for text in ("a", "b"):
        for job in jobs:
            logs.printed(Printed(job, LeaseId(1), 0, "stdout", text))
    logs.ended(jobs[0])
    logs.close()
    assert all(texts(log_path(tmp_path, job)) == ["a", "b"] for job in jobs)


def test_hostile_output_is_spelt_out_on_a_terminal() -> None:
    assert shown("\x1b[2Jgone\r\n\ttab\rover\u202eleft\x9b") == (
        "\\x1b[2Jgone\n\ttab\\x0dover\\u202eleft\\x9b"
    )
