"""Whoever has a token cannot fill a node's memory with bodies, nor hold up others by trying."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from system.nodes import Node
from system.real import until
from system.test_links import Hosts, link, link_token

from hanse import limits
from hanse.errors import BadLink, NodeUnavailable
from hanse.ids import JobId, LeaseId
from hanse.model.fit import Offer
from hanse.payloads.parcel import Deferred, Shape, wrap
from hanse.payloads.payload import dump_each
from hanse.remote import address
from hanse.remote.dial import Dial
from hanse.runtime.machine import usable_memory
from hanse.wire import link as wire

EVIL = "n-" + "e" * 12
PATH = f"/v1/link/{EVIL}/saved"
SAVED = wire.Saved(boot="", lease=LeaseId(1), job=JobId("j-000000000001"), item=0)
SIZE = limits.CHECKPOINT_BYTES


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def promise(home: Node, secret: str) -> socket.socket:
    """A save of a GiB that is begun, and never sent."""
    label = bytes(next(wrap(SAVED, [Deferred(Shape(1, None, SIZE, [], {}), lambda: iter(()))])))
    head = [
        f"POST {PATH} HTTP/1.1", f"Host: 127.0.0.1:{home.port}", f"Authorization: Bearer {secret}",
        f"Content-Length: {len(label) + SIZE}", "", "",
    ]  # fmt: skip
    line = socket.create_connection(("127.0.0.1", home.port), timeout=60)
    line.sendall("\r\n".join(head).encode() + label)
    line.setblocking(False)
    return line


def heard(line: socket.socket) -> bytes:
    """What the node has answered so far."""
    try:
        return line.recv(4096, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def large(item: int) -> bytes:
    return bytes(item * limits.MIB)


def test_many_large_saves_with_one_token_wait_or_come_again_and_others_go_on(hosts: Hosts) -> None:
    home, site = hosts.node("home", "--no-work"), hosts.node("site", "--cpus", "1")
    link(site, home)
    evil = address.decode(link_token(home, "evil"))
    room = max(limits.BODIES_LEAST_BYTES, usable_memory() // limits.BODIES_SHARE)
    fit = max(1, room // SIZE)
    dial = Dial(evil)

    def saves() -> bool:
        """Whether the node takes a save of some size from there, if only to refuse it."""
        try:
            dial.ask("POST", PATH, type(None), SAVED, [dump_each([large(1)])])
        except NodeUnavailable:
            return False
        except BadLink:  # of another boot
            return True
        raise AssertionError

    hello = wire.Hello(node=EVIL, site="evil", incarnation=1, offer=Offer())
    dial.ask("POST", "/v1/link/hello", wire.Welcome, hello)
    with ExitStack() as stack:
        lines = [stack.enter_context(promise(home, evil.secret)) for _ in range(fit + 3)]
        until(lambda: sum(map(bool, map(heard, lines))) == 3)
        for answer in filter(None, map(heard, lines)):
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in answer.lower()
        dial.ask("POST", "/v1/link/hello", wire.Welcome, hello)  # small ones pass
        with home.connect() as client:
            assert list(client.map(large, range(8))) == [large(item) for item in range(8)]
        assert len([line for line in lines if not heard(line)]) == fit
    until(saves)
    dial.close()
