"""Squeezed bodies: read back as they were, and never more than may be."""

from __future__ import annotations

import os
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse import limits
from hanse.wire.squeeze import BadEncoding, Expander, Squeezer, accepts, expand, pays, squeeze

BYTES = st.one_of(st.binary(max_size=3000), st.builds(bytes.__mul__, st.binary(), st.just(500)))


@given(st.lists(BYTES), st.integers(1, 5000))
def test_pieces_come_out_as_they_went_in_however_they_are_cut(pieces, cut):
    squeezer = Squeezer()
    data = b"".join([*map(squeezer.piece, pieces), squeezer.end()])
    expander = Expander()
    found = b"".join(
        b"".join(expander.feed(data[at : at + cut])) for at in range(0, len(data), cut)
    )
    expander.end()
    assert found == b"".join(pieces)


@given(st.lists(BYTES, min_size=1))
def test_each_piece_can_be_read_when_it_came(pieces):
    squeezer, expander = Squeezer(), Expander()
    for piece in pieces:
        assert b"".join(expander.feed(squeezer.piece(piece))) == piece


@given(BYTES)
def test_what_is_cut_short_is_not_taken_for_the_whole(data):
    whole = squeeze(data)
    for at in {0, 1, len(whole) // 2, len(whole) - 1}:
        with pytest.raises(BadEncoding):
            expand(whole[:at], 1 << 30)


@given(st.binary(min_size=1, max_size=500))
def test_garbage_is_refused(data):
    for told in (data, squeeze(b"x") + data):
        with pytest.raises(BadEncoding):
            expand(told, 1 << 30)


def test_a_bomb_takes_no_more_memory_than_a_piece():
    bomb = squeeze(bytes(1 << 28))
    assert len(bomb) < 1 << 15
    tracemalloc.start()
    try:
        with pytest.raises(BadEncoding, match="more than"):
            for _ in Expander(100 * limits.MIB).feed(bomb):
                pass
        assert tracemalloc.get_traced_memory()[1] < 8 * limits.MIB
    finally:
        tracemalloc.stop()


def test_a_frame_that_asks_its_reader_for_much_memory_is_refused():
    from hanse.wire.squeeze import _zstd

    zstd = _zstd()
    wide = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.checksum_flag: 1}
    frame = zstd.ZstdCompressor(options=wide)
    data = frame.compress(os.urandom(1000)) + frame.flush()
    with pytest.raises(BadEncoding):
        expand(data, 1 << 30)


def test_it_pays_for_what_is_large_and_regular_and_for_nothing_else():
    large = 4 * limits.SQUEEZE_BYTES
    assert pays(b"regular " * large)
    assert not pays(os.urandom(large))
    assert not pays(b"regular")
    assert not pays(b"")


@pytest.mark.parametrize(
    ("header", "yes"),
    [("zstd", True), ("gzip, ZSTD;q=0.5", True), ("", False), ("identity", False),
     ("zstd;q=0", False), ("zstdx", False), ("*", False), ("zstd; q=0.000, gzip", False)],
)  # fmt: skip
def test_only_who_asks_for_it_gets_it(header, yes):
    assert accepts(header) is yes
