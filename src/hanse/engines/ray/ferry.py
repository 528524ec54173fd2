"""How messages and their files get between the driver and an actor of another machine, beside Ray.

Through Ray's object store a byte is copied into the store and out of it at both ends, and by gRPC
several times between. Here the kernel sends a file from where it lies, and one copy puts it into a
file there. Each direction has a connection of its own, and a thread at each end: neither waits for
the other, and nothing but these threads waits for the network.

Whoever lands must know a secret, which Ray brought to the driver. Where Ray speaks TLS, so do
ferries, with the same certificates. Where none can be had, Ray's store does (see `passage`).
"""

from __future__ import annotations

import contextlib
import hmac
import mmap
import os
import queue
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Sequence

from hanse.payloads.files import make_anonymous

_HEAD = struct.Struct("!qQI")  # number of the message, its length, how many files
_SIZE = struct.Struct("!Q")
_SECRET_BYTES = 32
_OUT, _BACK = b"o", b"b"  # as the driver sees it
_CONNECT_S = 5.0
_SOON_S = 0.001
_QUIET_S = 30
_KNOCKING = 8  # who may be asked for the secret at once
_PIECE = 1 << 20

Place = tuple[str, int, bytes]  # where an actor can be landed at: address, port, secret


class Ferry:
    """One end.

    Args:
        moved: is called when a message has come with all its files.
        lost: is called when the other end is gone; both in threads of the ferry.
    """

    def __init__(
        self,
        out: socket.socket,
        back: socket.socket,
        moved: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._out, self._back = out, back
        self._moved, self._lost = moved, lost
        self._waiting: queue.SimpleQueue[tuple[int, bytes, list[int]] | None] = queue.SimpleQueue()
        self._arrived: dict[int, tuple[bytes, list[int]]] = {}
        self._closed = threading.Event()
        for run in (self._send, self._receive):
            threading.Thread(target=run, name="hanse-ferry", daemon=True).start()

    def send(self, number: int, body: bytes, fds: Sequence[int]) -> None:
        """A message with its files; never waits."""
        if self._closed.is_set():
            return
        self._waiting.put((number, body, [os.dup(fd) for fd in fds]))

    def take(self, number: int) -> tuple[bytes, list[int]] | None:
        """The message with this number, if it has come."""
        return self._arrived.pop(number, None)

    def close(self) -> None:
        self._closed.set()
        self._waiting.put(None)
        for sock in (self._out, self._back):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # else its thread would go on waiting

    def _ends(self) -> None:
        if not self._closed.is_set():
            self.close()
            self._lost()

    def _send(self) -> None:
        try:
            while (one := self._waiting.get()) is not None:
                number, body, fds = one
                try:
                    if not self._closed.is_set():
                        self._send_one(number, body, fds)
                finally:
                    _close(fds)
        except OSError:
            self._ends()
            while (one := self._waiting.get()) is not None:
                _close(one[2])
        finally:
            self._out.close()

    def _send_one(self, number: int, body: bytes, fds: list[int]) -> None:
        sizes = [os.fstat(fd).st_size for fd in fds]
        head = _HEAD.pack(number, len(body), len(fds)) + b"".join(map(_SIZE.pack, sizes))
        self._out.sendall(head + body)
        for fd, size in zip(fds, sizes, strict=True):
            if isinstance(self._out, ssl.SSLSocket):
                with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as mapped:
                    self._out.sendall(mapped)
                continue
            sent = 0
            while sent < size:
                sent += os.sendfile(self._out.fileno(), fd, sent, size - sent)

    def _receive(self) -> None:
        piece = memoryview(bytearray(_PIECE))
        try:
            while True:
                number, length, count = _HEAD.unpack(_exactly(self._back, _HEAD.size))
                told = _exactly(self._back, count * _SIZE.size + length)
                sizes = [_SIZE.unpack_from(told, at * _SIZE.size)[0] for at in range(count)]
                fds = self._receive_files(sizes, piece)
                self._arrived[number] = told[count * _SIZE.size :], fds
                self._moved()
        except OSError:
            self._ends()
        finally:
            self._back.close()
            while self._arrived:
                with contextlib.suppress(KeyError):  # taken just now
                    _close(self._arrived.popitem()[1][1])

    def _receive_files(self, sizes: Sequence[int], piece: memoryview) -> list[int]:
        fds: list[int] = []
        try:
            for size in sizes:
                fds.append(make_anonymous())
                left = size
                while left:
                    count = self._back.recv_into(piece[: min(left, _PIECE)])
                    if not count:
                        raise ConnectionResetError("the other end is gone")
                    left -= count
                    part = piece[:count]
                    while part:
                        part = part[os.write(fds[-1], part) :]
        except BaseException:
            _close(fds)
            raise
        return fds


class Landing:
    """Where an actor can be reached from other machines, until somebody was.

    Args:
        landed: gets both connections, in a thread of the landing.
        patience_s: whoever comes has so long to say the secret.
    """

    def __init__(
        self, host: str, landed: Callable[[socket.socket, socket.socket], None],
        patience_s: float = _CONNECT_S,
    ) -> None:  # fmt: skip
        self._patience_s = patience_s
        self._tls = _tls(server=True)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.create_server((host, 0), family=family)
        self.place: Place = (host, self.sock.getsockname()[1], secrets.token_bytes(_SECRET_BYTES))
        self._landed = landed
        self._asked = threading.Semaphore(_KNOCKING)
        self._ways: dict[bytes, socket.socket] = {}
        self._lock = threading.Lock()

    def open(self) -> None:
        """Ask whoever comes for the secret."""
        with contextlib.suppress(OSError):
            sock = self.sock.accept()[0]
            if self._asked.acquire(blocking=False):
                threading.Thread(target=self._ask, args=(sock,), daemon=True).start()
            else:
                sock.close()

    def _ask(self, sock: socket.socket) -> None:
        try:
            until_s = time.monotonic() + self._patience_s
            sock.settimeout(self._patience_s)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
            told = _exactly(sock, _SECRET_BYTES, until_s)
            way = _exactly(sock, 1, until_s)
            if not hmac.compare_digest(told, self.place[2]):
                raise ConnectionRefusedError("a wrong secret")
            _ready(sock)
        except (OSError, ValueError):
            way = b""
        finally:
            self._asked.release()
        with self._lock:
            free = way in (_OUT, _BACK) and way not in self._ways
            if free:
                self._ways[way] = sock
            both = free and len(self._ways) == 2
        if not free:  # whoever learns the secret later cannot take the place of who was first
            sock.close()
        if both:
            self._landed(self._ways[_BACK], self._ways[_OUT])

    def close(self) -> None:
        self.sock.close()


def cross(place: Place, moved: Callable[[], None], lost: Callable[[], None]) -> Ferry:
    """The driver's end of a ferry to that place. Raises OSError if there is no way."""
    host, port, secret = place
    tls = _tls(server=False)
    ways: list[socket.socket] = []
    try:
        for way in (_OUT, _BACK):
            sock = socket.create_connection((host, port), _CONNECT_S)
            ways.append(sock)
            if tls is not None:
                ways[-1] = sock = tls.wrap_socket(sock)
            sock.sendall(secret + way)
            _ready(sock)
    except BaseException:
        for sock in ways:
            sock.close()
        raise
    return Ferry(ways[0], ways[1], moved, lost)


def _ready(sock: socket.socket) -> None:
    """Nothing is said while nothing runs: firewalls forget such lines, and nobody is told. That a
    machine or a process is gone Ray notices, too."""
    sock.settimeout(None)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # not on every system
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _QUIET_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _QUIET_S)


def _tls(server: bool) -> ssl.SSLContext | None:
    """TLS, if Ray speaks it: both ends show that the site's authority knows them."""
    if os.environ.get("RAY_USE_TLS", "0").lower() not in ("1", "true"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(os.environ["RAY_TLS_CA_CERT"])
    context.load_cert_chain(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
    if server:
        context.num_tickets = 0  # they would come to who only sends, and never be read
    return context


def _exactly(sock: socket.socket, size: int, until_s: float | None = None) -> bytes:
    """So many bytes, by that moment: whoever sends one now and then has no more time than others.
    Raises OSError."""
    found = bytearray(size)
    left = memoryview(found)
    while left:
        if until_s is not None:
            sock.settimeout(max(_SOON_S, until_s - time.monotonic()))
        count = sock.recv_into(left)
        if not count:
            raise ConnectionResetError("the other end is gone")
        left = left[count:]
    return bytes(found)


def _close(fds: list[int]) -> None:
    while fds:
        os.close(fds.pop())
