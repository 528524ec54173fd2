"""The file of what was seen of spot machines: a node that starts again need not learn it anew.

Nothing depends on it. One that cannot be read is begun anew, with a warning; one that cannot be
written is written later.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from hanse.core.spots import Seen
from hanse.errors import JournalError
from hanse.journal import private

_logger = logging.getLogger("hanse")


class _Kept(msgspec.Struct, kw_only=True):
    told_s: float  # when, in seconds since 1970
    offers: dict[str, Seen]


def read(path: Path) -> dict[str, Seen]:
    """By offer, as of now."""
    try:
        private.files([str(path)])
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        since_ns = int(max(0.0, time.time() - kept.told_s) * 1e9)
    except FileNotFoundError:
        return {}
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        OverflowError,
        OSError,
        JournalError,
    ) as error:
        _logger.warning("hanse: what was seen of spot machines is learnt anew: %s", error)
        return {}
    return {
        name: msgspec.structs.replace(seen, ago_ns=seen.ago_ns + since_ns)
        for name, seen in kept.offers.items()
    }


def write(path: Path, offers: Mapping[str, Seen]) -> None:
    kept = _Kept(told_s=time.time(), offers=dict(offers))
    try:
        private.write(path, msgspec.json.format(msgspec.json.encode(kept)))
    except OSError as error:
        _logger.debug("hanse: %s is not written: %s", path, error)
