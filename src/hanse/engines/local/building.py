"""The environments that an engine's works ask for: built once each, held while works need them.

Everything is for the loop's thread; a build runs in a thread of its own and posts what it tells.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from hanse import limits
from hanse.engines.environments.store import Build, Held, digest_of
from hanse.engines.local.pythons import Built
from hanse.engines.port import Loop
from hanse.errors import EngineError
from hanse.ids import JobId
from hanse.model.environment import Environment

_JOIN_S = 2.0


class _Building:
    def __init__(self, environment: Environment, build: Build, now_ns: int) -> None:
        self.environment = environment
        self.build = build
        self.since_ns = now_ns
        self.said = ""
        self.jobs: set[JobId] = set()
        self.thread: threading.Thread


class Environments:
    """
    Args:
        root: the directory below which they are built.
        wheels: nothing is built from sources: that would run code of its makers.
        changed: called when works that waited may go on, or cannot.
        unused: called with the key of an environment that no work has needed for a while.
    """

    def __init__(
        self, loop: Loop, root: Path, wheels: bool, changed: Callable[[], None],
        unused: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._root = root
        self._wheels = wheels
        self._changed = changed
        self._unused = unused
        self._keys: dict[Environment, str] = {}
        self._building: dict[str, _Building] = {}
        self._held: dict[str, tuple[Built, Held]] = {}
        self._failed: dict[tuple[str, JobId], tuple[str, int]] = {}  # words, and until when
        self._works: Counter[str] = Counter()
        self._turns: Counter[str] = Counter()  # how often an environment was needed: dates timers
        self._closed = False

    def need(self, environment: Environment) -> None:
        """A work needs this from now on."""
        key = self._key(environment)
        self._works[key] += 1
        self._turns[key] += 1

    def done(self, environment: Environment) -> None:
        """A work needs it no more."""
        key = self._key(environment)
        self._works[key] -= 1
        if not self._works[key]:
            turn = self._turns[key]
            when = self._loop.now_ns() + limits.ENVIRONMENT_IDLE_NS
            self._loop.call_at(when, lambda: self._let_go(key, turn))

    def python(self, environment: Environment, job: JobId) -> Built | None:
        """The environment's Python; None while it is built, which begins with the first question.
        Raises EngineError if it cannot be built."""
        key = self._key(environment)
        if key in self._held:
            return self._held[key][0]
        words, until_ns = self._failed.get((key, job), ("", 0))
        if self._loop.now_ns() < until_ns:
            raise EngineError(words)
        building = self._building.get(key) or self._begin(key, environment)
        building.jobs.add(job)
        return None

    def reasons(self, job: JobId) -> list[str]:
        """What works of this job wait for."""
        now = self._loop.now_ns()
        return [
            f"{socket.gethostname()} is building environment {key[:12]} "
            f"({building.environment.words}), for {(now - building.since_ns) / limits.SECOND:.0f} s"
            + (f": {building.said}." if building.said else ".")
            for key, building in self._building.items()
            if job in building.jobs
        ]

    def close(self) -> None:
        """Stop what is built, and hold nothing more."""
        self._closed = True
        for building in self._building.values():
            building.build.stop()
        for building in self._building.values():
            building.thread.join(_JOIN_S)
        for _, held in self._held.values():
            held.release()
        self._held.clear()

    # --- inside ---------------------------------------------------------------------------------
    def _key(self, environment: Environment) -> str:
        key = self._keys.get(environment)
        if key is None:
            key = self._keys[environment] = digest_of(environment)
        return key

    def _begin(self, key: str, environment: Environment) -> _Building:
        def told(words: str) -> None:
            building.said = words.rstrip(".")

        build = Build(self._root, environment, self._wheels, told)
        building = self._building[key] = _Building(environment, build, self._loop.now_ns())

        def run() -> None:
            found: Held | EngineError
            try:
                found = build.run()
            except EngineError as error:
                found = error
            except Exception as error:  # noqa: BLE001 - it must not be waited for in vain
                found = EngineError(f"{type(error).__name__}: {error}")
            self._loop.post(lambda: self._ended(key, found))

        building.thread = threading.Thread(target=run, name="hanse-environment", daemon=True)
        building.thread.start()
        return building

    def _ended(self, key: str, found: Held | EngineError) -> None:
        if self._closed:
            if isinstance(found, Held):
                found.release()
            return
        building = self._building.pop(key)
        if isinstance(found, Held):
            python = Built(key, str(found.directory / "env"), str(found.own))
            self._held[key] = python, found
        else:
            self._keep_failure(key, building, str(found))
        self._changed()

    def _keep_failure(self, key: str, building: _Building, why: str) -> None:
        now = self._loop.now_ns()
        self._failed = {at: kept for at, kept in self._failed.items() if kept[1] > now}
        words = (
            f"the environment of {building.environment.words} cannot be built on "
            f"{socket.gethostname()}:\n{why}"
        )
        for job in building.jobs:
            self._failed[key, job] = words, now + limits.ENVIRONMENT_RETRY_NS

    def _let_go(self, key: str, turn: int) -> None:
        if self._closed or self._works[key] or self._turns[key] != turn:
            return
        del self._works[key], self._turns[key]
        self._keys = {one: known for one, known in self._keys.items() if known != key}
        if key in self._held:
            self._unused(key)
            self._held.pop(key)[1].release()
