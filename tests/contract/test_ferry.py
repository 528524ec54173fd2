"""What goes to another machine beside Ray arrives whole, for those alone who know the secret."""

from __future__ import annotations

import contextlib
import datetime
import os
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import eventually
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hanse.engines.ray.ferry import Ferry, Landing, Place, cross
from hanse.payloads.files import make_anonymous


class Shore:
    """Where an actor is: lets whoever knows the secret land."""

    def __init__(self, patience_s: float = 30) -> None:
        self.ferry: Ferry | None = None
        self.lost = threading.Event()
        self._landing = Landing("127.0.0.1", self._landed, patience_s)
        self.place = self._landing.place
        self._open = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self._open:
            self._landing.open()

    def _landed(self, out: socket.socket, back: socket.socket) -> None:
        self.ferry = Ferry(out, back, lambda: None, self.lost.set)

    def close(self) -> None:
        self._open = False
        socket.create_connection(self.place[:2]).close()  # it waits for somebody
        self._landing.close()
        if self.ferry is not None:
            self.ferry.close()


@pytest.fixture
def shore() -> Iterator[Shore]:
    made = Shore()
    yield made
    made.close()


def certified(directory: Path) -> dict[str, str]:
    """What Ray's machines of one site have: here one certificate that is its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "site")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (directory / "cert").write_bytes(certificate.public_bytes(pem))
    (directory / "key").write_bytes(key.private_bytes(pem, *plain))
    return {
        "RAY_USE_TLS": "1",
        "RAY_TLS_SERVER_CERT": str(directory / "cert"),
        "RAY_TLS_SERVER_KEY": str(directory / "key"),
        "RAY_TLS_CA_CERT": str(directory / "cert"),
    }


def nothing() -> None:
    pass


def file_of(data: bytes) -> int:
    fd = make_anonymous()
    os.pwrite(fd, data, 0)
    return fd


def arrived(ferry: Ferry, number: int) -> tuple[bytes, list[bytes]]:
    body, fds = eventually(lambda: ferry.take(number))
    found = [os.pread(fd, os.fstat(fd).st_size, 0) for fd in fds]
    for fd in fds:
        os.close(fd)
    return body, found


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


MESSAGES = [
    (b"", []),
    (b"a", [b"x"]),
    (os.urandom(300_000), [os.urandom(3_000_001), b"y", os.urandom(1 << 20)]),
    (b"last", []),
]


@pytest.mark.parametrize("secured", [False, True])
def test_messages_arrive_whole_in_both_directions(
    secured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (certified(tmp_path) if secured else {"RAY_USE_TLS": "0"}).items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Shore()) as shore:
        exchange(shore)


def exchange(shore: Shore) -> None:
    here = cross(shore.place, nothing, nothing)
    there: Ferry = eventually(lambda: shore.ferry)
    for number, (body, files) in enumerate(MESSAGES):
        for ferry in (here, there):
            fds = [file_of(data) for data in files]
            ferry.send(number, body, fds)
            for fd in fds:
                os.close(fd)
    for ferry in (there, here):
        for number, (body, files) in enumerate(MESSAGES):
            assert arrived(ferry, number) == (body, files)
    here.close()


def test_who_does_not_know_the_secret_cannot_land_and_keeps_nobody_out(shore: Shore) -> None:
    host, port, secret = shore.place
    wrong: Place = host, port, bytes(len(secret))
    strangers = [socket.create_connection((host, port)) for _ in range(3)]  # who say nothing
    for _ in range(3):
        turned_away = threading.Event()
        cross(wrong, nothing, turned_away.set)
        assert turned_away.wait(30)
    assert shore.ferry is None
    here = cross(shore.place, nothing, nothing)
    eventually(lambda: shore.ferry)
    here.close()
    for stranger in strangers:
        stranger.close()


def test_a_second_one_with_the_secret_takes_nothing_of_the_first(shore: Shore) -> None:
    here = cross(shore.place, nothing, nothing)
    there: Ferry = eventually(lambda: shore.ferry)
    turned_away = threading.Event()
    second = cross(shore.place, nothing, turned_away.set)
    assert turned_away.wait(30)
    assert shore.ferry is there
    here.send(0, b"out", [])
    there.send(0, b"back", [])
    assert (arrived(there, 0), arrived(here, 0)) == ((b"out", []), (b"back", []))
    assert second.take(0) is None
    here.close()


def test_a_line_that_is_quiet_is_kept_up_at_both_ends(shore: Shore) -> None:
    here = cross(shore.place, nothing, nothing)
    there: Ferry = eventually(lambda: shore.ferry)
    for ferry in (here, there):
        for sock in (ferry._out, ferry._back):
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    here.close()


def test_without_a_certificate_of_the_site_nobody_lands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in certified(tmp_path).items():
        monkeypatch.setenv(name, value)
    with contextlib.closing(Shore()) as shore:
        knock(shore)
        assert shore.ferry is None


def test_whoever_says_the_secret_byte_by_byte_keeps_nobody_out() -> None:
    with contextlib.closing(Shore(patience_s=3)) as shore, contextlib.ExitStack() as stack:
        knockers = [socket.create_connection(shore.place[:2]) for _ in range(8)]
        for knocker in knockers:
            stack.enter_context(knocker)
        said = 0
        while knockers and said < 33:  # all of it, in thirteen seconds
            for knocker in knockers:
                with contextlib.suppress(OSError):
                    knocker.sendall(b"x")
            said += 1
            cut, _, _ = select.select(knockers, (), (), 0.4)
            knockers = [each for each in knockers if each not in cut]
        assert said < 33
        here = cross(shore.place, nothing, nothing)
        assert eventually(lambda: shore.ferry)
        here.close()


def knock(shore: Shore) -> None:
    """Without a certificate."""
    sock = socket.create_connection(shore.place[:2])
    sock.sendall(shore.place[2] + b"o")
    sock.settimeout(30)
    answer = b"not closed"
    while answer:  # an alert, and the end
        try:
            answer = sock.recv(4096)
        except ConnectionResetError:
            answer = b""
    sock.close()


def test_the_end_of_the_other_side_is_told_and_nothing_stays_open(shore: Shore) -> None:
    before = open_files()
    here = cross(shore.place, nothing, nothing)
    there: Ferry = eventually(lambda: shore.ferry)
    fd = file_of(os.urandom(1 << 20))
    for number in range(20):
        here.send(number, b"", [fd])
    os.close(fd)
    eventually(lambda: arrived(there, 0))
    here.close()  # with files on their way, and files that came and were not taken
    assert shore.lost.wait(30)
    there.send(0, b"into the void", [])
    shore.ferry = None
    eventually(lambda: open_files() <= before)


def test_a_place_that_cannot_be_reached_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        cross(("127.0.0.1", port, bytes(32)), nothing, nothing)
