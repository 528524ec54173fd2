"""For how long spot machines are to be had, and not, by how long that has been so.

Spells of real spot machines are either short or long: one that was up for hours is lost twenty
times more rarely than one that came a moment ago, and a zone that has had none for hours stays so.
Rates are constant within classes of age, each a Bayes estimate: the class over all zones, how often
this zone's spells end beside those of the others, and the class of this zone, each leaning on the
one before. A spell that was not seen to end counts with its time. What was seen fades.
"""

from __future__ import annotations

from collections.abc import Sequence

EDGES = (0.0, 0.4, 1.5, 6.0)
"""Ages in hours at which the classes begin."""
_BEFORE = (2.5, 1.4, 0.7, 0.35)  # before anything is seen: times the mean rate
_WEIGHT = 2.0  # of what is leant on, in ends


class Spells:
    """Of one zone, up or down: hours watched and ends seen, by class of age."""

    __slots__ = ("ends", "hours")

    def __init__(self) -> None:
        self.hours = [0.0] * len(EDGES)
        self.ends = [0.0] * len(EDGES)

    def fade(self, keeps: float) -> None:
        self.hours = [keeps * hours for hours in self.hours]
        self.ends = [keeps * ends for ends in self.ends]

    def count(self, age: float, hours: float, *, ended: bool) -> None:
        """It was watched for so long from that age on."""
        at = class_of(age + hours / 2)
        self.hours[at] += hours
        self.ends[at] += ended


def class_of(age: float) -> int:
    at = len(EDGES) - 1
    while at and age < EDGES[at]:
        at -= 1
    return at


def hazards(zones: Sequence[Spells], prior: float) -> list[list[float]]:
    """For each zone, ends for an hour by class of age. `prior` is the rate before anything is
    seen."""
    mean = (sum(sum(each.ends) for each in zones) + 1) / (
        sum(sum(each.hours) for each in zones) + 1 / prior
    )
    common = []
    for at, times in enumerate(_BEFORE):
        ends = sum(each.ends[at] for each in zones)
        hours = sum(each.hours[at] for each in zones)
        common.append((ends + _WEIGHT) / (hours + _WEIGHT / (times * mean)))
    found = []
    for each in zones:
        expected = sum(hours * rate for hours, rate in zip(each.hours, common, strict=True))
        scale = (sum(each.ends) + _WEIGHT) / (expected + _WEIGHT)
        found.append([
            (ends + _WEIGHT) / (hours + _WEIGHT / (scale * rate))
            for ends, hours, rate in zip(each.ends, each.hours, common, strict=True)
        ])  # fmt: skip
    return found
