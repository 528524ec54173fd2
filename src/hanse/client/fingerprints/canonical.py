"""A digest of a value that depends on the value alone: not on the hash seed, on addresses, on which
of its parts are one object, or on the process. Equal programs get equal digests on every run.

Not the digest of a pickle, which depends on all of these. Numbers, text and containers of them are
written by rules of our own; functions, classes and modules by a name that the caller gives; other
objects by what they would hand to pickle (numpy's, and all if `exact`), by their fields
(dataclasses, namespaces), or by their type alone, as loggers, locks and caches must be.
"""

from __future__ import annotations

import copyreg
import marshal
import sys
from collections import deque
from collections.abc import Callable, Iterable
from pickle import PickleBuffer
from types import CodeType, SimpleNamespace
from typing import Any

from blake3 import blake3

from hanse.limits import (
    FINGERPRINT_NESTING,
    FINGERPRINT_NODES,
    FINGERPRINT_SHOWN_CHARS,
    FINGERPRINT_SHOWN_ITEMS,
)

SCALARS = frozenset({int, float, complex, str, bytes, bool, type(None), type(...)})

# Values of the standard library that nothing can change, and that their text tells apart.
_TOLD_BY_TEXT = {
    "datetime": {"date", "datetime", "time", "timedelta", "timezone"},
    "decimal": {"Decimal"},
    "fractions": {"Fraction"},
    "pathlib": {"PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"},
    "re": {"Pattern"},
    "uuid": {"UUID"},
    "zoneinfo": {"ZoneInfo"},
}

# What only holds values, as a program's settings do.
_HOLDERS = (SimpleNamespace, deque)


def _held(value: Any) -> list[Any]:
    if isinstance(value, deque):
        return list(value)
    names = getattr(type(value), "__dataclass_fields__", None) or vars(value)
    return [part for name in names for part in (name, getattr(value, name, None))]


def hashed(*pieces: bytes) -> bytes:
    """One digest of several pieces, each with its length."""
    hasher = blake3()
    for piece in pieces:
        hasher.update(b"%d:" % len(piece))
        hasher.update(piece)
    return hasher.digest(16)


def type_name(kind: type) -> str:
    module = kind.__module__
    plain = module in ("builtins", "__main__")
    return kind.__qualname__ if plain else f"{module}.{kind.__qualname__}"


def told_by_text(value: Any) -> bool:
    kind = type(value)
    names = _TOLD_BY_TEXT.get(kind.__module__.partition(".")[0])
    return names is not None and kind.__name__ in names


def is_enum_member(value: Any) -> bool:
    enum = sys.modules.get("enum")  # if nobody imported it, there are no members
    return enum is not None and issubclass(type(value), enum.Enum)


class Canonical:
    """Digests of values.

    Args:
        named: the name of a function, class or module; None for anything else.
        code: the digest of a code object.
        exact: look into objects of any type, by what they hand to pickle.
    """

    def __init__(
        self,
        named: Callable[[Any], str | None],
        code: Callable[[CodeType], bytes],
        *,
        exact: bool = False,
    ) -> None:
        self._named = named
        self._code = code
        self._exact = exact
        self._path: set[int] = set()  # containers that we are inside of
        self._left = FINGERPRINT_NODES

    def digest(self, value: Any) -> bytes:
        kind = type(value)
        self._left -= 1
        if kind in SCALARS:
            return hashed(_scalar(value))
        if kind is CodeType:
            return hashed(b"code", self._code(value))
        name = self._named(value)
        if name is not None:
            return hashed(b"named", name.encode())
        if id(value) in self._path or len(self._path) > FINGERPRINT_NESTING or self._left < 0:
            return self._by_type(value)
        self._path.add(id(value))
        try:
            return self._inside(value, kind)
        finally:
            self._path.discard(id(value))

    def _inside(self, value: Any, kind: type) -> bytes:
        label = type_name(kind).encode()
        if kind in (bytearray, memoryview, PickleBuffer):
            return hashed(b"bytes", label, _bytes(value))
        if kind is range:
            return hashed(label, repr(value).encode())
        if kind is slice:
            return hashed(label, self._sequence((value.start, value.stop, value.step)))
        if told_by_text(value):
            flags = str(getattr(value, "flags", "")).encode()  # of a pattern
            return hashed(label, str(getattr(value, "pattern", value)).encode(), flags)
        if is_enum_member(value):
            self._named(kind)
            return hashed(label, value.name.encode(), self.digest(value.value))
        if kind in (list, tuple) or (issubclass(kind, tuple) and hasattr(kind, "_fields")):
            return hashed(label, self._sequence(value))
        if kind in (set, frozenset):
            if len(value) > self._left:
                return hashed(label, b"%d" % len(value))
            return hashed(label, *sorted(map(self.digest, value)))
        if kind is dict or (kind.__module__ == "collections" and issubclass(kind, dict)):
            return hashed(label, self._sequence(value), self._sequence(value.values()))
        if self._exact or kind.__module__.partition(".")[0] == "numpy":
            return self._object(value)
        if hasattr(kind, "__dataclass_fields__") or kind in _HOLDERS:
            return hashed(label, self._sequence(_held(value)))
        return self._by_type(value)

    def _sequence(self, values: Iterable[Any]) -> bytes:
        items = list(values)
        if set(map(type, items)) <= SCALARS:  # in C: a table of a million numbers is nothing rare
            return hashed(b"scalars", _scalar(items))
        if len(items) > self._left:
            return hashed(b"many", b"%d" % len(items))
        return hashed(b"values", *map(self.digest, items))

    def _object(self, value: Any) -> bytes:
        """By the recipe that pickle would follow; by the type if there is none."""
        try:
            reduce = copyreg.dispatch_table.get(type(value))
            recipe = reduce(value) if reduce is not None else value.__reduce_ex__(5)
            if isinstance(recipe, str):
                return hashed(b"global", recipe.encode())
            function, arguments, *more = recipe
            # The state, and iterators of the items of a list and of a dict.
            steps = [
                list(step) if step is not None and at else step for at, step in enumerate(more[:3])
            ]
        except Exception:  # noqa: BLE001 - code of the object's own, and it need not be picklable
            return self._by_type(value)
        return hashed(b"object", *map(self.digest, (type(value), function, arguments, *steps)))

    def _by_type(self, value: Any) -> bytes:
        self._named(type(value))
        return hashed(b"type", type_name(type(value)).encode())


def _scalar(value: Any) -> bytes:
    # Version 0: nothing in it says which parts are one object.
    return marshal.dumps(value, 0)


def _bytes(value: Any) -> bytes:
    view = value.raw() if isinstance(value, PickleBuffer) else memoryview(value)
    return blake3(view).digest(16) if view.contiguous else view.tobytes()


def shown(value: Any, named: Callable[[Any], str | None], depth: int = 0) -> str:
    """A short text for people, the same on every run."""
    kind = type(value)
    if kind in (str, bytes):
        return _cut(repr(value[: FINGERPRINT_SHOWN_CHARS + 1]))
    if kind is int and value.bit_length() > 256:
        return "a large int"  # its text may be refused
    if kind in SCALARS or kind is range or told_by_text(value):
        return _cut(repr(value))
    name = named(value)
    if name is not None:
        return name
    if is_enum_member(value):
        return f"{kind.__qualname__}.{value.name}"
    if kind in (list, tuple, set, frozenset, dict) and depth < 3:
        return _cut(_container(value, named, depth + 1))
    return f"an object of type {type_name(kind)}"


def _container(value: Any, named: Callable[[Any], str | None], depth: int) -> str:
    def show(item: Any) -> str:
        return shown(item, named, depth)

    few = FINGERPRINT_SHOWN_ITEMS
    items = list(value)
    if isinstance(value, dict):
        texts = [f"{show(key)}: {show(value[key])}" for key in items[:few]]
    elif isinstance(value, (set, frozenset)):
        texts = sorted(map(show, items))[:few] if len(items) <= 1000 else []
    else:
        texts = [show(item) for item in items[:few]]
    if len(items) > len(texts):
        texts.append(f"... {len(items):,} in all")
    around = "[]" if type(value) is list else "()" if type(value) is tuple else "{}"
    return around[0] + ", ".join(texts) + around[1]


def _cut(text: str) -> str:
    return text if len(text) <= FINGERPRINT_SHOWN_CHARS else text[:FINGERPRINT_SHOWN_CHARS] + "..."
