"""A real PostgreSQL server for tests: Debian's, started as a user without rights, gone at the end.

The server refuses to run as root, so it runs as `postgres` or `nobody` then. It listens on a free
port of the loopback only, trusts those who can reach it (but for one user with a password), and
lives in a directory that is removed at the end. A guard process outlives ours and ends the server
should we be killed.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
from debian import install

PLACES = "/usr/lib/postgresql/*/bin"
START_S = 60.0

# Waits until our end of the pipe is closed, then ends the server and removes what is left.
GUARD = """
import os, shutil, signal, sys
sys.stdin.read()
try:
    os.kill(int(open(sys.argv[1] + "/data/postmaster.pid").readline()), signal.SIGQUIT)
except (OSError, ValueError):
    pass
shutil.rmtree(sys.argv[1], ignore_errors=True)
"""


def binaries() -> Path:
    """The directory of the server's programs, which are installed if they are not there."""
    for _ in range(2):
        found = sorted(glob.glob(PLACES), key=lambda path: float(Path(path).parent.name))
        found = [path for path in found if os.path.exists(path + "/initdb")]
        if found:
            return Path(found[-1])
        if (there := shutil.which("initdb")) is not None:
            return Path(os.path.realpath(there)).parent
        install("postgresql")
    raise RuntimeError("Debian's package postgresql has no initdb in " + PLACES)


class Server:
    """A server with one database, `hanse`, and a user of the same name."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.bin = binaries()
        self.port = free_port()
        self.user = account()
        self._process: subprocess.Popen[bytes] | None = None
        if self.user is not None:
            os.chown(directory, self.user.pw_uid, self.user.pw_gid)
        self._run("initdb", "-D", str(self.data), "-U", "hanse", "-A", "trust", "--no-sync",
                  "-E", "UTF8", "--locale=C")  # fmt: skip
        hba = self.data / "pg_hba.conf"
        rule = "host all secret 127.0.0.1/32 scram-sha-256\n"
        hba.write_text(rule + hba.read_text())

    def url(self, database: str = "hanse", user: str = "hanse") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Returns when it takes connections, after it has recovered if it was killed."""
        with open(self.directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port),
                 "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                 "-c", "max_connections=60"],
                stdout=log, stderr=log, start_new_session=True, cwd=self.directory, **self._as(),
            )  # fmt: skip
        end = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError((self.directory / "log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL to the server and all its processes, as when the machine fails."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                pass
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)

    def run(self, sql: str, database: str = "postgres") -> list[tuple[object, ...]]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def _run(self, program: str, *args: str) -> None:
        subprocess.run([str(self.bin / program), *args], check=True, capture_output=True,
                       cwd=self.directory, **self._as())  # fmt: skip

    def _as(self) -> dict[str, object]:
        if self.user is None:
            return {}
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as: the server refuses root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("there is no user postgres or nobody to run a server as")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@contextmanager
def serving() -> Iterator[Server]:
    """A running server for a block. Nothing is left of it, also if we are killed."""
    # Not below pytest's own directory, which is for our user alone.
    directory = Path(tempfile.mkdtemp(prefix="hanse-postgres-", dir="/tmp"))
    guard = subprocess.Popen(
        [sys.executable, "-c", GUARD, str(directory)],
        stdin=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        server = Server(directory)
        server.start()
        try:
            server.run("CREATE DATABASE hanse")
            yield server
        finally:
            server.stop()
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(30)
