"""What an item's own spans hang below, if its program uses OpenTelemetry.

What is current is set once for a work and not for each item: a span that says which it is when it
is asked. So items pay nothing for it.
"""

from __future__ import annotations

from functools import lru_cache

from hanse.engines.local.current import current_item
from hanse.model.trace import Parent, is_sampled, item_span, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_attached = False


def begin(traceparent: str, every: int) -> None:
    """The items of the work that begins hang below this span. `every`: each has one of its own
    there, or one of so many has; 0: none has."""
    global _attached
    parent = parse(traceparent)
    if parent is None and not _attached:
        return
    try:
        from opentelemetry import context, trace
    except ImportError:
        return
    if parent is None:
        context.attach(context.Context())
        _attached = False
    else:
        context.attach(trace.set_span_in_context(_span(parent, every), context.Context()))
        _attached = True


@lru_cache(maxsize=1)
def _span(parent: Parent, every: int) -> Any:
    from opentelemetry import trace

    class Current(trace.NonRecordingSpan):  # type: ignore[misc]
        """The span of the item that runs, or of its job."""

        def get_span_context(self) -> Any:
            item = current_item()
            span = parent.span
            if item is not None and is_sampled(item.index, every):
                span = item_span(item.job, item.index, item.attempt)
            return trace.SpanContext(
                parent.trace, span, is_remote=True, trace_flags=trace.TraceFlags(parent.flags)
            )

    return Current(trace.INVALID_SPAN_CONTEXT)
