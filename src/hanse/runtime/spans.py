"""Who makes spans of what a home decides, and whether anybody wants them. Without OpenTelemetry."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hanse.engines.port import Program
    from hanse.ids import JobId, LeaseId
    from hanse.model.job import JobSpec, JobState
    from hanse.runtime.granted import Granted
    from hanse.runtime.outcome import Outcome

_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def exporters() -> list[str]:
    """The exporters that OpenTelemetry's variables ask for, by name."""
    told = os.environ.get("OTEL_TRACES_EXPORTER", "")
    names = [name.strip() for name in told.split(",") if name.strip()]
    if not names and any(os.environ.get(name) for name in _WHERE):
        names = ["otlp"]
    return [name for name in names if name != "none"]


def asked_for() -> bool:
    return os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and bool(exporters())


class Spans(Protocol):
    """On the loop's thread."""

    def begin(
        self, job: JobId, spec: JobSpec, program: Program, created_s: float | None
    ) -> Program:
        """A job begins or goes on; returns its program with what its items hang below."""

    def granted(self, lease: LeaseId, granted: Granted, attempts: Mapping[int, int]) -> None: ...
    def happened(self, outcome: Outcome, busy_ns: int) -> None:
        """A fact holds, and so long was spent in its items."""

    def ended(self, id: JobId, state: JobState, done: int, failed: int) -> None:
        """The job has ended, with so many items."""

    def over(self, lease: LeaseId, why: str) -> None:
        """The lease has ended; `why` not as usual, if so."""

    def close(self) -> None: ...
