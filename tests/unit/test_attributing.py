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
