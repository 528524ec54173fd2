"""Reads JSON, msgpack and built-in values as the types that they are said to be.

All reading by type is done through here, as msgspec (up to 0.22 at least) must be kept from one
thing: it works out how a struct is read when the first one comes, with the structs that it consists
of; a second thread that reads one of these at that moment finds it half worked out, and the process
dies by SIGSEGV. So that is done for one type after another, before anything is read as it. What is
found out holds for msgpack, JSON, built-in values and schemas alike.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")
_Hook = Callable[[type, Any], Any]
_working_out = threading.Lock()
# No child is forked within it: it would have the lock held for ever, and a type half worked out.
os.register_at_fork(
    before=_working_out.acquire,
    after_in_parent=_working_out.release,
    after_in_child=_working_out.release,
)


@cache  # as many as types are named in this package
def _worked_out(kind: Any) -> Any:
    """The same type, which any thread may read from now on."""
    with _working_out:
        msgspec.msgpack.Decoder(kind)
    return kind


@overload
def msgpack_decoder(kind: type[T], dec_hook: _Hook | None = None) -> msgspec.msgpack.Decoder[T]: ...
@overload
def msgpack_decoder(kind: Any, dec_hook: _Hook | None = None) -> msgspec.msgpack.Decoder[Any]: ...
def msgpack_decoder(kind: Any, dec_hook: _Hook | None = None) -> msgspec.msgpack.Decoder[Any]:
    """For what is read often. Threads may share it. `dec_hook` makes what msgspec does not know."""
    return msgspec.msgpack.Decoder(_worked_out(kind), dec_hook=dec_hook)


@overload
def json_decoder(kind: type[T]) -> msgspec.json.Decoder[T]: ...
@overload
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]: ...
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """For what is read often. Threads may share it."""
    return msgspec.json.Decoder(_worked_out(kind))


@overload
def from_msgpack(data: bytes | memoryview, kind: type[T], dec_hook: _Hook | None = None) -> T: ...
@overload
def from_msgpack(data: bytes | memoryview, kind: Any, dec_hook: _Hook | None = None) -> Any: ...
def from_msgpack(data: bytes | memoryview, kind: Any, dec_hook: _Hook | None = None) -> Any:
    """Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
    return msgspec.msgpack.decode(data, type=_worked_out(kind), dec_hook=dec_hook)


@overload
def from_json(data: bytes | str, kind: type[T]) -> T: ...
@overload
def from_json(data: bytes | str, kind: Any) -> Any: ...
def from_json(data: bytes | str, kind: Any) -> Any:
    """Raises msgspec.MsgspecError, UnicodeDecodeError, RecursionError."""
    return msgspec.json.decode(data, type=_worked_out(kind))


@overload
def from_builtins(value: Any, kind: type[T], builtin_types: Iterable[type] | None = None) -> T: ...
@overload
def from_builtins(value: Any, kind: Any, builtin_types: Iterable[type] | None = None) -> Any: ...
def from_builtins(value: Any, kind: Any, builtin_types: Iterable[type] | None = None) -> Any:
    """A value of dicts, lists and such, as TOML or a row of a database gives it; those of
    `builtin_types` are taken as they are. Raises msgspec.ValidationError."""
    return msgspec.convert(value, _worked_out(kind), builtin_types=builtin_types)


def json_schemas(
    kinds: Iterable[Any], ref_template: str
) -> tuple[tuple[dict[str, Any], ...], dict[str, Any]]:
    """The JSON Schema (2020-12) of each type, and what they refer to by name."""
    known = [_worked_out(kind) for kind in kinds]
    return msgspec.json.schema_components(known, ref_template=ref_template)
