"""Which installed distribution a module is of.

Several distributions may bring parts of one namespace package, such as `google`, and several builds
of one package the same module. So where the name of the top module does not say it, the lists of
their files do. What is wrong with the metadata of a distribution is no reason to fail: it is left
out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import metadata

_ENDINGS = (".py", ".so", ".pyd")


def distribution_of(module: str) -> str | None:
    """The name of the one distribution that brings this module, or the nearest package that it is
    in. None if there is none, or several do: a site may have any of them."""
    some = _by_top().get(module.partition(".")[0], frozenset())
    if len(some) == 1:
        return next(iter(some))
    while module and some:
        holding = [name for name in some if module in _modules_of(name)]
        if holding:
            return holding[0] if len(holding) == 1 else None
        module = module.rpartition(".")[0]
    return None


def version_of(distribution: str) -> str | None:
    """As it is installed now. None if it is not there any more, or says none."""
    try:
        return _said(metadata.distribution(distribution), "Version")
    except Exception:  # noqa: BLE001 - whatever is wrong with its files
        return None


@cache
def _by_top() -> dict[str, frozenset[str]]:
    """The names of the distributions that bring a top module, or a part of it."""
    found: dict[str, set[str]] = {}
    for each in metadata.distributions():
        try:
            name, tops = _said(each, "Name"), _tops(each)
        except Exception:  # noqa: BLE001 - whatever is wrong with its files
            continue
        if name:
            for top in tops:
                found.setdefault(top, set()).add(name)
    return {top: frozenset(names) for top, names in found.items()}


def _said(distribution: metadata.Distribution, field: str) -> str | None:
    said = distribution.metadata
    return said[field] if field in said else None  # noqa: SIM401 - it has no get()


def _tops(distribution: metadata.Distribution) -> set[str]:
    said = (distribution.read_text("top_level.txt") or "").split()
    return set(said) or {module.partition(".")[0] for module in _modules(distribution)}


@cache
def _modules_of(name: str) -> frozenset[str]:
    try:
        return frozenset(_modules(metadata.distribution(name)))
    except Exception:  # noqa: BLE001 - it was removed just now, or its list is no text
        return frozenset()


def _modules(distribution: metadata.Distribution) -> Iterator[str]:
    """By the list of its files: asked for that list, importlib looks whether each is there."""
    for line in (distribution.read_text("RECORD") or "").splitlines():
        path = line.partition(",")[0]
        if path.endswith(_ENDINGS) and not path.startswith(("..", "/")):
            directory, _, file = path.rpartition("/")
            stem = file.partition(".")[0]
            parts = directory.split("/") if directory else []
            yield ".".join(parts if stem == "__init__" and parts else [*parts, stem])
