"""Names of callables, for people."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def name_of(function: Any) -> str:
    """What a reader recognises: `module.qualname`, with file and line where that says nothing."""
    if (task := getattr(function, "__wrapped__", None)) is not None and not hasattr(
        function, "__qualname__"
    ):
        return name_of(task)
    if type(function).__name__ == "partial" and hasattr(function, "func"):
        return f"partial({name_of(function.func)})"
    owner = getattr(function, "__self__", None)
    name = getattr(function, "__qualname__", None)
    if name is None:  # an object with __call__
        return _with_module(type(function).__module__, type(function).__qualname__) + "()"
    if owner is not None and not isinstance(owner, type) and type(owner).__name__ != "module":
        return _with_module(type(owner).__module__, f"{type(owner).__qualname__}.{_last(name)}")
    if name.endswith("<lambda>"):
        return f"<lambda> at {_place(function)}"
    return _with_module(getattr(function, "__module__", None), name)


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _with_module(module: str | None, name: str) -> str:
    return name if module in (None, "__main__", "builtins") else f"{module}.{name}"


def _place(function: Any) -> str:
    code = getattr(function, "__code__", None)
    if code is None:
        return "?"
    return f"{os.path.basename(code.co_filename)}:{code.co_firstlineno}"
