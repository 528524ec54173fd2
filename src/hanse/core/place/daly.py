"""How often to save what a long item has done.

J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps" (Future
Generation Computer Systems 22, 2006), equation 37: for losses that come at random, with a mean time
between them.
"""

from __future__ import annotations

from math import sqrt


def interval_ns(save_ns: float, loss_ns: float) -> float:
    """Work between the end of one save and the start of the next that wastes the least time.

    Args:
        save_ns: what a save takes.
        loss_ns: mean time between losses of the machine.
    """
    if save_ns >= 2 * loss_ns:  # it is lost before it is saved: no interval is any good
        return loss_ns
    part = save_ns / (2 * loss_ns)
    return sqrt(2 * save_ns * loss_ns) * (1 + sqrt(part) / 3 + part / 9) - save_ns
