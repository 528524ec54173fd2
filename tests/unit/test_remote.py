"""What clients and nodes hand each other beside HTTP: tokens as text, and streams of records."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.errors import HanseError, NodeError, UsageError
from hanse.remote import address
from hanse.remote.dial import _error_of
from hanse.remote.records import frames
from hanse.wire.api import Problem, Record

SECRET = "5e" * 32


@given(st.sampled_from(["https://a.example:7437", "https://[::1]:1", "http://127.0.0.1:80"]),
       st.sampled_from(["", "ab" * 32]))  # fmt: skip
def test_a_token_is_read_back(url, fingerprint):
    found = address.Address(url, fingerprint, SECRET)
    assert address.decode(address.encode(found)) == found
    assert SECRET not in repr(found)


@given(st.text(max_size=200))
def test_any_other_text_is_refused_without_repeating_it(text):
    for told in (text, "hanse_" + text):
        with pytest.raises(UsageError) as caught:
            address.decode(told)
        assert len(text) < 12 or text not in str(caught.value)


def tokens_of(*fields: object) -> str:
    data = base64.urlsafe_b64encode(msgspec.msgpack.encode(fields)).rstrip(b"=").decode()
    return "hanse_" + data


@pytest.mark.parametrize(
    "url",
    ["http://elsewhere:7437", "https://user:pass@a:1", "https://a:1/path", "https://a", "ftp://a:1",
     "https://a:1?x=1", "https://a:99999", "javascript:alert(1)", "https://[::1:2"],
)  # fmt: skip
def test_a_token_leads_to_no_odd_place(url):
    with pytest.raises(UsageError):
        address.decode(tokens_of(1, url, "", SECRET))


def test_tokens_of_later_versions_say_so():
    with pytest.raises(UsageError, match="newer"):
        address.decode(tokens_of(2, "https://a:1", "", SECRET))


RECORDS = st.lists(
    st.one_of(st.none(), st.builds(Record, st.integers(0, 99), st.binary(), st.binary()))
)


@given(RECORDS, st.lists(st.integers(1, 50), min_size=1))
def test_records_come_out_of_a_stream_whatever_its_pieces(records, cuts):
    data = b""
    for record in records:
        body = b"" if record is None else msgspec.msgpack.encode(record)
        data += len(body).to_bytes(4, "big") + body
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + cuts[turn % len(cuts)]])
        at, turn = at + len(pieces[-1]), turn + 1
    assert list(frames(pieces)) == records


def test_a_stream_of_something_else_is_an_error():
    with pytest.raises(NodeError):
        list(frames([b"<html>not a node</html>"]))


@pytest.mark.parametrize("kind", [UsageError, NodeError])
def test_errors_cross_the_line_as_what_they_are(kind: type[HanseError]):
    data = msgspec.json.encode(Problem(title="t", status=400, code=kind.code, detail="because"))
    error = _error_of(400, data, "http://x")
    assert type(error) is kind
    assert str(error) == "because"


def test_what_is_no_answer_of_ours_is_a_node_error():
    assert type(_error_of(500, b"<html>", "http://x")) is NodeError
    assert _error_of(502, b"", "http://x").code == "node-unavailable"
