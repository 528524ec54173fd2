"""Values of any kind as what JSON can hold."""

from __future__ import annotations

import base64
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from hanse.limits import REPR_CHARS

DEPTH: Final = 100  # deeper values are not data; Python's own JSON gives up at some 1,000


class Plain:
    """Converts values, and remembers the first that it could only describe."""

    def __init__(self, *, native: bool = False) -> None:
        self._native = native  # leave bytes and times as they are: the format has types for them
        self.odd: str | None = None

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The value with nothing but None, bool, int, float, str, list and dict in it."""
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float):
            return float(value) if self._native or math.isfinite(value) else None
        if depth > DEPTH:
            return self._described(value)
        if isinstance(value, Mapping):
            return {self._key(key): self(each, depth + 1) for key, each in value.items()}
        if isinstance(value, tuple) and hasattr(value, "_asdict"):
            return {key: self(each, depth + 1) for key, each in value._asdict().items()}
        if isinstance(value, (list, tuple)):
            return [self(each, depth + 1) for each in value]
        if isinstance(value, (set, frozenset)):
            return [self(each, depth + 1) for each in _in_order(value)]
        if isinstance(value, (bytes, bytearray, memoryview)):
            return bytes(value) if self._native else base64.b64encode(value).decode()
        return self._object(value, depth)

    def _object(self, value: Any, depth: int) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = (field.name for field in dataclasses.fields(value))
            return {name: self(getattr(value, name, None), depth + 1) for name in fields}
        if isinstance(value, msgspec.Struct):
            names = value.__struct_fields__
            return {name: self(getattr(value, name), depth + 1) for name in names}
        if hasattr(value, "dtype") and hasattr(value, "tolist"):  # numpy's scalars and arrays
            found = value.tolist()
            return self(found, depth + 1) if found is not value else self._described(value)
        if self._native and type(value).__module__ in ("datetime", "decimal"):
            return value
        try:
            return msgspec.to_builtins(value)  # dates and times, enums, UUIDs, decimals
        except (TypeError, ValueError, OverflowError, RecursionError):
            return self._described(value)

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return key
        found = self(key)
        return found if isinstance(found, str) else repr(found)

    def _described(self, value: Any) -> str:
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        self.odd = self.odd or f"values of {kind} are written as their repr"
        try:
            return repr(value)[:REPR_CHARS]
        except Exception:  # noqa: BLE001 - a broken __repr__ must not cost the other values
            return f"<{kind}>"


def _in_order(values: Any) -> list[Any]:
    """A set in an order that is the same each time, where its values have one."""
    try:
        return sorted(values)
    except TypeError:
        return sorted(values, key=repr)
