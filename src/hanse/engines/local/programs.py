"""Programs and blocks as a worker holds them: functions loaded, inputs decoded.

Only here does a worker unpickle what the user sent.
"""

from __future__ import annotations

from hanse.payloads.packing import unpack
from hanse.payloads.payload import Payload, load, load_one
from hanse.payloads.streams import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any


PUT = "put"  # as in `payloads.references`, which takes long to import


class _Nothing:
    def __enter__(self) -> None: ...
    def __exit__(self, *_exception: object) -> None: ...


_NOTHING = _Nothing()  # contextlib's takes long to import


class BrokenInput(Exception):
    """An input that cannot be read; it costs only its own item."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


class Inputs:
    """A block of inputs. What is one stream is flat (see `payloads.flat`) and read as a whole;
    anything else stays encoded until its item runs, so that no other item or attempt has changed
    it."""

    def __init__(self, payload: Payload) -> None:
        self.count = payload.count
        self._payload = payload
        self._values: Sequence[Any] | None = None
        self._load: Callable[[Any], Any] | None = None
        self._resolve: Callable[[Any], Any] | None = None

    def open(self, resolve: Callable[[Any], Any] | None) -> None:
        """Be ready for `take`. With `resolve`, items are calls that it makes whole."""
        self._resolve = resolve
        if self._payload.ends is None:
            self._open_stream()
        elif self._load is None:
            self._load = Reader(self._payload)

    def _open_stream(self) -> None:
        if self._values is not None:
            return
        try:
            values = load(self._payload)
            if len(values) != self._payload.count:
                raise ValueError(f"{self._payload.count} inputs were said, {len(values)} came")
            self._values, self._load = values, None
        except BaseException as error:  # noqa: BLE001 - every item of the block fails with it
            self._load = _raiser(error)

    def take(self, low: int, high: int) -> list[Any]:
        """Inputs from `low` to `high`, or what `read` makes them of."""
        return list(range(low, high) if self._values is None else self._values[low:high])

    @property
    def read(self) -> Callable[[Any], Any] | None:
        """Makes an input of what `take` gives. Not kept here: a block that holds itself would stay
        with its files until garbage is looked for, and large inputs make little of that."""
        return self._read if self._load or self._resolve else None

    def _read(self, value: Any) -> Any:
        try:
            if self._load is not None:
                value = self._load(value)
            return self._resolve(value) if self._resolve is not None else value
        except BaseException as error:
            raise BrokenInput(error) from error


def _raiser(error: BaseException) -> Callable[[Any], Any]:
    def fail(_index: Any) -> Any:
        raise error

    return fail


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
            each,
            self.careful,
            self.memory_bytes,
            self.logged,
            self.trace,
            self.trace_every,
            function,
            fold,
            _initializer,
        ) = packed
        self.flat = not each  # all results so far were flat (see `payloads.flat`)
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
        self._blocks: dict[int, Inputs] = {}
        self._initializers: dict[int, Initializer] = {}
        self._values: dict[Any, Any] = {}
        self._puts: dict[int, Any] = {}  # values that were put; read when first asked for

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
                self._blocks[number] = Inputs(unpack(one, fds))
        for at, one in values.items():
            if at[0] != PUT:
                one = unpack(one, fds)
            elif one[1] is not None:
                self._puts[one[0]] = unpack(one[1], fds)
            self._values[at] = one

    def providing(
        self, own: Callable[[str, int], Any] | None = None
    ) -> AbstractContextManager[None]:
        """While a work runs, references in its inputs find the values that came with it.

        Every reference to a result gets a copy of its own, which its item may change; a value that
        was put is the same for all items of a work. `own` finds the results of the work itself."""
        values, self._values = self._values, {}
        if not values and own is None:
            return _NOTHING
        from hanse.payloads.references import providing

        def find(job: str, item: int) -> Any:
            if own is not None and (job, item) not in values:
                return own(job, item)
            found = values[job, item]
            if job != PUT:
                return load_one(found)
            value = self._puts[found[0]]
            if isinstance(value, Payload):
                value = self._puts[found[0]] = load_one(value)
            return value

        return providing(find)

    def inputs(self, program: Loaded, blocks: list[tuple[Any, ...]]) -> list[tuple[int, Inputs]]:
        """Load the program and open its inputs: start and inputs of each block, in order."""
        program.prepare()
        resolve = None if program.has_function else self._resolved
        some = []
        for number, start, _ in blocks:
            block = self._blocks[number]
            block.open(resolve)
            some.append((start, block))
        return some

    def forget(
        self, blocks: list[int], programs: list[int], functions: list[int], puts: list[int]
    ) -> None:
        for table, keys in (
            (self._blocks, blocks),
            (self.programs, programs),
            (self.functions, functions),
            (self._puts, puts),
        ):
            for key in keys:
                table.pop(key, None)

    def _resolved(self, call: tuple[Any, ...]) -> tuple[Any, ...]:
        """A call with its function in place of the function's key."""
        key, args, kwargs = call
        if type(key) is not int:
            return key, args, kwargs  # the function itself, which travelled by its name
        function = self.functions[key]
        if isinstance(function, Payload):
            function = self.functions[key] = load_function(function)
        return function, args, kwargs
