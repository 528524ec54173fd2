"""Which versions of the protocol two sides have in common: decided here for clients, nodes and the
links between nodes, and by both sides in the same way.

Each request says what its sender speaks, as a range, in the header `hanse-protocol: 3-4` (one
number stands for itself alone). Both then speak the newest that both know. Every Hanse speaks its
own version and the one before, so neighbours work together; others are told which is the older.
What a version adds to requests are fields with defaults, which are not sent while nobody uses them:
one who does not know a field refuses the request and says so, instead of doing half of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from hanse.errors import NodeVersion

HEADER = "hanse-protocol"

PROTOCOL = 1
"""The newest version that this Hanse speaks."""


class Spoken(NamedTuple):
    """The versions that one side speaks, both ends included."""

    oldest: int
    newest: int

    def __str__(self) -> str:
        return f"{self.oldest}-{self.newest}" if self.oldest != self.newest else f"{self.newest}"


OURS = Spoken(max(1, PROTOCOL - 1), PROTOCOL)


def parse(text: str) -> Spoken:
    """What the header says. Raises NodeVersion if that is no range of versions."""
    found = re.fullmatch(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", text)
    if found is None or int(found[1]) > int(found[2] or found[1]):
        raise NodeVersion(
            f"{text[:12]!r} is no version of the protocol: it is a number, or two with a dash"
        )
    return Spoken(int(found[1]), int(found[2] or found[1]))


def agree(ours: Spoken, theirs: Spoken, they: str, we: str = "this Hanse") -> int:
    """The version that both speak.

    Args:
        they, we: who that is, for people: "the client", "https://host:7437".

    Raises NodeVersion, which says what each side speaks and which has to be brought up to date.
    """
    newest = min(ours.newest, theirs.newest)
    if newest >= max(ours.oldest, theirs.oldest):
        return newest
    older = they if theirs.newest < ours.oldest else we
    raise NodeVersion(
        f"{they} speaks protocol {theirs}, and {we} speaks {ours}: bring {older} up to date"
    )
