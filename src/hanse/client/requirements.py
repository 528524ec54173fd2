"""What the code of a job needs of the Python that runs it: its minor version, and the installed
packages that it imports.

The pickle of a function names every module that is imported when it is loaded. Those of the project
travel with it, so their own imports count too, as far as their first column has them: what is
imported inside a function may never be asked for.
"""

from __future__ import annotations

import os
import pickletools
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from hanse import limits
from hanse.client.distributions import distribution_of, version_of
from hanse.client.fingerprints.project import is_ours
from hanse.limits import CODE_BYTES
from hanse.model.fit import Requires, canonical
from hanse.payloads.payload import Payload
from hanse.runtime.machine import python_version

_IMPORTS = re.compile(rb"^(?:from[ \t]+([A-Za-z_][\w.]*)|import[ \t]+([^\n#;(]+))", re.MULTILINE)
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
    while left:
        name = left.pop()
        if name in seen or name == "__main__":
            continue
        seen.add(name)
        if name.partition(".")[0] in sys.stdlib_module_names:
            continue
        if name in sys.modules and is_ours(name):
            left += _imports_of(name)
        else:
            found.add(name)
    return found


def _imports_of(module: str) -> list[str]:
    """The modules that one of the project imports in its first column. Raises nothing."""
    path = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(path, str) or not path.endswith(".py"):
        return []
    try:
        if os.path.getsize(path) > CODE_BYTES:
            return []
        with open(path, "rb") as file:
            source = file.read()
    except OSError:
        return []
    names: list[str] = []
    for source_of, imported in _IMPORTS.findall(source):
        for each in (source_of, *imported.split(b",")):
            name = each.split(b" as ")[0].strip().decode("ascii", "replace")
            if name:
                names.append(name)
    return names


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
