"""All measures, in the order in which they run and stand in the table."""

from bench.measures.calls import FAMILY as CALLS
from bench.measures.large import ARRAYS, STREAM
from bench.measures.measure import Family, Measure
from bench.measures.scaling import SCALING
from bench.measures.starts import FIRST, IDLE
from bench.measures.text import TEXT
from bench.measures.uneven import RECOVERY, UNEVEN

FAMILIES: tuple[Family, ...] = (
    CALLS, FIRST, IDLE, ARRAYS, TEXT, STREAM, UNEVEN, RECOVERY, SCALING,
)  # fmt: skip


def rows(family: Family) -> list[Measure]:
    """The measures of a family that have a line in the table."""
    return [measure for measure in (*family.measures, *family.extra) if measure.title]
