"""How long spot machines last: what is learnt of it, and that it outlives the node."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest
from core_builders import Place, Town
from hypothesis import given, settings
from hypothesis import strategies as st
from test_renting import HOUR, rental

from hanse import limits
from hanse.core.events import Describe, Withdraw
from hanse.core.home import Home
from hanse.core.place.spells import (
    EDGES,
    LEAST,
    LOST,
    Spells,
    class_of,
    hazards,
    lasts,
    rates_of,
    steady,
)
from hanse.core.site import Site
from hanse.core.spots import Spots, Told
from hanse.ids import JobId, SiteId
from hanse.limits import SECOND
from hanse.model.aims import Aims, Tariff
from hanse.model.fit import Offer
from hanse.model.rental import Rented
from hanse.node import seen_spots

_JOB = JobId("j")
A, B = rental("a", 1.0, spot=True, region="a"), rental("b", 1.2, spot=True, region="b")
EAST = Tariff(region="east", spot=True)

# --- rates --------------------------------------------------------------------------------------
RATES = st.floats(0.05, 4)
LIVES = 4000


def learnt(lives: Sequence[tuple[float, bool]]) -> Spells:
    seen = Spells()
    for hours, lost in lives:
        seen.watch(0.0, hours, ended=lost)
    return seen


def close(seen: Spells, rate: float) -> None:
    """What is estimated is the rate, as far as chance allows where so many were lost."""
    (found,) = hazards([seen], LOST)
    for at, ends in enumerate(seen.ends):
        if ends > 100:
            assert abs(found[at] / rate - 1) < 5 / math.sqrt(ends) + 0.02


@settings(max_examples=15, deadline=None)
@given(RATES, st.integers(0, 1000))
def test_where_chance_alone_ends_lives_its_rate_is_found_at_every_age(
    rate: float, seed: int
) -> None:
    draws = Random(seed)
    seen = learnt([(draws.expovariate(rate), True) for _ in range(LIVES)])
    close(seen, rate)
    (found,) = hazards([seen], LOST)
    assert lasts(found, 0.0, 1e6) == pytest.approx(1 / rate, rel=0.15)


@settings(max_examples=15, deadline=None)
@given(RATES, st.floats(0.1, 3), st.integers(0, 1000))
def test_machines_that_were_given_up_before_they_were_lost_mislead_nobody(
    rate: float, kept: float, seed: int
) -> None:
    draws = Random(seed)
    lives = []
    for _ in range(LIVES):
        lost, left = draws.expovariate(rate), draws.expovariate(1 / (kept / rate))
        lives.append((min(lost, left), lost < left))
    close(learnt(lives), rate)


def test_what_dies_young_is_told_from_what_lasts() -> None:
    seen = learnt([(0.1, True)] * 50 + [(20.0, False)] * 50)
    (found,) = hazards([seen], LOST)
    assert found[0] > 20 * found[-1]
    assert lasts(found, 0.0, 24) < lasts(found, 6.0, 24)


@pytest.mark.parametrize("lives", [[(0.25, True)] * 200, [(20.0, False)] * 500])
def test_one_pool_of_which_much_was_seen_does_not_make_up_what_is_believed_of_others(
    lives: list[tuple[float, bool]],
) -> None:
    """However soon all of it is lost, or however much of it lasts."""
    (before,) = hazards([Spells()], LOST)
    known, unseen = hazards([learnt(lives), Spells()], LOST)
    _, still = hazards([learnt(lives * 20), Spells()], LOST)
    for at in range(len(EDGES)):
        low, high = sorted((known[at], before[at]))
        assert low < unseen[at] < high
        assert still[at] == pytest.approx(unseen[at], rel=0.1)


def test_pools_that_lose_little_weigh_no_more_than_those_that_lose_much() -> None:
    sure, shaky = learnt([(20.0, False)] * 10), learnt([(0.75, True)] * 65)
    *_, unseen = hazards([sure, shaky, Spells()], LOST)
    assert unseen[0] > LOST


@given(st.floats(0, 1e4))
def test_where_no_loss_was_seen_estimates_are_finite_and_fall_with_the_time_watched(
    hours: float,
) -> None:
    (before,) = hazards([Spells()], LOST)
    (found,) = hazards([learnt([(hours, False)])], LOST)
    assert all(0 < now <= then * (1 + 1e-9) for now, then in zip(found, before, strict=True))
    for age in (0.0, 1.0, 100.0):
        assert 0 < lasts(found, age, 10.0) <= 10.0


SPELLS = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50), st.booleans()), min_size=1, max_size=20
)


@given(SPELLS, st.randoms(use_true_random=False))
def test_the_order_in_which_spells_are_told_does_not_matter(
    spells: list[tuple[float, float, bool]], draws: Random
) -> None:
    one, other = Spells(), Spells()
    for start, hours, ended in spells:
        one.watch(start, start + hours, ended=ended)
    draws.shuffle(spells)
    for start, hours, ended in spells:
        other.watch(start, start + hours, ended=ended)
    assert one.ends == other.ends
    assert one.hours == pytest.approx(other.hours)
    assert sum(one.hours) == pytest.approx(sum(hours for _, hours, _ in spells))


@given(SPELLS, st.floats(0, 1))
def test_a_spell_that_is_told_in_two_parts_counts_as_one(
    spells: list[tuple[float, float, bool]], part: float
) -> None:
    one, other = Spells(), Spells()
    for start, hours, ended in spells:
        one.watch(start, start + hours, ended=ended)
        other.watch(start, start + part * hours, ended=False)
        other.watch(start + part * hours, start + hours, ended=ended)
    assert one.ends == other.ends
    assert one.hours == pytest.approx(other.hours)


@given(st.lists(st.floats(1e-9, 1e6), min_size=4, max_size=4), st.floats(0, 50), st.floats(0, 50))
def test_what_is_expected_of_a_life_agrees_with_following_it(
    rates: list[float], age: float, horizon: float
) -> None:
    found = lasts(rates, age, horizon)
    assert 0 <= found <= horizon * (1 + 1e-9)
    least, most = min(rates), max(rates)
    assert found <= -math.expm1(-least * horizon) / least * (1 + 1e-6) + 1e-9
    assert found >= -math.expm1(-most * horizon) / most * (1 - 1e-6) - 1e-9


@given(st.floats(LEAST, 50), st.floats(0.001, 200))
def test_a_steady_rate_gives_the_life_that_it_was_found_by(rate: float, horizon: float) -> None:
    life = lasts([rate] * len(EDGES), 0.0, horizon)
    found = steady(life, horizon)
    assert found >= LEAST
    if rate * horizon < 20:  # beyond that nothing of it is left to be told by
        assert found == pytest.approx(rate, rel=1e-3), "also over a short time"
    assert lasts([found] * len(EDGES), 0.0, horizon) == pytest.approx(life, rel=2e-3)


# --- linked machines under the home -------------------------------------------------------------
class East:
    """A home, and spot machines that link to it, come back and are lost."""

    def __init__(self, tariff: Tariff = EAST) -> None:
        self.town, self.tariff = Town(), tariff

    def machine(self, name: str, incarnation: int = 1) -> Place:
        self.town.tell(Describe(SiteId(name), Offer(tariff=self.tariff)))
        place = self.town.place(name, hello=False)
        place.agent.incarnation = incarnation
        place.talk()
        return place

    def live(self, place: Place, hours: float) -> None:
        """It is there for so long, and says so."""
        for _ in range(int(hours * 60)):
            self.town.now_ns += 60 * SECOND
            place.talk()

    def losses(self, hours: float, many: int) -> None:
        place = self.machine("m")
        for _ in range(many):
            self.live(place, hours)
            place.crash()
            place.talk()

    def loss_h(self, name: str) -> float:
        """Between losses of such a machine now."""
        home = self.town.home
        return home.spots.loss_ns(home.sites[SiteId(name)], self.town.now_ns) / HOUR

    def restart(self, away_h: float = 0.1) -> Told:
        """The home dies, and another goes on with what was told; its clock begins anew."""
        told = self.town.home.spots_told(self.town.now_ns)
        self.town.home, self.town.now_ns = Home(1 << 20), 7 * SECOND
        self.town.orders.clear()
        self.town.home.spots.recall(told, int(away_h * HOUR), self.town.now_ns)
        return told


def test_a_process_that_dies_again_and_again_is_not_taken_for_machines_that_are_lost() -> None:
    east = East()
    east.losses(0.2, 12)
    before = east.loss_h("m")
    place = east.machine("n")
    for _ in range(360):
        east.town.now_ns += 10 * SECOND
        place.crash()
        place.talk()
    (region,) = east.town.home.spots_told(east.town.now_ns).regions.values()
    assert 12 + 5 <= sum(region.lost) + 0.5 <= 12 + 8
    assert east.loss_h("m") > before / 4


def test_what_was_learnt_of_linked_machines_is_used_by_the_next_run() -> None:
    east = East()
    east.losses(0.2, 12)
    before = east.loss_h("m")
    told = east.restart()
    assert sum(told.regions["east"].lost) == pytest.approx(12, rel=0.05)
    east.machine("m", 99)
    fresh = East()
    fresh.machine("m")
    assert east.loss_h("m") == pytest.approx(before, rel=0.05)
    assert east.loss_h("m") < fresh.loss_h("m") / 3
    east.machine("another")
    assert east.loss_h("another") < fresh.loss_h("m") / 3, "it is in the same region"


def test_a_machine_that_lives_on_while_its_home_is_away_keeps_its_age() -> None:
    east = East()
    place = east.machine("m", 5)
    east.live(place, 2.0)
    east.restart(away_h=5.0)
    east.machine("m", 5)
    site = east.town.home.sites[SiteId("m")]
    assert site.up_ns is not None
    assert (east.town.now_ns - site.up_ns) / HOUR == pytest.approx(7.0)
    seen = east.town.home.spots.regions["east"]
    assert (seen.up, seen.lost) == (pytest.approx(2.0, rel=0.03), 0), "nobody watched meanwhile"


def test_one_that_was_replaced_meanwhile_is_new_and_no_loss_that_was_seen() -> None:
    east = East()
    place = east.machine("m", 5)
    east.live(place, 2.0)
    east.restart()
    east.machine("m", 6)
    assert east.town.home.sites[SiteId("m")].up_ns == east.town.now_ns
    assert east.town.home.spots.regions["east"].lost == 0


def test_machines_that_still_run_count_for_their_time() -> None:
    east = East()
    place = east.machine("m")
    before = east.loss_h("m")
    east.live(place, 0.3)
    east.town.submit("j", 10, aims=Aims(deadline_ns=HOUR))
    assert east.town.home.spots.regions["east"].up == pytest.approx(0.3, rel=0.1)
    assert east.loss_h("m") > before


def test_a_rented_machine_counts_to_its_offer_and_the_homes_own_to_nothing() -> None:
    rented = East(Tariff(region="east", spot=True, rented=True))
    rented.losses(0.1, 3)
    assert not rented.town.home.spots.regions
    own = East()
    own.town.home.spots.own = SiteId("m")
    own.losses(0.1, 3)
    assert not own.town.home.spots.regions


def test_a_rented_machine_is_expected_to_last_as_its_offer_does() -> None:
    spots, site = Spots([A, B]), Site(SiteId("b-1-1"))
    site.tariff = Tariff(region="b", spot=True, rented=True)
    spots.rented[site.id] = "b"
    before = spots.loss_ns(site, 0)
    for n in range(20):
        spots.look([Rented(id="b-1-1", kind="b", job=_JOB, since_ns=0)], n * HOUR // 10)
        spots.lost("b", 0, n * HOUR // 10)
    assert spots.loss_ns(site, 2 * HOUR) < before / 5


def test_a_machine_that_fell_silent_is_not_taken_to_have_lived_on() -> None:
    east = East()
    place = east.machine("m")
    east.live(place, 0.5)
    east.town.now_ns += 100 * HOUR  # nobody looks: no lease is out
    east.town.tell(Withdraw(SiteId("m")))
    assert east.town.home.spots.regions["east"].up < 0.52


def test_regions_are_bounded_and_those_of_which_least_is_known_go() -> None:
    spots = Spots()
    for n in range(2 * limits.SPOT_REGIONS):
        site = Site(SiteId(f"s{n}"))
        site.tariff = Tariff(region=f"r{n}", spot=True)
        spots.begins(site, 0)
        site.heard_ns = HOUR if n == 3 else SECOND
        spots.watch(site, site.heard_ns, lost=n == 3)
    assert len(spots.regions) == limits.SPOT_REGIONS
    assert "r3" in spots.regions


# --- the file -----------------------------------------------------------------------------------
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["look", "lost", "refused", "linked", "gone"]),
        st.integers(0, 3), st.integers(0, 2 * HOUR),
    ), max_size=20,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(EVENTS, st.integers(0, 100 * HOUR))
def test_what_is_told_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, events: list[tuple[str, int, int]], away_ns: int
) -> None:
    spots, site, now_ns = Spots([A, B]), Site(SiteId("s")), 0
    site.tariff = EAST
    for what, count, span_ns in events:
        now_ns += span_ns
        kind = "ab"[count % 2]
        if what == "look":
            there = [Rented(id=f"{n}", kind=kind, job=_JOB, since_ns=0) for n in range(count)]
            spots.look(there, now_ns)
        elif what == "lost":
            spots.lost(kind, count, now_ns)
        elif what == "refused":
            spots.refused(kind, 0, now_ns)
        else:
            if site.up_ns is None:
                spots.begins(site, now_ns)
            site.heard_ns = now_ns
            spots.watch(site, now_ns, lost=what == "gone")
            site.up_ns = None if what == "gone" else site.up_ns
    path = tmp_path_factory.mktemp("spots") / "spots.json"
    told = spots.told([site], now_ns)
    seen_spots.write(path, told)
    back, ago_ns = seen_spots.read(path)
    assert back == told
    again = Spots([A, B])
    again.recall(back, ago_ns, 10 * HOUR)
    for name in "ab":
        assert again.words(name) == spots.words(name)
    assert again.lasts_ns(10 * HOUR) == pytest.approx(spots.lasts_ns(now_ns), rel=0.01)
    once_more = again.told([], 10 * HOUR)
    assert once_more.offers.keys() == told.offers.keys()
    for name, seen in once_more.offers.items():
        assert (seen.up, seen.lost) == (told.offers[name].up, told.offers[name].lost)
        assert seen.was_old == told.offers[name].was_old
        assert seen.was_any == pytest.approx(told.offers[name].was_any)
        assert abs(seen.ago_ns - told.offers[name].ago_ns - ago_ns) <= 1
    for seen in again.told([], 10 * HOUR + away_ns).regions.values():
        keeps = 0.5 ** (away_ns / HOUR / 72)
        assert sum(seen.up) == pytest.approx(sum(told.regions["east"].up) * keeps, rel=1e-3)


GOOD = b'{"told_s":%s,"told":{"regions":{"east":{"up":%s,"lost":[0,0,0,0],"down":[0,0,0,0],' \
       b'"back":[0,0,0,0],"ago_ns":%s}}}}'  # fmt: skip
BROKEN = [
    b"", b"{", b"\xff\xfe", b"[" * 100_000, b"null", b'{"told_s":1}',
    GOOD % (b"1", b"[1,2,3]", b"0"), GOOD % (b"1", b"[1,2,3,-1]", b"0"),
    GOOD % (b"1", b"[1,2,3,1e300]", b"0"), GOOD % (b"1", b"[1,2,3,NaN]", b"0"),
    GOOD % (b"1", b"[1,2,3,4]", b"-5"), GOOD % (b"1", b"[1,2,3,4]", b"1e99"),
    GOOD % (b"-1", b"[1,2,3,4]", b"0"), GOOD % (b"1e300", b"[1,2,3,4]", b"0"),
    b" " * (limits.SPOT_BYTES + 1),
]  # fmt: skip


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_file_that_says_what_cannot_be_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, text: bytes
) -> None:
    path = tmp_path / "spots.json"
    path.write_bytes(text)
    with caplog.at_level(logging.WARNING, "hanse"):
        assert seen_spots.read(path) == (Told(), 0)
    (line,) = caplog.messages
    assert "is learnt anew" in line
    assert str(path) in line
    assert (tmp_path / "spots.json.damaged").read_bytes() == text
    assert not path.exists()
    assert seen_spots.read(path) == (Told(), 0), "without a word"
    assert len(caplog.messages) == 1


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "spots.json"
    os.mkfifo(path)
    assert seen_spots.read(path) == (Told(), 0)
    (tmp_path / "other").write_text("{}")
    path.symlink_to(tmp_path / "other")
    assert seen_spots.read(path) == (Told(), 0)
    assert (tmp_path / "other").exists()


NUMBERS = st.lists(st.sampled_from([0.0, 1e-300, 1e-9, 1.0, 1e9]), min_size=4, max_size=4)


CHANCES = st.sampled_from([0.0, 1e-300, 0.5, 1.0])


@given(NUMBERS, NUMBERS, st.sampled_from([0, 1, 29 * 24 * HOUR]), CHANCES, CHANCES)
def test_whatever_a_file_may_say_estimates_are_usable(
    up: list[float], lost: list[float], ago_ns: int, old: float, any_age: float
) -> None:
    spots = Spots([A])
    seen = {"up": up, "lost": lost, "down": up, "back": lost, "ago_ns": ago_ns, "there": True,
            "was_old": old, "was_any": any_age}  # fmt: skip
    spots.recall(_told_of(seen), 0, 0)
    pool = spots.pools["a"]
    (rates,) = rates_of([pool], 5.0, HOUR)
    assert 0 <= pool.aged(rates, HOUR) <= 1
    site = Site(SiteId("s"))
    site.tariff = EAST
    spots.begins(site, 0)
    for now_ns in (0, HOUR, 10 * HOUR):
        assert 0 <= spots.loss_ns(site, now_ns) < 1 << 63
        assert 0 <= spots.stays_ns(site, now_ns, 5 * HOUR) <= 5.001 * HOUR
    assert all(0 < each < math.inf for each in spots.lasts_ns(0).values())
    assert class_of(10.0) == len(EDGES) - 1


def _told_of(seen: dict[str, object]) -> Told:
    return msgspec.convert({"offers": {"a": seen}, "regions": {"east": seen}}, Told)
