"""The local engine: works on worker processes of this machine.

Everything here runs on the loop's thread. The engine finds or makes a worker for each work, passes
on what workers report, and goes on with a work whose worker died: the item that was running is
reported as failed, all others still run.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hanse import limits
from hanse.engines.local import crashes, reports
from hanse.engines.local.execution import Execution
from hanse.engines.local.output import Forward, OnPrinted, Output
from hanse.engines.local.pipes import Owner
from hanse.engines.local.pool import Pool
from hanse.engines.local.process import Process
from hanse.engines.local.processes import children
from hanse.engines.local.pythons import OWN, Python
from hanse.engines.local.spawning import Early, check_depth
from hanse.engines.local.watching import Watching
from hanse.engines.port import OUT_OF_REACH, Cut, End, Ended, Event, Loop, Program, Work
from hanse.errors import EngineError
from hanse.ids import LeaseId

if TYPE_CHECKING:
    from hanse.engines.local.building import Environments
    from hanse.engines.local.sandbox import Sandbox

_TRIES = 3  # workers that may fail in a row before a work is lost


class LocalEngine:
    """Runs works in processes of this machine. See `hanse.engines.port.Engine`.

    Args:
        loop: where callbacks run; every method is called on its thread.
        emit: gets the events.
        prestart: workers to have ready before the first work.
        forward: gets (stream, text) of what workers print; by default it is printed here.
        printed: gets what items of programs with `logged` print, in the thread that reads it.
        max_idle: idle workers that are kept; by default one per CPU.
        early: a nursery that starts already.
        environments: the directory for those that are built; by default one in HANSE_HOME.
        sandbox: what workers are kept in.
    """

    def __init__(
        self,
        loop: Loop,
        emit: Callable[[Event], None],
        *,
        prestart: int = 0,
        forward: Forward | None = None,
        printed: OnPrinted | None = None,
        max_idle: int | None = None,
        early: Early | None = None,
        environments: Path | None = None,
        sandbox: Sandbox | None = None,
    ) -> None:
        check_depth()
        self._loop = loop
        self._emit = emit
        self._max_idle = max(prestart, os.cpu_count() or 1) if max_idle is None else max_idle
        self._runs = 0
        self._closed = False
        self._executions: dict[LeaseId, Execution] = {}
        self._idle: list[Process] = []
        self._keeps = printed is not None
        self._sandboxed = sandbox is not None
        self._environments: Environments | None = None  # made when a work first asks for one
        self._make_environments = partial(
            _environments, loop, environments, sandbox is not None, emit, self._unused
        )
        output = Output(forward, printed)
        self._pool = Pool(loop, output, self._on_frames, self._on_dead, early, sandbox)
        self._watching = Watching(loop, self._pool.board)
        _engines.add(self)
        self._pool.prepare()
        for _ in range(prestart):
            self._idle.append(self._pool.spawn())

    # --- the port ---------------------------------------------------------------------------------
    def start(self, work: Work) -> None:
        """Run a work on a free worker, or on a new one."""
        if work.token and self._sandboxed:  # there is no network in it
            work.token = OUT_OF_REACH
        execution = self._executions[work.lease] = Execution(work)
        if (environment := work.program.environment) is not None:
            if self._environments is None:
                self._environments = self._make_environments()
            self._environments.need(environment)
        self._launch(execution)

    def cut(self, lease: LeaseId, stop: int) -> None:
        """End a lease early; the answer is `Cut`."""
        execution = self._executions.get(lease)
        if execution is None:
            return  # it has ended, which was the answer
        if execution.process is None or stop >= execution.until:
            execution.stop = min(execution.stop, max(stop, execution.position))
            self._emit(Cut(lease, execution.stop))
            return
        execution.cuts.append(stop)
        execution.process.cut(execution.run, stop)

    def cancel(self, lease: LeaseId) -> None:
        """Stop a lease's code; the answer is `Ended`."""
        execution = self._executions.get(lease)
        if execution is None or execution.cancelled:
            return
        execution.cancelled = True
        process = execution.process
        if process is None:
            self._end(execution, End.CANCELLED)
            return
        process.cut(execution.run, 0)
        run = execution.run

        def kill() -> None:
            if process.execution is execution and execution.run == run:
                process.kill()

        self._loop.call_at(self._loop.now_ns() + limits.CANCEL_GRACE_NS, kill)

    def begun(self, lease: LeaseId) -> int:
        """The lowest item that may still be running or not begun."""
        execution = self._executions[lease]
        if execution.process is None:
            return execution.position
        run, index, count, _ = self._pool.board.read(execution.process.slot)
        if run != execution.run or not count:
            return execution.position
        return max(execution.position, index)

    def close(self) -> None:
        """End all workers; what they have printed is forwarded."""
        if self._closed:
            return
        self._closed = True
        for execution in self._executions.values():
            execution.quiet()
        self._executions.clear()
        if self._environments is not None:
            self._environments.close()
        self._pool.close([process for process in self._idle if process.proved])
        self._idle.clear()

    def pids(self) -> list[int]:
        """The workers' process ids that are known, the nursery's last."""
        return self._pool.pids()

    # --- works to workers -------------------------------------------------------------------------
    def _launch(self, execution: Execution) -> None:
        execution.advance()
        if self._closed:
            return
        if execution.end is not None:
            self._end(execution, execution.end)
        elif execution.starts_failed >= _TRIES:
            self._end(
                execution,
                End.LOST,
                f"{_TRIES} workers in a row ended before they "
                f"finished an item; the last: {self._pool.last_words}",
            )
        else:
            try:
                program = execution.work.program
                python = self._python(program)
                process = None if python is None else self._free_worker(program.code, python)
            except (EngineError, OSError) as error:
                self._end(execution, End.LOST, str(error))
            else:
                if process is not None:
                    self._assign(execution, process)
                else:
                    self._end(execution, End.BACK)

    def _python(self, program: Program) -> Python | None:
        """What the program's workers run in; None while that cannot be had."""
        if program.environment is None:
            return OWN
        assert self._environments is not None
        return self._environments.python(program.environment)

    def _unused(self, python: str) -> None:
        """No work has needed this Python for a while: its workers end."""
        for process in [one for one in self._idle if one.python.key == python]:
            self._idle.remove(process)
            process.leave()
        self._pool.unused(python)

    def _free_worker(self, code: str, python: Python) -> Process:
        """An idle worker of that Python that has imported from nowhere else, or a new one. Raises
        EngineError."""
        idle = self._idle
        for at in range(len(idle) - 1, -1, -1):
            if idle[at].code in (code, None) and idle[at].python.key == python.key:
                return idle.pop(at)
        if idle and len(idle) + len(self._executions) > self._max_idle:
            idle.pop(0).leave()  # it makes room
        return self._pool.spawn(python)

    def _assign(self, execution: Execution, process: Process) -> None:
        self._runs += 1
        work = execution.work
        process.code = work.program.code
        execution.run, execution.process, process.execution = self._runs, process, execution
        execution.begin, execution.until = execution.position, execution.stop
        if most := work.program.max_items_per_worker:
            left = most - process.items
            execution.until = min(execution.stop, execution.position + max(1, left))
        self._own_output(execution, process)
        process.send_work(
            execution.run,
            work,
            execution.position,
            execution.until,
            frozenset(execution.omit),
            execution.careful_until,
        )
        for stop in execution.cuts:  # asked of a worker that ended without an answer
            process.cut(execution.run, stop)
        self._watching.begin(execution)

    def _own_output(self, execution: Execution, process: Process) -> None:
        """From now on the worker prints for this work."""
        program = execution.work.program
        if self._keeps and (program.logged or process.output.latest is not None):
            begin, until = execution.begin, execution.until
            own = Owner(execution.run, program.job, execution.lease, begin, until)
            self._pool.own_output(process, own if program.logged else None)

    def _end(self, execution: Execution, end: End, because: str = "") -> None:
        if self._executions.pop(execution.lease, None) is None:
            return
        execution.quiet()
        if self._environments is not None and (wanted := execution.work.program.environment):
            self._environments.done(wanted)
        if not execution.cancelled:
            for _ in execution.cuts:
                self._emit(Cut(execution.lease, execution.stop))
        self._emit(Ended(execution.lease, end, because))

    # --- what workers report ----------------------------------------------------------------------
    def _on_frames(self, process: Process, run: int, events: list[Any], fds: list[int]) -> None:
        execution = process.execution
        if execution is None or execution.run != run or self._closed:
            return
        for event in events:
            kind = reports.check(execution, event)
            if kind == "e":
                self._run_ended(execution, process, event[1])
            elif kind == "c":
                self._cut_done(execution, event[1])
            else:
                for said in reports.events(execution, process, event, fds):
                    self._emit(said)

    def _cut_done(self, execution: Execution, stop: int) -> None:
        if stop < execution.until:
            execution.stop = stop
        if execution.cuts and not execution.cancelled:
            execution.cuts.pop()
            self._emit(Cut(execution.lease, execution.stop))

    def _run_ended(self, execution: Execution, process: Process, stop: int) -> None:
        execution.quiet()
        execution.process = process.execution = None
        process.proved = True
        self._release(execution, process)
        self._launch(execution)

    def _release(self, execution: Execution, process: Process) -> None:
        """Keep the worker for the next work, unless it has to go."""
        program = execution.work.program
        if most := program.max_items_per_worker:
            process.items += execution.position - execution.begin
            if process.items >= most:
                process.leave()
                return
        if execution.cancelled and process.pid and children(process.pid):
            process.kill()
            return
        self._idle.append(process)
        if len(self._idle) > self._max_idle:
            self._idle.pop(0).leave()

    # --- workers that end -------------------------------------------------------------------------
    def _on_dead(self, process: Process, status: int | None, output: str) -> None:
        """A worker is gone: with a wait status, or None if the nursery went first."""
        if process in self._idle:
            self._idle.remove(process)
        execution, process.execution = process.execution, None
        if execution is None or self._closed:
            return
        execution.quiet()
        execution.process = None
        slot = self._pool.board.read(process.slot)
        if not execution.cancelled:
            if process.killed_for == "loading":
                self._loading_ended(execution, process, slot, output)
            else:
                failed = crashes.blame(
                    execution, process, status, slot, output, self._loop.now_ns()
                )
                if failed is not None:
                    self._emit(failed)
                self._answer_cuts(execution, failed.item + 1 if failed else execution.position)
        self._launch(execution)

    def _loading_ended(
        self, execution: Execution, process: Process, slot: crashes.Slot, output: str
    ) -> None:
        self._answer_cuts(execution, execution.position)
        if slot[0] == execution.run and not slot[2]:  # else it was done just before the kill
            for told in crashes.never_loaded(execution, process, output):
                self._emit(told)

    def _answer_cuts(self, execution: Execution, begun: int) -> None:
        for stop in execution.cuts:
            execution.stop = min(execution.stop, max(stop, begun, execution.position))
            self._emit(Cut(execution.lease, execution.stop))
        execution.cuts.clear()

    def _abandon(self) -> None:
        """This process is a forked child: the workers are not ours."""
        self._closed = True
        self._pool.abandon()


def _environments(
    loop: Loop, root: Path | None, wheels: bool, emit: Callable[[Event], None],
    unused: Callable[[str], None],
) -> Environments:  # fmt: skip
    """Imported when a work first needs it: most never do."""
    from hanse.engines.environments.store import default_root
    from hanse.engines.local.building import Environments

    return Environments(loop, root or default_root(), wheels, emit, unused)


_engines: weakref.WeakSet[LocalEngine] = weakref.WeakSet()


def _in_forked_child() -> None:
    for engine in list(_engines):
        engine._abandon()


os.register_at_fork(after_in_child=_in_forked_child)
