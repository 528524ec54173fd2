"""A link's end at the site: nothing of the home starts behind it, and nothing else suffers."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hanse.core.messages import Grant, Orders
from hanse.engines import port
from hanse.errors import BadLink, NodeUnavailable, NotAllowed
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.fit import Offer
from hanse.model.job import JobSpec
from hanse.model.resources import Amount
from hanse.node.uplink import Uplink
from hanse.remote.address import Address
from hanse.runtime.runtime import Runtime
from hanse.wire import link

ONE = Amount(cpus_milli=1000)
JOB = JobId("j")
NOBODY = Address("http://127.0.0.1:9", "", "s" * 64)  # nothing listens there


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


class Engine:
    """Runs everything for ever, until it is cancelled."""

    def __init__(self, loop: port.Loop, emit: Callable[[port.Event], None]) -> None:
        self._loop, self._emit = loop, emit
        self.started: queue.Queue[port.Work] = queue.Queue()

    def start(self, work: port.Work) -> None:
        self.started.put(work)

    def cancel(self, lease: LeaseId) -> None:
        self._loop.post(lambda: self._emit(port.Ended(lease, port.End.CANCELLED)))

    def cut(self, lease: LeaseId, stop: int) -> None: ...
    def close(self) -> None: ...

    def begun(self, lease: LeaseId) -> int:
        return 0


class Own:
    """A job of the node's own."""

    fold_print = b""
    end: Any = None

    def ended(self, state: object, error: object) -> None:
        self.end = state, error

    def why(self) -> list[str]:
        return []


class Fetching:
    """Works, each when it is let."""

    boot = ""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.asked: list[LeaseId] = []
        self.errors: list[Exception] = []

    def work(self, grant: Grant) -> port.Work | None:
        self.asked.append(grant.lease)
        self.gate.wait(30)
        if self.errors:
            raise self.errors.pop()
        program = port.Program(1, JOB, "f", None)  # type: ignore[arg-type]
        return port.Work(grant.lease, grant.start, grant.stop, program, [])


class Site:
    def __init__(self, directory: Path) -> None:
        made: list[Engine] = []

        def engine(loop: port.Loop, emit: Callable[[port.Event], None], **_: object) -> Engine:
            made.append(Engine(loop, emit))
            return made[0]

        self.runtime = Runtime(ONE, engine, directory)  # type: ignore[arg-type]
        self.engine = made[0]
        self.own, self.fetching = Own(), Fetching()
        self.runtime.submit(JobId("own"), JobSpec(name="own"), self.own)  # type: ignore[arg-type]
        hello = link.Hello(node="n-" + "b" * 12, site="s", incarnation=2, offer=Offer())
        self.uplink = Uplink(
            self.runtime, NOBODY, hello, ONE,
            lambda dial, offer: self.fetching, directory,  # type: ignore[arg-type, return-value]
        )  # fmt: skip
        until(lambda: self.uplink._fetching is not None)

    def order(self, *leases: int) -> None:
        grants = [Grant(LeaseId(each), JOB, each, each + 1, ONE, {}) for each in leases]
        orders = Orders(SiteId("s"), 2, max(leases), 0, grants, [], [], 10**9)
        self.runtime.loop.post(lambda: self.uplink._ordered(orders))

    def settle(self) -> None:
        """All that threads and the loop had to do is done."""
        until(lambda: not any("hanse-link" in each.name for each in threading.enumerate()))
        for _ in range(5):
            self.runtime.ask(lambda: None)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.fetching.gate.set()
    made.uplink.close()
    made.runtime.close()


def test_what_waits_in_line_does_not_start_behind_the_end(site: Site) -> None:
    site.order(1, 2)
    site.engine.started.get(timeout=30)
    until(lambda: len(site.fetching.asked) == 2)
    site.uplink.close()
    site.settle()
    assert site.engine.started.empty()
    assert site.own.end is None


def test_what_is_on_its_way_does_not_start_behind_the_end(site: Site) -> None:
    site.fetching.gate.clear()
    site.order(1)
    until(lambda: site.fetching.asked == [1])
    site.uplink.close()
    site.fetching.gate.set()
    site.settle()
    assert site.engine.started.empty()
    assert site.own.end is None


def test_orders_that_come_while_a_link_ends_harm_nobody(site: Site) -> None:
    gate = threading.Event()
    site.runtime.loop.post(lambda: gate.wait(30) and None)
    site.order(1)
    closing = threading.Thread(target=site.uplink.close)
    closing.start()
    until(site.uplink._closing.is_set)
    gate.set()
    closing.join(30)
    site.order(2)
    site.settle()
    assert site.own.end is None


def test_what_is_given_back_as_the_disk_is_full_does_not_start(site: Site) -> None:
    site.order(1, 2)
    site.engine.started.get(timeout=30)
    site.runtime.ask(site.uplink.seat.close)
    for _ in range(5):
        site.runtime.ask(lambda: None)
    assert site.engine.started.empty()
    assert site.runtime.ask(lambda: site.uplink.seat.agent.running) == []
    site.order(3)
    assert site.engine.started.get(timeout=30).start == 3


def test_what_a_home_that_has_come_back_does_not_give_yet_is_fetched_again(site: Site) -> None:
    site.fetching.errors = [BadLink("say hello"), NodeUnavailable("away")]
    site.order(1)
    assert site.engine.started.get(timeout=30).start == 1
    assert site.fetching.asked == [1, 1, 1]


def test_a_link_goes_on_reporting_though_its_machines_cannot_be_told(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports: queue.Queue[object] = queue.Queue()

    def ask(method: str, path: str, kind: object, about: object = None, *_: object) -> object:
        if path.endswith("/report"):
            reports.put(about)
        return link.Welcome(boot="b", site="s", node="n-" + "c" * 12)

    def stream(path: str) -> Iterator[bytes]:
        yield bytes(4)  # all is well
        site.uplink._closing.wait(60)

    def machines() -> list[link.Machine]:
        raise TimeoutError  # the loop is busy

    dial = site.uplink._dial
    assert dial is not None
    monkeypatch.setattr(dial, "ask", ask)
    monkeypatch.setattr(dial, "stream", stream)
    site.uplink.machines = machines
    assert reports.get(timeout=30)
    site.order(1)
    assert reports.get(timeout=30), "that it runs"


def test_a_home_that_does_not_want_us_leaves_nothing_behind(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.order(1, 2)
    site.engine.started.get(timeout=30)
    dial = site.uplink._dial
    assert dial is not None

    def refuse(*_: object) -> None:
        raise NotAllowed("this token is none")

    monkeypatch.setattr(dial, "ask", refuse)
    site.settle()
    assert site.engine.started.empty()
    assert "this token is none" in site.uplink.state
