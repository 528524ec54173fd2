"""Programs and blocks as a worker holds them: functions loaded, inputs decoded.

Only here does a worker unpickle what the user sent.
"""

from __future__ import annotations

from hanse.payloads.packing import unpack
from hanse.payloads.payload import Payload, load_each, load_one

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


class Broken:
    """In place of an input that cannot be read."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class LoadFailed(Exception):
    """The program cannot run here: `cause` is "argument" or "initializer"."""

    def __init__(self, cause: str, error: BaseException) -> None:
        self.cause = cause
        self.error = error


class Initializer:
    """A function that is called once in this worker, whichever of its programs comes first."""

    def __init__(self, payload: Payload) -> None:
        self._payload: Payload | None = payload
        self._failed: LoadFailed | None = None

    def call(self) -> None:
        """Raises LoadFailed every time if the one call did."""
        payload, self._payload = self._payload, None
        if payload is not None:
            try:
                function, args = load_function(payload)
                function(*args)
            except BaseException as error:  # noqa: BLE001 - whatever it raises, no item can run
                self._failed = LoadFailed("initializer", error)
        if self._failed is not None:
            raise self._failed


class Loaded:
    """A program whose functions are there."""

    def __init__(
        self, packed: tuple[Any, ...], fds: list[int], initializer: Initializer | None
    ) -> None:
        (
            self.key,
            self.job,
            self.star,
            self.each,
            self.careful,
            self.memory_bytes,
            function,
            fold,
            _initializer,
        ) = packed
        self.has_function = function is not None
        self._payloads = [unpack(one, fds) if one else None for one in (function, fold)]
        self._initializer = initializer
        self.function: Any = None
        self.fold: Any = None
        self.chunk = 1  # items of the next chunk
        self.fast = False  # items are so short that they run in micro-batches
        self._failed: LoadFailed | None = None
        self._ready = False

    def prepare(self) -> None:
        """Call the initializer and load the functions, once. Raises LoadFailed every time."""
        if self._failed:
            raise self._failed
        if self._ready:
            return
        try:
            if self._initializer is not None:
                self._initializer.call()
            loaded = [load_function(one) if one else None for one in self._payloads]
        except LoadFailed as failed:
            self._failed = failed
            raise
        except BaseException as error:
            self._failed = LoadFailed("argument", error)
            raise self._failed from error
        self.function, self.fold = loaded
        if self.function is None:
            self.function = _call
        self._payloads = []
        self._ready = True


def _call(call: tuple[Any, tuple[Any, ...], dict[str, Any]]) -> Any:
    function, args, kwargs = call
    return function(*args, **kwargs)


def load_function(payload: Any) -> Any:
    """Load a function; if its module is missing, once more with what `site` adds.

    The nursery starts without `site` for speed; editable installs put import hooks there."""
    try:
        return load_one(payload)
    except ImportError:
        import sys

        before = list(sys.path)
        import site

        site.main()
        sys.path[:] = before + [path for path in sys.path if path not in before]
        return load_one(payload)


class Store:
    """What a worker keeps between works; main knows what is here and sends only the rest."""

    def __init__(self) -> None:
        self.programs: dict[int, Loaded] = {}
        self.functions: dict[int, Any] = {}
        self._blocks: dict[int, Any] = {}
        self._initializers: dict[int, Initializer] = {}
        self._values: dict[Any, Any] = {}

    def program(self, packed: Any, fds: list[int]) -> Loaded:
        if isinstance(packed, int):
            return self.programs[packed]
        program = Loaded(packed, fds, self._initializer(packed[-1], fds))
        self.programs[program.key] = program
        return program

    def _initializer(self, numbered: Any, fds: list[int]) -> Initializer | None:
        if numbered is None:
            return None
        number, packed = numbered
        if packed:
            self._initializers[number] = Initializer(unpack(packed, fds))
        return self._initializers[number]

    def add(
        self,
        functions: dict[int, Any],
        blocks: list[tuple[Any, ...]],
        values: dict[Any, Any],
        fds: list[int],
    ) -> None:
        """Keep what came with a work; nothing is unpickled yet."""
        for key, one in functions.items():
            self.functions[key] = unpack(one, fds)
        for number, _start, one in blocks:
            if one:
                self._blocks[number] = unpack(one, fds)
        self._values = {at: unpack(one, fds) for at, one in values.items()}

    def read(self, program: Loaded, blocks: list[tuple[Any, ...]]) -> list[tuple[int, Any]]:
        """Load the program and its inputs: start and values of each block, in order.

        References inside them find the values that came along. Every reference to a result gets a
        copy of its own, which its item may change; a value that was put is the same for all items
        of a work."""
        values, self._values = self._values, {}
        if not values:
            return self._read(program, blocks)
        from hanse.payloads.references import PUT, providing

        shared: dict[int, Any] = {}

        def lookup(job: str, item: int) -> Any:
            if job != PUT:
                return load_one(values[job, item])
            if item not in shared:
                shared[item] = load_one(values[job, item])
            return shared[item]

        with providing(lookup):
            return self._read(program, blocks)

    def _read(self, program: Loaded, blocks: list[tuple[Any, ...]]) -> list[tuple[int, Any]]:
        program.prepare()
        calls = not program.has_function
        some = []
        for number, start, _ in blocks:
            block = self._blocks[number]
            if isinstance(block, Payload):
                block = self._blocks[number] = self._decode(block, calls)
            some.append((start, block))
        return some

    def forget(self, blocks: list[int], programs: list[int], functions: list[int]) -> None:
        for table, keys in (
            (self._blocks, blocks),
            (self.programs, programs),
            (self.functions, functions),
        ):
            for key in keys:
                table.pop(key, None)

    def _decode(self, payload: Any, calls: bool) -> Sequence[Any]:
        try:
            values = load_each(payload, Broken)
        except BaseException as error:  # noqa: BLE001 - every item of the block fails with it
            return [Broken(error)] * payload.count
        return [self._resolved(call) for call in values] if calls else values

    def _resolved(self, call: Any) -> Any:
        """A call with its function in place of the function's key. A cancelled one is None."""
        if call is None or type(call) is Broken:
            return call
        key, args, kwargs = call
        if type(key) is not int:
            return key, args, kwargs  # the function itself, which travelled by its name
        try:
            function = self.functions[key]
            if isinstance(function, Payload):
                function = self.functions[key] = load_function(function)
        except BaseException as error:  # noqa: BLE001 - reported as the item's failure
            return Broken(error)
        return function, args, kwargs
