"""Digests of values: equal for equal values of whatever objects, different for different ones."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hanse.client.fingerprints.canonical import Canonical, shown


def canonical(value: Any, *, exact: bool = False) -> bytes:
    return Canonical(lambda each: None, lambda code: code.co_code, exact=exact).digest(value)


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(), st.binary(),
    st.complex_numbers(allow_nan=False),
)  # fmt: skip
HASHABLE = st.recursive(
    SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8
)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.sets(HASHABLE, max_size=4),
        st.dictionaries(HASHABLE, inner, max_size=4),
    ),
    max_leaves=12,
)


def rebuilt(value: Any) -> Any:
    """An equal value of other objects, its sets filled in another order."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(rebuilt, value))
    if isinstance(value, (set, frozenset)):
        return type(value)(map(rebuilt, reversed(list(value))))
    if isinstance(value, dict):
        return {rebuilt(key): rebuilt(each) for key, each in value.items()}
    if isinstance(value, str):
        return "".join([*value, ""])
    return value


def typed(value: Any) -> Any:
    """The value with its types: 1, 1.0 and True are equal, and are not the same."""
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [typed(each) for each in value]
    if isinstance(value, (set, frozenset)):
        return type(value).__name__, sorted(repr(typed(each)) for each in value)
    if isinstance(value, dict):
        return "dict", [(typed(key), typed(each)) for key, each in value.items()]
    return type(value).__name__, repr(value)


@given(VALUES)
def test_equal_values_have_equal_digests(value: Any) -> None:
    assert canonical(value) == canonical(rebuilt(value)) == canonical(value, exact=True)
    assert shown(value, lambda each: None) == shown(rebuilt(value), lambda each: None)
    assert len(shown(value, lambda each: None)) < 200


@given(VALUES, VALUES)
def test_different_values_have_different_digests(one: Any, two: Any) -> None:
    same = repr(typed(one)) == repr(typed(two))
    assert (canonical(one) == canonical(two)) == same


def test_shared_parts_are_no_difference() -> None:
    part = ["a" * 50]
    assert canonical([part, part]) == canonical([["a" * 50], ["a" * 50]])
    assert canonical(Counter("abc"), exact=True) == canonical(Counter("abc"), exact=True)
