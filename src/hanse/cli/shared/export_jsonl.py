"""Results as lines of JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, BinaryIO

from hanse.cli.export import rows
from hanse.cli.shared.plain import Plain
from hanse.cli.shared.telling import failure

if TYPE_CHECKING:
    from hanse.records.record import JobRecord


def write(record: JobRecord, file: BinaryIO) -> str | None:
    """Write one line for each item; returns what had to be described, if anything had."""
    plain = Plain()
    for _, some in rows(record):
        for row in some:
            line: dict[str, object] = {"item": row.item}
            if row.failure is None:
                line["value"] = plain(row.value)
            else:
                line["error"] = failure(row.failure)
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
    return plain.odd
