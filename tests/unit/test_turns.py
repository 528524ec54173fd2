"""Who may only look cannot keep a node busy with quotes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from hanse import limits
from hanse.errors import NodeUnavailable
from hanse.ids import JobId, LeaseId
from hanse.model.aims import Aims
from hanse.model.data import Lies
from hanse.model.job import JobSpec
from hanse.model.quote import Quote
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.turns import Turns
from hanse.node.tokens import LeaseToken, Role, Token, Tokens
from hanse.payloads.parcel import wrap
from hanse.wire import api

ASK = api.AskQuote(spec=JobSpec(name="q", total=1), timed=[], aims=[Aims()])


class Slow:
    """A board that quotes when it may."""

    runtime: Any

    def __init__(self) -> None:
        self.runtime = self
        self.pauses: list[float] = []  # until its sites have spoken
        self.may = threading.Event()
        self.now, self.most = 0, 0
        self._lock = threading.Lock()

    def settling(self, _of: JobId | None) -> Iterator[float]:
        while self.pauses:
            yield self.pauses.pop()

    def quote(self, _asked: api.AskQuote) -> Quote:
        assert not self.pauses, "its sites have not spoken"
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        assert self.may.wait(60)
        with self._lock:
            self.now -= 1
        return Quote(items=1, timed=0)


class Asking:
    def __init__(self, directory: Path) -> None:
        self.board: Any = Slow()
        self.tokens = Tokens(directory / "tokens.json")
        self.routes = Turns()
        self._body = b"".join(wrap(ASK))

    def token(self, name: str) -> Any:
        return self.tokens.create(Role.READ, name, None)[0]

    def ask(self, token: Any) -> asyncio.Task[Any]:
        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": self._body, "more_body": False}

        scope = {"type": "http", "headers": [], "path_params": {}}
        call = Call(Request(scope, receive), self.board, token, self.tokens, Bodies(0, 0))
        return asyncio.create_task(self.routes.quote(call))

    async def begun(self, count: int) -> None:
        while self.board.now < count:
            await asyncio.sleep(0.001)


def test_each_token_has_one_at_a_time_and_all_a_few(tmp_path: Path) -> None:
    async def play() -> None:
        asking = Asking(tmp_path)
        eve, ann, bob = (asking.token(name) for name in ("eve", "ann", "bob"))
        flood = [asking.ask(eve) for _ in range(20)]
        await asking.begun(1)
        others = [asking.ask(ann), asking.ask(bob)]
        await asking.begun(2)  # hers does not wait for those of one that floods
        asking.board.may.set()
        await asyncio.gather(*flood, *others)
        assert asking.board.most == limits.QUOTES == 2

    asyncio.run(asyncio.wait_for(play(), 100))


def test_who_waits_for_long_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "QUOTE_WAIT_S", 0.01)

    async def play() -> None:
        asking = Asking(tmp_path)
        eve = asking.token("eve")
        first = asking.ask(eve)
        await asking.begun(1)
        with pytest.raises(NodeUnavailable):
            await asking.ask(eve)
        asking.board.may.set()
        await first
        await asking.ask(eve)

    asyncio.run(asyncio.wait_for(play(), 100))


def test_what_is_free_is_waited_for_by_the_runtimes_own_pauses(tmp_path: Path) -> None:
    async def play() -> None:
        asking = Asking(tmp_path)
        asking.board.pauses = [0.0, 0.001]
        asking.board.may.set()
        await asking.ask(asking.token("eve"))
        assert asking.board.pauses == []

    asyncio.run(asyncio.wait_for(play(), 100))


def test_not_too_much_is_asked_at_once() -> None:
    lies = [Lies(at, at + 1, "north", 1, str(at)) for at in range(limits.DATA_CHUNKS + 1)]
    spec = JobSpec(name="q", total=1000)
    fits = api.AskQuote(spec=spec, timed=[], aims=[Aims()] * 10, data=lies[:-1])
    assert asked(fits) == fits
    for much in ({"aims": [Aims()] * 11}, {"data": lies}):
        with pytest.raises(msgspec.ValidationError, match="of length <="):
            asked(msgspec.structs.replace(fits, **much))


def asked(told: api.AskQuote) -> api.AskQuote:
    """As a node reads it."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=api.AskQuote)


def test_tokens_that_one_has_made_share_what_it_may_have() -> None:
    about: dict[str, Any] = {"digest": "", "role": Role.READ, "name": "ann", "created_s": 0.0}
    own, made = Token(id="t-1", **about), Token(id="t-2", parent="t-1", **about)
    scripts = [
        LeaseToken(id=f"w-{n}", job=JobId("j-1"), lease=LeaseId(n), **about) for n in range(2)
    ]
    assert own.account == made.account
    assert len({each.account for each in (own, *scripts)}) == 2
