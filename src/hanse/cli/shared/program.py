"""A program as `python` would start it: its code, its `__main__`, its `sys.path[0]`.

Not `runpy`: that takes `__main__` away again when the code ends, while exit handlers, threads and
pickled functions of the program still need it.
"""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, ModuleType


class NotFoundError(Exception):
    """There is no such program; the message says what is there instead."""


@dataclass(frozen=True)
class Program:
    """A program that was found, and is not compiled yet."""

    argv0: str
    path0: str
    file: str
    compile: Callable[[], CodeType]
    spec: importlib.machinery.ModuleSpec | None  # of a module; a file has none

    def run(self) -> None:
        """Become this program. Whatever it raises comes through."""
        module = ModuleType("__main__")
        module.__dict__.update(__file__=self.file, __builtins__=builtins, __spec__=self.spec)
        module.__dict__.update(__cached__=None, __annotations__={})
        if self.spec is not None:
            module.__package__ = self.spec.parent
            module.__loader__ = self.spec.loader
        else:
            module.__loader__ = importlib.machinery.SourceFileLoader("__main__", self.file)
        sys.modules["__main__"] = module
        if not sys.flags.safe_path:
            sys.path[0] = self.path0
        exec(self.compile(), module.__dict__)


def from_path(path: str) -> Program:
    """Find a file, or a directory that holds `__main__.py`."""
    file, path0 = os.path.join(os.getcwd(), path), os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        file, path0 = os.path.join(file, "__main__.py"), os.path.abspath(path)
        if not os.path.exists(file):
            raise NotFoundError(f"{path} is a directory without a __main__.py")
    try:
        with io.open_code(file) as stream:
            source = stream.read()
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from None
    # Bytes: compile() then heeds the file's own declaration of its encoding.
    return Program(
        path, path0, file, lambda: compile(source, file, "exec", dont_inherit=True), None
    )


def from_module(name: str) -> Program:
    """Find a module, or a package that holds `__main__`, as `python -m` does."""
    here = os.getcwd()
    if not sys.flags.safe_path:
        sys.path[0] = here  # before the search: modules of this directory come first
    spec = _find(name)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = _find(name + ".__main__")
        if spec is None:
            raise NotFoundError(f"{name} is a package without a __main__ module")
    if spec is None or spec.origin is None or spec.loader is None:
        raise NotFoundError(f"there is no module named {name}")
    loader, found = spec.loader, spec
    get_code = getattr(loader, "get_code", None)
    if get_code is None:
        raise NotFoundError(f"{name} holds no Python code")
    return Program(spec.origin, here, spec.origin, lambda: get_code(found.name), spec)


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            return None
        raise
    except ValueError:  # such as an empty name, or __main__ itself
        return None
