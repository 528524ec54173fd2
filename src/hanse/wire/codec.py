"""Reports and orders as bytes.

A message is one version byte and a msgpack array. Fields are only ever added at the end with
defaults, so one version reads the next; the byte changes when that is not enough.
"""

from __future__ import annotations

import msgspec

from hanse.core.messages import Orders, Report
from hanse.decoding import msgpack_decoder
from hanse.errors import WorldError

VERSION = b"\x01"

_encoder = msgspec.msgpack.Encoder()
_reports = msgpack_decoder(Report)
_orders = msgpack_decoder(Orders)

# msgspec lets the errors of text that is no UTF-8 and of nesting without end through as they are.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class BadMessage(WorldError):
    """The bytes are no message of a version that is understood here."""

    code = "bad-message"


def encode(message: Report | Orders) -> bytes:
    return VERSION + _encoder.encode(message)


def decode_report(data: bytes) -> Report:
    _check_version(data)
    try:
        return _reports.decode(memoryview(data)[1:])
    except _UNREADABLE as error:
        raise BadMessage(f"not a report: {error}") from error


def decode_orders(data: bytes) -> Orders:
    _check_version(data)
    try:
        return _orders.decode(memoryview(data)[1:])
    except _UNREADABLE as error:
        raise BadMessage(f"not orders: {error}") from error


def _check_version(data: bytes) -> None:
    if data[:1] != VERSION:
        raise BadMessage(
            f"the message has version {data[:1].hex() or 'none'}, this Hanse reads "
            f"{VERSION.hex()}: bring both sides to versions next to each other"
        )
