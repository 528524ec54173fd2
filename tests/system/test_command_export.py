"""`hanse export`: every value arrives in the file, or is described; the file is whole or absent."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import os
import stat
import subprocess
import sys
import uuid
from collections import namedtuple
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from system.command import SRC, Job, as_json, environment, finished, hanse, open_there

from hanse import limits
from hanse.cli.shared import exits
from hanse.cli.shared.checks import Finding
from hanse.core.events import SegmentCommitted
from hanse.ids import LeaseId
from hanse.payloads.payload import dump_each
from hanse.records.state import State


def same(value: Any) -> Any:
    return value


@dataclasses.dataclass
class Point:
    x: int
    y: Any


class Colour(enum.Enum):
    RED = "red"


class Odd:
    def __repr__(self) -> str:
        return "an odd thing"


Pair = namedtuple("Pair", "left right")
WHEN = datetime.datetime(2026, 5, 1, 12, 30, tzinfo=datetime.UTC)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    opened = open_there(tmp_path / "home")
    yield opened
    opened.close()


def recorded(state: State, values: list[Any]) -> Job:
    """A job with these results. Of classes that the command cannot import, by value."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        job = Job(state, len, "values", total=len(values)).inputs([0] * len(values))
        for item, value in enumerate(values):
            fact = SegmentCommitted(job.id, item, item + 1, LeaseId(1))
            job.take(fact, by_value(value))
        return job.ended()
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def by_value(value: Any) -> Any:
    from hanse.payloads.payload import Payload
    from hanse.payloads.pickling import by_value as pickled

    data, _ = pickled(value)
    return Payload(1, data, (len(data),))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in path.read_text().splitlines()]


# --- jsonl ----------------------------------------------------------------------------------------
PLAIN: list[tuple[Any, Any]] = [
    (None, None), (True, True), (3, 3), (2**80, 2**80), (1.5, 1.5), (float("nan"), None),
    (float("inf"), None), ("wörd\x1b", "wörd\x1b"), ("\udc80", "\udc80"),
    ([1, (2, 3)], [1, [2, 3]]),
    ({"a": {"b": 1}}, {"a": {"b": 1}}), ({1: "x", (2, 3): "y"}, {"1": "x", "[2, 3]": "y"}),
    (b"\x00\xff", "AP8="), ({3, 1, 2}, [1, 2, 3]), (Point(1, {2}), {"x": 1, "y": [2]}),
    (Finding("a", "b"), {"name": "a", "value": "b", "level": "ok", "advice": ""}),
    (Pair(1, [2]), {"left": 1, "right": [2]}),
    (Point(Point(1, 2), 3), {"x": {"x": 1, "y": 2}, "y": 3}),
    (WHEN, "2026-05-01T12:30:00Z"), (WHEN.date(), "2026-05-01"), (Colour.RED, "red"),
    (Decimal("1.10"), "1.10"), (uuid.UUID(int=5), str(uuid.UUID(int=5))),
    (np.int64(7), 7), (np.float32(0.5), 0.5), (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    (np.array([np.nan, 1.0]), [None, 1.0]), ([], []), ({}, {}),
]  # fmt: skip


def test_values_of_every_kind_become_json(state: State) -> None:
    job = recorded(state, [value for value, _ in PLAIN])
    target = state.home.parent / "out.jsonl"
    ran = hanse("export", job.id, "--to", target, home=state.home)
    assert (ran.stderr, ran.returncode) == ("", 0)
    found = lines(target)
    assert [row["item"] for row in found] == list(range(len(PLAIN)))
    for row, (value, expected) in zip(found, PLAIN, strict=True):
        if isinstance(expected, dict) and len(expected) == 2 and "1" in expected:
            assert row["value"]["1"] == "x"
        else:
            assert row["value"] == expected, value


def test_what_json_cannot_hold_is_described_and_that_is_said_once(state: State) -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    job = recorded(state, [Odd(), {"a": Odd()}, 1 + 2j, deep])
    target = state.home.parent / "out.jsonl"
    ran = hanse("export", job.id, "--to", target, home=state.home)
    assert ran.returncode == 0
    assert ran.stderr.count("written as their repr") == 1
    assert [row["value"] for row in lines(target)][:3] == [
        "an odd thing", {"a": "an odd thing"}, "(1+2j)"
    ]  # fmt: skip


def test_failed_items_are_lines_with_their_errors(state: State) -> None:
    job = finished(state, same, ["a", "b", "c"], failures={1: "no\nway"})
    target = state.home.parent / "out.jsonl"
    told = as_json("export", job.id, "--to", target, home=state.home)
    assert told == {"path": str(target), "items": 3, "failed": 1, "missing": 0}
    first, failed, last = lines(target)
    assert (first["value"], last["value"]) == ("a", "c")
    assert (failed["item"], failed["error"]["type"]) == (1, "ValueError")
    assert failed["error"]["message"] == "no\nway"
    assert "value" not in failed


# --- parquet --------------------------------------------------------------------------------------
def parquet(state: State, job: Job) -> Any:
    target = state.home.parent / "out.parquet"
    ran = hanse("export", job.id, "--to", target, "--force", home=state.home)
    assert ran.returncode == 0, ran.stderr
    return pq.read_table(target)


@pytest.mark.parametrize(
    ("values", "columns"),
    [
        ([1, 2, 3], {"value": [1, 2, 3]}),
        ([1, 2.5, None], {"value": [1.0, 2.5, None]}),
        ([1, "two"], {"value": ["1", "two"]}),
        ([{"a": 1, "b": "x"}, {"a": 2.5, "c": [1]}],
         {"a": [1.0, 2.5], "b": ["x", None], "c": [None, [1]]}),
        ([Point(1, "a"), Point(2, "b")], {"x": [1, 2], "y": ["a", "b"]}),
        ([{"a": 1}, 2], {"value": ['{"a": 1}', "2"]}),
        ([{"item": "i", "error": "e"}], {"item": ["i"], "error": ["e"], "hanse_item": [0]}),
        ([b"\x00", b"\xff"], {"value": [b"\x00", b"\xff"]}),
        ([WHEN, None], {"value": [WHEN, None]}),
        ([np.float64(1.5), np.int32(2)], {"value": [1.5, 2.0]}),
        ([np.array([1, 2]), np.array([3])], {"value": [[1, 2], [3]]}),
        ([2**80, 1], {"value": [str(2**80), "1"]}),
        ([{}, {}], {"value": ["{}", "{}"]}),
        ([{"a": {}}], {"a": ["{}"]}),
        ([Odd()], {"value": ["an odd thing"]}),
        (["\udc80"], {"value": ["\\udc80"]}),
        ([None], {"value": [None]}),
        ([], {"value": []}),
    ],
    ids=repr,
)  # fmt: skip
def test_values_become_columns(
    state: State, values: list[Any], columns: dict[str, list[Any]]
) -> None:
    table = parquet(state, recorded(state, values))
    for name, expected in columns.items():
        assert table.column(name).to_pylist() == expected
    item = "hanse_item" if "item" in columns else "item"
    assert table.column(item).to_pylist() == list(range(len(values)))


def test_failed_items_are_rows_with_an_error(state: State) -> None:
    table = parquet(state, finished(state, same, [{"a": 1}, {"a": 2}], failures={0: "no"}))
    assert table.column("a").to_pylist() == [None, 2]
    error = table.column("error").to_pylist()
    assert "raised ValueError: no" in error[0]
    assert error[1] is None


def test_a_large_job_is_written_in_row_groups(state: State) -> None:
    count = limits.EXPORT_ROWS + 10
    job = Job(state, len, total=count).inputs([0] * count)
    for start in range(0, count, 10_000):
        job.done(start, range(start, min(start + 10_000, count)))
    job.ended()
    assert parquet(state, job).column("value").to_pylist() == list(range(count))
    assert pq.ParquetFile(state.home.parent / "out.parquet").num_row_groups == 2


def test_without_pyarrow_it_says_what_to_install(state: State) -> None:
    job = finished(state, same, [1])
    code = (
        f"import sys; sys.path.insert(1, {str(SRC)!r}); sys.modules['pyarrow'] = None\n"
        "from hanse.cli.main import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "export", job.id, "--to", "x.parquet"], capture_output=True,
        text=True, cwd=state.home.parent, env=environment(state.home), check=False,
    )  # fmt: skip
    assert ran.returncode == exits.USAGE
    assert "pip install 'hanse[export]'" in ran.stderr
    assert not (state.home.parent / "x.parquet").exists()


# --- the file -------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_file_is_overwritten_only_by_force(state: State, kind: str) -> None:
    job = finished(state, same, [1])
    target = state.home.parent / f"out.{kind}"
    target.write_text("mine")
    refused = hanse("export", job.id, "--to", target, home=state.home)
    assert refused.returncode == exits.USAGE
    assert "--force" in refused.stderr
    assert target.read_text() == "mine"
    assert hanse("export", job.id, "--to", target, "--force", home=state.home).returncode == 0
    assert target.read_bytes() != b"mine"


@pytest.mark.parametrize("name", ["out", "out.csv", "out.jsonl.gz"])
def test_other_kinds_of_file_are_refused(state: State, name: str) -> None:
    ran = hanse("export", finished(state, same, [1]).id, "--to", name, home=state.home)
    assert ran.returncode == exits.USAGE
    assert ".jsonl or .parquet" in ran.stderr


def test_a_folder_that_is_not_there_is_said(state: State) -> None:
    ran = hanse("export", finished(state, same, [1]).id, "--to", "no/out.jsonl", home=state.home)
    assert ran.returncode == exits.WORLD
    assert ran.stderr.startswith("hanse: ")
    assert "No such file or directory" in ran.stderr


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_full_disk_leaves_nothing_behind(state: State, kind: str) -> None:
    job = finished(state, random_text, list(range(40)))
    folder = state.home.parent / "there"
    folder.mkdir()
    code = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000,) * 2)\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"sys.path.insert(1, {str(SRC)!r}); from hanse.cli.main import main; main()"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, "export", job.id, "--to", str(folder / f"out.{kind}")],
        capture_output=True, text=True, env=environment(state.home), check=False,
    )  # fmt: skip
    assert ran.returncode == exits.WORLD, ran.stderr
    assert "File too large" in ran.stderr
    assert list(folder.iterdir()) == []


def random_text(n: int) -> str:
    import random

    return random.Random(n).randbytes(10_000).hex()


def test_the_file_has_the_rights_that_the_user_chose(state: State) -> None:
    target = state.home.parent / "out.jsonl"
    hanse("export", finished(state, same, [1]).id, "--to", target, home=state.home)
    (state.home.parent / "plain").touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(
        (state.home.parent / "plain").stat().st_mode
    )


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
def test_a_file_that_is_replaced_keeps_its_rights(state: State, mode: int) -> None:
    job, target = finished(state, same, [1]), state.home.parent / "out.jsonl"
    target.touch()
    target.chmod(mode)
    assert hanse("export", job.id, "--to", target, "--force", home=state.home).returncode == 0
    assert lines(target) == [{"item": 0, "value": 1}]
    assert stat.S_IMODE(target.stat().st_mode) == mode


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_others_make_meanwhile_is_not_overwritten(state: State, links: bool) -> None:
    """It appears while values are read; on disks with hard links and on those without."""
    target = state.home.parent / "out.jsonl"
    job = finished(state, meddle, [str(target)])
    code = (
        f"import os, sys; sys.path[1:1] = [{str(SRC)!r}, {str(Path(__file__).parents[1])!r}]\n"
        "def refuse(*args): raise PermissionError(1, 'Operation not permitted')\n"
        f"if not {links}: os.link = refuse\n"
        "from hanse.cli.main import main; main()"
    )
    command = [sys.executable, "-c", code, "export", job.id, "--to", str(target)]
    run = partial(subprocess.run, capture_output=True, text=True, env=environment(state.home))
    ran = run(command)
    assert ran.returncode == exits.USAGE, ran.stderr
    assert "is there already" in ran.stderr
    assert target.read_text() == "mine"
    target.unlink()
    target.with_suffix(".made").touch()  # it meddles once
    assert run(command).returncode == exits.OK
    assert len(lines(target)) == 1
    assert [path.name for path in state.home.parent.glob(".*")] == []


class Meddler:
    """A value that, when it is read, makes a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __setstate__(self, found: dict[str, str]) -> None:
        self.__dict__.update(found)
        if not os.path.exists(self.path.replace(".jsonl", ".made")):
            with open(self.path, "w") as file:
                file.write("mine")


def meddle(path: str) -> Meddler:
    return Meddler(path)


# --- the job --------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_what_is_done_of_an_unfinished_job_is_written_and_the_rest_is_said(
    state: State, kind: str
) -> None:
    job = Job(state, same).inputs(range(5)).done(1, [1, 2]).released()
    target = state.home.parent / f"out.{kind}"
    ran = hanse("export", job.id, "--to", target, home=state.home)
    assert ran.returncode == 0
    assert "3 items have no result yet" in ran.stderr
    items = (
        [row["item"] for row in lines(target)]
        if kind == "jsonl"
        else pq.read_table(target).column("item").to_pylist()
    )
    assert items == [1, 2]


def test_folded_results_are_refused_in_words(state: State) -> None:
    job = Job(state, same).inputs(range(5))
    job.take(SegmentCommitted(job.id, 0, 5, LeaseId(1)), dump_each([10]), first=None)
    job.ended()
    ran = hanse("export", job.id, "--to", "out.jsonl", home=state.home)
    assert ran.returncode == exits.USAGE
    assert "folded" in ran.stderr


def test_a_class_that_is_not_here_is_said(state: State) -> None:
    fake = type(sys)("not_here")
    fake.Gone = type("Gone", (), {"__module__": "not_here", "__qualname__": "Gone"})
    sys.modules["not_here"] = fake
    try:
        job = finished(state, same, [fake.Gone()])
    finally:
        del sys.modules["not_here"]
    ran = hanse("export", job.id, "--to", "out.jsonl", home=state.home)
    assert ran.returncode == exits.USAGE
    assert "No module named 'not_here'" in ran.stderr
    assert not (state.home.parent / "out.jsonl").exists()
