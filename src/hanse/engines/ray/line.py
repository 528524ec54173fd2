"""The engine's end of its session with the driver: frames out and in, without waiting."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
from collections.abc import Callable

from hanse.engines.local.frames import Inbox, pieces, rights
from hanse.engines.port import Loop
from hanse.engines.ray.messages import Close, Closed, News, Order, news, plain
from hanse.payloads.files import File

_CLOSE_S = 5.0  # that the driver may take to end the actors

OnNews = Callable[[News, list[int]], None]


class Line:
    """
    Args:
        hear: gets what the driver says, with descriptors to take from the front.
        cut_off: is called once the driver is gone.
    """

    def __init__(
        self, loop: Loop, sock: socket.socket, hear: OnNews, cut_off: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._sock = sock
        self._hear = hear
        self._cut_off = cut_off
        self._inbox = Inbox(sock)
        self._outgoing: collections.deque[tuple[memoryview, list[int], object]] = (
            collections.deque()
        )
        sock.setblocking(False)
        loop.watch(sock.fileno(), self._read)

    def send(self, order: Order, files: list[File] | None = None) -> None:
        files = files or []
        for data, fds in pieces(plain.encode(order), [file.fd for file in files]):
            self._outgoing.append((memoryview(data), fds, files))
        self._flush()

    def _flush(self) -> None:
        waiting = self._outgoing
        try:
            while waiting:
                data, fds, files = waiting[0]
                sent = self._sock.sendmsg([data], rights(fds))
                if sent == len(data):
                    waiting.popleft()
                else:
                    waiting[0] = data[sent:], [], files
            self._loop.watch(self._sock.fileno(), self._read)
        except BlockingIOError:
            self._loop.watch(self._sock.fileno(), self._read, self._flush)
        except OSError:
            waiting.clear()  # it is gone: reading tells

    def _read(self) -> None:
        if not self._read_once(self._hear):
            self._close()
            self._cut_off()

    def _read_once(self, hear: OnNews) -> bool:
        """Handle what is there; false once there will be nothing more."""
        try:
            frames = self._inbox.read()
        except BlockingIOError:
            return True
        except OSError:
            return False
        for body, fds in frames or ():
            try:
                said = news.decode(body)
                if isinstance(said, Closed):
                    return False
                hear(said, fds)
            finally:
                while fds:  # nothing took them
                    os.close(fds.pop())
        return frames is not None

    def end(self, hear: OnNews) -> None:
        """Have all actors ended, and hear what they still say."""
        self._sock.settimeout(_CLOSE_S)
        with contextlib.suppress(OSError):
            while self._outgoing:
                data, fds, _ = self._outgoing.popleft()
                self._sock.sendmsg([data], rights(fds))
            for last, _ in pieces(plain.encode(Close()), []):
                self._sock.sendall(last)
            while self._read_once(hear):
                pass
        self._close()

    def _close(self) -> None:
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()
        self._inbox.close()
