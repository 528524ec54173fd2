"""The Ray engine: works on the machines of a Ray cluster.

A work runs in a slot: an actor that holds what its items need, on a machine that Ray chose. Slots
are kept for the next work that needs as much, and given back to Ray when they idle or when others
need the room. Everything here runs on the loop's thread. Ray itself is in another process (see
`driver`); when that is lost, or an actor is, what was not reported runs again in another slot.
"""

from __future__ import annotations

import collections
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from hanse import limits
from hanse.engines.local.execution import Execution
from hanse.engines.local.output import Forward, OnPrinted
from hanse.engines.port import (
    Building,
    Cut,
    End,
    Ended,
    Event,
    ItemFailed,
    Loop,
    Printed,
    Saved,
    Segment,
    Waiting,
    Work,
)
from hanse.engines.ray import messages
from hanse.engines.ray.line import Line
from hanse.engines.ray.paper import Paper
from hanse.engines.ray.room import Room
from hanse.engines.ray.slot import Slot, held_for, shape_of
from hanse.engines.ray.starting import Driver
from hanse.errors import EngineError
from hanse.ids import LeaseId
from hanse.model.resources import Amount

_TRIES = 3  # slots that may be lost in a row before a work is
_STOP_NS = 5 * limits.SECOND  # that a slot may take to tell that it has ended what was cancelled
_AGAIN_NS = limits.SECOND  # until a driver that cannot be had is asked for again

OnMachines = Callable[[list[messages.Machine]], None]


class RayEngine:
    """Runs works on a Ray cluster. See `hanse.engines.port.Engine`.

    Args:
        loop: where callbacks run; every method is called on its thread.
        emit: gets the events.
        driver: speaks to the cluster; it is not ended here.
        forward: gets (stream, text) of what items print; by default it is printed here.
        printed: gets what items of programs with `logged` print, in a thread of its own.
        on_machines: is told which machines there are, and when that changes.
        sandbox: whether workers are kept in one, on each machine.
    """

    def __init__(
        self,
        loop: Loop,
        emit: Callable[[Event], None],
        *,
        driver: Driver,
        forward: Forward | None = None,
        printed: OnPrinted | None = None,
        on_machines: OnMachines | None = None,
        sandbox: bool = False,
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._driver = driver
        self._on_machines = on_machines
        self._sandbox = sandbox
        self._paper = Paper(forward, printed)
        self._executions: dict[LeaseId, Execution] = {}
        self._running: dict[int, Slot] = {}  # by run
        self._waiting: dict[bytes, collections.deque[Execution]] = {}  # by shape
        self._slots: dict[int, Slot] = {}
        self._idle: list[Slot] = []  # the longest idle first
        self.machines: list[messages.Machine] = []
        self._runs = self._numbers = 0
        self._closed = False
        self._last_words = ""
        self._built = Building({}, {})  # as it was told
        self._told_waiting: dict[LeaseId, str] = {}
        self._room = Room()
        self._line: Line | None = None
        self._connected(driver.session())
        self._tidy()

    # --- the port ---------------------------------------------------------------------------------
    def start(self, work: Work) -> None:
        """Run a work in a free slot, or in a new one."""
        execution = self._executions[work.lease] = Execution(work)
        self._launch(execution)

    def cut(self, lease: LeaseId, stop: int) -> None:
        """End a lease early; the answer is `Cut`."""
        execution = self._executions.get(lease)
        if execution is None:
            return  # it has ended, which was the answer
        slot = self._running.get(execution.run)
        if slot is None or stop >= execution.until:
            execution.stop = min(execution.stop, max(stop, execution.position))
            self._emit(Cut(lease, execution.stop))
            return
        execution.cuts.append(stop)
        slot.tell(messages.Shorten(execution.run, stop))

    def cancel(self, lease: LeaseId) -> None:
        """Stop a lease's code; the answer is `Ended`."""
        execution = self._executions.get(lease)
        if execution is None or execution.cancelled:
            return
        execution.cancelled = True
        slot, run = self._running.get(execution.run), execution.run
        if slot is None:
            self._waiting[shape_of(held_for(execution.work))].remove(execution)
            self._end(execution, End.CANCELLED)
            return
        slot.tell(messages.Stop(run))

        def kill() -> None:
            if self._running.get(run) is slot:
                self._lose(slot, "it did not end what was cancelled")

        self._loop.call_at(self._loop.now_ns() + _STOP_NS, kill)

    def begun(self, lease: LeaseId) -> int:
        """The lowest item that may still be running or not begun."""
        return self._executions[lease].position

    def close(self) -> None:
        """End all actors with their workers; what they have printed is forwarded."""
        if self._closed:
            return
        self._closed = True
        self._executions.clear()
        if self._line is not None:
            self._line.end(self._hear_at_last)
        self._paper.stop()

    # --- works to slots ---------------------------------------------------------------------------
    def _launch(self, execution: Execution) -> None:
        execution.advance()
        if self._closed:
            return
        if execution.end is not None:
            self._end(execution, execution.end)
        elif execution.starts_failed >= _TRIES:
            self._end(execution, End.LOST, f"{_TRIES} slots in a row were lost: {self._last_words}")
        elif refused := self._refused(held_for(execution.work)):
            self._end(execution, End.LOST, refused)
        else:
            self._wait(execution)

    def _refused(self, needs: Amount) -> str:
        """Why no machine of the cluster can ever run this, if none can."""
        if not self.machines or any(machine.offers.fits(needs) for machine in self.machines):
            return ""
        best = min(self.machines, key=lambda machine: len(machine.offers.lacks(needs)))
        lacks = ", ".join(best.offers.lacks(needs))
        return f"no machine of this site offers what an item needs; on {best.host}: {lacks}"

    def _wait(self, execution: Execution) -> None:
        """Take an idle slot, or wait for one; there are as many to come as works wait."""
        needs = held_for(execution.work)
        shape = shape_of(needs)
        line = self._waiting.setdefault(shape, collections.deque())
        line.append(execution)
        for slot in reversed(self._idle):
            if slot.shape == shape:
                self._idle.remove(slot)
                self._next_for(slot)
                return
        if self._line is not None and len(line) > self._to_come(shape):
            self._make_room(needs)
            self._make(needs)

    def _to_come(self, shape: bytes) -> int:
        """Slots of this shape that Ray is to find a machine for."""
        return sum(slot.shape == shape and not slot.machine for slot in self._slots.values())

    def _all(self) -> list[Slot]:
        return list(self._slots.values())

    def _make_room(self, needs: Amount) -> None:
        """Give idle slots back while more is held than there is: Ray would let the new one wait."""
        free = Amount()
        for machine in self.machines:
            free = free.plus(machine.offers)
        for slot in self._all():
            free = free.minus(slot.needs)
        while self._idle and not free.fits(needs):
            gone = self._idle[0]
            free = free.plus(gone.needs)
            self._give_back(gone)

    def _make(self, needs: Amount) -> None:
        assert self._line is not None
        self._numbers += 1
        slot = Slot(self._numbers, needs, self._line.send)
        self._slots[slot.number] = slot
        self._line.send(messages.Make(slot.number, needs, self._sandbox))

    def _next_for(self, slot: Slot) -> None:
        """Give a slot that is free what waits for one like it."""
        line = self._waiting.get(slot.shape)
        if slot.number not in self._slots or self._closed:
            return
        if self._drains(slot):
            self._give_back(slot)
            if line:
                self._make(slot.needs)
        elif line:
            self._assign(line.popleft(), slot)
        else:
            slot.idle_since_ns = self._loop.now_ns()
            self._idle.append(slot)

    def _assign(self, execution: Execution, slot: Slot) -> None:
        self._runs += 1
        execution.run, slot.execution = self._runs, execution
        self._running[execution.run] = slot
        execution.begin = execution.position
        execution.until = min(
            [execution.stop, *(item for item in execution.omit if item > execution.position)]
        )
        slot.begin(execution.work, execution.run, execution.begin, execution.until)
        for stop in execution.cuts:  # asked of a slot that was lost before it answered
            slot.tell(messages.Shorten(execution.run, stop))

    def _free(self, slot: Slot) -> Execution | None:
        """What ran in it; it is free now."""
        execution, slot.execution = slot.execution, None
        if execution is not None:
            del self._running[execution.run]
            execution.run = 0
        return execution

    def _end(self, execution: Execution, end: End, because: str = "") -> None:
        if self._executions.pop(execution.lease, None) is None:
            return
        if not execution.cancelled:
            for _ in execution.cuts:
                self._emit(Cut(execution.lease, execution.stop))
        self._emit(Ended(execution.lease, end, because))

    # --- what is heard ----------------------------------------------------------------------------
    def _hear(self, news: messages.News, fds: list[int]) -> None:
        match news:
            case messages.Heard(number, said):
                if (slot := self._slots.get(number)) is not None:
                    self._said(slot, slot.reader.read(said, fds))
            case messages.Made(number, machine):
                if (slot := self._slots.get(number)) is not None:
                    slot.machine = machine
                    self._next_for(slot)
            case messages.Gone(number, because, never):
                if (slot := self._slots.pop(number, None)) is not None:
                    self._lost(slot, because, never)
            case messages.Machines(machines):
                self._know(machines)
            case messages.Free(machines):
                self._room.heard(machines)

    def _said(self, slot: Slot, said: list[Any]) -> None:
        size = 0
        for one in said:
            if isinstance(one, (Printed, messages.Written)):
                self._print(slot, one)
                size += len(one.text)
            elif isinstance(one, Building):
                slot.builds = one
                self._tell_building()
            elif slot.execution is not None and one.lease == slot.execution.run:
                self._event(slot, slot.execution, one)
        if size and not self._closed:
            shown = messages.Shown(size)
            self._paper.then(lambda: self._loop.post(lambda: self._shown(slot, shown)))

    def _event(self, slot: Slot, execution: Execution, event: Event) -> None:
        lease = execution.lease
        match event:
            case Segment():
                self._emit(msgspec.structs.replace(event, lease=lease))
                execution.reported(event.stop)
            case ItemFailed():
                self._emit(msgspec.structs.replace(event, lease=lease))
                execution.starts_failed = 0
                execution.omit.add(event.item)
                execution.advance()
            case Saved():
                self._emit(msgspec.structs.replace(event, lease=lease))
            case Cut(_, stop) if execution.cuts:  # else its machine is being emptied
                if stop < execution.until:
                    execution.stop = min(execution.stop, stop)
                if not execution.cancelled:
                    execution.cuts.pop()
                    self._emit(Cut(lease, execution.stop))
            case Ended(_, end, because):
                self._free(slot)
                if end in (End.LOST, End.BACK):
                    self._end(execution, end, because)
                else:
                    self._launch(execution)
                self._next_for(slot)

    def at_work(self) -> dict[str, list[Execution]]:
        """What runs on each machine, by Ray's id of it. On the loop's thread."""
        found: dict[str, list[Execution]] = {}
        for slot in self._slots.values():
            if slot.execution is not None:
                found.setdefault(slot.machine, []).append(slot.execution)
        return found

    def _tell_building(self) -> None:
        """What is built in any slot."""
        environments: dict[str, str] = {}
        failed: dict[str, str] = {}
        for slot in self._slots.values():
            environments |= slot.builds.environments
            failed |= slot.builds.failed
        told = Building(environments, failed)
        if told != self._built:
            self._built = told
            self._emit(told)

    def _print(self, slot: Slot, piece: Printed | messages.Written) -> None:
        if isinstance(piece, messages.Written):
            self._paper.show(piece.stream, piece.text)
        elif (lease := slot.lease_of(piece.lease)) is not None:
            self._paper.keep(msgspec.structs.replace(piece, lease=lease))

    def _shown(self, slot: Slot, shown: messages.Shown) -> None:
        if slot.number in self._slots and not self._closed:
            slot.tell(shown)

    def _hear_at_last(self, news: messages.News, fds: list[int]) -> None:
        """While the engine closes, only output counts."""
        if isinstance(news, messages.Heard) and news.actor in self._slots:
            slot = self._slots[news.actor]
            for one in slot.reader.read(news.said, fds):
                if isinstance(one, (Printed, messages.Written)):
                    self._print(slot, one)

    # --- slots that end ---------------------------------------------------------------------------
    def _lost(self, slot: Slot, because: str, never: bool = False) -> None:
        """A slot is gone: what was not reported runs in another."""
        self._last_words = because
        if slot in self._idle:
            self._idle.remove(slot)
        self._tell_building()
        execution = self._free(slot)
        if execution is not None:
            execution.starts_failed += 1
            for stop in execution.cuts:
                execution.stop = min(execution.stop, max(stop, execution.position))
                self._emit(Cut(execution.lease, execution.stop))
            execution.cuts.clear()
            self._launch(execution)
        elif not slot.machine:
            self._never_began(slot.shape, because, never)

    def _never_began(self, shape: bytes, because: str, never: bool) -> None:
        """One slot fewer is to come than works wait."""
        line = self._waiting.get(shape)
        if line:
            execution = line.popleft()
            execution.starts_failed += _TRIES if never else 1
            self._launch(execution)

    def _lose(self, slot: Slot, because: str) -> None:
        self._give_back(slot)
        self._lost(slot, because)

    def _give_back(self, slot: Slot) -> None:
        """Let Ray have what the slot holds."""
        if slot in self._idle:
            self._idle.remove(slot)
        if self._slots.pop(slot.number, None) is not None and self._line is not None:
            self._line.send(messages.End(slot.number))
        self._tell_building()

    def _tidy(self) -> None:
        """Give back what idles for long; nothing idles beside what waits for another shape."""
        if self._closed:
            return
        now = self._loop.now_ns()
        waits = any(self._waiting.values())
        for slot in list(self._idle):
            long = now - slot.idle_since_ns > limits.RAY_IDLE_NS
            if waits or (long and not slot.builds_something):
                self._give_back(slot)
        self._look_at_waiting(now)
        self._loop.call_at(now + limits.SECOND, self._tidy)

    def _look_at_waiting(self, now_ns: int) -> None:
        """Say what waits for room; give back what has waited for long."""
        all = [execution for line in self._waiting.values() for execution in line]
        late = self._room.waiting(all, now_ns)
        told = {
            each.lease: self._room.words(held_for(each.work), self.machines)
            for each in all
            if self._room.told(each.lease, now_ns)
        }
        if told != self._told_waiting:
            self._told_waiting = told
            self._emit(Waiting(told))
        for execution in late:
            self._waiting[shape_of(held_for(execution.work))].remove(execution)
            self._end(execution, End.BACK)
        self._waiting = {shape: line for shape, line in self._waiting.items() if line}

    # --- the cluster ------------------------------------------------------------------------------
    def _connect(self) -> None:
        """Open a session with the driver, in a thread: it may have to be started first."""
        if self._closed:
            return

        def connect() -> None:
            try:
                sock = self._driver.session()
            except EngineError as error:
                because = str(error)
                self._loop.post(lambda: self._no_driver(because))
            else:
                self._loop.post(lambda: self._connected(sock))

        self._connecting = threading.Thread(target=connect, name="hanse-ray-connect", daemon=True)
        self._connecting.start()

    def _connected(self, sock: socket.socket) -> None:
        if self._closed:
            sock.close()
            return
        self._line = Line(self._loop, sock, self._hear, self._cut_off)
        for line in self._waiting.values():
            for execution in line:
                self._make(held_for(execution.work))

    def _no_driver(self, because: str) -> None:
        """Works need not wait for it here; nobody gives any while the site has no machines."""
        self._last_words = because
        lines, self._waiting = self._waiting, {}
        for line in lines.values():
            for execution in line:
                self._end(execution, End.LOST, because)
        self._loop.call_at(self._loop.now_ns() + _AGAIN_NS, self._connect)

    def _cut_off(self) -> None:
        """The driver is gone, and with it all actors."""
        self._line = None
        slots, self._slots = self._all(), {}
        self._idle.clear()
        self._know([])
        for slot in slots:
            self._lost(slot, "the process that speaks to Ray ended")
        self._connect()

    def _know(self, machines: list[messages.Machine]) -> None:
        self.machines = machines
        if self._on_machines is not None:
            self._on_machines(machines)
        for slot in self._all():
            if slot.machine and self._drains(slot):
                if slot.execution is not None:  # the rest of its work runs elsewhere
                    slot.tell(messages.Shorten(slot.execution.run, 0))
                elif slot in self._idle:
                    self._give_back(slot)

    def _drains(self, slot: Slot) -> bool:
        return any(machine.draining and machine.id == slot.machine for machine in self.machines)
