"""Frames on the sockets between main, nursery and workers: a header, a body, descriptors.

Both ends import this; it stays small because the nursery starts with it.
"""

from __future__ import annotations

import _socket
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket

HEADER = Struct("=IQI")  # mark, length of the body, number of descriptors
MARK = 0x48414E53  # so that stray bytes are not taken for a length and waited for
CONTROL = Struct("=qq")  # run, stop: what goes over a worker's control socket
NEWS = Struct("=qqq")  # kind, worker, pid or wait status: what the nursery tells main
BORN, DIED, UNBORN = 1, 2, 3

_FDS = 250  # the kernel takes at most 253 in one message
_ROOM = _socket.CMSG_SPACE(_FDS * 4)
_CLOEXEC = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)  # programs that a task starts inherit none
_READ = 64 * 1024


def rights(fds: list[int]) -> list[tuple[int, int, bytes]]:
    """Ancillary data that carries descriptors."""
    if not fds:
        return []
    packed = Struct(f"{len(fds)}i").pack(*fds)
    return [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)]


def pieces(body: bytes, fds: list[int]) -> list[tuple[bytes, list[int]]]:
    """A frame as messages of bytes with descriptors; more than one only for very many of them."""
    some = []
    while len(fds) > _FDS:  # empty frames that only bring descriptors for the real one
        some.append((HEADER.pack(MARK, 0, 0), fds[:_FDS]))
        fds = fds[_FDS:]
    own = len(some) * _FDS + len(fds)
    some.append((HEADER.pack(MARK, len(body), own) + body, fds))
    return some


def send(sock: socket, body: bytes, fds: list[int]) -> None:
    """Send a frame on a blocking socket."""
    if not fds:
        data = HEADER.pack(MARK, len(body), 0) + body
        sent = sock.send(data)
        if sent < len(data):
            sock.sendall(memoryview(data)[sent:])
        return
    for data, some in pieces(body, fds):
        sent = sock.sendmsg([data], rights(some))
        if sent < len(data):
            sock.sendall(memoryview(data)[sent:])


class Inbox:
    """Puts frames together from what a stream socket yields."""

    def __init__(self, sock: socket, most_bytes: int = 1 << 62, most_fds: int = 1 << 62) -> None:
        self._sock = sock
        self._most_bytes = most_bytes
        self._most_fds = most_fds
        self._rest = b""
        self._fds: list[int] = []
        self._large: bytearray | None = None
        self._filled = 0
        self._large_fds = 0

    def read(self) -> list[tuple[bytes | bytearray, list[int]]] | None:
        """Read once: the frames that are complete now, or None at the end of the stream.

        Raises ValueError for what is no frame or a frame past the bounds."""
        if self._large is not None:
            return self._read_large(self._large)
        data, extra, _flags, _from = self._sock.recvmsg(_READ, _ROOM, _CLOEXEC)
        self._keep(extra)
        if not data:
            return None
        return self._parse(self._rest + data if self._rest else data)

    def _parse(self, data: bytes) -> list[tuple[bytes | bytearray, list[int]]]:
        frames: list[tuple[bytes | bytearray, list[int]]] = []
        at, size = 0, HEADER.size
        while len(data) - at >= size:
            mark, length, nfds = HEADER.unpack_from(data, at)
            if mark != MARK or length > self._most_bytes or nfds > self._most_fds:
                raise ValueError(f"no frame, or one of {length} bytes and {nfds} files")
            if len(data) - at - size < length:
                if length > _READ:
                    self._begin_large(data[at + size :], length, nfds)
                    at = len(data)
                break
            at += size + length
            if length:
                frames.append((data[at - length : at], self._take(nfds)))
        self._rest = data[at:]
        return frames

    def _begin_large(self, begin: bytes, length: int, nfds: int) -> None:
        self._large = bytearray(length)
        self._large[: len(begin)] = begin
        self._filled, self._large_fds = len(begin), nfds

    def _read_large(self, large: bytearray) -> list[tuple[bytes | bytearray, list[int]]] | None:
        with memoryview(large) as view:
            count, extra, _flags, _from = self._sock.recvmsg_into(
                [view[self._filled :]], _ROOM, _CLOEXEC
            )
        self._keep(extra)
        if not count:
            return None
        self._filled += count
        if self._filled < len(large):
            return []
        self._large = None
        return [(large, self._take(self._large_fds))]

    def _keep(self, extra: list[tuple[int, int, bytes]]) -> None:
        for _level, _kind, packed in extra:
            self._fds.extend(Struct(f"{len(packed) // 4}i").unpack(packed))
        if len(self._fds) > self._most_fds:
            raise ValueError(f"{len(self._fds)} files that belong to no frame")

    def _take(self, count: int) -> list[int]:
        taken, self._fds = self._fds[:count], self._fds[count:]
        return taken

    def close(self) -> None:
        """Close what arrived and was never taken."""
        import os

        while self._fds:
            os.close(self._fds.pop())
