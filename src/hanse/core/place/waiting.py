"""Whether to wait for a spot machine, to pay for a sure one, or to leave a sure one again.

Waiting saves the dear price and takes slack; so does every switch, there and back. What slack is
worth depends on how much of it is left, and on how many outages are to come, so it is worked out
backwards from the end (dynamic programming), over work and slack. Spot machines are lost and come
back at one rate when they are young and at another when they have lasted, as real ones do. "Can't
Be Late" (NSDI 2024) keeps uniform progress instead, which asks for no rates, and pays for a sure
machine long before that is needed.
"""

from __future__ import annotations

from typing import NamedTuple

_WORK, _SLACK = 160, 64  # steps of the grid at most
_NEVER = 1e18


class Phases(NamedTuple):
    """Ends per nanosecond of what has just begun, and of what has lasted; and when it has."""

    young: float
    old: float
    grows_ns: float


class Odds(NamedTuple):
    """Prices for an hour; a restart in nanoseconds."""

    spot: float
    sure: float
    up: Phases  # of a spot machine
    alone: float  # the chance that there is no other one when it is lost
    down: Phases  # of a time without any
    restart_ns: float


class Waiting:
    """The table for a job of up to so much work and slack."""

    def __init__(self, odds: Odds, work_ns: float, slack_ns: float) -> None:
        restart = odds.restart_ns
        self.unit_ns = max(restart / 2, work_ns / _WORK, slack_ns / _SLACK, 1.0)
        self._restart = restart / self.unit_ns
        works = int(work_ns / self.unit_ns) + 2
        slacks = int(slack_ns / self.unit_ns) + 2
        hour = self.unit_ns / 3600e9
        self._spot, self._sure = odds.spot * hour, odds.sure * hour
        self._alone = odds.alone
        self._lost = [_within(rate * self.unit_ns) for rate in odds.up[:2]]
        self._back = [_within(rate * self.unit_ns) for rate in odds.down[:2]]
        self._grow_up = _within(self.unit_ns / odds.up.grows_ns)
        self._grow_down = _within(self.unit_ns / odds.down.grows_ns)
        zero = [0.0] * slacks
        # By phase, then rows by work, then slack. With spot machines there, and without.
        self._on_spot, self._sure_up, self._sure_down, self._idle_up, self._idle_down = (
            [[zero], [zero]] for _ in range(5)
        )
        for _ in range(works):
            self._row(slacks)

    def _row(self, slacks: int) -> None:
        """One more unit of work, from what is known of less work and of less slack."""
        tables = self._on_spot, self._sure_up, self._sure_down, self._idle_up, self._idle_down
        spot_was, up_was, down_was, _, idle_was = ([phase[-1] for phase in one] for one in tables)
        on_spot, sure_up, sure_down, idle_up, idle_down = (([], []) for _ in range(5))  # type: ignore[var-annotated]
        moves, begin = self._restart * self._spot, self._restart * self._sure
        grow_up, grow_down = self._grow_up, self._grow_down
        for slack in range(slacks):
            least = slack - self._restart
            moved = moves + _at(spot_was[0], least)
            gone = self._alone * idle_was[0][slack] + (1 - self._alone) * moved
            waited_up = waited_down = _NEVER
            for old in (1, 0):
                lost, back = self._lost[old], self._back[old]
                older = (1.0 if old else grow_up), (1.0 if old else grow_down)
                stays = older[0] * spot_was[1][slack] + (1 - older[0]) * spot_was[0][slack]
                spot = self._spot + (1 - lost) * stays + lost * gone
                on_spot[old].append(spot if least >= 0 else _NEVER)  # lost now, it would be late
                none = older[1] * down_was[1][slack] + (1 - older[1]) * down_was[0][slack]
                steady = self._sure + (1 - back) * none + back * up_was[0][slack]
                if slack >= 1:
                    waited_down = back * idle_up[0][-1] + (1 - back) * (
                        older[1] * idle_down[1][slack - 1]
                        + (1 - older[1]) * idle_down[0][slack - 1]
                    )
                idle = min(waited_down, begin + _at(sure_down[old], least))
                idle_down[old].append(idle)
                sure_down[old].append(min(steady, idle))
            for old in (1, 0):
                lost = self._lost[old]
                older_up = 1.0 if old else grow_up
                change = moves + _at(on_spot[old], least)
                there = older_up * up_was[1][slack] + (1 - older_up) * up_was[0][slack]
                steady = self._sure + (1 - lost) * there + lost * down_was[0][slack]
                sure_up[old].append(min(steady, change))
                if slack >= 1:
                    waited_up = lost * idle_down[0][slack - 1] + (1 - lost) * (
                        older_up * idle_up[1][slack - 1] + (1 - older_up) * idle_up[0][slack - 1]
                    )
                idle_up[old].append(min(change, begin + _at(sure_up[old], least), waited_up))
        for table, row in zip(
            tables, (on_spot, sure_up, sure_down, idle_up, idle_down), strict=True
        ):
            table[0].append(row[0])
            table[1].append(row[1])

    # --- questions ------------------------------------------------------------------------------
    def waits(self, work_ns: float, slack_ns: float, old: bool) -> bool:
        """Nothing runs and no spot machine is there, for long already or not: wait on, rather than
        begin a sure one?"""
        work, slack = work_ns / self.unit_ns, slack_ns / self.unit_ns
        least = slack - self._restart
        begin = self._restart * self._sure + self._look(self._sure_down[old], work, least)
        return least >= 1 and self._look(self._idle_down[old], work, slack) < begin - 1e-9

    def begins(self, work_ns: float, slack_ns: float, old: bool) -> bool:
        """Nothing runs and a spot machine can be had, for long already or not: take it?"""
        work, slack = work_ns / self.unit_ns, slack_ns / self.unit_ns
        least = slack - self._restart
        take = self._restart * self._spot + self._look(self._on_spot[old], work, least)
        return take <= self._look(self._idle_up[old], work, slack) * 1.001

    def leaves(self, work_ns: float, slack_ns: float, old: bool) -> bool:
        """A sure machine runs and a spot one can be had, for long already or not: change to it?"""
        work, slack = work_ns / self.unit_ns, slack_ns / self.unit_ns
        least = slack - self._restart
        if least < self._restart:
            return False
        change = self._restart * self._spot + self._look(self._on_spot[old], work, least)
        stays = self._sure + self._look(self._sure_up[old], work - 1, slack)
        return change < stays

    def stops(self, work_ns: float, slack_ns: float, old: bool) -> bool:
        """A sure machine runs and there is no spot one: stop it, and wait?"""
        work, slack = work_ns / self.unit_ns, slack_ns / self.unit_ns
        if slack < self._restart + 2:
            return False
        stays = self._sure + self._look(self._sure_down[old], work - 1, slack)
        return self._look(self._idle_down[old], work, slack) < stays * 0.999

    def _look(self, table: list[list[float]], work: float, slack: float) -> float:
        """Between rows and columns: a straight line."""
        if slack < 0:
            return _NEVER
        work = min(max(work, 0.0), len(table) - 1.001)
        row = int(work)
        part = work - row
        return (1 - part) * _at(table[row], slack) + part * _at(table[row + 1], slack)


def _within(mean: float) -> float:
    """The chance that it happens in a step, of what happens so often on average."""
    return mean / (1 + mean)


def _at(row: list[float], slack: float) -> float:
    if slack < 0 or not row:
        return _NEVER
    slack = min(slack, len(row) - 1.0)
    low = int(slack)
    part = slack - low
    if not part:
        return row[low]
    if low + 1 >= len(row):
        return row[-1]
    return (1 - part) * row[low] + part * row[low + 1]
