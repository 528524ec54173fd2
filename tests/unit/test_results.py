"""Results that are kept elsewhere: read in few requests, and no further ahead than may be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from hanse import limits
from hanse.blobs.store import BlobStore
from hanse.client.results import Part, Results
from hanse.errors import JournalDamaged
from hanse.ids import JobId
from hanse.journal.port import Append, Head, Holder
from hanse.journal.seal import seal
from hanse.journal.sqlite import SqliteJournal
from hanse.model.job import JobState
from hanse.payloads.payload import Payload, dump_batch, dump_one, load
from hanse.records.entries import Stored
from hanse.records.payloads import pack
from hanse.records.record import Kept
from hanse.records.state import State

JOB = JobId("j-0000000000aa")


class Counting(SqliteJournal):
    """Counts how often it is asked, and for what."""

    asked: Counter[int]

    def payloads(self, job: JobId, seqs: Sequence[int]) -> list[bytes]:
        self.asked.update(seqs)
        self.requests = getattr(self, "requests", 0) + 1
        return super().payloads(job, seqs)


@pytest.fixture
def state(tmp_path) -> Iterator[State]:
    journal = Counting(tmp_path / "journal.sqlite")
    journal.asked = Counter()
    state = State(tmp_path, journal, BlobStore(tmp_path / "blobs", None))
    yield state
    state.close()


def kept(state: State, values: Sequence[Payload]) -> list[Kept]:
    """The payloads as entries of a job's record."""
    head = Head(id=JOB, name="", function="f", script="", user="", host="", created_s=0.0,
                updated_s=0.0)  # fmt: skip
    run = state.journal.create(head, Holder("here", 1, 0.0))
    found, entries = [], []
    for seq, payload in enumerate(values):
        packed = pack(payload, state.blobs.put)
        entries.append(seal(JOB, seq, b"", packed.header, packed.blobs))
        stored = Stored(packed.digest, packed.nbytes, payload.count)
        found.append(Kept(state, JOB, seq, stored))
    state.journal.append([Append(head, run, entries)])
    return found


def taken(results: Results, in_order: bool = True) -> list[int]:
    """All values, as a consumer takes them."""
    found: list[int] = []
    while (part := results.take(len(found) if in_order else None)) is not None:
        found += load(results.read(part))
    return found


@pytest.mark.parametrize("in_order", [True, False])
def test_payloads_that_are_kept_are_read_many_at_a_time(state, in_order):
    count = 5 * limits.PAYLOADS_READ
    results = Results(2 * count)
    for at, each in enumerate(kept(state, [dump_batch([2 * n, 2 * n + 1]) for n in range(count)])):
        results.add(Part(2 * at, 2 * at + 2, each, 0, None))
    results.end(JobState.DONE, None)
    assert taken(results, in_order) == list(range(2 * count))
    assert state.journal.requests == 5
    assert set(state.journal.asked.values()) == {1}
    assert results.held_bytes == 0


def test_what_is_read_ahead_is_bounded_by_bytes(state):
    size = limits.INLINE_BYTES // 2
    count = 2 * limits.PAYLOADS_BYTES // size
    results = Results(count)
    for at, each in enumerate(kept(state, [dump_one(bytes(size)) for _ in range(count)])):
        results.add(Part(at, at + 1, each, 0, None))
    results.end(JobState.DONE, None)
    for at in range(count):
        part = results.take(at)
        assert part is not None
        results.read(part)
        assert results.held_bytes <= limits.PAYLOADS_BYTES + limits.INLINE_BYTES


def test_a_large_one_is_read_by_itself_and_all_come_out_right(state):
    large = bytes(2 * limits.INLINE_BYTES)
    values = [b"a", b"b", large, b"c", large, b"d"]
    results = Results(len(values))
    for at, each in enumerate(kept(state, [dump_one(value) for value in values])):
        results.add(Part(at, at + 1, each, 0, None))
    results.end(JobState.DONE, None)
    assert taken(results) == values
    assert set(state.journal.asked.values()) == {1}


def test_a_damaged_one_costs_nothing_of_those_before_it(state):
    found = kept(state, [dump_one(number) for number in range(3)])
    other = Stored(bytes(32), found[2].stored.nbytes, 1)
    found[2] = Kept(state, JOB, 2, other)
    results = Results(3)
    for at, each in enumerate(found):
        results.add(Part(at, at + 1, each, 0, None))
    results.end(JobState.DONE, None)
    for at in range(2):
        part = results.take(at)
        assert part is not None
        assert list(load(results.read(part))) == [at]
    part = results.take(2)
    assert part is not None
    with pytest.raises(JournalDamaged, match="entry 2"):
        results.read(part)
