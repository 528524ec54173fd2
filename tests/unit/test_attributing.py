"""Laying notes against bytes, in whatever pieces both come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hanse.engines.local.attributing import Notes, Splitter, note

writes = st.lists(
    st.tuples(st.booleans(), st.integers(0, 5), st.binary(min_size=1, max_size=200)), max_size=20
)


def joined(parts: list[tuple[object, bytes]]) -> bytes:
    return b"".join(data for _, data in parts)


@given(writes, st.integers(1, 64))
def test_no_byte_is_lost_or_moved_however_the_notes_fit(
    some: list[tuple[bool, int, bytes]], size: int
) -> None:
    splitter, parts = Splitter(), []
    data = b""
    for noted, item, wrote in some:
        data += wrote
        if noted:
            splitter.note((1, item), len(wrote), wrote[:48])
    for at in range(0, len(data), size):
        parts += splitter.feed(data[at : at + size])
    parts += splitter.finish()
    assert joined(parts) == data


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=200))))
def test_writes_that_are_all_noted_are_told_apart_exactly(some: list[tuple[int, bytes]]) -> None:
    splitter = Splitter()
    for item, wrote in some:
        splitter.note((1, item), len(wrote), wrote[:48])
    found: dict[int, bytes] = {}
    for who, data in splitter.feed(b"".join(wrote for _, wrote in some)):
        assert who is not None
        found[who[1]] = found.get(who[1], b"") + data
    for item, data in found.items():
        assert data == b"".join(wrote for one, wrote in some if one == item)


@given(st.lists(st.binary(min_size=1, max_size=100)), st.integers(1, 30))
def test_notes_come_in_any_pieces(some: list[bytes], size: int) -> None:
    data = b"".join(note(1, (7, item), wrote, len(wrote)) for item, wrote in enumerate(some))
    reader, found = Notes(), []
    for at in range(0, len(data), size):
        found += reader.read(data[at : at + size])
    assert found == [(1, (7, item), len(wrote), wrote[:48]) for item, wrote in enumerate(some)]


@given(st.binary(max_size=300))
def test_what_is_no_note_breaks_nothing(data: bytes) -> None:
    for _, _, size, beginning in Notes().read(data):
        assert 0 < len(beginning) <= size


def test_a_note_of_more_than_a_pipe_holds_is_none() -> None:
    forged = note(1, (1, 0), b"mine", 1 << 62)
    honest = note(1, (2, 0), b"yours", 5)
    assert list(Notes().read(forged + honest)) == [(1, (2, 0), 5, b"yours")]


@given(st.integers(0, 5000), st.integers(1, 2), st.integers(0, 1000))
def test_notes_of_what_went_elsewhere_hide_nobody_elses(astray: int, run: int, more: int) -> None:
    splitter = Splitter()
    for number in range(astray):
        splitter.note((1, 0), 20, b"astray %d" % number, behind=6 + more)
    splitter.note((run, 1), 6, b"hello\n", behind=6 + more)
    assert splitter.feed(b"hello\n") == [((run, 1), b"hello\n")]


def test_what_a_note_had_too_much_ends_with_its_run() -> None:
    splitter = Splitter()
    splitter.note((1, 0), 60_000, b"evil", behind=4)
    assert splitter.feed(b"evil") == [((1, 0), b"evil")]
    splitter.note((2, 0), 7, b"secret\n", behind=7 + 3)
    assert splitter.feed(b"end") == [((1, 0), b"end")]
    splitter.forget(2)
    assert splitter.feed(b"secret\n") == [((2, 0), b"secret\n")]


def test_a_note_waits_for_bytes_that_are_not_written_yet_whatever_follows() -> None:
    splitter = Splitter()
    splitter.note((1, 0), 2, b"a\n", behind=0)
    for _ in range(3):
        splitter.note((1, 0), 2, b"b\n", behind=2 * 4)
    assert splitter.feed(b"a\nb\nb\nb\n") == [((1, 0), b"a\nb\nb\nb\n")]
