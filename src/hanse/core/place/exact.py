"""A logarithm and its inverse that are the same on every machine.

Those of the C library may differ in the last bit, and then two machines would decide differently.
These use addition, multiplication and division alone, which IEEE 754 defines to the last bit.
"""

from __future__ import annotations

from math import frexp, ldexp

_LN2 = 0.6931471805599453


def ln(x: float) -> float:
    """The natural logarithm of a number above 0, to some 12 digits."""
    fraction, exponent = frexp(x)
    if fraction < 0.7071067811865476:
        fraction, exponent = 2 * fraction, exponent - 1
    z = (fraction - 1) / (fraction + 1)
    square, term, total = z * z, z, 0.0
    for odd in range(1, 20, 2):
        total += term / odd
        term *= square
    return 2 * total + exponent * _LN2


def exp(x: float) -> float:
    """e to the x, for x between -700 and 700, to some 12 digits."""
    exponent = int(x / _LN2 + (0.5 if x >= 0 else -0.5))
    rest = x - exponent * _LN2
    term = total = 1.0
    for n in range(1, 16):
        term *= rest / n
        total += term
    return ldexp(total, exponent)


def rounded(x: float, steps: int) -> float:
    """To one of so many steps for a factor of e; 0 stays 0."""
    return exp(round(steps * ln(x)) / steps) if x > 0 else 0.0
