"""How the contents of files get from the driver to an actor and back.

Through Ray's object store, as bytes: that reaches every machine, and costs a copy into the store
and one out of it on each way. Where both are on one machine there is a passage beside Ray: a socket
that carries descriptors, at no copy at all. It has no name in the file system, so nothing can be
left behind; each end makes sure that the other is of the same user.
"""

from __future__ import annotations

import mmap
import os
import pickle
import secrets
import socket
import struct
from collections.abc import Sequence
from typing import Any

from hanse.engines.local.frames import Inbox, send
from hanse.payloads.files import make_anonymous

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
_NUMBER = struct.Struct("=q")


class Passage:
    """One end. Files are sent under the number of the message that they belong to."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._inbox = Inbox(sock)
        self._arrived: dict[int, list[int]] = {}

    def send(self, number: int, fds: Sequence[int]) -> None:
        """Raises OSError if the other end is gone."""
        send(self.sock, _NUMBER.pack(number), list(fds))

    def read(self) -> bool:
        """Take what has come, waiting for something; false at the end."""
        try:
            frames = self._inbox.read()
        except (OSError, ValueError):
            return False
        for body, fds in frames or ():
            self._arrived[_NUMBER.unpack(body)[0]] = fds
        return frames is not None

    def has(self, number: int) -> bool:
        return number in self._arrived

    def take(self, number: int) -> list[int]:
        """The files of a message, waiting for them. Raises OSError if they will not come."""
        while number not in self._arrived:
            if not self.read():
                raise ConnectionResetError("the other end is gone")
        return self._arrived.pop(number)

    def close(self) -> None:
        self.sock.close()
        self._inbox.close()
        for fds in self._arrived.values():
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
