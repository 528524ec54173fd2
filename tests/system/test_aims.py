"""Jobs that ask for time, money and place, at real nodes with prices and regions."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest
from system.command import hanse as command
from system.nodes import Away, Node
from system.real import until
from system.test_links import Hosts, hosts, link, where

import hanse
from hanse.errors import HanseError

__all__ = ["hosts"]


def federation(hosts: Hosts) -> tuple[Node, Node]:
    """A dear home in the north and a cheap site in the south."""
    home = hosts.node("home", "--cpus", "1", "--region", "north", "--price", "3600")
    site = hosts.node("site", "--cpus", "1", "--region", "south", "--price", "36")
    link(site, home)
    return home, site


def test_a_job_runs_where_it_is_cheapest_and_knows_what_it_has_cost(hosts: Hosts) -> None:
    home, _ = federation(hosts)
    with home.connect() as client:
        job = client.map(where, range(60), objective="cheapest")
        for _ in zip(range(5), job, strict=False):
            pass
        told = job.explain()
        places = {Path(place).name for _, place in job}
        assert "gets no lease of it: an item costs 100.00 times as much there" in told
        assert "It has cost" in told
        assert places == {"site"}, "the home itself is a hundred times dearer"


def test_a_job_keeps_to_its_regions(hosts: Hosts) -> None:
    home, _ = federation(hosts)
    with home.connect() as client:
        job = client.map(where, range(40), regions="north")
        assert {Path(place).name for _, place in job} == {"home"}


def test_who_waits_for_a_job_that_no_site_takes_is_told_why(
    hosts: Hosts, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    home = hosts.node("home", "--cpus", "1", "--region", "north", "--label", "spot")
    why = "its region, north, is not among those allowed: mars"
    with home.connect() as client:
        job = client.map(where, range(3), regions="mars", name="lost")
        job.explain()  # it is there
        following = Away(home, tmp_path / "away").start("job", job.id, "--follow")
        with following, following.stderr as lines:
            assert any(f"{job.id} runs nowhere: no site takes it: " in line for line in lines)
            following.kill()
        until(lambda: "runs nowhere" in caplog.text)
        (told,) = (each.getMessage() for each in caplog.records if "nowhere" in each.getMessage())
        assert f"lost ({job.id}) runs nowhere: no site takes it: " in told
        assert why in told
        assert job.account().nowhere in told
        assert "No site takes it, and none will while this is so:" in job.explain()
        jobs = command("jobs", "--json", home=home.home, **home.env).stdout
        assert why in jobs
        for words in (["jobs"], ["job", job.id], ["explain", job.id]):
            shown = command(*words, home=home.home, **home.env)
            assert why in shown.stdout + shown.stderr, words
            without = command(*words, home=home.home)
            assert f"was not asked: HANSE_URL={home.url}" in without.stderr
        job.cancel()
        sure = client.map(where, range(3), spot=False)
        until(lambda: "asks for sites that cannot" in sure.account().nowhere)
        site = hosts.node("site", "--cpus", "1")
        link(site, home)
        assert len(list(sure)) == 3
        assert not sure.account().nowhere


def test_a_budget_stops_a_job_and_a_named_one_goes_on_with_more(hosts: Hosts) -> None:
    home, _ = federation(hosts)
    with home.connect() as client:
        job = client.map(where, range(100), name="n", regions="north", budget=6.5)
        with pytest.raises(HanseError, match="budget"):
            list(job)
    with home.connect() as client:
        assert len(list(client.map(where, range(100), name="n", regions="north"))) == 100


def test_prices_come_from_files(hosts: Hosts, tmp_path: Path) -> None:
    prices, egress = tmp_path / "prices.toml", tmp_path / "egress.toml"
    prices.write_text("[[price]]\nsince = 2020-01-01T00:00:00Z\nprice = 3600\n")
    egress.write_text("[south]\nnorth = 3600\n")
    home = hosts.node("home", "--cpus", "1", "--region", "north", "--prices", str(prices),
                      "--egress", str(egress))  # fmt: skip
    with home.connect() as client:
        job = client.map(where, range(5), objective="cheapest")
        list(job)
        assert 0 < job.cost < 3600
        far = client.map(where, range(5), objective="cheapest", data={"south": "1GB"})
        list(far)
        assert far.cost > 3600, "bytes that travel cost, too"


def test_wrong_aims_are_refused_at_once(tmp_path: Path) -> None:
    with hanse.connect() as client:
        for wrong in (
            {"objective": "best"}, {"deadline": "soon"}, {"deadline": -1}, {"budget": 0},
            {"regions": [""]}, {"regions": "mars"}, {"data": {"a": "much"}},
        ):  # fmt: skip
            with pytest.raises(hanse.UsageError):
                client.map(where, [1], **wrong)  # type: ignore[arg-type]


def test_items_run_where_their_data_lies(hosts: Hosts) -> None:
    """At two nodes of one price in two regions, and the bytes that moved after all are told."""
    home = hosts.node("home", "--cpus", "1", "--region", "north", "--price", "36")
    site = hosts.node("site", "--cpus", "1", "--region", "south", "--price", "36")
    link(site, home)

    def data(item: int) -> hanse.Data:
        return hanse.Data("north" if item % 3 else "south", "100GB")

    with home.connect() as client:
        job = client.map(where, range(30), objective="cheapest", data=data, name="near")
        told = dict(job)
        account = job.account()
    for item, place in told.items():
        assert Path(place).name == ("home" if item % 3 else "site"), told
    assert not any(each.moved_bytes for each in account.sites)
    with home.connect() as client:  # all at one site: some must move
        job = client.map(where, range(30), regions="south", data=data, name="far")
        assert {Path(place).name for _, place in job} == {"site"}
        (there,) = (each for each in job.account().sites if each.moved_bytes)
        assert f"1.819 TiB to {there.site} for 40" in job.explain()
    assert there.moved_bytes == 20 * 100 * 10**9
    assert there.moved_cost == pytest.approx(20 * 100 * 0.02)
    with home.connect() as client:  # what all items share is fetched once
        value = client.put(bytes(5_000_000))
        job = client.map(partial(length, value), range(60), regions="south")
        assert set(job) == {5_000_000}
        (there,) = (each for each in job.account().sites if each.moved_bytes)
    assert 5_000_000 <= there.moved_bytes < 5_100_000


def length(value: bytes, _item: int) -> int:
    return len(value)


def test_data_is_not_asked_of_an_input_that_is_not_there_yet() -> None:
    with hanse.connect() as client:
        late = client.submit(time.sleep, 60)
        with pytest.raises(hanse.UsageError, match="before its futures are done"):
            client.map(str, [late], data=lambda _: hanse.Data("north", "1GB"))
        told = []
        value = client.put("what was put")
        list(client.map(str, [value], data=lambda it: told.append(it.result())))
        assert told == ["what was put"], "what is done can be asked"
