"""Errors as answers, after RFC 9457."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from hanse import errors
from hanse.node.log_lines import without_secrets
from hanse.payloads.parcel import BadParcel
from hanse.wire.api import Problem
from hanse.wire.squeeze import BadEncoding

HEADERS = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""Of every answer. Nothing here is for another site's page, and nothing is to be kept."""

# The first that fits counts: children stand before their parents.
_STATUS: list[tuple[type[errors.HanseError], int]] = [
    (errors.NotAllowed, 403),
    (errors.NoSuchJob, 404),
    (errors.CodeMissing, 409),
    (errors.BadLink, 409),
    (errors.JobBusy, 409),
    (errors.JobChanged, 409),
    (errors.JobOver, 409),
    (errors.Fenced, 409),
    (errors.BudgetSpent, 409),
    (errors.UsageError, 400),
    (BadParcel, 400),
    (BadEncoding, 400),
    (errors.JournalUnavailable, 503),
    (errors.JournalFull, 507),
    (errors.NodeUnavailable, 503),
]


def problem(status: int, code: str, title: str, detail: str = "") -> Response:
    body = Problem(title=title, status=status, code=code, detail=detail)
    headers = {"www-authenticate": 'Bearer realm="hanse"'} if status == 401 else None
    return Response(
        msgspec.json.encode(body), status, headers, media_type="application/problem+json"
    )


def told(error: errors.HanseError, whole: bool = True) -> Response:
    """An error of ours. Of a bug no more is told than that it is one: the log has the rest. Not
    `whole`: to somebody without a token, who learns of what kind it is and nothing of this node."""
    if isinstance(error, errors.InternalError):
        return internal()
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    title = (type(error).__doc__ or "").split(".")[0].split("\n")[0]
    return problem(status, error.code, title, without_secrets(str(error)) if whole else "")


def internal() -> Response:
    return problem(500, errors.InternalError.code, "An error of the node's own: its log says more")
