"""One address has a part of a node's connections, and may not guess tokens for ever."""

from __future__ import annotations

import asyncio
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from hanse import limits
from hanse.node.audit import Audit
from hanse.node.http.bodies import Bodies
from hanse.node.http.guard import Guard
from hanse.node.http.peers import Connections, Guesses, peer_of
from hanse.node.tokens import Right, Role, Tokens


class Line:
    """A connection."""


def test_one_address_takes_its_part_and_leaves_the_rest():
    connections = Connections(10, 3)
    mine = [Line() for _ in range(4)]
    assert [connections.enter(line, "198.51.100.1") for line in mine] == [True, True, True, False]
    others = [Line() for _ in range(8)]
    entered = [connections.enter(line, f"198.51.100.{n}") for n, line in enumerate(others, 10)]
    assert entered == [True] * 7 + [False]  # ten in all
    del mine
    gc.collect()
    assert connections.enter(Line(), "198.51.100.1")


def test_this_machine_is_not_held_to_a_part():
    connections, lines = Connections(10, 3), [Line() for _ in range(10)]
    assert all(connections.enter(line, "127.0.0.1") for line in lines)


@given(st.lists(st.ip_addresses().map(str), max_size=200))
def test_connections_that_are_closed_leave_nothing_behind(hosts):
    connections = Connections(4, 2)
    for host in hosts:
        connections.enter(Line(), host)
    assert len(connections._of) <= 2 * 4 + 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("2001:db8::1", "2001:db8::ffff:1", True), ("2001:db8::1", "2001:db8:0:1::1", False),
     ("::ffff:198.51.100.1", "198.51.100.1", True), ("198.51.100.1", "198.51.100.2", False),
     ("127.0.0.1", "::1", True), ("::ffff:127.0.0.1", "127.8.8.8", True),
     ("fe80::1%eth0", "fe80::2%eth0", True)],
)  # fmt: skip
def test_an_address_is_what_one_party_has(one, other, same):
    assert (peer_of(one) == peer_of(other)) is same


def test_after_so_many_wrong_ones_there_is_a_wait_that_ends():
    now = 0.0
    guesses = Guesses(lambda: now)
    assert [guesses.wrong("198.51.100.1") for _ in range(limits.GUESSES)] == [0] * limits.GUESSES
    assert guesses.wrong("198.51.100.1") > 0
    assert guesses.wrong("198.51.100.2") == 0
    now = limits.GUESS_S + 1.0
    assert guesses.wrong("198.51.100.1") == 0
    for number in range(2 * limits.GUESSERS):
        guesses.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guesses._wrong) <= limits.GUESSERS


def test_who_guesses_is_told_to_wait_and_who_shows_a_good_token_never_is(tmp_path):
    tokens, audit = Tokens(tmp_path / "tokens.json"), Audit(tmp_path / "audit.log")
    _, secret = tokens.create(Role.READ, "ann", None)
    guard = Guard(None, tokens, audit, frozenset({"a.example"}), Bodies(0, 0))

    async def handler(call):
        return Response("in")

    endpoint = guard.endpoint(handler, Right.READ, "/v1/node")

    def status(shown):
        headers = [(b"host", b"a.example")]
        if shown:
            headers.append((b"authorization", f"Bearer {shown}".encode()))
        scope = {"type": "http", "method": "GET", "path": "/v1/node", "query_string": b"",
                 "headers": headers, "client": ("198.51.100.1", 1), "path_params": {}}  # fmt: skip
        answer = asyncio.run(endpoint(Request(scope)))
        assert ("retry-after" in answer.headers) == (answer.status_code == 429)
        return answer.status_code

    assert [status("") for _ in range(3 * limits.GUESSES)] == [401] * 3 * limits.GUESSES
    told = [status(f"{guess:064x}") for guess in range(limits.GUESSES + 2)]
    assert told == [401] * limits.GUESSES + [429] * 2
    assert status(secret) == 200
    assert status("") == 401
    audit.close()
