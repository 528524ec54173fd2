"""One run: a job of many items, everything that its seed's schedule lets go wrong, and checks.

What must hold, however it went: the client gets the right sum; every item is committed exactly
once, by the journal's own entries, and ran at least once, by the ledger that items write; what was
on record when the home was killed does not run there again; no process is left; and the time is no
more than that of a calm run and what the faults explain (`Measured.bound_s`).
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from hosts import ledger as ledgers
from hosts import program
from hosts.ledger import Ledger
from hosts.schedule import CLIENT, DEATHS, HOME, Fault, Kind, draw
from hosts.world import ROUND_TRIP_MS, Machine, Undo, World, world

from hanse import limits
from hanse.blobs.store import BlobStore
from hanse.core.events import SegmentCommitted
from hanse.journal.opening import open_journal
from hanse.records.record import JobRecord, open_record
from hanse.records.state import State

ITEMS = 20_000
SITES = tuple(ROUND_TRIP_MS)  # one in each region
HASTE = 6.0
_STUCK_S = 300.0  # no run waits longer for its next item
_LOOK_S = 0.02
_ENDS_JOBS = {Kind.DISK_FULL: ("space", "full"), Kind.BIT_FLIPPED: ("damage",)}


class Measured(msgspec.Struct, kw_only=True):
    """What a run came to, in seconds.

    Attributes:
        wall_s: from the client's start to its end.
        calm_s: what all items would have taken at the pace of those before the first fault.
        lost_s: the durations of the runs of items that were not the only one.
        bound_s: the calm time; the lost work, done again one item after the other; for how long
            the faults lasted and nodes started, as if nothing were done meanwhile; and one lease
            time-out: others work while a lost lease is waited for, unless it is the last.
        again: runs of items beyond one each.
        clients: how often the client's program was started.
    """

    seed: int
    wall_s: float
    calm_s: float
    lost_s: float
    bound_s: float
    again: int
    clients: int

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {self.wall_s:.1f} s, calm {self.calm_s:.1f} s, extra"
            f" {self.wall_s - self.calm_s:.1f} s of at most {self.bound_s - self.calm_s:.1f} s;"
            f" {self.again} runs of items again ({self.lost_s:.1f} s of work); client started"
            f" {self.clients} times"
        )


def run(
    seed: int, sites: Sequence[str] = (), items: int = ITEMS, haste: float = HASTE,
    keep: Path | None = None,
) -> Measured:  # fmt: skip
    """Run a seed. Raises AssertionError, with the schedule and how to repeat it."""
    ttl_s = limits.LEASE_TTL_NS / 1e9 / haste
    faults = draw(seed, sites, ttl_s)
    try:
        with world(sites, haste, keep) as made:
            return _Run(made, seed, items, faults, ttl_s).run()
    except AssertionError as error:
        schedule = "\n".join(f"  {fault}" for fault in faults)
        kept = f"\nWhat its hosts wrote is in {keep}." if keep is not None else ""
        raise AssertionError(
            f"{error}\n\nSeed {seed}, the faults:\n{schedule}\n"
            f"Again: make chaos SEEDS=1 FIRST={seed} HASTE={haste:g}{kept}"
        ) from error


class _Run:
    def __init__(
        self, made: World, seed: int, items: int, faults: Sequence[Fault], ttl_s: float
    ) -> None:
        self._world = made
        self._seed = seed
        self._items = items
        self._faults = faults
        self._ttl_s = ttl_s
        self._pending = list(faults)
        self._ledger = Ledger(made.fabric.directory / "ledger")
        self._events = made.fabric.directory / "events"
        self._undo: list[tuple[float, Fault, Undo]] = []
        self._excuses: set[Kind] = set()  # what has struck that may have ended the client's job
        self._clients: list[subprocess.Popen[bytes]] = []
        self._kills_before = 0  # of the home, when the last client began
        self._began_s = 0.0
        self._calm_pace = 0.0  # items in a second before the first fault
        self._kills: list[tuple[float, set[int]]] = []  # of the home: when, and what it had done

    def run(self) -> Measured:
        with contextlib.closing(self._ledger):
            return self._run()

    def _run(self) -> Measured:
        for fault in self._faults:
            if fault.kind is Kind.CLOCK_STEPPED:
                self._world.machines[fault.place].has_stepping_clock()
        self._world.start()
        self._began_s = time.monotonic()
        self._start_client()
        self._until_done()
        wall_s = time.monotonic() - self._began_s
        for _, _, undo in self._undo:
            undo()
        self._until_all_are_up()
        self._check_told()
        self._world.end()
        self._check_record()
        measured = self._measure(wall_s)
        assert wall_s <= measured.bound_s, f"it took too long: {measured}"
        return measured

    # --- while it runs --------------------------------------------------------------------------
    def _until_done(self) -> None:
        begun, news_s = 0, time.monotonic()
        while not self._client_is_done():
            now_s = time.monotonic()
            for machine in self._world.machines.values():
                machine.look()
            before, begun = begun, self._ledger.begun()
            if begun > before:
                news_s = now_s
            assert now_s - news_s < _STUCK_S, f"no item has begun for {_STUCK_S:.0f} s: {begun}"
            self._heal(now_s)
            self._strike(begun, now_s)
            time.sleep(_LOOK_S)

    def _strike(self, begun: int, now_s: float) -> None:
        while self._pending and begun >= self._pending[0].at * self._items:
            fault = self._pending.pop(0)
            if not self._calm_pace:
                first_s = min(trace.at_s for trace in self._ledger.traces())
                self._calm_pace = begun / (now_s - first_s)
            undo = self._world.strike(fault)
            self._say(f"{fault}" + " (there was nothing to meet)" * (undo is None))
            if fault.place == HOME and fault.kind in DEATHS:
                self._kills.append((time.monotonic(), self._committed_now()))
            if undo is not None:
                self._undo.append((now_s + fault.lasts_s, fault, undo))
                if fault.place == HOME and fault.kind in _ENDS_JOBS:
                    self._excuses.add(fault.kind)

    def _heal(self, now_s: float) -> None:
        for each in list(self._undo):
            due_s, fault, undo = each
            if now_s >= due_s:
                undo()
                self._undo.remove(each)
                self._say(f"over: {fault.place}: {fault.kind}")

    def _start_client(self) -> None:
        arguments = [str(self._seed), str(self._items), str(self._ledger.path)]
        name = f"client-{len(self._clients)}"
        self._kills_before = len(self._kills)
        self._clients.append(self._world.begin(["-m", "hosts.program", *arguments], name))

    def _client_is_done(self) -> bool:
        """Whether it has its result; it is started again where what ended it is known, and over."""
        code = self._clients[-1].poll()
        if code is None or code == 0:
            return code == 0
        reached = {HOME, CLIENT}  # hanse.connect() does not wait for a node that is away
        if any(fault.place in reached for _, fault, _ in self._undo) or not self._home.look():
            return False
        words = [word for kind in self._excuses for word in _ENDS_JOBS[kind]]
        if len(self._kills) > self._kills_before:  # it may have been about to connect
            words.append("cannot be reached")
        assert any(word in self._told.lower() for word in words), f"the client failed: {self._told}"
        self._say(f"the client failed: {self._told.splitlines()[-1]}")
        self._start_client()
        return False

    def _until_all_are_up(self) -> None:
        end = time.monotonic() + 60
        while not all(machine.look() for machine in self._world.machines.values()):
            assert time.monotonic() < end, "a node did not start again"
            time.sleep(_LOOK_S)

    @property
    def _home(self) -> Machine:
        return self._world.home

    @property
    def _told(self) -> str:
        """What the client's program printed last."""
        return (self._world.client.directory / f"client-{len(self._clients) - 1}").read_text()

    def _say(self, what: str) -> None:
        with open(self._events, "a") as file:
            file.write(f"{time.monotonic() - self._began_s:7.2f} s  {what}\n")

    # --- afterwards -----------------------------------------------------------------------------
    def _check_told(self) -> None:
        every = [program.value(self._seed, item) for item in range(self._items)]
        assert json.loads(self._told) == program.summed(every)
        assert not self._pending, "faults that never struck"

    def _check_record(self) -> None:
        with _opened(self._world.home.place.home) as state:
            record = _record(state)
            assert record.head.state == "done"
            self._check_commits(record)
            traces = self._ledger.traces()
            assert {trace.job for trace in traces} == {record.head.id}
            assert not state.journal.check()
        for killed_s, done in self._kills:
            fresh = {t.item for t in traces if t.began and t.host == HOME and t.at_s > killed_s}
            assert not fresh & done, "the home ran again what it had on record when it was killed"

    def _committed_now(self) -> set[int]:
        """What is on the disk of a home that is down. Of a copy: looking would tidy up."""
        copy = self._world.fabric.directory / f"copy-{len(self._kills)}"
        copy.mkdir(mode=0o700)
        for path in self._home.place.home.glob("journal.sqlite*"):
            if path.is_file():
                shutil.copy(path, copy)
        with _opened(copy) as state:
            return set(_committed(_record(state)))

    def _check_commits(self, record: JobRecord) -> None:
        """Each item is committed exactly once, with the right value, and ran."""
        committed = sorted(_committed(record))
        assert committed == list(range(self._items)), "items were not committed once each"
        kept = [
            (part.start + n, value)
            for part, payload in record.outcomes()
            if payload is not None
            for n, value in enumerate(part.load(payload))
        ]
        assert kept == [(item, program.value(self._seed, item)) for item in range(self._items)]
        assert set(ledgers.runs(self._ledger.traces())) == set(range(self._items))

    def _measure(self, wall_s: float) -> Measured:
        ran = ledgers.runs(self._ledger.traces())
        lost_s = sum((n - 1) * program.duration_s(self._seed, item) for item, n in ran.items())
        calm_s = self._items / self._calm_pace
        starts_s = sum(sum(machine.restarts) for machine in self._world.machines.values())
        away_s = sum(fault.lasts_s for fault in self._faults)
        return Measured(
            seed=self._seed, wall_s=wall_s, calm_s=calm_s, lost_s=lost_s,
            bound_s=calm_s + lost_s + away_s + starts_s + self._ttl_s,
            again=ran.total() - self._items, clients=len(self._clients),
        )  # fmt: skip


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[State]:
    state = State(place, open_journal(None, place), BlobStore(place / "blobs", None))
    try:
        yield state
    finally:
        state.close()


def _record(state: State) -> JobRecord:
    head = state.journal.find(program.NAME)
    assert head is not None
    return open_record(state, head)


def _committed(record: JobRecord) -> list[int]:
    """Every item that an entry says was committed, as often as one does."""
    spans = [(f.start, f.stop) for f in record.facts if isinstance(f, SegmentCommitted)]
    return [item for start, stop in spans for item in range(start, stop)]
