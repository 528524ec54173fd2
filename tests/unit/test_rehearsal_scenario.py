"""Reading scenarios: whatever is wrong is told in words that name the table and the key."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanse import limits
from hanse.errors import UsageError
from hanse.model.data import Lies
from hanse.model.usage import Usage, bucket_of
from hanse.sim.rehearsal_scenario import FAULT, JOB, SITE, Scenario, parse

SMALL = """
[[site]]
name = "laptop"
cpus = 2
[[job]]
name = "work"
items = 10
"""

MISTAKES = [
    ("", "no [[site]]"),
    ("[[site]]\nname='a'\ncpus=1", "no [[job]]"),
    ("= 3", "not TOML"),
    ("[[sites]]", "did you mean 'site'?"),
    ("site = 3", "write [[site]]"),
    (SMALL + "itmes = 3", "[[job]] number 1 ('work'): there is no key 'itmes' (did you"),
    (SMALL.replace("cpus = 2", ""), "[[site]] number 1 ('laptop'): cpus is missing"),
    (SMALL.replace("cpus = 2", "cpus = 0"), "cpus must be a whole number from 1 to 1,000, not 0"),
    (SMALL.replace("cpus = 2", "cpus = 1.5"), "not 1.5"),
    (SMALL.replace("cpus = 2", "cpus = true"), "not True"),
    (SMALL.replace("cpus = 2", "cpus = 1" + 40 * "0"), "not a huge number"),
    (SMALL.replace("10", "10\nmean_s = nan"), "mean_s must be a number"),
    (SMALL.replace("10", "10\ndistribution = 'normal'"), "did you mean 'lognormal'?"),
    (SMALL.replace("10", "10\ndistribution = 'histogram'"), "needs the arrays seconds and counts"),
    (SMALL.replace("10", "10\nseconds = [1.0]\ncounts = [1]"), "needs the arrays"),
    (SMALL.replace("10", "10\ndistribution = 'histogram'\nseconds = [1]\ncounts = [0]"), "all 0"),
    (SMALL.replace("10", "10\ncpus = 3"), "no site has more than 2"),
    (SMALL.replace("10", "2000000"), "items must be a whole number"),
    (SMALL + "[[job]]\nname = 'work'\nitems = 1", "two [[job]] are called 'work'"),
    (SMALL + "[[site]]\nname = 'x'\ncpus = 1\nstop_s = 5\nstart_s = 6", "stop_s must be later"),
    (SMALL + "[[fault]]\nwhat = 'kill'", "either at_s"),
    (SMALL + "[[fault]]\nwhat = 'kill'\nat_s = 1\nper_hour = 1", "either at_s"),
    (SMALL + "[[fault]]\nwhat = 'kill'\nper_hour = 1", "for_s is missing"),
    (SMALL + "[[fault]]\nwhat = 'eat'\nat_s = 1", "kill, freeze, cut, slow"),
    (SMALL + "[[fault]]\nwhat = 'kill'\nat_s = 1\nsite = 'lapto'", "did you mean 'laptop'?"),
    (SMALL + "[[fault]]\nwhat = 'kill'\nat_s = 1\nregion = 'mars'", "no region 'mars'"),
    (SMALL + "[[site]]\nname='b'\ncpus=999\ncount=300", "are too many: a rehearsal has 4,000"),
    (SMALL + "data = 3", "data must be tables: write [[job.data]]"),
    (SMALL + "[[job.data]]\nregion = 'eu'", "('work'), data number 1: items is missing"),
    (SMALL + "[[job.data]]\nregion = 'eu'\nitem = 1", "data number 1: there is no key 'item' (did"),
    (SMALL + 2 * "[[job.data]]\nregion = 'eu'\nitems = 6\n", "told of 12 items, and it has 10"),
    (SMALL + 1001 * "[[job.data]]\nregion = 'eu'\nitems = 1\n", "1,001 [[job.data]] are too many"),
    (SMALL + "regions = 'mars'", "[[job]] 'work': no site is in its region 'mars'"),
    (SMALL + "x = " + 2000 * "[" + 2000 * "]", "not TOML"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=range(len(MISTAKES)))
def test_a_mistake_is_told_in_words_that_say_where_it_is(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text)
    assert words in str(caught.value)


def test_data_is_told_of_items_in_a_row() -> None:
    rows = "[[job.data]]\nregion = 'eu'\nitems = 4\ngigabytes = 0.5\n"
    rows += "[[job.data]]\nregion = 'us'\nitems = 2\nname = 'nights'\n"
    told = parse(SMALL + rows).jobs[0].data
    assert told == (Lies(0, 4, "eu", 500_000_000, ""), Lies(4, 6, "us", 0, "nights"))


def test_more_tables_than_the_bound_are_refused() -> None:
    row = "[[fault]]\nwhat = 'cut'\nat_s = 1\n"
    parse(SMALL + row * limits.REHEARSED_FAULTS)
    with pytest.raises(UsageError, match="too many"):
        parse(SMALL + row * (limits.REHEARSED_FAULTS + 1))


values = st.one_of(
    st.integers(), st.integers(0, 20), st.floats(), st.booleans(), st.text(max_size=5),
    st.lists(st.one_of(st.integers(), st.floats()), max_size=3),
    st.sampled_from(["kill", "pareto", "histogram", "laptop"]),
)  # fmt: skip


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return repr(value)


def tables(name: str, keys: list[str]) -> st.SearchStrategy[str]:
    rows = st.dictionaries(st.sampled_from(keys), values, max_size=5)
    return rows.map(
        lambda row: f"[[{name}]]\n" + "".join(f"{k} = {_toml(v)}\n" for k, v in row.items())
    )


@given(st.text(max_size=60))
@example("\x00")
@example("a = 1979-05-27")
def test_any_text_is_a_scenario_or_a_usage_error(text: str) -> None:
    _read(text)


@given(tables("site", [*SITE]), tables("job", [*JOB]), tables("fault", [*FAULT]), st.booleans())
def test_any_values_are_a_scenario_or_a_usage_error(
    site: str, job: str, fault: str, beside: bool
) -> None:
    _read(SMALL + fault if beside else site + job)


def _read(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert isinstance(parse(text), Scenario)


def test_a_mistake_is_told_in_a_few_lines_however_long_it_is() -> None:
    for text in (f"{10_000 * 'x'} = 1", f"{SMALL}{10_000 * 'x'} = 1", f"{10_000 * 'x'} = [[",
                 f"{SMALL}[[job]]\nname = '{10_000 * 'x'}'\nitems = 1"):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            parse(text)
        assert len(str(caught.value)) < 600


def test_what_a_job_took_becomes_the_times_of_the_first_job() -> None:
    usage = Usage({bucket_of(10**9): 3, bucket_of(4 * 10**9): 1})
    times = parse(SMALL).like(usage).jobs[0].times
    assert times.kind == "histogram"
    table = times.table(1, 0, 4000)
    assert 0.22 < sum(ns > 2 * 10**9 for ns in table) / len(table) < 0.28


def test_a_job_without_times_cannot_be_alike() -> None:
    with pytest.raises(UsageError, match="no times are recorded"):
        parse(SMALL).like(Usage())
