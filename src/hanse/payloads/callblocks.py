"""A block of calls as one payload: what is called with what, and all that the calls refer to.

Its values are the calls, then functions that travel by value, then values of futures, and last an
index in msgpack, which no unpickler ever sees. So a block is recorded, sent and read back whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hanse.decoding import from_msgpack
from hanse.payloads.payload import Payload, items, join

Reference = tuple[str, int]
"""A future: its job's id, or `references.PUT`, and its number."""


class _Index(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    keys: list[int]
    functions: list[int]
    values: list[Reference]
    needs: dict[int, list[Reference]]


class CallBlock(msgspec.Struct, frozen=True, eq=False):
    """
    Attributes:
        calls: the call of each item.
        keys: of the function of each that travels by value, else 0.
        functions: by key; those that came with an earlier block of the job are not here.
        values: results that are known, by future.
        needs: the futures that an item's arguments refer to, by its place in the block.
    """

    calls: Sequence[Payload]
    keys: Sequence[int]
    functions: Mapping[int, Payload]
    values: Mapping[Reference, Payload]
    needs: Mapping[int, Sequence[Reference]]


def pack_calls(block: CallBlock) -> Payload:
    index = msgspec.msgpack.encode(
        _Index(
            list(block.keys), list(block.functions), list(block.values),
            {item: list(refs) for item, refs in block.needs.items()},
        )
    )  # fmt: skip
    parts: Iterable[Payload] = (*block.calls, *block.functions.values(), *block.values.values())
    return join([*parts, Payload(1, index, (len(index),))])


def unpack_calls(payload: Payload) -> CallBlock:
    """Raises ValueError if it is none: it may come from outside."""
    *parts, last = items(payload)
    try:
        index = from_msgpack(last.data, _Index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"a block of calls has no index: {error}") from error
    calls, functions = len(index.keys), len(index.functions)
    if not calls or calls + functions + len(index.values) != len(parts):
        raise ValueError("a block of calls has not as many values as its index says")
    if any(not 0 <= item < calls for item in index.needs):
        raise ValueError("a block of calls names items that it does not have")
    return CallBlock(
        parts[:calls],
        index.keys,
        dict(zip(index.functions, parts[calls : calls + functions], strict=True)),
        dict(zip(index.values, parts[calls + functions :], strict=True)),
        index.needs,
    )
