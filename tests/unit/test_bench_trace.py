"""Traces of spot machines that the bench of placement reads: gaps are filled, and a file that is
none is named."""

from __future__ import annotations

import gzip
import math
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from placement.trace import Trace, left_out, named

ZONES = (
    "zone,region,on_demand_usd_per_hour,spot_usd_per_hour\n"
    "east-1-a,east-1,10,2\neast-1-b,east-1,,3\nwest-1-a,west-1,12,4\n"
)
TICKS = (
    "time,east-1-a:available,east-1-a:spot_usd_per_hour,east-1-b:available\n"
    "0,1,,1\n600,0,5,\n1200,yes,,0\n9000,1,6,1\n"
)


def read(folder: Path, zones: str = ZONES, ticks: str | bytes = TICKS) -> Trace:
    (folder / "few_zones.csv").write_text(zones)
    told = ticks if isinstance(ticks, bytes) else gzip.compress(ticks.encode())
    (folder / "few_2_zones.csv.gz").write_bytes(told)
    return named(folder)["few_2"]


def test_what_a_trace_does_not_tell_is_as_it_was_before_or_not_there(tmp_path: Path) -> None:
    trace = read(tmp_path)
    assert trace.zones == ["east-1-a", "east-1-b"], "of the third there are no ticks"
    assert trace.available.tolist() == [[True, True], [False, False], [True, False], [True, True]]
    assert trace.spot.T.tolist() == [[2, 5, 5, 6], [3, 3, 3, 3]]
    assert trace.sure.tolist() == [10, math.inf]
    assert trace.step_s * trace.tick == 600, "one gap does not change how long a tick is"
    assert trace.egress.tolist() == [[0, 0], [0, 0]]


def test_moments_may_be_written_as_dates_and_egress_as_a_table(tmp_path: Path) -> None:
    (tmp_path / "egress.csv").write_text(
        "from_region,to_region,price_usd_per_gb\neast-1,west-1,0.01\n"
    )
    trace = read(
        tmp_path,
        ticks="at,east-1-a:available,west-1-a:available\n"
        "2026-01-01T00:00:00Z,1,1\n2026-01-01T00:05:00Z,1,0\n2026-01-01T00:10:00Z,1,0\n",
    )
    assert trace.step_s * trace.tick == 300
    assert trace.egress.tolist() == [[0, 0.5], [4, 0]], "what is in no table is a list price"


def test_a_folder_that_is_not_there_or_empty_has_no_traces(tmp_path: Path) -> None:
    assert named(tmp_path / "nowhere") == {} == named(tmp_path)


@pytest.mark.parametrize(
    ("zones", "ticks", "why"),
    [
        (ZONES, b"no gzip", "is no trace: "),
        (ZONES, gzip.compress(TICKS.encode(), mtime=0)[:-12], "is no trace: "),
        (ZONES, "", "it has no rows"),
        (ZONES, "time,east-1-a:available\n", "it has no rows"),
        (ZONES, "time,north-1-a:available\n0,1\n", "it names no zone of that table"),
        (ZONES, TICKS.replace("1200,", "soon,"), "is no trace: .*soon"),
        (ZONES.replace(",2\n", ",two\n"), TICKS, "is no trace: .*two"),
        (ZONES.replace("on_demand", "demand"), TICKS, "no column 'on_demand_usd_per_hour'"),
        ("region\neast-1\n", TICKS, "no column 'zone'"),
    ],
)
def test_a_file_that_is_no_trace_is_named(
    tmp_path: Path, zones: str, ticks: str | bytes, why: str
) -> None:
    with pytest.raises(ValueError, match=f"few_2_zones.csv.gz.*{why}"):
        read(tmp_path, zones, ticks)


def test_ticks_without_a_table_of_zones_are_told(tmp_path: Path) -> None:
    (tmp_path / "few_2_zones.csv.gz").write_bytes(gzip.compress(TICKS.encode()))
    with pytest.raises(FileNotFoundError, match=r"few_2_zones\.csv\.gz has no table of its zones"):
        named(tmp_path)


def test_rows_that_are_left_out_for_want_of_data_are_named(tmp_path: Path) -> None:
    told = left_out(named(tmp_path), tmp_path)
    assert told.startswith("Left out: all rows of spot zones and rented machines")
    assert str(tmp_path) in told
    read(tmp_path)
    assert left_out(named(tmp_path), tmp_path) == ""
