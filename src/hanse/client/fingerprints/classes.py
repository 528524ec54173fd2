"""What a class is made of, as far as its author wrote it."""

from __future__ import annotations

import functools
from types import FunctionType
from typing import Any

from hanse.client.fingerprints.canonical import is_enum_member
from hanse.client.fingerprints.project import wrapped_by


def functions_in(member: Any) -> list[Any]:
    """The functions that a class's attribute is made of; none if it is a plain value."""
    if isinstance(member, FunctionType):
        return [member]
    if isinstance(member, (staticmethod, classmethod)):
        return functions_in(member.__func__)
    if isinstance(member, property):
        return [each for each in (member.fget, member.fset, member.fdel) if each is not None]
    if isinstance(member, (functools.cached_property, functools.partialmethod)):
        return functions_in(member.func)
    wrapped = wrapped_by(member)
    return functions_in(wrapped) if wrapped is not None else []


def is_generated(function: Any) -> bool:
    """Methods that dataclasses, attrs and Python itself write follow from the fields."""
    code = getattr(function, "__code__", None)
    return code is not None and (
        code.co_qualname.startswith("__create_fn__")
        or code.co_filename.startswith("<attrs generated")
        or code.co_name == "__annotate__"
    )


def fields(cls: type) -> list[str]:
    """The annotated attributes, in order: what dataclasses and their like are made of."""
    notes = vars(cls).get("__annotations__") or {}
    if not notes and "__annotate_func__" in vars(cls):  # Python 3.14: made when they are asked for
        try:
            notes = cls.__annotations__
        except Exception:  # noqa: BLE001 - they may name what there is not
            return ["?"]
    if not isinstance(notes, dict):
        return []  # of `type`, this is a descriptor
    return [f"{name}: {_annotation(note)}" for name, note in notes.items()]


def _annotation(note: Any) -> str:
    if isinstance(note, (str, type)) and not hasattr(note, "__args__"):
        return note if isinstance(note, str) else note.__qualname__
    inner = [_annotation(each) for each in getattr(note, "__args__", ())]
    origin = getattr(note, "__origin__", type(note))
    return f"{getattr(origin, '__qualname__', type(note).__qualname__)}[{', '.join(inner)}]"


def members(cls: type) -> list[tuple[str, Any]]:
    """What the class's body defines, without what Python adds."""
    inside = vars(cls)
    enums = [each for each in inside.get("_member_map_", {}).items() if is_enum_member(each[1])]
    if enums:
        values = [(name, member.value) for name, member in enums]
        known = {name for name, _ in enums}
        own = [(name, each) for name, each in inside.items() if functions_in(each)]
        return [*values, *((name, each) for name, each in own if name not in known)]
    return [
        (name, member)
        for name, member in inside.items()
        if not name.startswith(("__", "_abc_")) or functions_in(member)
    ]
