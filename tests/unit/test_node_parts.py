"""Small parts of a node: its log's lines, numbers that it takes, which token is for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from hanse import limits
from hanse.errors import UsageError
from hanse.journal import private
from hanse.journal.port import Entry
from hanse.model.job import JobSpec
from hanse.model.resources import Amount
from hanse.node.board import _program_of
from hanse.node.held import Held
from hanse.node.http.bodies import Bodies
from hanse.node.http.call import Call
from hanse.node.http.jobs import feed
from hanse.node.log_lines import escaped, plain
from hanse.payloads.parcel import wrap
from hanse.payloads.payload import dump_each
from hanse.records.program import ProgramRecord, encode
from hanse.remote import address
from hanse.remote.finding import find_node
from hanse.wire import api

PROGRAM = ProgramRecord(
    name="f", function=b"x", manifest=b"", star=False, retries=0, timeout_s=None, raising=False,
    argv=[""], cwd="", sys_path=[], python="", hanse="",
)  # fmt: skip


@given(st.text())
def test_what_is_logged_is_one_line_without_control_characters(text):
    try:
        raise ValueError(text)
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord("hanse", 40, "", 0, "hanse: %s", (text,), info)
    assert plain(record)
    first, *more = logging.Formatter("%(message)s").format(record).split("\n")
    assert first == "hanse: " + escaped(text)
    assert all(line.startswith("    ") and line.isprintable() for line in more)
    assert first.isprintable()


def new(spec: dict, program: ProgramRecord = PROGRAM) -> api.NewJob:
    told = {"id": "j-0123456789ab", "program": encode(program), "spec": {"name": "f"} | spec}
    return msgspec.msgpack.decode(msgspec.msgpack.encode(told), type=api.NewJob)


@pytest.mark.parametrize(
    "spec",
    [{"total": -1}, {"total": 2**53 + 1}, {"retries": -1}, {"retries": 1_000_001}, {"weight": 0},
     {"needs": {"cpus_milli": -1}}, {"needs": {}}, {"needs": {"custom_milli": {"a": -1}}}],
)  # fmt: skip
def test_a_job_with_a_number_that_cannot_be_is_refused(spec):
    assert new({"total": 3, "retries": 2}).spec == JobSpec(name="f", total=3, retries=2)
    assert new({"needs": {"memory_bytes": 1}}).spec.needs == Amount(memory_bytes=1)
    with pytest.raises(msgspec.ValidationError):
        new(spec)


@pytest.mark.parametrize("timeout_s", [0, -1, math.nan, math.inf, 1e300])
def test_a_timeout_that_no_clock_takes_is_refused(timeout_s):
    told = msgspec.structs.replace(PROGRAM, timeout_s=1.5)
    assert _program_of(new({}, told)) == told
    with pytest.raises(UsageError, match="timeout"):
        _program_of(new({}, msgspec.structs.replace(told, timeout_s=timeout_s)))


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 2**53 + 1), (0, 2**63)])
def test_items_have_numbers_that_json_carries(start, stop):
    data = msgspec.msgpack.encode({"feeder": 1, "start": start, "stop": stop})
    for kind in (api.Inputs, api.CancelRange):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(data, type=kind)


def test_a_job_takes_no_more_items_than_were_said():
    held = Held(None, "j-0123456789ab", None)
    held.total = 3
    feeder = held.take()
    with pytest.raises(UsageError, match="too many"):
        held.feed(feeder, 0, 4, dump_each([1, 2, 3, 4]), {}, {})
    assert held.size == 0


def test_what_calls_wait_for_is_named_in_full():
    about = {"feeder": 1, "start": 0, "stop": 2}
    for job, error in (("j-0123456789ab", None), ("j-0123456789a", msgspec.ValidationError)):
        told = msgspec.msgpack.encode(about | {"waits": {1: [(job, 0)]}})
        with pytest.raises(error) if error else contextlib.nullcontext():
            assert msgspec.msgpack.decode(told, type=api.Inputs).waits == {1: [(job, 0)]}


def test_while_inputs_are_looked_through_others_have_their_turn():
    about = api.Inputs(feeder=1, start=0, stop=1)
    body = b"".join(wrap(about, [dump_each([1])]))
    others = threading.Event()

    class Job:
        """One whose inputs take until somebody else was served."""

        def feed(self, *_):
            assert others.wait(60)
            return 1

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def play():
        durables = SimpleNamespace(full=False)
        board = SimpleNamespace(
            running=lambda id: Job(), runtime=SimpleNamespace(durables=durables)
        )
        scope = {"type": "http", "headers": [], "path_params": {"job": "j-0123456789ab"}}
        call = Call(Request(scope, receive), board, None, None, Bodies(0, 0))
        fed = asyncio.create_task(feed(call))
        for _ in range(100):
            await asyncio.sleep(0)
        others.set()
        assert (await fed).body == b"1"

    asyncio.run(asyncio.wait_for(play(), 100))


def test_who_follows_gets_the_entries_that_come_next_and_not_all_at_once(monkeypatch):
    monkeypatch.setattr(limits, "ENTRIES_READ", 10)
    monkeypatch.setattr(limits, "FOLLOWED_BYTES", 10_000)
    held = Held(None, "j-0123456789ab", None)
    for seq in range(100):
        entry = Entry(seq, bytes(200), b"", None)
        held.written(SimpleNamespace(entry=entry, fact=None, kept=None))
    assert held.entries(0) is held.entries(74) is None, "they are in the journal only"
    for first, last in ((75, 85), (85, 95), (95, 100), (99, 100), (100, 100), (200, 200)):
        assert [each.seq for each in held.entries(first)] == list(range(first, last))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_each_name_of_this_machine_finds_its_node_where_that_says_it_is(
    host, tmp_path, monkeypatch
):
    for name in ("HANSE_URL", "HANSE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HANSE_HOME", str(tmp_path))
    (tmp_path / "node").mkdir(mode=0o700)
    node = address.Address("http://127.0.0.1:7437", "", "5e" * 32)
    private.write(tmp_path / "node" / "token", address.encode(node).encode())
    assert find_node(f"http://{host}:7437") == node
    with pytest.raises(UsageError):
        find_node(f"http://{host}:7438")


def test_what_may_be_a_secret_is_not_repeated_and_the_rest_is():
    from hanse.node.log_lines import without_secrets

    secret = "5e" * 32
    for text in (f"no job '{secret}'", f"{secret}", f"/v1/{secret.upper()}/x", secret + "00"):
        assert "5e" * 7 not in without_secrets(text).lower()
    assert without_secrets(f"blob {'ab' * 32}.") == f"blob {'ab' * 6}...."
    assert without_secrets("hanse_lAG2aHR0cDovL is") == "hanse_... is"
    for text in ("j-0123456789ab", "n-0123456789ab", "hanse_jobs", "a word", "0" * 63):
        assert without_secrets(text) == text
