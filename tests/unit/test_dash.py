"""What the page is told: stories of records, changes of lists, and codes that let browsers in."""

from __future__ import annotations

import asyncio
import time

import pytest
from system.dash_page import FAILING, LEASES, MACHINES, MadeUp, make

from hanse import limits
from hanse.errors import NotAllowed
from hanse.ids import LeaseId
from hanse.node.dash.codes import Codes
from hanse.node.dash.live import Live
from hanse.node.dash.sight import Out
from hanse.node.dash.story import Stories, trace
from hanse.node.tokens import Role, Tokens
from hanse.records.entries import Ran
from hanse.records.state import open_state


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def state(tmp_path):
    opened = open_state(home=tmp_path / "state")
    make(opened, 5)
    yield opened
    opened.close()


def test_a_code_is_good_once_for_its_time_and_while_its_owner_is(tokens, monkeypatch):
    codes, (owner, _) = Codes(tokens), tokens.create(Role.ADMIN, "ann", None)
    code = codes.create(owner)
    token, secret = codes.redeem(code)
    assert token.role is Role.READ
    assert tokens.find(secret) == token
    assert time.time() < token.expires_s <= time.time() + limits.DASH_SESSION_S
    late, orphaned = codes.create(owner), codes.create(owner)
    for bad in (code, "", "guessed"):
        with pytest.raises(NotAllowed):
            codes.redeem(bad)
    with monkeypatch.context() as patch:
        now = time.monotonic()
        patch.setattr(time, "monotonic", lambda: now + limits.DASH_CODE_S + 1)
        with pytest.raises(NotAllowed):
            codes.redeem(late)
    tokens.revoke(owner.id)
    with pytest.raises(NotAllowed):
        codes.redeem(orphaned)


def test_a_browser_and_whom_it_lets_in_go_with_the_token_that_they_came_from(tokens):
    codes = Codes(tokens)
    owner, _ = tokens.create(Role.READ, "ann", time.time() + 60)
    other, _ = tokens.create(Role.READ, "bob", None)
    first, _ = codes.redeem(codes.create(owner))
    second, _ = codes.redeem(codes.create(first))
    assert first.expires_s == second.expires_s == owner.expires_s
    tokens.revoke(owner.id)
    assert [token.id for token in tokens.all()] == [other.id]


def test_codes_that_nobody_takes_make_room(tokens):
    codes = Codes(tokens)
    first = codes.create(None)
    for _ in range(limits.DASH_CODES):
        last = codes.create(None)
    with pytest.raises(NotAllowed):
        codes.redeem(first)
    codes.redeem(last)


def test_a_story_is_read_on_from_where_it_was_and_is_a_trace(state):
    story, head = Stories().of(state, FAILING), state.journal.find(FAILING)
    for _ in range(2):
        story.read_on(head)
        assert len(story.bars) == MACHINES * LEASES
        assert sum(bar.done for bar in story.bars.values()) == 7920
        assert len(story.failures) == 80
    assert story.failures[0].item == 39
    bar = story.bars[LeaseId(4)]
    assert (bar.first, bar.stop, bar.done, bar.failed) == (30, 40, 9, 2)
    assert bar.stop_ms - bar.start_ms == 8000
    events = [event for event in trace(head, story)["traceEvents"] if event["ph"] == "X"]
    lanes = {}
    for event in sorted(events, key=lambda event: event["ts"]):
        lane = event["pid"], event["tid"]
        assert lanes.get(lane, 0) <= event["ts"]  # none covers another one
        lanes[lane] = event["ts"] + event["dur"]
    assert len({pid for pid, _ in lanes}) == MACHINES


def test_leases_that_are_out_are_in_the_trace_until_now_from_their_grant(state):
    story, head = Stories().of(state, FAILING), state.journal.find(FAILING)
    story.read_on(head)
    known = story.bars[LeaseId(800)]
    now_ms = known.stop_ms + 5000
    out = [Out(LeaseId(id), known.site, known.stop_ms + 1000, 9000, 9010) for id in (800, 900)]
    told = trace(head, story, out, now_ms)["traceEvents"]
    running = {e["args"]["lease"]: e for e in told if e["ph"] == "X" and e["args"]["running"]}
    assert {lease: event["args"]["done"] for lease, event in running.items()} == {800: 10, 900: 0}
    assert {e["ts"] + e["dur"] for e in running.values()} == {now_ms * 1000}
    for event in told:  # as the format's description has it
        assert event["ph"] in "XM"
        assert all(type(event[name]) is int for name in ("pid", "tid") if event["ph"] == "X")
        assert event["ph"] == "M" or (event["ts"] >= 0 and event["dur"] > 0)
        assert event["ph"] == "X" or event["name"] in ("process_name", "thread_name")


def test_a_bar_begins_at_its_lease_s_grant_where_that_is_recorded(state):
    story = Stories().of(state, FAILING)
    bar = story._bar(0, LeaseId(1), 0, 5, Ran("there", 10_000, 2_000_000, 7000))
    assert (bar.start_ms, bar.begun_ms, bar.stop_ms) == (3000, 8000, 10_000)
    bar = story._bar(1, LeaseId(2), 5, 9, Ran("there", 10_000, 2_000_000))
    assert (bar.start_ms, bar.begun_ms) == (8000, 8000)


def test_of_very_many_leases_and_failures_the_story_keeps_a_bounded_part(state, monkeypatch):
    monkeypatch.setattr(limits, "DASH_LEASES", 100)
    monkeypatch.setattr(limits, "DASH_FAILURES", 10)
    story = Stories().of(state, FAILING)
    story.read_on(state.journal.find(FAILING))
    assert (len(story.bars), story.dropped) == (100, 700)
    assert list(story.bars) == [LeaseId(at) for at in range(701, 801)]  # the newest
    assert (len(story.failures), story.more_failures) == (10, 70)


def test_all_who_look_are_told_what_changed_and_what_went(state):
    async def look():
        sight = MadeUp(state, 3)
        live = Live(sight)
        events = live.events(follow=True)
        assert (await anext(events)).startswith(b"event: clock")
        first = [(await anext(events)).decode() for _ in range(3)]
        assert all('"whole":true' in event for event in first)
        state.journal.remove(FAILING)
        while True:
            event = (await anext(events)).decode()
            if event.startswith("event: jobs") and f'"gone":["{FAILING}"]' in event:
                break
        assert '"whole":false' in event
        await events.aclose()

    asyncio.run(look())
