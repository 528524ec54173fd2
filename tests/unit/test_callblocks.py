"""Blocks of calls: taken apart as they were put together; anything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.payloads.callblocks import CallBlock, pack_calls, unpack_calls
from hanse.payloads.payload import Payload, dump_each, dump_one, load_one

ONE = st.binary(max_size=20)
REF = st.tuples(st.sampled_from(["put", "j-0"]), st.integers(0, 9))


@given(
    st.lists(st.tuples(ONE, st.integers(0, 5)), min_size=1, max_size=5),
    st.dictionaries(st.integers(1, 9), ONE, max_size=3),
    st.dictionaries(REF, ONE, max_size=3),
    st.data(),
)
def test_a_block_is_taken_apart_as_it_was_put_together(calls, functions, values, data):
    places = st.integers(0, len(calls) - 1)
    needs = data.draw(st.dictionaries(places, st.lists(REF, max_size=3)))
    block = CallBlock(
        [dump_one(call) for call, _ in calls], [key for _, key in calls],
        {key: dump_one(one) for key, one in functions.items()},
        {ref: dump_one(one) for ref, one in values.items()}, needs,
    )  # fmt: skip
    found = unpack_calls(pack_calls(block))
    assert [load_one(call) for call in found.calls] == [call for call, _ in calls]
    assert list(found.keys) == [key for _, key in calls]
    assert {key: load_one(one) for key, one in found.functions.items()} == functions
    assert {ref: load_one(one) for ref, one in found.values.items()} == values
    assert found.needs == needs


@given(st.lists(ONE, max_size=4), ONE)
def test_anything_else_is_refused(values, last):
    with pytest.raises(ValueError, match="calls"):
        unpack_calls(dump_each([*values, last]))


@pytest.mark.parametrize("stream", [b"\x94\x91\x00\x90\x90\x81\x07\x90", b"\x94\x90\x90\x90\x80"])
def test_an_index_that_names_what_is_not_there_is_refused(stream):
    with pytest.raises(ValueError, match="calls"):
        unpack_calls(Payload(1, stream, (len(stream),)))
