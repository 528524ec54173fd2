"""What items print on a node comes to this program's stdout and stderr, as it does embedded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from hanse.errors import HanseError
from hanse.ids import JobId
from hanse.remote.dial import Dial
from hanse.remote.logs import LogLine, read_lines

Forward = Callable[[str, str], None]

_END = 1 << 53  # behind every log: the node says where it ends
_logger = logging.getLogger("hanse")


def end_of_log(dial: Dial, job: JobId) -> int:
    """The byte behind what a job's items have printed until now."""
    (last,) = [line for line in read_lines(dial, job, None, False, _quietly, _END) if line.over]
    return last.at


class Printing:
    """One thread for one job: it reads the job's log while that is written, from where it was when
    the line broke. Nothing waits for it but what is behind it in the log, so a program whose stdout
    is full costs no memory, here or there.

    Args:
        at: the byte of the log to begin with.
        forward: gets the stream and the text.
    """

    def __init__(self, dial: Dial, job: JobId, at: int, forward: Forward) -> None:
        self._dial = dial
        self._job = job
        self._at = at
        self._forward = forward
        self._over = False
        self._lock = threading.Lock()  # one shows at a time
        self._thread = threading.Thread(target=self._run, name=f"hanse-prints-{job}", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def finish(self, until_s: float) -> None:
        """Show what has been printed until now, but not past that moment (monotonic), and end."""
        if not self._lock.acquire(timeout=max(0, until_s - time.monotonic())):
            return  # whoever reads our stdout does not
        try:
            if not self._over:
                self._over = True
                for line in read_lines(self._dial, self._job, None, False, _quietly, self._at):
                    self._show(line)
                    if time.monotonic() > until_s:
                        return
        except HanseError as error:
            _logger.warning("hanse: the last of what items printed is missing: %s", error)
        finally:
            self._lock.release()

    def _run(self) -> None:
        try:
            for line in read_lines(self._dial, self._job, None, True, _quietly, self._at):
                with self._lock:
                    if self._over:
                        return
                    self._show(line)
                    self._over = line.over
        except HanseError as error:
            with self._lock:
                if not self._over:
                    self._over = True
                    _logger.warning("hanse: what items print is shown no more: %s", error)

    def _show(self, line: LogLine) -> None:
        self._at = line.at
        if line.piece is None:
            return
        stream, text = line.piece.stream, line.piece.text
        if stream == "hanse":
            stream, text = "stderr", f"hanse: {text}"
        try:
            self._forward(stream, text)
        except Exception:  # noqa: BLE001 - a closed stdout must not end the rest
            pass


def _quietly(error: HanseError) -> None:
    """Whoever follows the job's results waits as well, and says so if need be."""
