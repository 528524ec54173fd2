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
from hanse.engines.port import Building, Event, Loop
from hanse.errors import EngineError
from hanse.model.environment import Environment

_JOIN_S = 2.0
_FAILURES = 64  # that are remembered


class _Building:
    def __init__(self, environment: Environment, build: Build) -> None:
        self.environment = environment
        self.build = build
        self.said = ""
        self.thread: threading.Thread


class _Failed:
    """A build that failed.

    Attributes:
        wait_ns: for how long it is not tried again.
        over: it may be.
    """

    def __init__(self, environment: Environment, why: str, wait_ns: int) -> None:
        self.name = environment.name
        self.why = why
        self.wait_ns = wait_ns
        self.over = False


class Environments:
    """
    Args:
        root: the directory below which they are built.
        wheels: nothing is built from sources: that would run code of its makers.
        emit: gets a `Building` whenever there is something new to tell.
        unused: called with the key of an environment that no work has needed for a while.
    """

    def __init__(
        self, loop: Loop, root: Path, wheels: bool, emit: Callable[[Event], None],
        unused: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._root = root
        self._wheels = wheels
        self._emit = emit
        self._unused = unused
        self._keys: dict[Environment, str] = {}
        self._building: dict[str, _Building] = {}
        self._held: dict[str, tuple[Built, Held]] = {}
        self._failed: dict[str, _Failed] = {}
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
        self._watch(key)

    def python(self, environment: Environment) -> Built | None:
        """The environment's Python. None while it is built, which begins with the first question,
        and for a while after that failed; both is told before."""
        key = self._key(environment)
        if key in self._held:
            return self._held[key][0]
        failed = self._failed.get(key)
        if key not in self._building and (failed is None or failed.over):
            self._begin(key, environment)
        self._tell()
        return None

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

    def _begin(self, key: str, environment: Environment) -> None:
        def told(words: str) -> None:
            self._loop.post(lambda: self._said(building, words))

        build = Build(self._root, environment, self._wheels, told)
        building = self._building[key] = _Building(environment, build)

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

    def _ended(self, key: str, found: Held | EngineError) -> None:
        if self._closed:
            if isinstance(found, Held):
                found.release()
            return
        building = self._building.pop(key)
        if isinstance(found, Held):
            python = Built(key, str(found.directory / "env"), str(found.own))
            self._held[key] = python, found
            self._failed.pop(key, None)
            self._watch(key)
        else:
            self._keep_failure(key, building.environment, str(found))
        self._tell()

    def _keep_failure(self, key: str, environment: Environment, why: str) -> None:
        before = self._failed.pop(key, None)
        longer = 0 if before is None else 2 * before.wait_ns
        wait_ns = max(limits.ENVIRONMENT_RETRY_NS, min(longer, limits.ENVIRONMENT_RETRY_MAX_NS))
        where = socket.gethostname()
        words = f"the environment of {environment.words} cannot be built on {where}:\n{why}"
        failed = self._failed[key] = _Failed(environment, words, wait_ns)
        while len(self._failed) > _FAILURES:
            del self._failed[next(iter(self._failed))]

        def again() -> None:
            failed.over = True
            if not self._closed:
                self._tell()

        self._loop.call_at(self._loop.now_ns() + wait_ns, again)

    def _said(self, building: _Building, words: str) -> None:
        if words != building.said and not self._closed:
            building.said = words
            self._tell()

    def _tell(self) -> None:
        told = {}
        for key, each in self._building.items():
            said = f"; {each.said.strip().rstrip('.')}" if each.said else ""
            words = f"it is building environment {key[:12]} ({each.environment.words}){said}"
            told[each.environment.name] = words
        failed = {each.name: each.why for each in self._failed.values() if not each.over}
        self._emit(Building(told, failed))

    def _watch(self, key: str) -> None:
        """Let go of it in a while, if no work needs it then."""
        if not self._works[key]:
            turn, when = self._turns[key], self._loop.now_ns() + limits.ENVIRONMENT_IDLE_NS
            self._loop.call_at(when, lambda: self._let_go(key, turn))

    def _let_go(self, key: str, turn: int) -> None:
        if self._closed or self._works[key] or self._turns[key] != turn:
            return
        del self._works[key], self._turns[key]
        self._keys = {one: known for one, known in self._keys.items() if known != key}
        if key in self._held:
            self._unused(key)
            self._held.pop(key)[1].release()
