"""A real loop in a thread with an engine on it, and short ways to give it works and hear it."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hanse.engines.local.engine import LocalEngine
from hanse.engines.local.sandbox import Sandbox
from hanse.engines.port import (
    Block,
    Cut,
    Ended,
    Engine,
    Event,
    ItemFailed,
    Program,
    Segment,
    Work,
)
from hanse.ids import JobId, LeaseId
from hanse.model.failure import Failure
from hanse.payloads.payload import dump_batch, dump_one, load
from hanse.runtime.loop import Loop

Factory = Callable[[Loop, Callable[[Event], None]], Engine]
PATIENCE_S = 60.0
_numbers = itertools.count(1)


class Bench:
    """An engine under test. Events are kept; waits are for conditions, never for time."""

    def __init__(self, factory: Factory) -> None:
        self.errors: list[BaseException] = []
        self.loop = Loop(self.errors.append)
        self.events: list[Event] = []
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()
        self.engine = self.call(lambda: factory(self.loop, self._emit))

    def _emit(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function on the loop's thread and hand back what it returns or raises."""
        done, box = threading.Event(), []

        def run() -> None:
            try:
                box.append((function(), None))
            except BaseException as error:  # noqa: BLE001 - raised again below
                box.append((None, error))
            done.set()

        self.loop.post(run)
        assert done.wait(PATIENCE_S), "the loop is stuck"
        value, error = box[0]
        if error is not None:
            raise error
        return value

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until the events fulfil a condition; its value."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE_S), f"only {self.events}"
            return condition()

    def start(
        self, program: Program, inputs: Sequence[Any], /, start: int = 0, **more: Any
    ) -> Running:
        work = Work(
            LeaseId(next(_numbers)),
            start,
            start + len(inputs),
            program,
            more.pop("blocks", None) or [Block(start, dump_batch(inputs))],
            **more,
        )
        self.call(lambda: self.engine.start(work))
        return Running(self, work)

    def run(self, function: Any, inputs: Sequence[Any], /, **more: Any) -> Running:
        """Start a work and wait for its end."""
        work = {
            name: more.pop(name)
            for name in ("attempts", "skip", "functions", "values", "links", "blocks")
            if name in more
        }
        running = self.start(program(function, **more), inputs, **work)
        running.end()
        return running

    def close(self) -> None:
        self.call(self.engine.close)
        self.loop.post(self.loop.stop)
        self._thread.join(PATIENCE_S)
        assert not self.errors, self.errors


class Running:
    """A work and what was heard of it."""

    def __init__(self, bench: Bench, work: Work) -> None:
        self.bench = bench
        self.work = work

    def of(self, kind: type) -> list[Any]:
        return [
            event
            for event in list(self.bench.events)
            if isinstance(event, kind) and event.lease == self.work.lease
        ]

    def end(self) -> Ended:
        return self.bench.wait(lambda: self.of(Ended))[0]

    def results(self) -> dict[int, Any]:
        return {
            item: value
            for segment in self.of(Segment)
            for item, value in enumerate(load(segment.payload), segment.start)
        }

    def failures(self) -> dict[int, Failure]:
        return {event.item: event.failure for event in self.of(ItemFailed)}

    def failure(self) -> Failure:
        (failure,) = self.failures().values()
        return failure

    def cut(self, stop: int) -> int:
        self.bench.call(lambda: self.bench.engine.cut(self.work.lease, stop))
        return self.bench.wait(lambda: self.of(Cut))[-1].stop

    def cancel(self) -> Ended:
        self.bench.call(lambda: self.bench.engine.cancel(self.work.lease))
        return self.end()

    def reported(self) -> list[int]:
        """Every item that was reported, in the order of the reports."""
        items: list[int] = []
        for event in self.of((Segment, ItemFailed)):  # type: ignore[arg-type]
            items.extend(
                range(event.start, event.stop) if isinstance(event, Segment) else [event.item]
            )
        return items


def program(function: Any, **more: Any) -> Program:
    for name in ("fold", "initializer"):
        if name in more:
            more[name] = dump_one(more[name])
    payload = dump_one(function) if function is not None else None
    return Program(next(_numbers), JobId("j-000000000001"), "the_function", payload, **more)


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for something outside of the engine, such as a process or a file."""
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)
    return value


def sandboxed(hidden: Sequence[str] = (), shown: Sequence[str] = (), **more: Any) -> Factory:
    """The local engine in a sandbox; `more` is for the engine."""
    if shutil.which("bwrap") is None:
        from debian import install

        install("bubblewrap")
    sandbox = Sandbox(hidden, shown)
    return lambda loop, emit: LocalEngine(loop, emit, sandbox=sandbox, **more)


@contextmanager
def bench(factory: Factory) -> Iterator[Bench]:
    made = Bench(factory)
    try:
        yield made
    finally:
        made.close()
