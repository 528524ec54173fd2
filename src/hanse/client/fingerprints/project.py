"""What belongs to the project of the user, and what things in it are called."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec, PathFinder
from types import CodeType, FunctionType
from typing import Any

from hanse.limits import FINGERPRINT_SOURCE_CHARS

_INSTALLED = {"site-packages", "dist-packages"}


def is_ours(module: str | None) -> bool:
    """Whether this module is of the project: not of the standard library, not installed, not
    Hanse. What has no module was made by code of the project."""
    if module is None or module == "__main__":
        return True
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top == "hanse":
        return False
    found = sys.modules.get(module)
    return has_own_file(getattr(found, "__spec__", None), getattr(found, "__file__", None))


def has_own_file(spec: ModuleSpec | None, file: str | None) -> bool:
    """A namespace package has no file, only places."""
    places: list[Any] = list(getattr(spec, "submodule_search_locations", None) or ())
    if file:
        places = [file]
    return bool(places) and all(_INSTALLED.isdisjoint(place.split(os.sep)) for place in places)


def module_of(thing: Any) -> str | None:
    """The module whose code this function or class is. A wrapper takes over the `__module__` of
    what it wraps, so functions are asked for their globals."""
    where = thing.__globals__.get("__name__") if isinstance(thing, FunctionType) else None
    found = where if where is not None else getattr(thing, "__module__", None)
    if isinstance(thing, FunctionType) and where is None:
        return None
    return found if isinstance(found, str) else None


def name_of(thing: Any) -> str:
    """Such as `count` of the program itself, or `helpers.parse`."""
    module = module_of(thing)
    name: Any
    if isinstance(thing, FunctionType):
        name = thing.__code__.co_qualname
    else:
        name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", "?")
    return in_module(module, str(name))


def in_module(module: str | None, name: str) -> str:
    return name if module in (None, "__main__", "builtins") else f"{module}.{name}"


def source_of(code: CodeType, names: dict[str, Any]) -> str | None:
    """The source of a function as it is in its file, or None. Like inspect.getsource, which first
    looks through all modules."""
    import inspect
    import linecache
    import textwrap

    try:
        linecache.checkcache(code.co_filename)
        lines = linecache.getlines(code.co_filename, names)[code.co_firstlineno - 1 :]
        source = "".join(inspect.getblock(lines)) if lines else ""
    except Exception:  # noqa: BLE001 - a file that is no Python, or a loader's own error
        return None
    return _bounded(textwrap.dedent(source)) if source else None


def _bounded(source: str) -> str | None:
    return source if len(source) <= FINGERPRINT_SOURCE_CHARS else None


def find_module(name: str) -> tuple[CodeType, str | None] | None:
    """The code and source of a module of the project, without running it; None for all others.

    A function may import it for the first time when it runs, so whether it is loaded by now must
    make no difference.
    """
    spec = _find_spec(name)
    file = spec.origin if spec is not None and spec.has_location else None
    if file is None or not file.endswith(".py") or not has_own_file(spec, file):
        return None
    try:
        with open(file, "rb") as opened:
            source = opened.read()
        code = compile(source, file, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return None
    return code, _bounded(source.decode(errors="replace"))


def _find_spec(name: str) -> ModuleSpec | None:
    """Without importing the packages that it is in."""
    top = name.partition(".")[0]
    if top in sys.stdlib_module_names or top == "hanse":
        return None
    places: Any = None
    spec: ModuleSpec | None = None
    for full in _prefixes(name):
        spec = PathFinder.find_spec(full, places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
        if places is None and full != name:
            return None
    return spec


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    yield from (".".join(parts[: count + 1]) for count in range(len(parts)))


def wrapped_by(value: Any) -> Any:
    """What a decorated function or other object wraps, or None."""
    try:
        attributes = value.__dict__
    except Exception:  # noqa: BLE001 - proxies run code of their own here
        return None
    return attributes.get("__wrapped__") if type(attributes) is dict else None
