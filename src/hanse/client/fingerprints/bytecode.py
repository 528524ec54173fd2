"""What a code object does, and which names it goes by: a digest that does not change with comments,
formatting, docstrings, line numbers or file names, and the globals, cells and imports it uses.

The digest is valid for one minor version of Python, because each compiles in its own way.
"""

from __future__ import annotations

import bisect
import sys
from collections.abc import Iterator
from types import CodeType
from typing import TYPE_CHECKING, Any, NamedTuple

from hanse.client.fingerprints.canonical import Canonical, hashed

if TYPE_CHECKING:
    import dis

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

_NOISE = {"NOP", "EXTENDED_ARG", "CACHE"}  # there for line numbers, or with wide arguments
_LINES = {"__doc__", "__firstlineno__", "__static_attributes__"}  # stored by class bodies
_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CELL = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_FLAGS = 0x3AC  # *args, **kwargs, generator, coroutine; not how it was compiled


class Import(NamedTuple):
    """An import inside a function."""

    module: str
    level: int
    names: tuple[str, ...]


class Reading(NamedTuple):
    digest: bytes
    globals: dict[tuple[str, ...], None]  # a name and the attributes that are asked of it, in order
    cells: dict[tuple[str, ...], None]
    imports: dict[Import, None]
    assigned: dict[str, None]  # globals that the code assigns to


def read(code: CodeType) -> Reading:
    """Read a code object, and those inside it."""
    reading = Reading(b"", {}, {}, {}, {})
    return reading._replace(digest=_read(code, reading))


def _read(code: CodeType, into: Reading) -> bytes:
    import dis

    kept = _without_noise(list(dis.get_instructions(code)))
    offsets = [instruction.offset for instruction in kept]
    _find_names(kept, into)
    constants = Canonical(lambda value: None, lambda inner: _read(inner, into))
    pieces = [repr(_shape(code)).encode()]
    for each in kept:
        pieces.append(each.opname.encode())
        if each.opcode in dis.hasconst:
            pieces.append(constants.digest(each.argval))
        elif each.opcode in dis.hasjrel or each.opcode in dis.hasjabs:
            pieces.append(b"%d" % bisect.bisect_left(offsets, each.argval))
        else:
            pieces.append(repr((each.arg, _name(each.argval))).encode())
    for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
        places = (entry.start, entry.end, entry.target)
        at = [bisect.bisect_left(offsets, place) for place in places]
        pieces.append(repr((at, entry.depth, entry.lasti)).encode())
    return hashed(*pieces)


def _shape(code: CodeType) -> tuple[Any, ...]:
    arguments = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
    return *arguments, code.co_varnames, code.co_flags & _FLAGS


def _name(value: Any) -> Any:
    """What dis says of an argument, where that is a name or names."""
    plain = isinstance(value, str) or (
        isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    )
    return value if plain else None


def _without_noise(found: list[dis.Instruction]) -> list[dis.Instruction]:
    kept: list[dis.Instruction] = []
    for each in found:
        if each.opname in _NOISE:
            continue
        if each.opname == "STORE_NAME" and each.argval in _LINES and kept:
            kept.pop()  # the constant that is stored
            continue
        kept.append(each)
    return kept


def _find_names(found: list[dis.Instruction], into: Reading) -> None:
    for at, each in enumerate(found):
        if each.opname in _GLOBAL:
            into.globals[(str(each.argval), *_attributes(found, at))] = None
        elif each.opname in _CELL:
            into.cells[(str(each.argval), *_attributes(found, at))] = None
        elif each.opname == "STORE_GLOBAL":
            into.assigned[str(each.argval)] = None
        elif each.opname == "IMPORT_NAME" and at >= 2:
            level, names = found[at - 2].argval, found[at - 1].argval
            into.imports[Import(str(each.argval), int(level or 0), tuple(names or ()))] = None


def _attributes(found: list[dis.Instruction], at: int) -> Iterator[str]:
    for each in found[at + 1 :]:
        if each.opname not in _ATTRIBUTE:
            return
        yield str(each.argval)
