"""What a function is: everything in its project that it rests on, each with a digest.

A named job refuses to go on with a function that changed. "Changed" must mean the same to Hanse as
to its user: the function's code, or that of the functions and classes of the project that it names,
or the plain values that they use; but no comment, no logger, no run of another day, and no global
that the code itself assigns to, which is state. So the walk starts at the function and follows the
names that code uses: globals, attributes of modules, closures, defaults, decorators, arguments of
partials. Libraries count by name.

What code reaches in other ways (getattr with a computed name, an object's method that the code got
as an argument) is not seen. The same program gives an equal manifest on every run.
"""

from __future__ import annotations

import functools
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from hanse.client.fingerprints.bytecode import PYTHON, Import, Reading, read
from hanse.client.fingerprints.canonical import Canonical, hashed, shown
from hanse.client.fingerprints.classes import fields, functions_in, is_generated, members
from hanse.client.fingerprints.manifest import Manifest, Part
from hanse.client.fingerprints.project import (
    find_module,
    in_module,
    is_ours,
    module_of,
    name_of,
    source_of,
    wrapped_by,
)
from hanse.client.task import Task
from hanse.limits import FINGERPRINT_NESTING, FINGERPRINT_PARTS

_SLOTS = (MemberDescriptorType, GetSetDescriptorType)
_MISSING: Any = object()
_SECRET = re.compile("token|secret|passw|credential|api_?key|private|access_?key|auth")


def fingerprint(function: Callable[..., Any]) -> Manifest:
    """What this function is now. Runs none of its code; may read source files."""
    walk = _Walk()
    walk.use(function, "the function", "", exact=True)
    walk.finish()
    return Manifest(_plain_name(function), walk.parts)


def same_value(one: Any, other: Any) -> bool:
    """Whether two values are the same in every part, whatever their objects say of equality."""

    def named(each: Any) -> str | None:
        if isinstance(each, type):
            return f"class {each.__module__}.{each.__qualname__}"
        if isinstance(each, FunctionType):
            return f"{each.__module__}.{each.__qualname__} {read(each.__code__).digest.hex()}"
        return getattr(each, "__name__", None) if isinstance(each, ModuleType) else None

    def digest(value: Any) -> bytes:
        return Canonical(named, lambda code: read(code).digest, exact=True).digest(value)

    return digest(one) == digest(other)


def _plain_name(function: Any) -> str:
    while isinstance(function, (Task, functools.partial)):
        function = function.__wrapped__ if isinstance(function, Task) else function.func
    if not hasattr(function, "__qualname__"):
        function = type(function)
    module = getattr(function, "__module__", None)
    return in_module(module if isinstance(module, str) else None, function.__qualname__)


class _Walk:
    def __init__(self) -> None:
        self.parts: dict[str, Part] = {}
        self._names: dict[int, str] = {}  # of functions and classes that are or will be parts
        self._alive: list[Any] = []  # so that no id is given twice
        self._taken: set[str] = set()
        self._waiting: deque[Callable[[], None]] = deque()
        self._state: set[str] = set()  # globals that code assigns to
        self._depth = 0

    def finish(self) -> None:
        while self._waiting:
            self._waiting.popleft()()
        for name in self._state:
            self.parts.pop(name, None)

    # --- things of any kind -------------------------------------------------------------------
    def use(self, value: Any, name: str, user: str, *, exact: bool = False) -> str:
        """Take note of what `user` finds under this name, and say what that is."""
        found = self._named(value, user)
        if found is None or (found not in self._taken and not found.startswith("partial(")):
            self._value(value, name, user, exact)
        return found or name

    def _named(self, value: Any, user: str) -> str | None:
        """The name of a function, class or module; those of the project are looked into."""
        kind = type(value)  # not isinstance: proxies answer that with code of their own
        if kind is Task:
            value, kind = value.__wrapped__, type(value.__wrapped__)
        if kind is FunctionType and is_ours(module_of(value)):
            return self._follow(value, user, name_of(value), self._function)
        if issubclass(kind, type):
            return self._follow(value, user, f"class {name_of(value)}", self._class)
        if kind is ModuleType:
            return f"module {value.__name__}"
        if kind is FunctionType:
            return self._once(self._wrapper, value, user)
        if kind is MethodType:
            return self._once(self._method, value, user)
        if issubclass(kind, functools.partial):
            return self._once(self._partial, value, user)
        if wrapped_by(value) is not None:  # such as what lru_cache makes
            return self._once(self._wrapper, value, user)
        if kind is BuiltinFunctionType and type(value.__self__) in (ModuleType, type(None)):
            return name_of(value)
        return None

    def _once(self, make: Callable[[Any, str], str], value: Any, user: str) -> str:
        """The name of what others are bound to, and note of these."""
        if id(value) not in self._names:
            self._alive.append(value)
            self._names[id(value)] = "itself"  # while we are in it
            self._names[id(value)] = make(value, user)
        return self._names[id(value)]

    def _wrapper(self, value: Any, user: str) -> str:
        """A library's wrapper: what it wraps is in its attributes or closure."""
        own = name_of(value if type(value) is FunctionType else type(value))
        inner = [wrapped_by(value), *map(_content, getattr(value, "__closure__", None) or ())]
        ours = [each for each in inner if issubclass(type(each), (FunctionType, Task, type))]
        names = [self._named(each, user) for each in ours]
        return " of ".join([own, *dict.fromkeys(filter(None, names))])

    def _method(self, value: MethodType, user: str) -> str:
        function = self._named(value.__func__, user) or "?"
        owner = value.__self__
        if issubclass(type(owner), (type, ModuleType)):
            self._named(owner, user)
        else:
            self._value(owner, f"the object of {function}", user, exact=True)
        return f"method {function}"

    def _partial(self, value: functools.partial[Any], user: str) -> str:
        name = f"partial({self._named(value.func, user) or name_of(type(value.func))})"
        for at, argument in enumerate(value.args, 1):
            self.use(argument, f"argument {at} of {name}", user, exact=True)
        for key, argument in value.keywords.items():
            self.use(argument, f"argument `{key}` of {name}", user, exact=True)
        return name

    def _value(self, value: Any, name: str, user: str, exact: bool) -> None:
        if self._depth > FINGERPRINT_NESTING or self._is_full():
            return
        name = self._free(name)
        self._depth += 1
        try:
            canonical = Canonical(
                lambda each: self._named(each, user), lambda code: read(code).digest, exact=exact
            )
            digest = canonical.digest(value)
            text = None  # a secret is compared, and shown nowhere
            if not _SECRET.search(name.lower()):
                text = shown(value, lambda each: self._named(each, user))
        finally:
            self._depth -= 1
        self.parts[name] = Part(digest, user, shown=text)

    # --- functions and classes of the project -------------------------------------------------
    def _follow(
        self, thing: Any, user: str, name: str, look: Callable[[Any, str, str], None]
    ) -> str:
        """Look into the thing later, once."""
        known = self._names.get(id(thing))
        if known is not None or not is_ours(module_of(thing)) or self._is_full():
            return known or name
        name = self._names[id(thing)] = self._free(name)
        self._alive.append(thing)
        self._waiting.append(lambda: look(thing, name, user))
        return name

    def _is_full(self) -> bool:
        return len(self._taken) >= FINGERPRINT_PARTS

    def _free(self, name: str) -> str:
        """The name, or with a number if another part has it."""
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name} ({count})"
        self._taken.add(found)
        return found

    def _function(self, function: FunctionType, name: str, user: str) -> None:
        reading = read(function.__code__)
        self.parts[name] = Part(b"", user)  # in its place, before what it uses
        used = [*self._globals(function, reading, name), *self._cells(function, reading, name)]
        self._defaults(function, name)
        if wrapped_by(function) is not None:
            self._named(wrapped_by(function), name)
        package = str(function.__globals__.get("__package__") or "")
        self._imports(reading.imports, package, name)
        digest = hashed(reading.digest, *(each.encode() for each in used))
        source = source_of(function.__code__, function.__globals__)
        self.parts[name] = Part(digest, user, PYTHON, source)

    def _globals(self, function: FunctionType, reading: Reading, user: str) -> Iterable[str]:
        names, module = function.__globals__, module_of(function)
        self._state.update(f"value {in_module(module, name)}" for name in reading.assigned)
        for first, *attributes in reading.globals:
            if first in names and not first.startswith("__"):
                yield self._attribute(names[first], module, first, attributes, user)

    def _attribute(
        self, value: Any, module: str | None, name: str, attributes: list[str], user: str
    ) -> str:
        """What the code gets that names this and asks for the attributes, as far as modules of the
        project go."""
        for attribute in attributes:
            if not isinstance(value, ModuleType) or not is_ours(value.__name__):
                break
            found = vars(value).get(attribute, _MISSING)
            if found is _MISSING:
                break
            module, name, value = value.__name__, attribute, found
        return self.use_once(value, f"value {in_module(module, name)}", user)

    def use_once(self, value: Any, name: str, user: str) -> str:
        """The same for a value that may be named at several places."""
        return name if name in self.parts else self.use(value, name, user)

    def _cells(self, function: FunctionType, reading: Reading, user: str) -> Iterable[str]:
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            value = _content(cell)
            if value is _MISSING:
                continue
            if isinstance(value, ModuleType):
                for first, *attributes in reading.cells:
                    if first == name:
                        yield self._attribute(value, None, name, attributes, user)
            yield self.use(value, f"closure cell `{name}` of {user}", user, exact=True)

    def _defaults(self, function: FunctionType, user: str) -> None:
        code, positional = function.__code__, function.__defaults__ or ()
        names = code.co_varnames[: code.co_argcount][-len(positional) :] if positional else ()
        pairs = [*zip(names, positional, strict=False), *(function.__kwdefaults__ or {}).items()]
        for name, value in pairs:
            self.use(value, f"default `{name}` of {user}", user)

    def _imports(self, imports: Iterable[Import], package: str, user: str) -> None:
        """Modules of the project that code imports when it runs: each as a whole."""
        import importlib.util

        for each in imports:
            try:
                dots = "." * each.level
                module = importlib.util.resolve_name(dots + each.module, package or None)
            except (ImportError, ValueError):
                continue
            for name in (module, *(f"{module}.{name}" for name in each.names)):
                self._module(name, user)

    def _module(self, name: str, user: str) -> None:
        key = f"module {name}"
        found = None if key in self._taken or self._is_full() else find_module(name)
        if found is None:
            return
        code, source = found
        reading = read(code)
        self.parts[self._free(key)] = Part(reading.digest, user, PYTHON, source)
        is_package = code.co_filename.endswith("__init__.py")
        package = name if is_package else name.rpartition(".")[0]
        self._waiting.append(lambda: self._imports(reading.imports, package, key))

    def _class(self, cls: type, name: str, user: str) -> None:
        self.parts[name] = Part(b"", user)
        meta = [type(cls)] if is_ours(module_of(type(cls))) else []
        bases = [self._named(each, name) or "?" for each in (*cls.__bases__, *meta)]
        parts = [*fields(cls), *self._made(cls, name)]
        for attribute, member in members(cls):
            functions = functions_in(member)
            for function in functions:
                if not is_generated(wrapped_by(function) or function):
                    self._named(function, name)
            if not functions and not isinstance(member, _SLOTS):
                self.use(member, f"value {name_of(cls)}.{attribute}", name)
        above = ", ".join(base.removeprefix("class ") for base in bases)
        text = f"({above}) with the fields {', '.join(parts) or 'none'}"
        self.parts[name] = Part(hashed(text.encode()), user, shown=text)

    def _made(self, cls: type, user: str) -> Iterator[str]:
        """What makes the fields of a dataclass, and how it was asked to be."""
        for each in vars(cls).get("__dataclass_fields__", {}).values():
            maker = self._named(each.default_factory, user)
            if maker is not None:
                yield f"{each.name} made by {maker.removeprefix('class ')}"
        asked = vars(cls).get("__dataclass_params__")
        yield from (name for name in ("frozen", "order") if getattr(asked, name, False))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING  # not filled yet
