"""One run: a job of many items, everything that its seed's schedule lets go wrong, and checks.

What must hold, however it went: the client gets the right sum; every item is committed exactly
once, by the journal's own entries, and ran at least once, by the ledger that items write; no
process is left; and the time is no more than that of a calm run and what the faults explain
(`Measured.bound_s`).
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from hosts import ledger as ledgers
from hosts import program
from hosts.ledger import Ledger
from hosts.schedule import CLIENT, HOME, Fault, Kind, draw
from hosts.world import Machine, Undo, World, world

from hanse import limits
from hanse.blobs.store import BlobStore
from hanse.core.events import SegmentCommitted
from hanse.journal.opening import open_journal
from hanse.records.record import JobRecord, open_record
from hanse.records.state import State

ITEMS = 20_000
SITES: tuple[str, ...] = ()  # regions that have a site
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
        bound_s: the calm time, the lost work done again one item at a time, and for each fault how
            long it lasted, how long its node took to start, and two lease time-outs: one for the
            sites to be missed or to be taken for well again, one for what waits behind that.
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
        self._began_s = 0.0
        self._calm_pace = 0.0  # items in a second before the first fault

    def run(self) -> Measured:
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
        self._ledger.close()
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
        place = self._world.home.place.home
        state = State(place, open_journal(None, place), BlobStore(place / "blobs", None))
        try:
            head = state.journal.find(program.NAME)
            assert head is not None
            assert head.state == "done"
            self._check_commits(open_record(state, head))
            assert {trace.job for trace in self._ledger.traces()} == {head.id}
            assert not state.journal.check()
        finally:
            state.close()

    def _check_commits(self, record: JobRecord) -> None:
        """Each item is committed exactly once, with the right value, and ran."""
        spans = [(f.start, f.stop) for f in record.facts if isinstance(f, SegmentCommitted)]
        committed = sorted(item for start, stop in spans for item in range(start, stop))
        assert committed == list(range(self._items)), "items were not committed once each"
        kept = [(part.start + n, v) for part in record.parts() for n, v in enumerate(part.load())]
        assert kept == [(item, program.value(self._seed, item)) for item in range(self._items)]
        assert set(ledgers.runs(self._ledger.traces())) == set(range(self._items))

    def _measure(self, wall_s: float) -> Measured:
        ran = ledgers.runs(self._ledger.traces())
        lost_s = sum((n - 1) * program.duration_s(self._seed, item) for item, n in ran.items())
        calm_s = self._items / self._calm_pace
        starts_s = sum(sum(machine.restarts) for machine in self._world.machines.values())
        explained_s = sum(fault.lasts_s + 2 * self._ttl_s for fault in self._faults)
        return Measured(
            seed=self._seed, wall_s=wall_s, calm_s=calm_s, lost_s=lost_s,
            bound_s=calm_s + lost_s + starts_s + explained_s,
            again=ran.total() - self._items, clients=len(self._clients),
        )  # fmt: skip
