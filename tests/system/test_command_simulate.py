"""`hanse simulate`, through the real command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from system.command import SRC, as_json, environment, finished, hanse, open_there

from hanse.model.usage import middle_of

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
SMALL = """
[[site]]
name = "desk"
cpus = 2
price_per_hour = 36
[[site]]
name = "rack"
cpus = 4
speed = 2
[[job]]
name = "work"
items = 100
mean_s = 0.5
distribution = "lognormal"
[[fault]]
what = "kill"
site = "rack"
at_s = 2
for_s = 1
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(SMALL)
    return tmp_path / "home"


def test_a_scenario_tells_time_cost_and_use(home: Path) -> None:
    ran = hanse("simulate", "small.toml", home=home)
    assert ran.returncode == 0, ran.stderr
    for word in ("work", "desk", "rack", "USE", "EVICTIONS", "x the bound of", "Cost"):
        assert word in ran.stdout
    assert not home.exists()  # it leaves nothing behind


def test_the_same_seed_gives_the_same_output_and_files_to_the_byte(home: Path) -> None:
    pytest.importorskip("matplotlib")
    found = []
    for _ in range(2):
        files = [home.parent / "a.html", home.parent / "a.png"]
        ran = hanse("simulate", "small.toml", "--seed", 5, "--json", "--html", files[0],
                    "--png", files[1], home=home)  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        found.append((ran.stdout, *(file.read_bytes() for file in files)))
    assert found[0] == found[1]
    assert found[0][2].startswith(b"\x89PNG")


def test_programs_get_all_of_it_and_it_adds_up(home: Path) -> None:
    told = as_json("simulate", "small.toml", home=home)
    assert told["jobs"][0]["done"] == 100
    assert sum(machine["items"] for machine in told["machines"]) == 100
    assert told["cost"] == pytest.approx(sum(site["cost"] for site in told["sites"]))
    assert told["cost"] == pytest.approx(told["ended_s"] * 0.01)
    assert told["ended_s"] > told["bound_s"]
    assert told["faults"] == [{"machine": "rack", "what": "killed", "at_s": 2.0}]


def test_a_deadline_that_is_missed_and_a_budget_that_is_spent_are_told(home: Path) -> None:
    job = '[[site]]\nname = "desk"\ncpus = 1\nprice_per_hour = 1\n'
    job += '[[job]]\nname = "work"\nitems = 100\n'
    for aims, words in (
        ("deadline_s = 60", "work was 40"), ("deadline_s = 500", ""),
        ("budget = 0.01", "The budget of work ended it after"),
    ):  # fmt: skip
        (home.parent / "aims.toml").write_text(job + aims)
        told = hanse("simulate", "aims.toml", home=home).stdout
        assert words in told
        assert bool(words) == ("late." in told or "budget" in told)


def test_quiet_says_nothing(home: Path) -> None:
    ran = hanse("simulate", "small.toml", "--quiet", home=home)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_job_that_cannot_end_is_told_and_fails(home: Path) -> None:
    (home.parent / "stops.toml").write_text(
        '[[site]]\nname="a"\ncpus=1\nstop_s=3\n[[job]]\nname="j"\nitems=9'
    )
    ran = hanse("simulate", "stops.toml", home=home)
    assert ran.returncode == 1
    assert "j did not end: nothing more can happen" in ran.stderr
    assert as_json("simulate", "stops.toml", home=home, code=1)["ended_s"] is None


def test_items_that_fail_for_good_are_told_and_fail(home: Path) -> None:
    scenario = home.parent / "fails.toml"
    scenario.write_text(
        '[[site]]\nname="a"\ncpus=1\n[[job]]\nname="j"\nitems=9\nfailures=1\nretries=1'
    )
    ran = hanse("simulate", scenario.name, home=home)
    assert ran.returncode == 1
    assert "failed for good: 9 of 9 items of j" in ran.stderr
    assert as_json("simulate", scenario.name, home=home, code=1)["jobs"][0]["failed"] == 9


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_results_are_told_also_where_a_picture_cannot_be_written(home: Path) -> None:
    ran = hanse("simulate", "small.toml", "--html", "/dev/full", home=home)
    assert ran.returncode == 4
    assert "x the bound of" in ran.stdout
    assert "/dev/full: No space left" in ran.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[[site]]\nname = 'a'", "[[site]] number 1 ('a'): cpus is missing"),
        (b"\xff", "is not UTF-8 text"),
        (b"#" * (1 << 20) + b"##", "that is no scenario"),
    ],
)
def test_a_mistake_is_told_without_a_traceback(home: Path, text: bytes, words: str) -> None:
    (home.parent / "bad.toml").write_bytes(text)
    ran = hanse("simulate", "bad.toml", home=home)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_scenario_that_is_not_there_is_wrong_usage(home: Path) -> None:
    assert hanse("simulate", "none.toml", home=home).returncode == 2


def test_without_matplotlib_the_error_says_what_to_install(home: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SRC)!r}); sys.modules['matplotlib'] = None; "
        "from hanse.cli.main import main; main(['simulate', 'small.toml', '--png', 'a.png'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=home.parent, capture_output=True, text=True,
        check=False, timeout=60, env=environment(home),
    )  # fmt: skip
    assert ran.returncode == 2
    assert "pip install 'hanse[plots]'" in ran.stderr
    assert not (home.parent / "a.png").exists()


def test_like_takes_the_times_of_a_recorded_job(home: Path) -> None:
    state = open_there(home)
    finished(state, abs, [1, 2, 3], name="measured")
    state.close()
    told = as_json("simulate", "small.toml", "--like", "measured", home=home)
    assert told["jobs"][0]["work_s"] == pytest.approx(100 * middle_of(200) / 1e9)
    assert hanse("simulate", "small.toml", "--like", "nobody", home=home).returncode == 3


@pytest.mark.parametrize("scenario", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_ready_scenarios_are_read(scenario: Path) -> None:
    from hanse.sim.rehearsal_scenario import parse

    assert parse(scenario.read_text()).jobs


def test_a_ready_scenario_ends(home: Path) -> None:
    told = as_json("simulate", SCENARIOS / "laptop-and-rack.toml", home=home)
    assert [job["state"] for job in told["jobs"]] == ["done", "done"]
