"""Flat values: numbers, text, None, and tuples of these.

Nothing can change them, so it makes no difference when they are pickled or how many places share
them. Only they may wait as live objects and travel many to a stream.
"""

from __future__ import annotations

from itertools import chain

from hanse.limits import OUT_OF_BAND_BYTES
from hanse.payloads.payload import Payload
from hanse.payloads.pickling import PROTOCOL, dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

SCALARS = frozenset({int, float, complex, str, bytes, bool, type(None)})
_NO_BYTES = SCALARS - {bytes}
_AND_TUPLES = SCALARS | {tuple}
_NESTING = 3
_PARTS = 1 << 20  # tuples may hold one another a thousand times, and so on: looking must end


def is_flat(values: Iterable[Any], nesting: int = _NESTING) -> bool:
    """Are all of these flat, and none so large that it should travel beside the stream?

    `values` is read more than once. The loops run in C, because this is asked of every result.
    Tuples that are nested deeper, or of very many parts, count as if they were not flat."""
    types = set(map(type, values))
    if types <= _NO_BYTES:
        return True
    if not types <= _AND_TUPLES:
        return False
    if bytes in types and _any_large(values):
        return False
    if tuple not in types:
        return True
    tuples = values if len(types) == 1 else [value for value in values if type(value) is tuple]
    inner = set(map(type, chain.from_iterable(tuples)))
    if not inner <= _AND_TUPLES or (bytes in inner and _any_large(chain.from_iterable(tuples))):
        return False
    if tuple not in inner:
        return True
    if not nesting or sum(map(len, tuples)) > _PARTS:
        return False
    nested = [part for part in chain.from_iterable(tuples) if type(part) is tuple]
    return is_flat(nested, nesting - 1)


def is_flat_one(value: Any) -> bool:
    kind = type(value)
    return kind in _NO_BYTES or (kind in _AND_TUPLES and is_flat((value,)))


def _any_large(values: Iterable[Any]) -> bool:
    return any(type(value) is bytes and len(value) >= OUT_OF_BAND_BYTES for value in values)


def dump_flat(values: Sequence[Any]) -> Payload | None:
    """All values as one stream if they are flat; a range stays a range. Else None."""
    if type(values) is range:
        return dump_known_flat(values)
    values = values if type(values) is list else list(values)
    return dump_known_flat(values) if is_flat(values) else None


def dump_known_flat(values: Sequence[Any]) -> Payload:
    """The same for values that were looked at already."""
    return Payload(len(values), dumps(values, PROTOCOL))
