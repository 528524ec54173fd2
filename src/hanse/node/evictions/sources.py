"""Who is asked whether this machine is taken away: each knows one service's addresses and headers.

What answers mean is said in `notice`; when to ask, in `watch`. A machine's metadata service is on
the link itself, so no proxy is asked, and who does not answer within a second is not there.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import urllib3
from urllib3.exceptions import HTTPError

from hanse import limits
from hanse.node.evictions import notice
from hanse.node.evictions.notice import Answer, Notice

_logger = logging.getLogger("hanse")

_ANSWER_BYTES = 256 * 1024
_DMI = Path("/sys/class/dmi/id")
_AZURE = "7783-7084-3265-9085-8269-3286-77"
"""What the machines of Azure have for a chassis tag: Hyper-V runs elsewhere too."""


class Away(Exception):
    """A service does not answer."""


class Source(Protocol):
    name: str
    every_s: float  # how often it is asked

    def look(self, now_s: float) -> Notice | None:
        """Ask once, at this time since 1970. Raises Away."""


class _Service:
    """A metadata service over HTTP."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._pool = urllib3.PoolManager(1, maxsize=1, retries=False)

    def ask(
        self, path: str, headers: dict[str, str], method: str = "GET", wait_s: float = 0.0
    ) -> Answer:
        """Raises Away."""
        timeout = urllib3.Timeout(connect=1.0, read=1.0 + wait_s)
        try:
            with self._pool.urlopen(
                method, self._base + path, headers=headers, timeout=timeout, redirect=False,
                preload_content=False,
            ) as answer:  # fmt: skip
                return Answer(answer.status, answer.read(_ANSWER_BYTES))
        except (HTTPError, OSError) as error:
            raise Away(f"{self._base}: {error}") from error


class Aws:
    """Version 2 of EC2's service: every question shows a token, which is asked for first."""

    name, every_s = "AWS", 2.0

    def __init__(self, base: str = "http://169.254.169.254") -> None:
        self._service = _Service(base)
        self._token = ""
        self._risk = ""

    def look(self, now_s: float) -> Notice | None:
        found = notice.aws(self._ask("spot/instance-action"), now_s)
        if found is None and not self._risk:
            self._risk = notice.aws_rebalance(self._ask("events/recommendations/rebalance"))
            if self._risk:
                _logger.info("hanse: AWS may take this machine away some time: %s", self._risk)
        return found

    def _ask(self, what: str) -> Answer:
        answer = self._asked(what)
        if answer.status == 401:  # the token is too old
            self._token = ""
            answer = self._asked(what)
        return answer

    def _asked(self, what: str) -> Answer:
        if not self._token:
            header = {"X-aws-ec2-metadata-token-ttl-seconds": "21600"}
            token = self._service.ask("/latest/api/token", header, "PUT")
            if token.status != 200 or not token.text.isascii() or not token.text.isprintable():
                raise Away(f"no token was given (status {token.status})")
            self._token = token.text
        return self._service.ask(
            f"/latest/meta-data/{what}", {"X-aws-ec2-metadata-token": self._token}
        )


class Gcp:
    """Compute Engine's service holds an answer back until something has changed."""

    name, every_s = "GCP", 1.0
    _WAIT_S = 2

    def __init__(self, base: str = "http://metadata.google.internal") -> None:
        self._service = _Service(base)

    def look(self, now_s: float) -> Notice | None:
        found = notice.gcp_maintenance(self._ask("maintenance-event"))
        waits = f"preempted?wait_for_change=true&timeout_sec={self._WAIT_S}"
        return found or notice.gcp_preempted(self._ask(waits, self._WAIT_S))

    def _ask(self, what: str, wait_s: float = 0.0) -> Answer:
        return self._service.ask(
            f"/computeMetadata/v1/instance/{what}", {"Metadata-Flavor": "Google"}, wait_s=wait_s
        )


class Azure:
    """Scheduled events, of which each names the machines that it is about."""

    name, every_s = "Azure", 3.0

    def __init__(self, base: str = "http://169.254.169.254") -> None:
        self._service = _Service(base)
        self._machine: str | None = None

    def look(self, now_s: float) -> Notice | None:
        if self._machine is None:
            own = "/metadata/instance/compute/name?api-version=2021-02-01&format=text"
            answer = self._ask(own)
            self._machine = answer.text if answer.status == 200 else ""
        events = self._ask("/metadata/scheduledevents?api-version=2020-07-01")
        return notice.azure(events, now_s, self._machine)

    def _ask(self, path: str) -> Answer:
        return self._service.ask(path, {"Metadata": "true"})


class File:
    """A file that somebody else writes when the machine is to go.

    Args:
        default_s: seconds that are left if it names none.
    """

    name, every_s = "file", 0.5

    def __init__(self, path: Path, default_s: float) -> None:
        self._path, self._default_s = path, default_s
        self._empty = False

    def look(self, now_s: float) -> Notice | None:
        try:
            with open(self._path, "rb") as file:
                text = file.read(4096).decode(errors="replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Away(f"{self._path}: {error}") from error
        if not text and not self._empty:  # it may be about to be written
            self._empty = True
            return None
        return notice.in_file(text, self._default_s)


CLOUDS: dict[str, Callable[..., Source]] = {"aws": Aws, "gcp": Gcp, "azure": Azure}
KINDS = ("auto", *CLOUDS, "sigterm", "off")


def choose(kind: str, file: Path | None, left_s: float = limits.EVICTION_NOTICE_S) -> list[Source]:
    """Whom to ask.

    Args:
        kind: one of `KINDS`; "auto": the service of the cloud that this machine is of, if any.
        file: tells of an eviction by being there; None: the one of HANSE_EVICT_FILE, if any.
        left_s: the seconds that are left if the file does not say.
    """
    sources: list[Source] = []
    named = kind if kind in CLOUDS else cloud(_dmi()) if kind == "auto" else ""
    for cloud_name, make in CLOUDS.items():
        base = os.environ.get(f"HANSE_METADATA_{cloud_name.upper()}", "")
        if cloud_name == named or (kind == "auto" and base):
            sources.append(make(base) if base else make())
    if file is None and (path := os.environ.get("HANSE_EVICT_FILE", "")):
        file = Path(path)
    if file is not None:
        sources.append(File(file.absolute(), left_s))
    return sources


def cloud(dmi: dict[str, str]) -> str:
    """Which of `CLOUDS` a machine belongs to, by what its firmware says; "": none that is known.
    Nobody is asked, so it costs nothing elsewhere."""
    if dmi.get("chassis_asset_tag") == _AZURE:
        return "azure"
    if dmi.get("product_name") == "Google Compute Engine":
        return "gcp"
    maker = dmi.get("sys_vendor", "") + dmi.get("bios_vendor", "")
    return "aws" if "Amazon EC2" in maker else ""


def _dmi() -> dict[str, str]:
    found = {}
    for name in ("sys_vendor", "bios_vendor", "product_name", "chassis_asset_tag"):
        try:
            found[name] = (_DMI / name).read_text().strip()
        except (OSError, UnicodeDecodeError):  # a container, or another architecture
            continue
    return found
