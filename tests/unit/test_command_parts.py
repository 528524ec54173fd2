"""Parts of the command that need no process: words, judgements, exit codes, what is due to go."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from hanse import errors, limits
from hanse.cli.shared import checks, exits, telling, words
from hanse.cli.shared.output import line, text
from hanse.ids import JobId
from hanse.journal.port import Head, Holder
from hanse.limits import MIB
from hanse.records.gc import _old
from hanse.remote.records import NodeHead

GIB = 1024 * MIB


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NoSuchJob(), 3), (errors.UsageError(), 2), (errors.JobBusy(), 2),
        (errors.JournalFull(), 4), (errors.JournalVersion(), 4), (errors.EngineError(), 4),
        (errors.JobFailed(), 1), (errors.InternalError(), 1), (PermissionError(), 4),
        (KeyboardInterrupt(), 130), (BrokenPipeError(), 141), (ValueError(), 1),
    ],
)  # fmt: skip
def test_every_error_has_an_exit_code_that_is_documented(error: BaseException, code: int) -> None:
    assert exits.code_of(error) == code
    assert code in exits.MEANINGS


def test_control_characters_are_spelt() -> None:
    hostile = "a\x1b[2J\r\nb\tc\u202e\ud800\x00"
    assert text(hostile) == "a\\x1b[2J\\r\nb\tc\\u202e\\ud800\\x00"
    assert line(hostile) == "a\\x1b[2J\\r\\nb\\tc\\u202e\\ud800\\x00"
    assert text("plain ünd 数") == "plain ünd 数"


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 * MIB, "200 MiB"), (5 * GIB, "5.0 GiB"),
     (3 * 1024**4, "3.0 TiB")],
)  # fmt: skip
def test_sizes_are_read_at_a_glance(count: int, shown: str) -> None:
    assert words.size(count) == shown


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("30d", 30 * 86_400), ("12h", 43_200), ("1.5m", 90), ("0s", 0), ("2w", 1_209_600)],
)
def test_an_age_is_a_number_and_a_unit(told: str, seconds: float) -> None:
    assert words.Age().convert(told, None, None) == seconds


@pytest.mark.parametrize("told", ["", "30", "d", "-1d", "1e3d", "1 d", "٣d", "9" * 40 + "d"])
def test_anything_else_is_no_age(told: str) -> None:
    with pytest.raises(click.BadParameter):
        words.Age().convert(told, None, None)


def test_time_of_any_record_can_be_shown() -> None:
    assert words.moment(None) == ""
    assert words.moment(1e300) == "?"
    assert words.ago(100, 90) == "0 s ago"
    assert words.ago(0, 86_400 * 3) == "3 d ago"


@pytest.mark.parametrize(
    ("level", "judged"),
    [
        ("ok", checks.judge_cores(4, 8)), ("note", checks.judge_cores(16, 8)),
        ("ok", checks.judge_memory(8 * GIB)), ("note", checks.judge_memory(GIB / 2)),
        ("mend", checks.judge_memory(MIB)), ("ok", checks.judge_files(4096)),
        ("ok", checks.judge_files(-1)), ("note", checks.judge_files(512)),
        ("mend", checks.judge_files(64)), ("ok", checks.judge_processes(-1, 8)),
        ("mend", checks.judge_processes(50, 8)), ("mend", checks.judge_room(MIB)),
        ("note", checks.judge_room(GIB / 2)), ("ok", checks.judge_room(9 * GIB)),
        ("mend", checks.judge_quota(10, 10)), ("note", checks.judge_quota(95, 100)),
        ("ok", checks.judge_quota(1, 100)), ("mend", checks.judge_file_system("nfs4", wal=True)),
        ("ok", checks.judge_file_system("nfs4", wal=False)),
        ("note", checks.judge_file_system("tmpfs", wal=True)),
        ("ok", checks.judge_file_system("ext4", wal=True)),
    ],
)  # fmt: skip
def test_a_judgement_comes_with_advice(level: str, judged: tuple[str, str]) -> None:
    assert judged[0] == level
    assert bool(judged[1]) == (level != "ok")


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
server:/home /home nfs4 rw 0 0
tmpfs /home/with\\040space tmpfs rw 0 0
/dev/sdb /home/ann xfs rw 0 0
overlay /home/ann overlay rw 0 0
short
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var/x", "ext4"), ("/home/bob", "nfs4"), ("/homely", "ext4"),
     ("/home/with space/x", "tmpfs"),
     ("/home/ann/deep/er", "overlay")],
)  # fmt: skip
def test_the_file_system_is_that_of_the_nearest_mount(path: str, kind: str) -> None:
    assert checks.file_system_of(Path(path), MOUNTS) == kind


def head(number: int, **more: object) -> Head:
    facts = {"id": f"j-{number}", "name": "n", "function": "f", "script": "s", "user": "u",
             "host": "h", "created_s": 0.0, "updated_s": 0.0} | more  # fmt: skip
    return Head(**facts)  # type: ignore[arg-type]


def test_what_can_be_resumed_is_never_old() -> None:
    heads = [head(1), head(2, ended_s=0.0), head(3, superseded=True)]
    assert [old.id for old in _old(heads, None, 1e9)] == ["j-2", "j-3"]
    assert [old.id for old in _old(heads, 2e9, 1e9)] == ["j-3"]
    assert [old.id for old in _old(heads, None, 10.0)] == ["j-3"]


def test_of_ended_jobs_the_newest_are_kept() -> None:
    heads = [head(number, ended_s=5.0) for number in range(limits.RECORDS_KEPT + 2)]
    assert len(list(_old(heads, None, 6.0))) == 2
    assert list(_old(heads, 100.0, 6.0)) == []


def test_a_job_that_runs_took_until_now_and_an_interrupted_one_until_its_last_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time", lambda: 130.0)
    about = {
        "id": JobId("j-1"), "name": "n", "function": "f", "script": "", "user": "", "host": "",
        "created_s": 100.0, "updated_s": 102.0,
    }  # fmt: skip
    ran, holder = Head(**about), Holder("here", 1, 100.0)
    assert telling.took(ran, holder) == words.duration(30.0)
    assert telling.took(ran, None) == words.duration(2.0)
    ended = Head(**about, ended_s=103.0, state="done")
    assert telling.took(ended, holder) == words.duration(3.0)
    far = NodeHead(**about, holder=holder, now_s=145.0)
    assert telling.took(far, holder) == words.duration(45.0), "by the clock of its node"
    asked_before = Head(**about | {"created_s": 131.0, "updated_s": 132.0})
    assert telling.took(asked_before, holder) == words.duration(1.0), "clocks differ a little"
