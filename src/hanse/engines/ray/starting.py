"""The node's end of the driver: starts it, opens sessions, starts it again when it ended."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping

from hanse.engines.local.processes import kill_group
from hanse.errors import EngineError

_REACH_S = 5.0
_START_S = 60.0  # that Ray may take until it knows us
_BOOT = "import sys; sys.path[:0] = sys.argv[3:]; from hanse.engines.ray.driver import main; main()"


class Driver:
    """Speaks to the Ray cluster at an address. Methods may be called from any thread.

    Args:
        address: of Ray's head, as `ray.init` takes it.
        environment: what it gets beside this process's environment: the cluster's token.
    """

    def __init__(self, address: str, environment: Mapping[str, str] | None = None) -> None:
        self.address = address
        self._environment = dict(environment or {})
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def session(self) -> socket.socket:
        """A socket for an engine. Raises EngineError if Ray cannot be reached."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            try:
                return self._open()
            except OSError:  # one that was killed closes its sockets before it can be waited for
                self._start()
            try:
                return self._open()
            except OSError as error:
                raise EngineError(f"the process that speaks to Ray ended: {error}") from error

    def _open(self) -> socket.socket:
        """Raises OSError if the process is gone."""
        assert self._control is not None
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"s"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def _check_reachable(self) -> None:
        """Ray itself would try for a minute."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal():
            return  # "auto": Ray knows
        try:
            socket.create_connection((host, int(port)), _REACH_S).close()
        except OSError as error:
            raise EngineError(f"Ray at {self.address} cannot be reached: {error}") from error

    def _start(self) -> None:
        self._bury()
        self._check_reachable()
        self._control, theirs = socket.socketpair()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        with theirs:
            here = [path for path in sys.path if path]
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BOOT, str(theirs.fileno()), self.address, *here],
                env={**os.environ, **self._environment, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                start_new_session=True,
            )
        self._control.settimeout(_START_S)
        said = b""
        with contextlib.suppress(OSError):
            said = self._control.recv(4096)
        self._control.settimeout(None)
        if said != b".":
            why = said[1:].decode(errors="replace") or self._last_words()
            self._bury()
            raise EngineError(f"Ray at {self.address} cannot be used: {why}")

    def _last_words(self) -> str:
        process = self._process
        assert process is not None
        try:
            process.wait(1)
        except subprocess.TimeoutExpired:
            return f"it gave no answer within {_START_S:g} s"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:1000] if lines else f"exit code {process.returncode}"

    def end(self) -> None:
        """End it with all that it started; it may be started again."""
        with self._lock:
            self._bury()

    def _bury(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(2)
            kill_group(self._process.pid)
            self._process.wait()
            self._process = None
            self._errors.close()
