"""What an outsider sends to be read costs others no time: it has a size, and long ones a thread."""

from __future__ import annotations

import http.client
import tracemalloc
from collections.abc import Iterator

import pytest
from system.nodes import Node

from hanse import limits
from hanse.limits import MIB
from hanse.payloads.parcel import BadParcel, Unwrapping


def label(about: bytes, shapes: bytes) -> bytes:
    """A parcel that has nothing but it; the parts are msgpack."""
    data = b"\x92" + about + shapes
    return len(data).to_bytes(4, "big") + data


def counted(kind: int, count: int, each: bytes) -> bytes:
    return bytes([kind]) + count.to_bytes(4, "big") + each * count


def shape(spans: bytes) -> bytes:
    return b"\x91\x95\x01\xc0\x00\x91\x00" + spans


def of_streams(count: int) -> bytes:
    """Buffers of so many streams, each of them none."""
    each = b"".join(b"\xce" + at.to_bytes(4, "big") + b"\x90" for at in range(count))
    return b"\xdf" + count.to_bytes(4, "big") + each


MANY = limits.PARCEL_SPANS + 1
HOSTILE = {
    "streams": label(b"\xc0", shape(of_streams(MANY))),
    "buffers of one": label(b"\xc0", shape(b"\x81\x00" + counted(0xDD, MANY, b"\x93\x00\x00\x00"))),
    "buffers of several": label(
        b"\xc0",
        b"\x93" + 3 * (shape(b"\x81\x00" + counted(0xDD, MANY - 1, b"\x93\x00\x00\x00"))[1:]),
    ),
    "buffers of several streams": label(
        b"\xc0",
        shape(
            b"\xde\x00\x10"  # sixteen streams
            + b"".join(
                bytes([at]) + counted(0xDD, MANY - 1, b"\x93\x00\x00\x00") for at in range(16)
            )
        ),
    ),
    "payloads": label(b"\xc0", counted(0xDD, limits.PARCEL_PAYLOADS + 1, b"\xc0")),
}


@pytest.mark.parametrize("parcel", HOSTILE.values(), ids=HOSTILE)
def test_a_label_with_more_than_any_honest_one_has_is_refused(parcel: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(BadParcel, match=r"length <=|more than .* buffers"):
            Unwrapping(MIB).feed(parcel)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(parcel) + 16 * MIB, "counted, not made"
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("node") / "home", "--no-work").start()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("method", "path", "most"),
    [
        ("POST", "/dash/session", limits.TOLD_BYTES),
        ("POST", "/v1/quote", limits.ASKED_BYTES),
        ("POST", "/v1/link/hello", limits.ASKED_BYTES),
        ("POST", "/v1/code", limits.ASKED_BYTES),
        ("POST", "/v1/site/certificate", limits.TOLD_BYTES),
    ],
)
def test_requests_that_are_a_few_words_are_refused_by_their_length(
    node: Node, method: str, path: str, most: int
) -> None:
    """It is in the first four bytes: of the rest nothing has to come."""
    line = http.client.HTTPConnection("127.0.0.1", node.port, timeout=60)
    line.putrequest(method, path)
    line.putheader("Content-Length", str(4 + most + 1))
    if path != "/dash/session":
        line.putheader("Authorization", f"Bearer {node.address.secret}")
    line.endheaders((most + 1).to_bytes(4, "big"))
    response = line.getresponse()
    assert (response.status, b"bad-parcel" in response.read()) == (400, True)
    line.close()
