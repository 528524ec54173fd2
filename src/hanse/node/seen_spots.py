"""The file of what was seen of spot machines: a node that starts again need not learn it anew.

Nothing depends on it. One that cannot be read, or says what cannot be, is set aside with a warning,
and all is learnt anew; one that cannot be written is written later.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec

from hanse import limits
from hanse.core.spots import Told
from hanse.decoding import from_json
from hanse.errors import HanseError, UsageError
from hanse.journal import private
from hanse.node import files
from hanse.runtime.runtime import Runtime

_logger = logging.getLogger("hanse")


class _Kept(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    told_s: Annotated[float, msgspec.Meta(ge=0, le=1e11)]  # when, in seconds since 1970
    told: Told


class SeenSpots:
    """Keeps what a node's home learns. Methods may be called from any thread but the runtime's."""

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self._runtime = runtime
        self._path = path
        self._changes = 0  # of what is kept
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go, name="hanse-spots", daemon=True)

    def begin(self) -> None:
        """Take over what the last run has left."""
        told, ago_ns = read(self._path)
        loop, spots = self._runtime.loop, self._runtime.home.spots
        self._runtime.ask(lambda: spots.recall(told, ago_ns, loop.now_ns()))
        self._changes = spots.changes
        self._thread.start()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        self._keep()

    def _go(self) -> None:
        while not self._ended.wait(limits.SPOT_KEEP_S):
            self._keep()

    def _keep(self) -> None:
        """Write down what was learnt, if anything was."""
        loop, home = self._runtime.loop, self._runtime.home
        try:
            told = self._runtime.ask(lambda: home.spots_told(loop.now_ns()))
        except (HanseError, TimeoutError):  # the loop is busy, or has ended
            return
        if home.spots.changes != self._changes:
            self._changes = home.spots.changes
            write(self._path, told)


def read(path: Path) -> tuple[Told, int]:
    """What was told, and how many nanoseconds ago."""
    try:
        kept = _checked(path)
    except FileNotFoundError:
        return Told(), 0
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, OSError, HanseError) as error:
        aside = path.with_name(f"{path.name}.damaged")
        with suppress(OSError):
            os.replace(path, aside)
        _logger.warning(
            "hanse: what was seen of spot machines is learnt anew: %s cannot be used, and lies in"
            " %s now: %s", path, aside.name, error,
        )  # fmt: skip
        return Told(), 0
    return kept.told, int(max(0.0, time.time() - kept.told_s) * 1e9)


def _checked(path: Path) -> _Kept:
    private.files([str(path)])
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limits.SPOT_BYTES:
        raise UsageError(f"no file of at most {limits.SPOT_BYTES:,} bytes")
    return from_json(path.read_bytes(), _Kept)


def write(path: Path, told: Told) -> None:
    try:
        files.write(path, _Kept(told_s=time.time(), told=told))
    except OSError as error:
        _logger.debug("hanse: %s is not written: %s", path, error)
