"""Two sides one version apart work together; all others are told plainly that they cannot."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import NodeVersion
from hanse.wire import api, protocol
from hanse.wire.protocol import Spoken, agree, parse


def of(version: int) -> Spoken:
    """What a Hanse of this version speaks."""
    return Spoken(max(1, version - 1), version)


VERSIONS = st.integers(1, 50)


@given(VERSIONS, VERSIONS)
def test_neighbours_agree_on_the_newest_that_both_know_and_others_do_not(one: int, other: int):
    if abs(one - other) <= 1:
        assert agree(of(one), of(other), "x") == agree(of(other), of(one), "x") == min(one, other)
    else:
        for ours, theirs in ((one, other), (other, one)):
            with pytest.raises(NodeVersion) as caught:
                agree(of(ours), of(theirs), "https://a:1")
            behind = "https://a:1" if theirs < ours else "this Hanse"
            assert f"bring {behind} up to date" in str(caught.value)


RANGES = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda p: Spoken(*sorted(p)))


@given(RANGES, RANGES)
def test_what_is_agreed_on_is_spoken_by_both_and_refused_only_where_nothing_is(one, other):
    common = set(range(one.oldest, one.newest + 1)) & set(range(other.oldest, other.newest + 1))
    try:
        assert agree(one, other, "x") == max(common)
    except NodeVersion:
        assert not common


@given(RANGES)
def test_what_is_said_is_understood(spoken):
    assert parse(str(spoken)) == spoken


@given(st.text(max_size=50))
def test_anything_else_is_refused_and_nothing_else_happens(text):
    try:
        found = parse(text)
    except NodeVersion:
        return
    assert str(found) == text or {found.oldest, found.newest} == {int(p) for p in text.split("-")}


@pytest.mark.parametrize("text", ["", "-", "2-1", "1-", "-1", "1-2-3", "1.0", " 1", "٣", "1" * 7])
def test_odd_versions_are_refused(text):
    with pytest.raises(NodeVersion, match="no version"):
        parse(text)


def test_this_hanse_speaks_its_own_version_and_the_one_before():
    assert of(protocol.PROTOCOL) == protocol.OURS


def test_a_field_that_is_not_used_is_not_sent_so_older_nodes_serve_the_request():
    class Later(api.Take, frozen=True):
        sudo: bool = False

    old = msgspec.msgpack.Decoder(api.Take)
    assert old.decode(msgspec.msgpack.encode(Later(again=True))) == api.Take(again=True)
    with pytest.raises(msgspec.ValidationError, match="sudo"):
        old.decode(msgspec.msgpack.encode(Later(sudo=True)))
    requests = [k for k in vars(api).values() if isinstance(k, type) and issubclass(k, api.Request)]
    assert len(requests) > 5
    assert all(k.__struct_config__.forbid_unknown_fields for k in requests)
    assert all(k.__struct_config__.omit_defaults for k in requests)
