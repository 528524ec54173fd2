"""Functions on their way to workers.

What a worker can import travels by its name. Everything else (functions of `__main__`, lambdas,
closures, bound methods) travels by value. Pickling by value takes some 100 us, so for `submit` the
pickle is kept with the function, and used again while all that the function rests on is constant
and the same.
"""

from __future__ import annotations

import itertools
import operator
import os
import sys
import weakref
from collections.abc import Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

from hanse.client.future import Future
from hanse.errors import UsageError
from hanse.payloads.payload import Payload, dump_one
from hanse.payloads.references import collecting, inlining

# From a place of this process's own: workers of a node see the keys of many clients.
_BASE = int.from_bytes(os.urandom(6)) << 8
program_keys = itertools.count(_BASE)
_function_keys = itertools.count(_BASE)


class ByValue:
    """A function that travels by value."""

    __slots__ = ("key", "needs", "payload", "state")

    def __init__(self, payload: Payload, needs: Sequence[Future[Any]], state: Any) -> None:
        self.key = next(_function_keys)
        self.payload = payload
        self.needs = needs  # futures that the function holds
        self.state = state


_CONSTANT = frozenset(
    {int, float, complex, str, bytes, bool, type(None), type(...), CodeType, range}
)

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


def dump_whole(function: Any, needs: Sequence[Future[Any]]) -> Payload:
    """The function with the values of these futures, which it holds. Raises UsageError if one is
    not done, PickleError."""
    if not all(future.arrived for future in needs):
        raise UsageError(
            "this map's function cannot hold futures that are not done: give it their results"
        )
    with inlining():
        return dump_one(function)


def for_call(function: Any) -> ByValue | None:
    """How a call's function travels: by value, or None if its name is enough."""
    if importable(function):
        return None
    if type(function) is not FunctionType:
        return ByValue(*dump_function(function), None)  # its object may change at any time
    state = _state(function)
    known = _pickled.get(function)
    if state is None or known is None or not _same(known.state, state):
        known = _pickled[function] = ByValue(*dump_function(function), state)
    return known


def _same(old: list[Any] | None, new: list[Any]) -> bool:
    return old is not None and len(old) == len(new) and all(map(operator.is_, old, new))


def _state(function: FunctionType) -> list[Any] | None:
    """Everything that the function's behaviour rests on, or None if some of it could change
    unseen: then no pickle of it can be used twice. Objects, not their ids, so that none of them
    can go and leave its id to another."""
    state: list[Any] = []
    seen: set[int] = set()
    waiting: list[Any] = _parts(function)
    if function.__dict__:
        return None  # attributes, which may change
    while waiting:
        thing = waiting.pop()
        if thing is function:  # its pickle must not keep it alive
            if function.__closure__:
                return None
            continue
        state.append(thing)
        if id(thing) in seen or type(thing) in _CONSTANT:
            continue
        if isinstance(thing, ModuleType) and sys.modules.get(thing.__name__) is thing:
            continue
        seen.add(id(thing))
        if type(thing) is tuple:
            waiting += thing
        elif type(thing) is FunctionType and not importable(thing):
            if thing.__dict__:
                return None
            waiting += _parts(thing)
        elif not importable(thing):
            return None
    return state


def _parts(function: FunctionType) -> list[Any]:
    defaults = function.__kwdefaults__ or {}
    names = function.__globals__
    used = sorted(name for name in _names(function.__code__) if name in names)
    return [
        function.__code__,
        function.__defaults__,
        *defaults,
        *defaults.values(),
        *[_content(cell) for cell in function.__closure__ or ()],
        *used,
        *[names[name] for name in used],
    ]


def _names(code: CodeType) -> set[str]:
    """The names that the code and the functions inside it use."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*inner)


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # not filled yet
