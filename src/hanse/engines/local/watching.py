"""Limits of time and memory, looked at from outside, because a stuck item cannot look itself."""

from __future__ import annotations

from hanse import limits
from hanse.engines.local.execution import Execution
from hanse.engines.local.processes import resident_bytes
from hanse.engines.local.slots import Board
from hanse.engines.port import Loop

_FRESH = 16 * limits.MIB  # what a worker holds before it has done anything


class Watching:
    def __init__(self, loop: Loop, board: Board) -> None:
        self._loop = loop
        self._board = board

    def begin(self, execution: Execution) -> None:
        """Watch a run that has just been sent to its worker."""
        program, process = execution.work.program, execution.process
        execution.memory_seen = 0
        if program.timeout_ns is None and program.memory_bytes is None:
            return
        assert process is not None
        if program.memory_bytes is not None:
            execution.memory_before = resident_bytes(process.pid) if process.proved else _FRESH
        self._look_at(execution, self._loop.now_ns())

    def _look_at(self, execution: Execution, when_ns: int) -> None:
        execution.timer = self._loop.call_at(when_ns, lambda: self._look(execution))

    def _look(self, execution: Execution) -> None:
        process = execution.process
        if process is None or process.dead:
            return
        again = []
        for look in (self._time, self._memory):
            if (when := look(execution)) is not None:
                again.append(when)
        if again and not process.doomed:
            self._look_at(execution, min(again))

    def _time(self, execution: Execution) -> int | None:
        timeout = execution.work.program.timeout_ns
        if timeout is None:
            return None
        assert execution.process is not None
        now = self._loop.now_ns()
        run, _, count, begun = self._board.read(execution.process.slot)
        if run != execution.run:
            return now + min(max(timeout // 4, 5 * limits.MS), limits.SECOND)
        if now < begun + timeout:
            return begun + timeout
        execution.process.killed_for = "timeout" if count else "loading"
        execution.process.kill()
        return None

    def _memory(self, execution: Execution) -> int | None:
        limit = execution.work.program.memory_bytes
        process = execution.process
        if limit is None or process is None:
            return None
        seen = resident_bytes(process.pid) if process.pid else 0
        execution.memory_seen = max(execution.memory_seen, seen)
        if seen > limit + (execution.memory_before or 0):
            process.killed_for = process.killed_for or "memory"
            process.kill()
            return None
        return self._loop.now_ns() + limits.MEMORY_LOOK_NS
