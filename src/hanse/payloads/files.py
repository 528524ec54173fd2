"""Anonymous files that carry large buffers beside a pickle stream.

A file has no name: it lives in descriptors and mappings only, so nothing can be left behind, and
nothing is ever in /dev/shm. Whoever receives one maps it copy-on-write: arrays are writable and
private, without a copy. Each mapping holds a descriptor, so only so many are kept; beyond that the
bytes are read into memory.
"""

from __future__ import annotations

import mmap
import os

from hanse.limits import MAPPED_FILES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import ReadableBuffer

_ALIGN = 64  # what numpy and vector instructions like


# Who holds a descriptor in this process: files and mappings, by id. A set, because adding and
# discarding are each one step that no other thread can tear, and doing either twice does no harm.
_live: set[int] = set()


class _Mapping(mmap.mmap):
    def __del__(self) -> None:
        _live.discard(id(self))


def make_anonymous() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("hanse", os.MFD_CLOEXEC)
    import tempfile

    fd, path = tempfile.mkstemp(prefix="hanse-")
    os.unlink(path)
    return fd


def _write(fd: int, buffer: ReadableBuffer, offset: int) -> None:
    view = memoryview(buffer).cast("B")
    while view:
        written = os.pwrite(fd, view, offset)
        view, offset = view[written:], offset + written


class File:
    """An anonymous file, or its bytes in memory once too many files are open."""

    __slots__ = ("_end", "_memory", "fd", "size")

    def __init__(self, fd: int, size: int) -> None:
        self.fd = fd
        self.size = size
        self._end = 0  # of what was appended
        self._memory: bytes | None = None
        _live.add(id(self))

    @classmethod
    def of(cls, buffers: Sequence[ReadableBuffer]) -> tuple[File, list[tuple[int, int]]]:
        """A file with these buffers, and the offset and length of each."""
        file = cls.empty()
        return file, [file.append(buffer) for buffer in buffers]

    @classmethod
    def empty(cls) -> File:
        """A file that grows by `append`; one that stays empty still holds a byte to map."""
        file = cls(make_anonymous(), 1)
        os.ftruncate(file.fd, 1)
        return file

    def append(self, buffer: ReadableBuffer) -> tuple[int, int]:
        """Copy a buffer to the end; its offset and length."""
        length = memoryview(buffer).nbytes
        offset = -(-self._end // _ALIGN) * _ALIGN
        _write(self.fd, buffer, offset)
        self._end = offset + length
        if length:
            self.size = self._end
        return offset, length

    @classmethod
    def received(cls, fd: int, size: int) -> File:
        """Own a descriptor that came from another process."""
        file = cls(fd, size)
        if len(_live) > MAPPED_FILES:
            file._into_memory()
        return file

    def _into_memory(self) -> None:
        parts, offset = [], 0
        while offset < self.size and (part := os.pread(self.fd, self.size - offset, offset)):
            parts.append(part)
            offset += len(part)
        self._memory = b"".join(parts)
        self._close()

    def view(self) -> memoryview:
        """The bytes, writable; what is written stays private to this view."""
        if self._memory is not None:
            return memoryview(bytearray(self._memory))
        if len(_live) >= MAPPED_FILES:
            self._into_memory()
            return self.view()
        mapping = _Mapping(self.fd, self.size, access=mmap.ACCESS_COPY)
        _live.add(id(mapping))
        return memoryview(mapping)

    def sendable(self) -> File:
        """This file, or a new one with its bytes, that has a descriptor."""
        if self._memory is None:
            return self
        return File.of([self._memory])[0]

    def _close(self) -> None:
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            _live.discard(id(self))
            os.close(fd)

    def __del__(self) -> None:
        try:
            self._close()
        except OSError:
            pass  # closed under us by code that closes every descriptor
