"""Large arrays inside what is pickled: sent once, and read-only where they are used.

An array travels as a value that was put, which a site keeps while calls refer to it. What is kept
there is its pickle, not the object: every call unpickles its own, around the same read-only bytes.
So no call can change what another one sees, and nothing is copied.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import sys
import threading
import weakref
from collections import ChainMap
from collections.abc import Callable, Sequence
from typing import Any

from hanse.client.future import Future

_here = threading.local()


class Shared:
    """A pickled object whose buffers lie beside its stream."""

    __slots__ = ("_buffers", "stream")

    def __init__(self, stream: bytes, buffers: Sequence[Any]) -> None:
        self.stream = stream
        self._buffers = buffers

    def __reduce__(self) -> tuple[Any, ...]:
        return Shared, (self.stream, list(self._buffers))

    def value(self) -> Any:
        """A new object, around the same read-only bytes."""
        views = [memoryview(buffer).toreadonly() for buffer in self._buffers]
        return pickle.loads(self.stream, buffers=views)  # noqa: S301 - the program's own


def load(stream: bytes, buffers: list[Any], shared: list[Shared]) -> Any:
    """What `Sharing.dump` pickled."""
    outer, _here.shared = getattr(_here, "shared", None), shared
    try:
        return pickle.loads(stream, buffers=buffers)  # noqa: S301 - the program's own
    finally:
        _here.shared = outer


def _value(number: int) -> Any:
    return _here.shared[number].value()


class Sharing:
    """Pickles values, and puts each large array in them once."""

    def __init__(self, put: Callable[[Any], Future[Any]], threshold: int | None) -> None:
        """`threshold`: bytes from which on an array is large; None: none is."""
        self._put = put
        self._threshold = threshold
        self._known: dict[int, tuple[weakref.ref[Any], Future[Shared]]] = {}
        self._lock = threading.Lock()

    def clear(self) -> None:
        """Arrays may have changed by the next time: forget them."""
        with self._lock:
            self._known.clear()

    def dump(self, value: Any) -> tuple[bytes, list[Any], list[Future[Shared]]]:
        """The stream, its buffers, and the shared values in it. Raises what pickling raises."""
        try:
            dumped = self._dump(value, pickle.Pickler)
            if b"__main__" not in dumped[0]:
                return dumped
        except Exception:  # noqa: BLE001 - whatever a __reduce__ raises; cloudpickle may do better
            pass
        import cloudpickle

        return self._dump(value, cloudpickle.Pickler)

    def _dump(self, value: Any, kind: Any) -> tuple[bytes, list[Any], list[Future[Shared]]]:
        file, shared = io.BytesIO(), []
        buffers: list[Any] = []
        numpy = sys.modules.get("numpy")
        if numpy is not None and self._threshold is not None:

            def reduce(array: Any) -> Any:
                if array.nbytes < self._threshold or array.dtype.hasobject:
                    return array.__reduce_ex__(5)
                shared.append(self._share(array))
                return _value, (len(shared) - 1,)

            base = kind.__dict__.get("dispatch_table", copyreg.dispatch_table)
            table = ChainMap({numpy.ndarray: reduce, numpy.memmap: reduce}, base)
            kind = type("Pickler", (kind,), {"dispatch_table": table})  # read as it is made
        kind(file, protocol=5, buffer_callback=buffers.append).dump(value)
        return file.getvalue(), buffers, shared

    def _share(self, array: Any) -> Future[Shared]:
        with self._lock:
            found = self._known.get(id(array))
            if found is not None and found[0]() is array:
                return found[1]
        buffers: list[Any] = []
        plain = array.view(sys.modules["numpy"].ndarray)  # a mapped file too
        stream = pickle.dumps(plain, protocol=5, buffer_callback=buffers.append)
        future: Future[Shared] = self._put(Shared(stream, buffers))
        key = id(array)
        with self._lock:
            self._known[key] = weakref.ref(array, lambda _: self._known.pop(key, None)), future
        return future
