"""How messages and their files get from the driver to an actor of its machine and back.

A passage is a socket beside Ray that carries descriptors, so files are not copied at all. It has no
name in the file system, so nothing can be left behind; each end makes sure that the other is of the
same user. To other machines there is a ferry. Until either is there, or where neither can be had,
messages are calls of Ray's, and files go through its object store as bytes: that reaches everybody.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any

from hanse.engines.local.frames import Inbox, send
from hanse.payloads.files import make_anonymous

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_NUMBER = struct.Struct("=q")


class Passage:
    """One end."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._inbox = Inbox(sock)
        self._arrived: dict[int, tuple[bytes, list[int]]] = {}

    def send(self, number: int, body: bytes, fds: Sequence[int]) -> None:
        """A message with its files. Raises OSError if the other end is gone."""
        send(self.sock, _NUMBER.pack(number) + body, list(fds))

    def listen(self, moved: Callable[[], None]) -> None:
        """Read in a thread of its own, until the other end is gone."""

        def read() -> None:
            while self.read():
                moved()

        threading.Thread(target=read, name="hanse-passage", daemon=True).start()

    def read(self) -> bool:
        """Take what has come, waiting for something; false at the end."""
        try:
            frames = self._inbox.read()
        except (OSError, ValueError):
            return False
        for body, fds in frames or ():
            (number,) = _NUMBER.unpack_from(body)
            self._arrived[number] = bytes(memoryview(body)[_NUMBER.size :]), fds
        return frames is not None

    def take(self, number: int) -> tuple[bytes, list[int]] | None:
        """The message with this number, if it has come."""
        return self._arrived.pop(number, None)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # else a thread would go on reading
        self.sock.close()
        self._inbox.close()
        while self._arrived:
            _, (_, fds) = self._arrived.popitem()
            for fd in fds:
                os.close(fd)


class Door:
    """Where the driver finds an actor of its own machine."""

    def __init__(self) -> None:
        self.name = "hanse-" + secrets.token_hex(16)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind("\0" + self.name)
        self.sock.listen(1)

    def open(self) -> Passage | None:
        """Whoever knocks; None if that is no process of this user."""
        return _checked(self.sock.accept()[0])


def find(name: str) -> Passage | None:
    """The passage to an actor's door; None if it is on another machine."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect("\0" + name)
    except OSError:
        sock.close()
        return None
    return _checked(sock)


def _checked(sock: socket.socket) -> Passage | None:
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(credentials)[1] != os.getuid():
        sock.close()
        return None
    return Passage(sock)


def contents(files: Sequence[int]) -> list[Any]:
    """The bytes of files, as Ray takes them without a copy beside that in its store."""
    found = []
    for fd in files:
        mapped = mmap.mmap(fd, os.fstat(fd).st_size, access=mmap.ACCESS_READ)
        found.append(pickle.PickleBuffer(mapped))
    return found


def files(contents: Sequence[Any]) -> list[int]:
    """New anonymous files with these bytes."""
    found = []
    for content in contents:
        fd, view = make_anonymous(), memoryview(content).cast("B")
        while view:
            view = view[os.write(fd, view) :]
        found.append(fd)
    return found
