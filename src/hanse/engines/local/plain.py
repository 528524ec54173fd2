"""Reading what workers say: plain values only.

Tasks share a process with the worker's socket and can write to it whatever they like. Unpickling
that must not run code in main, so nothing is looked up by name here.
"""

from __future__ import annotations

import io
from pickle import Unpickler, UnpicklingError
from typing import Any, NoReturn


class Garbled(Exception):
    """A worker's socket brought something that its worker would not say."""


class _Plain(Unpickler):
    def find_class(self, module: str, name: str) -> NoReturn:
        raise UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: object) -> NoReturn:
        raise UnpicklingError("it names something outside of itself")


def read(body: bytes | bytearray) -> tuple[int, list[Any]]:
    """A worker's frame: the run and its events. Raises Garbled."""
    try:
        run, events = _Plain(io.BytesIO(body)).load()
        if type(run) is int and type(events) is list:
            return run, events
        raise TypeError("it is no report")
    except Exception as error:
        raise Garbled(str(error)) from error
