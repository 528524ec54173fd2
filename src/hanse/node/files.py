"""What a node keeps in small files of its own, as JSON that people can read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

import msgspec

from hanse.decoding import from_json
from hanse.errors import WorldError
from hanse.journal import private

T = TypeVar("T")


def read(path: Path, kind: Any, empty: T, advice: str) -> T:
    """What was written last, which is of this kind; `empty` if there is no file. Raises WorldError
    with this advice if it cannot be read, JournalError if it may be somebody else's, OSError."""
    private.files([str(path)])
    try:
        found: T = from_json(path.read_bytes(), kind)
    except FileNotFoundError:
        return empty
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WorldError(f"{path} cannot be read: {error}. {advice}") from error
    return found


def write(path: Path, kept: object) -> None:
    """Replace it, for good. Raises OSError."""
    private.write(path, msgspec.json.format(msgspec.json.encode(kept)))
