"""Parcels: what is wrapped comes out, whatever the pieces; what is damaged is refused, no more."""

from __future__ import annotations

import os

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.limits import MAPPED_FILES, PARCEL_FILES, PARCEL_PAYLOADS
from hanse.payloads.files import File
from hanse.payloads.parcel import BadParcel, Unwrapping, wrap
from hanse.payloads.payload import Bulk, Payload, dump_batch, dump_each, load

VALUES = st.lists(st.one_of(st.integers(), st.binary(max_size=50), st.text(max_size=9)))
CUTS = st.lists(st.integers(1, 97), min_size=1, max_size=5)


def unwrap(data: bytes, cuts: list[int], most: int = 1 << 30) -> Unwrapping:
    taking, at, turn = Unwrapping(most), 0, 0
    while at < len(data):
        piece = data[at : at + cuts[turn % len(cuts)]]
        taking.feed(piece)
        at, turn = at + len(piece), turn + 1
    taking.end()
    return taking


@given(st.lists(st.tuples(VALUES, st.booleans()), max_size=4), CUTS)
def test_what_is_wrapped_comes_out_whatever_the_pieces(some, cuts):
    payloads = [dump_each(values) if each else dump_batch(values) for values, each in some]
    taken = unwrap(b"".join(wrap({"a": 1}, payloads)), cuts)
    assert msgspec.msgpack.decode(taken.about) == {"a": 1}
    assert [list(load(p)) for p in taken.payloads] == [values for values, _ in some]


def test_large_buffers_and_large_streams_travel_in_files():
    arrays = [np.arange(200_000, dtype=float), np.zeros(0), np.ones(70_000)]
    text = ["x" * 400_000, "y"]
    sent = b"".join(wrap(None, [dump_each(arrays), dump_batch(text)]))
    taken = unwrap(sent, [65_537])
    assert all((a == b).all() for a, b in zip(load(taken.payloads[0]), arrays, strict=True))
    assert load(taken.payloads[1]) == text
    assert taken.payloads[0].bulk is not None
    assert taken.payloads[1].stream is not None


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 100_000, 262_143, 262_144, 300_000])
def test_streams_and_files_of_any_size_come_out(size):
    value = os.urandom(size)
    bulk = Bulk((File.of([value])[0],), {0: ((0, 0, size),)})
    sent = [dump_each([value]), Payload(1, b"", (0,), bulk)]
    first, second = unwrap(b"".join(wrap(None, sent)), [65_537, 1]).payloads
    assert load(first) == [value]
    assert bytes(second.bulk.files[0].view()[:size]) == value


@given(VALUES, st.data())
def test_a_changed_parcel_is_refused_or_is_another_and_nothing_else_happens(values, data):
    sent = bytearray(b"".join(wrap([1, 2], [dump_each(values)])))
    at = data.draw(st.integers(0, len(sent) - 1))
    sent[at] ^= data.draw(st.integers(1, 255))
    try:
        unwrap(bytes(sent), [len(sent)], most=1 << 20)
    except BadParcel:
        pass


@given(VALUES, st.data())
def test_a_parcel_that_ends_early_is_refused(values, data):
    sent = b"".join(wrap(None, [dump_each(values)]))
    with pytest.raises(BadParcel):
        unwrap(sent[: data.draw(st.integers(0, len(sent) - 1))], [10])


def test_what_is_too_large_is_refused_before_it_comes():
    taking = Unwrapping(1000)
    with pytest.raises(BadParcel, match="1,000"):
        taking.feed(next(iter(wrap(None, [dump_batch(["x" * 2000])]))))
    with pytest.raises(BadParcel, match="label"):
        Unwrapping(1000).feed(b"\xff\xff\xff\xff")


def many_files(payloads, files, size=1):
    shapes = [[1, None, 0, [size] * files, {}]] * payloads
    label = msgspec.msgpack.encode([None, shapes])
    return len(label).to_bytes(4, "big") + label


def test_a_parcel_has_so_many_payloads_and_files_and_no_more():
    Unwrapping(1 << 20).feed(many_files(2, PARCEL_FILES // 2))
    Unwrapping(1 << 20).feed(many_files(PARCEL_PAYLOADS, 0))
    for payloads, files in ((1, PARCEL_FILES + 1), (2, PARCEL_FILES // 2 + 1)):
        with pytest.raises(BadParcel):
            Unwrapping(1 << 20).feed(many_files(payloads, files))
    with pytest.raises(BadParcel):
        Unwrapping(1 << 20).feed(many_files(PARCEL_PAYLOADS + 1, 0))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_files_are_made_when_their_bytes_come():
    size = 1 << 18
    before = descriptors()
    taking = Unwrapping(1 << 30)
    taking.feed(many_files(1, 1000, size))
    assert descriptors() == before
    for _ in range(10):
        taking.feed(b"x" * size)
    assert descriptors() == before + 10


def test_many_small_files_take_few_descriptors():
    """A parcel of some KiB has 4096 of them, and a dishonest site sends a thousand at once."""
    before = descriptors()
    some = [Unwrapping(1 << 20) for _ in range(3)]
    for taking in some:
        taking.feed(many_files(1, PARCEL_FILES, 3))
        taking.feed(b"xyz" * (PARCEL_FILES - 1) + b"xy")
    assert descriptors() == before
    for taking in some:
        taking.feed(b"!")
        taking.end()
    assert descriptors() <= before + MAPPED_FILES
    for taking in some:
        files = taking.payloads[0].bulk.files
        assert [bytes(file.view()) for file in files] == [b"xyz"] * (PARCEL_FILES - 1) + [b"xy!"]


def test_a_buffer_outside_its_file_is_refused():
    label = msgspec.msgpack.encode([None, [[1, None, 0, [4], {0: [[0, 2, 100]]}]]])
    with pytest.raises(BadParcel, match="outside"):
        Unwrapping(1000).feed(len(label).to_bytes(4, "big") + label)
