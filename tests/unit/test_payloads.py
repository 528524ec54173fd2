"""Payloads: whatever goes in comes out, and what cannot travel is named."""

from __future__ import annotations

import functools
import operator
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.errors import (
    ArgumentError,
    DependencyFailed,
    InitializerFailed,
    ItemTimeout,
    OutOfMemory,
    PickleError,
    ResultError,
    TaskError,
    WorkerDied,
)
from hanse.model.failure import Cause, Failure
from hanse.payloads import files
from hanse.payloads.exceptions import failure_of, to_exception
from hanse.payloads.flat import dump_flat, is_flat_one
from hanse.payloads.functions import name_of
from hanse.payloads.packing import pack, unpack
from hanse.payloads.payload import (
    Payload,
    dump_batch,
    dump_each,
    dump_one,
    items,
    join,
    load,
    load_one,
)
from hanse.payloads.pickling import OUT_OF_BAND_BYTES
from hanse.payloads.streams import Encoder, Reader, gathered

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
data = st.recursive(
    scalars | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner, max_size=4)
    ),
    max_leaves=10,
)


def crossed(payload: Payload) -> Payload:
    """The payload as another process gets it."""
    sent: list[Any] = []
    packed = pack(payload, sent)
    return unpack(packed, [os.dup(file.fd) for file in sent])


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and repr(one) == repr(other)


@given(st.lists(data))
def test_a_batch_comes_back_as_it_was(values: list[Any]) -> None:
    payload = crossed(dump_batch(values))
    assert payload.count == len(values)
    assert same(list(load(payload)), values)


@given(st.lists(data))
def test_values_by_themselves_come_back_and_can_be_taken_apart(values: list[Any]) -> None:
    payload = crossed(dump_each(values))
    assert same(load(payload), values)
    for index, value in enumerate(values):
        assert same(load_one(payload, index), value)
        assert same(load_one(list(items(payload))[index]), value)


@given(st.lists(data))
def test_joined_payloads_hold_the_values_of_all(values: list[Any]) -> None:
    joined = join([dump_one(value) for value in values] + [dump_each(values)])
    assert same(load(joined), values + values)


def nesting(value: Any) -> int:
    return 1 + max(map(nesting, value), default=0) if type(value) is tuple else 0


flat = scalars | st.binary() | st.complex_numbers(allow_nan=False)


@given(st.lists(st.recursive(flat, lambda inner: st.lists(inner).map(tuple), max_leaves=8)))
def test_flat_values_go_as_one_stream_and_keep_their_types(values: list[Any]) -> None:
    payload = dump_flat(values)
    deepest = max(map(nesting, values), default=0)
    assert (payload is not None) == (deepest <= 4)
    if payload is not None:
        assert payload.ends is None
        assert same(list(load(payload)), values)


def test_tuples_that_hold_one_another_very_often_are_not_looked_through() -> None:
    value: Any = ()
    for _ in range(3):
        value = (value,) * 5000
    assert dump_flat([value]) is None


class Number(int):
    pass


@pytest.mark.parametrize(
    "value",
    [[], {}, (1, []), ((1, []), 2), Number(1), np.float64(1), len, bytes(OUT_OF_BAND_BYTES)],
)
def test_what_can_change_or_is_large_is_not_flat(value: Any) -> None:
    for values in ([1, value], [(2, 3), value], [value]):
        assert dump_flat(values) is None
    assert not is_flat_one(value)


def test_values_pickled_one_by_one_are_what_they_were_then() -> None:
    encoder, buffer, array = Encoder(), [0], np.zeros(OUT_OF_BAND_BYTES)
    encoded = []
    for number in range(5):
        buffer[0] = array[0] = number
        encoded += [encoder.encode(buffer)[0], encoder.encode(array)[0]]
        if number == 2:
            encoder.renew()
    payload = crossed(gathered(encoded))
    assert payload.bulk is not None
    assert len(payload.bulk.files) == 2
    assert [value[0] for value in load(payload)] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    read = Reader(payload)
    read(9)[0] = 7
    assert read(9)[0] == 4


def test_a_file_that_grows_keeps_what_it_holds() -> None:
    file = files.File.empty()
    spans = [file.append(data) for data in (b"", b"a", b"bc", b"")]
    assert bytes(file.view()[spans[1][0] : sum(spans[1])]) == b"a"
    assert bytes(file.view()[spans[2][0] : sum(spans[2])]) == b"bc"


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([10, OUT_OF_BAND_BYTES, OUT_OF_BAND_BYTES + 1]), max_size=4))
def test_large_buffers_travel_beside_the_stream(sizes: list[int]) -> None:
    values = [np.arange(size, dtype="u1") for size in sizes]
    payload = crossed(join([dump_one(value) for value in values]))
    assert len(payload.data) < OUT_OF_BAND_BYTES
    for got, value in zip(load(payload), values, strict=True):
        assert np.array_equal(got, value)
        got[:] = 1


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_large_bytes_leave_the_stream_at_the_top_and_in_arguments(make: Any) -> None:
    value = make(OUT_OF_BAND_BYTES)
    for payload in (dump_one(value), dump_batch([value]), dump_one((1, (value,), {}))):
        assert len(payload.data) < 1000
        assert payload.nbytes >= OUT_OF_BAND_BYTES
    assert load_one(dump_one((1, (value,), {}))) == (1, (value,), {})


def test_a_range_stays_a_range() -> None:
    payload = dump_batch(range(10**9))
    assert payload.nbytes < 100
    assert load(payload) == range(10**9)


def test_what_is_read_can_be_written_without_changing_the_payload() -> None:
    payload = dump_one(np.zeros(OUT_OF_BAND_BYTES))
    load_one(payload)[:] = 1
    assert load_one(payload)[0] == 0


def test_too_many_mapped_files_are_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAPPED_FILES", 0)
    payload = crossed(dump_one(np.ones(OUT_OF_BAND_BYTES)))
    value = load_one(payload)
    value[0] = 2
    assert load_one(crossed(payload))[0] == 1


def test_descriptors_are_given_back() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        load_one(crossed(dump_one(np.ones(OUT_OF_BAND_BYTES))))
    assert len(os.listdir("/proc/self/fd")) == before


def test_lambdas_closures_and_local_classes_travel_by_value() -> None:
    class Local:
        def twice(self, x: int) -> int:
            return 2 * x

    assert load_one(dump_one(lambda x: x + 1))(1) == 2
    assert load_one(dump_one(Local().twice))(4) == 8
    assert load_one(dump_one(functools.partial(operator.add, 1)))(2) == 3


def test_what_cannot_travel_is_named_with_the_reason() -> None:
    with pytest.raises(PickleError, match=r"generator.*cannot pickle 'generator'"):
        dump_one(x for x in ())
    with pytest.raises(PickleError):
        dump_batch([1, (x for x in ())])


# --- exceptions -----------------------------------------------------------------------------------
def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001 - it is what the test is about
        return caught


def test_an_exception_comes_back_with_the_story_as_its_cause() -> None:
    error = raised(ValueError("bad", 3))
    back = to_exception(failure_of(error, function="f", item=7, host="h", pid=1))
    assert isinstance(back, ValueError)
    assert back.args == ("bad", 3)
    assert isinstance(back.__cause__, TaskError)
    assert "f, item 7, attempt 1, on h (pid 1)" in back.__notes__[0]
    assert "raise error" in back.__cause__.failure.traceback


class Odd(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)


def test_an_exception_that_cannot_be_rebuilt_is_told_as_a_task_error() -> None:
    failure = failure_of(raised(Odd(1, 2)), function="f", item=0)
    assert failure.exception is None
    assert type(to_exception(failure)) is TaskError


def test_an_exception_that_cannot_say_what_it_is_still_gets_a_failure() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "cannot be made" in failure_of(raised(Mute())).message


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (Cause.DIED, WorkerDied),
        (Cause.MEMORY, OutOfMemory),
        (Cause.TIMEOUT, ItemTimeout),
        (Cause.INITIALIZER, InitializerFailed),
        (Cause.RESULT, ResultError),
        (Cause.DEPENDENCY, DependencyFailed),
        (Cause.ARGUMENT, ArgumentError),
    ],
)
def test_each_cause_has_its_error(cause: Cause, kind: type[TaskError]) -> None:
    error = to_exception(Failure(cause=cause, function="f", item=0))
    assert isinstance(error, kind)
    assert type(error).__name__ == kind.__name__
    assert isinstance(error.__cause__, PickleError) == (cause is Cause.ARGUMENT)


# --- names ----------------------------------------------------------------------------------------
def test_callables_have_names_that_people_recognise() -> None:
    class Thing:
        def method(self) -> None: ...
        def __call__(self) -> None: ...

    assert name_of(os.path.join) == "posixpath.join"
    assert name_of(len) == "len"
    assert name_of(functools.partial(operator.add, 1)) == "partial(_operator.add)"
    assert name_of(lambda: 0).startswith("<lambda> at test_payloads.py:")
    assert name_of(Thing().method).endswith("Thing.method")
    assert name_of(Thing()).endswith("Thing()")
