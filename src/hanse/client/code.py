"""The program's own modules, for a node that does not have them.

What is sent is what `import` may ask for there: the modules of the project that are loaded here,
the other modules of their packages, and those that any of these import when they run. Not the
standard library, not what is installed, not Hanse; and no data files. A loaded module is sent as it
was when it was first looked at: what is edited while the program runs has no effect here either,
until it is reloaded.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any, NamedTuple

from hanse.client.fingerprints.project import has_own_file, is_ours
from hanse.errors import UsageError
from hanse.limits import CODE_BYTES, CODE_FILES, CODE_PLACES
from hanse.remote.code import Project
from hanse.wire.code import file_digest, may_be_named

_logger = logging.getLogger("hanse")
_STANDARD = tuple(
    os.path.dirname(path) + os.sep for path in (os.__file__, os.path.realpath(os.__file__))
)
# Two travel by value, and two start Python here.
_NOT_SENT = {"__main__", "__mp_main__", "sitecustomize", "usercustomize"}
_IMPORTS = re.compile(rb"^[ \t]*(?:from[ \t]+([A-Za-z_]\w*)|import[ \t]+([^\n#;]+))", re.MULTILINE)


class _File(NamedTuple):
    """A module's file as it was read.

    Attributes:
        state: what tells whether it is another by now: the spec of a loaded module, which a reload
            replaces; else time and size.
        imports: the top names that it imports, as far as its text tells.
    """

    state: Any
    digest: str
    content: bytes
    imports: frozenset[str]


class _TooMuch(Exception):
    """More than may be sent."""


class Gatherer:
    """Finds the program's modules, and remembers what it has read of them."""

    def __init__(self) -> None:
        self._read_before: dict[str, _File] = {}
        self._warned = False

    def __call__(self) -> Project:
        """Raises UsageError if the modules that are loaded are more than may be sent."""
        loaded = dict(_loaded())
        try:
            return self._project(loaded, True)
        except _TooMuch:
            pass
        try:
            project = self._project(loaded, False)
        except _TooMuch as error:
            raise UsageError(
                f"the program has loaded more modules of its own than may be sent to a node "
                f"({CODE_FILES:,} files, {CODE_BYTES >> 20} MiB), most of them in "
                f"{_largest(loaded)}: install them here and at the node"
            ) from error
        if not self._warned:
            self._warned = True
            _logger.warning(
                "hanse: the packages of this program have more modules than may be sent to a node "
                "(%s files, %d MiB), so it only gets those that are loaded here", f"{CODE_FILES:,}",
                CODE_BYTES >> 20,
            )  # fmt: skip
        return project

    def _project(self, loaded: Mapping[str, tuple[str, ModuleSpec | None]], whole: bool) -> Project:
        taking = _Taking(self._read_before)
        imports = _imports_of_main()
        for name, (path, spec) in loaded.items():
            imports |= taking.take(name, path, spec)
        if not whole:
            return taking.project()
        looked: set[str] = set()
        for top in sorted({name.partition("/")[0].removesuffix(".py") for name in loaded}):
            looked.add(top)
            imports |= taking.walk(top, _places(sys.modules.get(top)))
        while imports := imports - looked:
            looked |= imports
            imports = frozenset().union(*[_import(top, taking) for top in sorted(imports)])
        return taking.project()


def _import(top: str, taking: _Taking) -> frozenset[str]:
    """Take a module that would be imported, if it is the project's; returns what that imports."""
    if top in sys.stdlib_module_names or top == "hanse" or top in _NOT_SENT:
        return frozenset()
    if top in sys.modules:  # at most a package that has no file of its own: others were looked at
        return taking.walk(top, _places(sys.modules[top]))
    spec = PathFinder.find_spec(top)
    if spec is None or not has_own_file(spec, spec.origin if spec.has_location else None):
        return frozenset()
    if spec.submodule_search_locations is not None:
        return taking.walk(top, spec.submodule_search_locations)
    if spec.origin is None or _is_standard(spec.origin):
        return frozenset()
    return taking.take(f"{top}.py", spec.origin, None)


class _Taking:
    """The files so far. What is more than may be sent raises _TooMuch."""

    def __init__(self, read_before: dict[str, _File]) -> None:
        self._read_before = read_before
        self._files: dict[str, str] = {}
        self._content: dict[str, bytes] = {}
        self._bytes = 0
        self._left = CODE_PLACES

    def take(self, name: str, path: str, spec: ModuleSpec | None) -> frozenset[str]:
        """Take a file; returns what it imports."""
        if name in self._files or not path.endswith(".py") or not may_be_named(name):
            return frozenset()
        try:
            file = self._read(path, spec)
        except OSError:  # gone since it was loaded, or inside an archive
            return frozenset()
        self._files[name] = file.digest
        self._content[file.digest] = file.content
        self._bytes += len(file.content)
        if len(self._files) > CODE_FILES or self._bytes > CODE_BYTES:
            raise _TooMuch
        return file.imports

    def _read(self, path: str, spec: ModuleSpec | None) -> _File:
        known = self._read_before.get(path)
        if known is not None and spec is not None and known.state is spec:
            return known
        found = os.stat(path)
        state: Any = (found.st_mtime_ns, found.st_size) if spec is None else spec
        if known is not None and spec is None and known.state == state:
            return known
        if not stat.S_ISREG(found.st_mode):
            raise OSError(f"{path} is no file")
        if found.st_size > CODE_BYTES:
            raise _TooMuch
        with open(path, "rb") as opened:
            content = opened.read()
        file = _File(state, file_digest(content), content, _imports_in(content))
        self._read_before[path] = file
        return file

    def walk(self, name: str, places: Iterable[str]) -> frozenset[str]:
        """Take all modules of a package, which is in these directories."""
        imports: set[str] = set()
        for place in list(places):
            if has_own_file(None, place) and not _is_standard(place):
                imports |= self._walk(name, place, frozenset())
        return frozenset(imports)

    def _walk(self, name: str, place: str, above: frozenset[tuple[int, int]]) -> set[str]:
        """`above`: the directories that lead here, so that no link goes round."""
        imports: set[str] = set()
        at, entries = _look(place)
        if at in above:
            return imports
        for entry in entries:
            self._left -= 1
            if self._left < 0:
                raise _TooMuch
            if entry.name.endswith(".py"):
                imports |= self.take(f"{name}/{entry.name}", entry.path, None)
            elif may_be_named(f"{name}/{entry.name}.py") and _may_be_package(entry):
                imports |= self._walk(f"{name}/{entry.name}", entry.path, above | {at})
        return imports

    def project(self) -> Project:
        return Project(self._files, self._content)


def _loaded() -> Iterator[tuple[str, tuple[str, ModuleSpec | None]]]:
    """The modules of the project that are loaded: the names of their files, and where they are."""
    for name, module in list(sys.modules.items()):
        if name in _NOT_SENT:
            continue
        try:
            file = getattr(module, "__file__", None)
            if not isinstance(file, str) or not is_ours(name) or _is_standard(file):
                continue
            package, spec = hasattr(module, "__path__"), getattr(module, "__spec__", None)
        except Exception:  # noqa: BLE001 - anything may stand in sys.modules, and answer as it likes
            continue
        at = name.replace(".", "/") + ("/__init__.py" if package else ".py")
        yield at, (file, spec if isinstance(spec, ModuleSpec) else None)


def _places(module: Any) -> list[str]:
    """The directories of a package."""
    try:
        return [place for place in getattr(module, "__path__", ()) if isinstance(place, str)]
    except Exception:  # noqa: BLE001 - see above
        return []


def _is_standard(path: str) -> bool:
    """What Python brings that has no well-known name, such as _sysconfigdata_..."""
    return path.startswith(_STANDARD)


def _imports_of_main() -> frozenset[str]:
    try:
        with open(sys.modules["__main__"].__file__ or "", "rb") as opened:
            return _imports_in(opened.read(CODE_BYTES))
    except (AttributeError, KeyError, OSError, TypeError):  # a prompt, a notebook
        return frozenset()


def _imports_in(source: bytes) -> frozenset[str]:
    """The top names that a source imports. It only looks at lines: a name too many does no harm."""
    found: set[str] = set()
    for above, names in _IMPORTS.findall(source):
        for each in (above, *names.split(b",")):
            top = each.split(b".")[0].split()
            if top:
                found.add(top[0].decode("ascii", "replace"))
    return frozenset(found)


def _look(place: str) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """Which directory it is, and what is in it; nothing if it cannot be read."""
    try:
        found = os.stat(place)
        with os.scandir(place) as entries:
            here = sorted(entries, key=lambda entry: entry.name)
        return (found.st_dev, found.st_ino), here
    except OSError:
        return (0, 0), []


def _may_be_package(entry: os.DirEntry[str]) -> bool:
    """A directory that is no cache and no environment."""
    environment = os.path.join(entry.path, "pyvenv.cfg")
    try:
        return entry.name != "__pycache__" and entry.is_dir() and not os.path.exists(environment)
    except OSError:
        return False


def _largest(loaded: Mapping[str, Any]) -> str:
    tops = [name.partition("/")[0] for name in loaded]
    return max(set(tops), key=tops.count, default="one file")
