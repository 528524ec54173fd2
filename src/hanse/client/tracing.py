"""Below which span of the program a new job hangs."""

from __future__ import annotations

import os
import sys

from hanse.model.trace import Parent, parse


def traceparent() -> str:
    """The span that is current where this is called, as W3C's Trace Context writes it; else what
    TRACEPARENT says, which tools set that start programs; empty if there is none.

    Programs that do not use OpenTelemetry do not import it for this."""
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        found = trace.get_current_span().get_span_context()
        if found.is_valid:
            return str(Parent(found.trace_id, found.span_id, int(found.trace_flags)))
    told = os.environ.get("TRACEPARENT", "")
    return told if parse(told) is not None else ""
