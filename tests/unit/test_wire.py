"""Messages arrive as they were sent, or not at all: hostile bytes are a BadMessage."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanse.core.messages import (
    CutOrder,
    EndNote,
    FailureNote,
    Grant,
    Orders,
    Report,
    Running,
    SegmentNote,
)
from hanse.ids import JobId, LeaseId, SiteId
from hanse.model.failure import Cause
from hanse.model.resources import Amount
from hanse.wire.codec import VERSION, BadMessage, decode_orders, decode_report, encode

numbers = st.integers(0, 2**63 - 1)
leases = st.builds(LeaseId, numbers)
jobs = st.builds(JobId, st.text(max_size=20))
sites = st.builds(SiteId, st.text(max_size=20))
amounts = st.builds(Amount, cpus_milli=numbers, custom_milli=st.dictionaries(st.text(), numbers))
notes = st.one_of(
    st.builds(SegmentNote, leases, jobs, numbers, numbers, numbers, st.booleans()),
    st.builds(FailureNote, leases, jobs, numbers, st.sampled_from(Cause), numbers),
    st.builds(EndNote, leases, numbers, numbers, st.text()),
)
reports = st.builds(
    Report,
    sites,
    numbers,
    numbers,
    numbers,
    amounts,
    amounts,
    numbers,
    st.lists(notes),
    st.lists(st.builds(Running, leases, jobs, numbers, numbers, numbers, st.booleans())),
    numbers,
)
orders = st.builds(
    Orders,
    sites,
    numbers,
    numbers,
    numbers,
    st.lists(
        st.builds(Grant, leases, jobs, numbers, numbers, amounts, st.dictionaries(numbers, numbers))
    ),
    st.lists(st.builds(CutOrder, leases, numbers)),
    st.lists(leases),
    numbers,
)
HELLO = encode(Report(SiteId("x"), 1, 1, 0, Amount(cpus_milli=1), Amount(), 1, [], []))


@given(reports)
def test_reports_arrive_as_they_were_sent(report: Report) -> None:
    assert decode_report(encode(report)) == report


@given(orders)
def test_orders_arrive_as_they_were_sent(sent: Orders) -> None:
    assert decode_orders(encode(sent)) == sent


def refused(data: bytes) -> None:
    """Whatever it is, the one answer to bytes that make no sense."""
    for decode in (decode_report, decode_orders):
        with contextlib.suppress(BadMessage):  # by chance it may make sense
            decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_bad_message(data: bytes) -> None:
    refused(data)
    refused(VERSION + data)


@given(reports, st.data())
def test_a_damaged_report_is_a_report_or_a_bad_message(report: Report, data: st.DataObject) -> None:
    sent = bytearray(encode(report))
    for _ in range(data.draw(st.integers(1, 4))):
        sent[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    refused(bytes(sent))
    refused(bytes(sent[: data.draw(st.integers(0, len(sent)))]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        VERSION,
        VERSION + b"\x99\xa2\xff\xfe",  # text that is no UTF-8
        VERSION + b"\x9b" + HELLO[2:] + b"\x91" * 100_000 + b"\xc0",  # nested without end
        VERSION + b"\xdd\xff\xff\xff\xff",  # claims four billion fields
        HELLO + b"x",
        HELLO[:-1],
    ],
)
def test_hostile_bytes_are_a_bad_message(data: bytes) -> None:
    with pytest.raises(BadMessage):
        decode_report(data)


def test_another_version_is_refused_by_name() -> None:
    with pytest.raises(BadMessage, match="version 07, this Hanse reads 01"):
        decode_report(b"\x07" + HELLO[1:])
    with pytest.raises(BadMessage, match="version none"):
        decode_orders(b"")


def test_fields_that_a_later_version_added_at_the_end_are_passed_over() -> None:
    assert HELLO[1] == 0x9D  # an array of thirteen fields
    later = VERSION + b"\x9e" + HELLO[2:] + b"\xa3new"
    assert decode_report(later) == decode_report(HELLO)


def test_a_report_of_an_earlier_version_tells_no_age_and_builds_nothing() -> None:
    earlier = VERSION + b"\x99" + HELLO[2:-4]
    assert decode_report(earlier) == decode_report(HELLO)
    assert decode_report(earlier).orders_age_ns == -1
    assert decode_report(earlier).building == {}


def test_reports_are_no_orders() -> None:
    with pytest.raises(BadMessage, match="not orders"):
        decode_orders(HELLO)
