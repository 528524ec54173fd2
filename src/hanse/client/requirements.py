"""What the code of a job needs of the Python that runs it: its minor version, and the installed
packages that it imports.

The pickle of a function names every module that is imported when it is loaded. Those of the project
travel with it, so their own imports count too, as far as their first column has them: what is
imported inside a function may never be asked for.
"""

from __future__ import annotations

import ast
import os
import pickletools
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from hanse import limits
from hanse.client.distributions import distribution_of, version_of
from hanse.client.fingerprints.project import is_ours
from hanse.model.fit import Requires, canonical
from hanse.payloads.payload import Payload
from hanse.runtime.machine import python_version

_PUSHES = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
_SUBIMPORT = ("cloudpickle.cloudpickle", "subimport")  # of a module among a function's globals
_EVERYWHERE = {"hanse", "cloudpickle", "__main__", "builtins"}


def requirements(functions: Iterable[Payload]) -> Requires:
    """
    Args:
        functions: the pickles of what a job calls.
    """
    modules: set[str] = set()
    for payload in functions:
        modules |= modules_in(payload.data)
    packages: dict[str, str] = {}
    for module in _installed(modules):
        if module.partition(".")[0] in _EVERYWHERE:
            continue
        distribution = distribution_of(module)
        version = version_of(distribution) if distribution is not None else None
        if distribution is not None and version is not None:
            packages[canonical(distribution)] = version
    return Requires(python=python_version(), packages=packages)


def _installed(modules: set[str]) -> set[str]:
    """These modules and what those of the project import, without those of the project."""
    found: set[str] = set()
    seen: set[str] = set()
    left = list(modules)
    budget = limits.LOOKED_AT_BYTES
    while left:
        name = _loaded(left.pop())
        if name in seen or name == "__main__":
            continue
        seen.add(name)
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        if name not in sys.modules or not is_ours(name):
            found.add(name)
            continue
        if "." in name:
            left.append(name.rpartition(".")[0])  # its package is imported first
        file = _source_file(name)
        if file is not None and file.size <= budget:
            budget -= file.size
            left += _imports_in(file, _package(name))
    return found


def _loaded(name: str) -> str:
    """The module of this name, or the nearest above it, if it is one that is loaded: of what is
    imported from a module it is not said whether that is a module too."""
    nearest = name
    while nearest and nearest not in sys.modules:
        nearest = nearest.rpartition(".")[0]
    return nearest or name


def _package(module: str) -> str:
    """What its relative imports are relative to."""
    spec = getattr(sys.modules[module], "__spec__", None)
    return getattr(spec, "parent", None) or module.rpartition(".")[0]


class _File(NamedTuple):
    path: str
    size: int
    changed_ns: int


def _source_file(module: str) -> _File | None:
    path = getattr(sys.modules[module], "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return _File(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=limits.CODE_FILES)
def _imports_in(file: _File, package: str) -> list[str]:
    """What the file imports by statements in its first column: modules, and what may be modules.
    Raises nothing."""
    try:
        with open(file.path, "rb") as opened:
            tree = ast.parse(opened.read(), file.path)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names: list[str] = []
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            names += (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            source = _absolute(statement, package)
            if source:
                names.append(source)
                names += (f"{source}.{alias.name}" for alias in statement.names)
    return names


def _absolute(statement: ast.ImportFrom, package: str) -> str:
    """Empty if it is relative to what is above all packages."""
    if not statement.level:
        return statement.module or ""
    above = package.split(".")[: len(package.split(".")) - statement.level + 1]
    return ".".join([*above, statement.module] if above and statement.module else above)


def modules_in(stream: bytes | bytearray | memoryview) -> set[str]:
    """The modules that reading this pickle imports, found without reading it; of a long one, those
    of its beginning. None if it is no pickle."""
    found: set[str] = set()
    try:
        for module in _modules_in(bytes(memoryview(stream)[: limits.LOOKED_AT_BYTES])):
            found.add(module)
    except ValueError:  # it is cut off where the looking ends, or is no pickle
        return found if len(stream) > limits.LOOKED_AT_BYTES else set()
    return found


def _modules_in(stream: bytes) -> Iterator[str]:
    memo: list[Any] = []
    top: list[Any] = []  # what was pushed last; only neighbours matter
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name in _PUSHES:
            top.append(argument)
        elif name == "MEMOIZE":
            memo.append(top[-1] if top else None)
        elif name in ("BINGET", "LONG_BINGET"):
            number = argument if isinstance(argument, int) else len(memo)
            top.append(memo[number] if number < len(memo) else None)
        elif name == "STACK_GLOBAL" and len(top) > 1:
            attribute, module = top.pop(), top.pop()
            if isinstance(module, str):
                yield module
            top.append((module, attribute))
        elif name == "TUPLE1" and top:
            top[-1] = [top[-1]]
        elif name == "REDUCE" and len(top) > 1:
            arguments, function = top.pop(), top.pop()
            if function == _SUBIMPORT and isinstance(arguments, list):
                yield from (each for each in arguments if isinstance(each, str))
            top.append(None)
        else:
            top.append(None)
        del top[:-4]
