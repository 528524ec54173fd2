"""How often to save, and what is kept of it on a disk."""

from __future__ import annotations

import asyncio
import math
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from system.real import until

from hanse import limits
from hanse.blobs.saved import SavedStates
from hanse.core.events import Submit
from hanse.core.place.daly import interval_ns
from hanse.engines.local.saving import Saver
from hanse.engines.port import Saved
from hanse.errors import (
    HanseError,
    JournalError,
    JournalFull,
    JournalUnavailable,
    NodeUnavailable,
)
from hanse.ids import JobId, LeaseId
from hanse.model.job import JobSpec
from hanse.node.http.call import pieces
from hanse.node.saves import Saves, patience_s
from hanse.payloads.parcel import Unwrapping, wrap
from hanse.payloads.payload import Payload, load_one
from hanse.payloads.streams import Encoder, gathered
from hanse.runtime.checkpoints import Checkpoints

JOB, OTHER = JobId("j-1"), JobId("j-2")


def overhead(interval: float, save: float, loss: float) -> float:
    """Expected time over the time of the work alone, if losses come at random and a restart costs
    nothing (Daly 2006, equation 20)."""
    return loss * math.expm1((interval + save) / loss) / interval


def run(interval: float, save: float, loss: float, work: float, draws: random.Random) -> float:
    """The time that the work takes, played through loss by loss."""
    time = done = 0.0
    left = draws.expovariate(1 / loss)
    while done < work:
        step = min(interval, work - done) + save
        if left >= step:
            time, left, done = time + step, left - step, done + step - save
        else:
            time, left = time + left, draws.expovariate(1 / loss)
    return time


# --- how often ------------------------------------------------------------------------------------
@given(st.floats(1e3, 1e12), st.floats(1e-6, 1.9))
def test_no_other_interval_is_much_better(loss: float, part: float) -> None:
    save = loss * part
    best = min(overhead(loss * 1.05**n, save, loss) for n in range(-320, 60))
    slack = 1.001 if part < 0.5 else 1.02
    assert overhead(interval_ns(save, loss), save, loss) <= slack * best


@given(st.floats(1, 1e12), st.floats(1, 1e15))
def test_an_interval_is_more_than_nothing_and_no_longer_than_a_machine_lasts(
    save: float, loss: float
) -> None:
    found = interval_ns(save, loss)
    assert 0 < found <= 1.7 * loss
    assert interval_ns(save, 4 * loss) >= found or save > loss


@pytest.mark.parametrize(("save", "loss"), [(0.01, 1.0), (0.1, 1.0), (0.4, 1.0)])
def test_played_through_it_is_the_best_of_many(save: float, loss: float) -> None:
    """With the same losses for all, one and a half to four times more or less often is dearer."""

    def mean(interval: float) -> float:
        draws = random.Random(7)
        return sum(run(interval, save, loss, 40.0, draws) for _ in range(300))

    best = interval_ns(save, loss)
    here = mean(best)
    assert all(here < 1.02 * mean(best * factor) for factor in (0.25, 0.5, 0.67, 1.5, 2, 4))
    assert here < min(mean(best / 4), mean(best * 4))


# --- on a disk ------------------------------------------------------------------------------------
def payload(value: object) -> Payload:
    return gathered([Encoder().encode(value)[0]])


class Room:
    def __init__(self, most: int = 1 << 60) -> None:
        self.used, self._most = 0, most

    def take(self, size: int) -> None:
        if self.used + size > self._most:
            raise JournalFull("no room")
        self.used += size

    def give_back(self, size: int) -> None:
        self.used -= size


@given(data=st.data())
def test_the_last_save_counts_and_every_byte_is_counted(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root, room = tmp_path_factory.mktemp("states") / "saved", Room()
    states = SavedStates(root, room)
    model: dict[tuple[JobId, int], object] = {}
    for _ in range(data.draw(st.integers(0, 12))):
        key = data.draw(st.tuples(st.sampled_from((JOB, OTHER)), st.integers(0, 3)))
        match data.draw(st.sampled_from(("put", "put", "put", "drop", "drop job"))):
            case "put":
                model[key] = data.draw(st.one_of(st.integers(), st.binary(max_size=300)))
                states.put(*key, payload(model[key]))
            case "drop":
                model.pop(key, None)
                states.drop(*key)
            case _:
                model = {at: value for at, value in model.items() if at[0] != key[0]}
                states.drop_job(key[0])
    again = SavedStates(root, room)
    for job in (JOB, OTHER):
        assert again.items(job) == sorted(item for at, item in model if at == job)
        for item in again.items(job):
            found = again.get(job, item)
            assert found is not None
            assert load_one(found) == model[job, item]
            sent = again.find(job, item)
            assert sent is not None
            assert sent.nbytes == found.nbytes
    assert again.count() == room.used


@given(data=st.data())
def test_what_is_damaged_is_not_there(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("states") / "saved"
    states = SavedStates(root)
    states.put(JOB, 0, payload(b"x" * 100))
    path = root / JOB / "0"
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(whole[:at])
    else:
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
        )
    assert states.get(JOB, 0) is None
    assert states.find(JOB, 0) is None


def test_what_a_killed_program_left_half_written_is_written_over(tmp_path: Path) -> None:
    states = SavedStates(tmp_path / "saved")
    states.put(JOB, 0, payload(1))
    (tmp_path / "saved" / JOB / ".new").write_bytes(b"half")
    assert states.items(JOB) == [0]
    states.put(JOB, 1, payload(2))
    assert states.items(JOB) == [0, 1]


def test_without_room_the_one_before_stays(tmp_path: Path) -> None:
    room = Room(400)
    states = SavedStates(tmp_path / "saved", room)
    states.put(JOB, 0, payload(b"small"))
    used = room.used
    with pytest.raises(JournalFull):
        states.put(JOB, 0, payload(b"x" * 1000))
    found = states.get(JOB, 0)
    assert found is not None
    assert load_one(found) == b"small"
    assert room.used == used


def test_no_path_is_made_of_a_job_that_is_none(tmp_path: Path) -> None:
    states = SavedStates(tmp_path / "saved")
    for job in ("", "..", "a/b", "x" * 200):
        with pytest.raises(JournalError):
            states.put(JobId(job), 0, payload(1))
    assert list(tmp_path.iterdir()) == []


def test_a_save_is_sent_from_where_it_is_in_small_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PIECE_BYTES", 64 * limits.KIB)
    states = SavedStates(tmp_path / "saved")
    state = {"array": np.arange(1 << 17), "text": "x" * (1 << 19)}
    states.put(JOB, 7, payload(state))
    found = states.find(JOB, 7)
    assert found is not None
    pieces = list(wrap(None, [found, payload("beside")]))
    assert max(map(len, pieces)) <= 64 * limits.KIB
    taking = Unwrapping(1 << 30)
    for piece in pieces:
        taking.feed(piece)
    taking.end()
    came, beside = map(load_one, taking.payloads)
    assert (came["array"] == state["array"]).all()
    assert (came["text"], beside) == (state["text"], "beside")


def test_a_save_that_another_replaced_is_not_sent_as_the_one_that_was_found(
    tmp_path: Path,
) -> None:
    states = SavedStates(tmp_path / "saved")
    states.put(JOB, 7, payload(b"old" * 1000))
    found = states.find(JOB, 7)
    states.put(JOB, 7, payload(b"new" * 1000))
    assert found is not None
    with pytest.raises(OSError, match="anew"):
        list(found.pieces())


def test_while_a_disk_is_read_for_one_answer_others_go_on() -> None:
    may = threading.Event()

    def slow() -> Iterator[bytes]:
        assert may.wait(60), "the loop was not free to say so"
        yield b"read"

    async def serve() -> list[bytes]:
        asyncio.get_running_loop().call_soon(may.set)
        return [bytes(piece) async for piece in pieces(slow(), slow=True)]

    assert asyncio.run(serve()) == [b"read"]


# --- how much at once -----------------------------------------------------------------------------
def goes_out(checkpoints: Checkpoints) -> dict[int, Payload]:
    """What a lease of the first ten items goes out with."""
    found: Future[dict[int, Payload]] = Future()
    checkpoints.read(JOB, checkpoints.within(JOB, 0, 10), found.set_result)
    return found.result(60)


class Slow(SavedStates):
    """Of a disk that writes nothing until it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.may, self.written = threading.Event(), threading.Semaphore(0)

    def put(self, job: JobId, item: int, payload: Payload) -> None:
        assert self.may.wait(60)
        super().put(job, item, payload)
        self.written.release()


def test_what_waits_for_a_slow_disk_is_bounded_and_what_was_saved_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_WAIT_BYTES", 3000)
    states = Slow(tmp_path / "saved")
    checkpoints = Checkpoints(lambda: states, lambda act: act())
    checkpoints.begin(Submit(JOB, JobSpec(name="f")))
    for n in range(3):
        for item in range(10):
            checkpoints.put(JOB, item, payload(bytes([n]) * 1000))
    held = goes_out(checkpoints)
    assert 2 <= len(held) <= 4, "what waits, and what is being written"
    states.may.set()
    for _ in held:
        assert states.written.acquire(timeout=60)
    checkpoints.put(JOB, 9, payload(b"later"))
    assert states.written.acquire(timeout=60)
    assert load_one(goes_out(checkpoints)[9]) == b"later"
    checkpoints.close()


def test_a_lease_is_given_no_more_than_a_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_GIVEN_BYTES", 2500)
    checkpoints = Checkpoints(lambda: SavedStates(tmp_path / "saved"), lambda act: act())
    for item in (5, 3, 4):
        checkpoints.put(JOB, item, payload(b"x" * 1000))
    assert list(goes_out(checkpoints)) == [3, 4]
    checkpoints.put(JOB, 3, payload(b"x" * 5000))
    assert list(goes_out(checkpoints)) == [3], "one goes out, however large"


def test_what_waits_for_a_slow_line_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CHECKPOINT_WAIT_BYTES", 3000)
    may, sent = threading.Event(), []

    def send(job: JobId, event: Saved) -> None:
        assert may.wait(60)
        sent.append(event.item)

    saves = Saves(send)
    for item in range(20):
        saves.put(JOB, Saved(LeaseId(1), item, payload(b"x" * 1000)))
    may.set()
    until(lambda: not saves.items(math.inf))
    assert len(sent) <= 4
    assert sent[-1] == 19
    saves.close()


def test_what_a_home_has_no_room_for_at_the_moment_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SAVE_AGAIN_NS", limits.MS)
    troubles: list[HanseError] = [NodeUnavailable("no room"), JournalUnavailable("a slow disk")]
    sent, came = [], threading.Event()

    def send(job: JobId, event: Saved) -> None:
        if troubles:
            raise troubles.pop()
        sent.append(event.item)
        came.set()

    saves = Saves(send)
    saves.put(JOB, Saved(LeaseId(1), 7, payload(b"x")))
    assert came.wait(60)
    assert sent == [7]
    saves.close()


def test_the_end_of_a_lease_waits_for_saves_as_long_as_there_is_time() -> None:
    patience = [patience_s(True, left_s * limits.SECOND) for left_s in (600, 10, 5, 0, -600)]
    assert patience == [10, 10, 5, 2, 2]
    assert patience_s(False, -600 * limits.SECOND) == 10 > limits.BODY_WAIT_S


def test_it_is_known_whose_saves_are_under_way_and_those_of_items_that_are_done_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "SAVE_AGAIN_NS", limits.MS)
    may, begun, away, sent = threading.Event(), threading.Event(), [1], []

    def send(job: JobId, event: Saved) -> None:
        begun.set()
        assert may.wait(60)
        if away:
            away.pop()
            raise NodeUnavailable("it is away")
        sent.append((event.item, event.payload.data))

    saves = Saves(send)
    one, two = LeaseId(1), LeaseId(2)
    saves.put(JOB, Saved(one, 5, payload(b"old")))
    assert begun.wait(60)
    saves.put(JOB, Saved(one, 5, payload(b"new")))
    saves.put(JOB, Saved(two, 9, payload(b"x")))
    assert saves.items(1000) == {(one, 5), (two, 9)}
    assert saves.items(0) == set()
    saves.done(two, 8, 10)
    assert saves.items(1000) == {(one, 5)}
    saves.done(one, 5, 6)
    assert saves.items(1000) == set()
    saves.put(JOB, Saved(one, 6, payload(b"y")))
    may.set()
    until(lambda: not saves.items(math.inf))
    assert [item for item, _ in sent if item == 6] == [6]
    assert not any(item == 9 for item, _ in sent)
    saves.close()


def test_a_worker_holds_what_the_item_that_runs_has_saved_and_of_no_other() -> None:
    sent = []
    saver = Saver(SimpleNamespace(save=lambda item, payload: sent.append(item)))  # type: ignore[arg-type]
    saver.begin(JOB, {7: payload("earlier")}, 0)
    saver.save(5, "a")
    saver.save(5, "b")
    assert saver.load(5, None) == "b"
    saver.save(6, "c")
    assert [saver.load(item, None) for item in (5, 6, 7)] == [None, "c", "earlier"]
    saver.end()
    assert saver.load(6, None) is None
    assert sent == [5, 5, 6]
