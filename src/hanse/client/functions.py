"""Functions on their way to workers.

What a worker can import travels by its name. Everything else (functions of `__main__`, lambdas,
closures, bound methods) travels by value. Pickling by value takes some 100 us, so for `submit` the
pickle is kept with the function and used again until something that the function names has changed.
"""

from __future__ import annotations

import itertools
import sys
import weakref
from collections.abc import Sequence
from types import FunctionType
from typing import Any

from hanse.client.future import Future
from hanse.payloads.payload import Payload, dump_one
from hanse.payloads.references import collecting

program_keys = itertools.count(1)
_function_keys = itertools.count(1)


class ByValue:
    """A function that travels by value."""

    __slots__ = ("key", "needs", "payload", "state")

    def __init__(self, payload: Payload, needs: Sequence[Future[Any]], state: Any) -> None:
        self.key = next(_function_keys)
        self.payload = payload
        self.needs = needs  # futures that the function holds
        self.state = state


_pickled: weakref.WeakKeyDictionary[Any, ByValue] = weakref.WeakKeyDictionary()


def importable(function: Any) -> bool:
    """Whether a worker finds this very object by its module and name."""
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None)
    if module in (None, "__main__") or name is None or "<" in name:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is function


def dump_function(function: Any) -> tuple[Payload, Sequence[Future[Any]]]:
    """The function as a payload, and the futures that it holds. Raises PickleError."""
    if not callable(function):
        raise TypeError(f"a function is needed, not {type(function).__name__}: {function!r}")
    with collecting() as found:
        payload = dump_one(function)
    return payload, found


def for_call(function: Any) -> ByValue | None:
    """How a call's function travels: by value, or None if its name is enough."""
    if importable(function):
        return None
    if type(function) is not FunctionType:
        if not callable(function):
            raise TypeError(f"submit needs a function, not {type(function).__name__}")
        return ByValue(*dump_function(function), None)  # its object may change at any time
    state = _state(function)
    known = _pickled.get(function)
    if known is None or known.state != state:
        known = _pickled[function] = ByValue(*dump_function(function), state)
    return known


def _state(function: FunctionType) -> tuple[Any, ...]:
    """What the function's behaviour rests on, as identities: code, defaults, closure, globals."""
    names = function.__globals__
    return (
        function.__code__,
        id(function.__defaults__),
        tuple([id(_content(cell)) for cell in function.__closure__ or ()]),
        tuple([id(names.get(name)) for name in function.__code__.co_names]),
    )


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not filled yet
