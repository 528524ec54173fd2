"""What the tests of executors share: both kinds of pools, and functions to call in them.

The standard pool forks here, which is quick; newer Pythons warn about that.
"""

from __future__ import annotations

import concurrent.futures
import functools
import multiprocessing
import os
import pickle
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from system.real import until

Make = Callable[..., concurrent.futures.Executor]
QUIET = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
STANDARD = functools.partial(ProcessPoolExecutor, mp_context=multiprocessing.get_context("fork"))


class Unpicklable:
    def __reduce__(self):
        raise pickle.PicklingError("this never travels")


class OwnError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def fail(error: BaseException, *_: object) -> None:
    raise error


def fail_beside(notes: Path) -> None:
    """Fail once another call has begun."""
    until(lambda: list(notes.iterdir()))
    raise OwnError(1)


def keywords(*args: object, **kwargs: object) -> tuple[object, object]:
    return args, kwargs


def hold(flag: Path, value: object = None) -> object:
    until(flag.exists)
    return value


def note_and_hold(notes: Path, flag: Path, value: object) -> object:
    (notes / str(value)).touch()
    hold(flag)
    time.sleep(0.002)
    (notes / f"{value}.ended").touch()
    return value


def note(notes: Path, value: object) -> object:
    (notes / str(value)).touch()
    return value


def reciprocal(x: int) -> float:
    return 1 / x


def remember(*values: object) -> None:
    sys.remembered = [*getattr(sys, "remembered", []), values]  # type: ignore[attr-defined]


def remembered(_: object = None) -> tuple[int, list[object]]:
    return os.getpid(), sys.remembered  # type: ignore[attr-defined]


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()
