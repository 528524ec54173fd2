"""What a site keeps for its home: every value is there until it is acknowledged, on disk or not."""

from __future__ import annotations

import resource
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from core_builders import Place, Town, cpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse import limits
from hanse.core.agent import Agent
from hanse.core.messages import FailureNote, Grant, Orders, SegmentNote
from hanse.engines import port
from hanse.ids import JobId, LeaseId, SiteId
from hanse.limits import MIB
from hanse.model.failure import Cause, Failure
from hanse.model.resources import Amount
from hanse.node.kept import Kept
from hanse.node.spill import Spill
from hanse.payloads.parcel import Unwrapping, wrap
from hanse.payloads.payload import Payload, dump_each, load
from hanse.wire import codec, link

SITE, JOB, LEASE = SiteId("x"), JobId("j"), LeaseId(1)


class Site:
    """An agent with one endless lease, and a home that remembers what it was told."""

    def __init__(self, directory: Path, most: int, full: Callable[[], None] = lambda: None) -> None:
        self.agent = Agent(SITE, 1, Amount(cpus_milli=1000))
        grant = Grant(LEASE, JOB, 0, 1 << 30, Amount(cpus_milli=1000), {})
        self.agent.follow(Orders(SITE, 1, 1, 0, [grant], [], [], 0), 0)
        self.spill = Spill(directory, most)
        self.kept = Kept(self.agent, self.spill, full)
        self.made = 0
        self.orders = 1
        self.there: dict[int, bytes] = {}  # what the home has, by note

    def segment(self, size: int) -> None:
        payload = Payload(1, bytes([self.made % 251]) * size, (size,))
        segment = port.Segment(LEASE, self.made, self.made + 1, payload, 1)
        self.kept.segment(segment)
        self.agent.segment(LEASE, self.made, self.made + 1, 1)
        self.made += 1

    def tell(self, arrives: bool) -> None:
        report = self.agent.report(0, lambda lease: self.made)
        told, payloads = self.kept.told("boot", report)
        if arrives:
            notes = codec.decode_report(told.report).notes
            fresh = {
                each.note: bytes(p.data) for each, p in zip(told.segments, payloads, strict=True)
            }
            first = codec.decode_report(told.report).first_note
            self.there |= fresh
            for number, note in enumerate(notes, first):
                assert isinstance(note, SegmentNote)
                assert number in self.there, "a note came without its value"
            self.kept.has(told)

    def acknowledge(self) -> None:
        self.orders += 1
        until = max(self.there, default=0)
        self.agent.follow(Orders(SITE, 1, self.orders, until, [], [], [], 0), 0)
        self.kept.acknowledged()


steps = st.lists(
    st.sampled_from(["segment", "segment", "segment", "tell", "lose", "acknowledge", "boot"]),
    max_size=60,
)


@given(steps, st.sampled_from([0, 3000, 1 << 30]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_a_home_has_every_value_whatever_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: list[str], most: int
) -> None:
    monkeypatch.setattr(limits, "LINK_MEMORY_BYTES", 1000)
    monkeypatch.setattr(limits, "LINK_REPORT_BYTES", 2000)
    site = Site(tmp_path, most)
    acknowledged: dict[int, bytes] = {}
    for step in steps:
        if step == "segment":
            site.segment(300)
        elif step == "boot":  # the home comes back with what it has durably
            acknowledged |= {n: v for n, v in site.there.items() if n <= site.agent.acknowledged}
            site.there = dict(acknowledged)
            site.kept.again()
        elif step == "acknowledge":
            site.acknowledge()
        else:
            site.tell(arrives=step == "tell")
    for _ in range(site.made + 1):
        site.tell(arrives=True)
    assert site.there == {n + 1: bytes([n % 251]) * 300 for n in range(site.made)}
    site.acknowledge()
    site.spill.close()


def test_what_waits_lies_on_disk_and_leaves_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_MEMORY_BYTES", 1000)
    said: list[str] = []
    site = Site(tmp_path, 10_000, lambda: said.append("full"))
    for _ in range(30):
        site.segment(500)
    assert said, "the disk may take 10,000 bytes only"
    assert list(tmp_path.iterdir()) == []
    site.tell(arrives=True)
    assert len(site.there) == 30
    site.spill.close()


def test_large_buffers_come_back_from_disk_as_they_were(tmp_path: Path) -> None:
    payload = dump_each([bytearray(b"a" * (1 << 19)), "b", bytearray(b"c" * (1 << 20))])
    spill = Spill(tmp_path, 1 << 30)
    place = spill.put(payload)
    assert place is not None
    assert load(spill.get(place)) == load(payload)
    spill.close()
    assert Spill(tmp_path / "gone", 1 << 30).put(payload) is None, "a disk that takes nothing"


def test_room_on_disk_is_taken_again_while_some_of_it_waits(tmp_path: Path) -> None:
    spill = Spill(tmp_path, 10_000)
    waiting = deque()
    for number in range(200):
        data = bytes([number]) * (700 + 13 * number % 900)
        place = spill.put(Payload(1, data, (len(data),)))
        assert place is not None
        waiting.append((place, data))
        if len(waiting) > 3:
            spill.release()
            waiting.popleft()
        for place, data in waiting:
            assert bytes(spill.get(place).data) == data
    assert spill.put(Payload(1, bytes(9000), (9000,))) is None
    spill.close()
    assert spill.put(Payload(1, b"", (0,))) is None


def test_a_disk_that_becomes_full_keeps_what_it_has_taken(tmp_path: Path) -> None:
    spill = Spill(tmp_path, 1 << 30)
    taken = []
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))  # no file is larger
    try:
        for number in range(10):
            data = bytes([number]) * 300_000
            if (place := spill.put(Payload(1, data, (len(data),)))) is not None:
                taken.append((place, data))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(taken) == 3
    for place, data in taken:
        assert bytes(spill.get(place).data) == data
        spill.release()
    spill.close()


def test_what_cannot_be_read_back_is_run_again_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_MEMORY_BYTES", 1000)
    town = Town()
    job = town.submit("a", 40)
    place = Place(town, SiteId("x"), cpus(4))
    spill = Spill(tmp_path, 1 << 30)
    kept = Kept(place.agent, spill, lambda: None)
    place.talk()
    run_all(place, kept, 300)
    assert spill._file is not None
    spill._file.truncate(0)
    ran = len(town.committed(job))
    for _ in range(20):
        hear(place, kept)
        run_all(place, kept, 10)
    assert ran == 0
    assert len(town.committed(job)) == 40
    spill.close()


def test_lines_that_a_home_did_not_take_go_with_the_next_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_PRINTED_BYTES", 50)
    site = Site(tmp_path, 0)

    def print_lines(*texts: str) -> None:
        for text in texts:
            site.kept.print(port.Printed(JOB, LEASE, 0, "stdout", text))

    def told() -> link.Told:
        return site.kept.told("boot", site.agent.report(0, lambda lease: 0))[0]

    print_lines("one", "two")
    lost = told()
    print_lines("three")
    site.kept.has_not(lost)
    assert [line.text for line in told().lines] == ["one", "two", "three"]
    print_lines("a" * 40)
    lost = told()
    print_lines("b" * 40)
    site.kept.has_not(lost)
    assert [line.text for line in told().lines] == ["b" * 40], "the oldest are dropped"
    assert not site.kept.has_lines
    assert told().lines == []


def run_all(place: Place, kept: Kept, size: int) -> list[int]:
    """Run all that the site has been granted; returns the items."""
    items = []
    for lease, grant in list(place.grants.items()):
        for item in range(grant.start, grant.stop):
            items.append(item)
            payload = Payload(1, bytes(size), (size,))
            kept.segment(port.Segment(lease, item, item + 1, payload, 1))
            place.agent.segment(lease, item, item + 1, 10**9)
        place.begun[lease] = grant.stop
        place.end(lease)
    return items


def hear(place: Place, kept: Kept) -> None:
    """The home hears a report, and its orders come back."""
    told, _ = kept.told("boot", place.report())
    kept.has(told)
    for orders in place.send(codec.decode_report(told.report)):
        place.follow(orders)
        kept.acknowledged()


def test_what_is_told_in_several_reports_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LINK_REPORT_BYTES", 1000)
    town = Town()
    job = town.submit("a", 40)
    place = Place(town, SiteId("x"), cpus(4))
    kept = Kept(place.agent, Spill(tmp_path, 1 << 30), lambda: None)
    place.talk()
    ran: list[int] = []
    while not town.job(job).state.ended:
        ran += run_all(place, kept, 900)
        hear(place, kept)
    assert sorted(ran) == list(range(40))


def read(told: link.Told, payloads: list[Payload]) -> link.Told:
    """As a home reads it."""
    taking = Unwrapping(limits.PARCEL_BYTES)
    for piece in wrap(told, payloads):
        taking.feed(piece)
    taking.end()
    assert taking.about is not None
    found = msgspec.msgpack.decode(taking.about, type=link.Told)
    link.check_report(codec.decode_report(found.report))
    return found


@pytest.mark.parametrize(("count", "nbytes"), [(40, MIB), (250_000, 0)])
def test_many_failures_and_large_ones_are_told_in_reports_that_a_home_reads(
    tmp_path: Path, count: int, nbytes: int
) -> None:
    site = Site(tmp_path, 0)
    for item in range(count):
        failure = Failure(cause=Cause.RAISED, function="f", item=item, exception=bytes(nbytes))
        site.kept.failed(JOB, port.ItemFailed(LEASE, item, failure, 1))
        site.agent.item_failed(LEASE, item, Cause.RAISED, 1)
    heard: list[int] = []
    for seq in range(2, 100):
        told = read(*site.kept.told("boot", site.agent.report(0, lambda _: count)))
        site.kept.has(told)
        heard += [each.failure.item for each in told.failures]
        seen = heard[-1] + 1
        site.agent.follow(Orders(SITE, 1, seq, seen, [], [], [], 0), 0)
        site.kept.acknowledged()
        if seen == count:
            break
    assert heard == list(range(count))


def test_many_lines_are_told_in_reports_that_a_home_reads(tmp_path: Path) -> None:
    site = Site(tmp_path, 0)
    for _ in range(300_000):
        site.kept.print(port.Printed(JOB, LEASE, 0, "stdout", "\n"))
    heard = 0
    while site.kept.has_lines:
        told = read(*site.kept.told("boot", site.agent.report(0, lambda _: 0)))
        heard += len(told.lines)
    assert heard == 300_000


def test_the_end_of_a_lease_is_told_after_what_its_items_have_saved(tmp_path: Path) -> None:
    site = Site(tmp_path, 1 << 30)
    site.segment(10)
    site.agent.item_failed(LEASE, 1, Cause.RAISED, 1)
    site.kept.failed(
        JOB, port.ItemFailed(LEASE, 1, Failure(cause=Cause.RAISED, function="f", item=1), 1)
    )
    site.segment(10)

    def told(saving: set[tuple[LeaseId, int]]) -> list[type]:
        report, payloads = site.kept.told("b", site.agent.report(0, lambda _: 2), saving)
        found = codec.decode_report(report.report)
        assert len(payloads) == sum(isinstance(note, SegmentNote) for note in found.notes)
        assert [each.lease for each in found.running] == [LEASE]
        return [type(note) for note in found.notes]

    assert told({(LEASE, 1)}) == [SegmentNote]
    assert told({(LEASE, 2)}) == [SegmentNote, FailureNote, SegmentNote], "another item saves"
    assert told({(LeaseId(7), 1)}) == [SegmentNote, FailureNote, SegmentNote]
    assert told(set()) == [SegmentNote, FailureNote, SegmentNote]
    site.agent.ended(LEASE, 0)
    site.tell(arrives=False)
    assert told({(LEASE, 2)}) == [SegmentNote, FailureNote, SegmentNote]
    assert told({(LEASE, 1)}) == [SegmentNote], "and it is said to run until then"
