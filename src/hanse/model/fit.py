"""What a site can run at all: its Python, its packages, and what its owner lets through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache

import msgspec

from hanse.model.aims import Tariff

_SEPARATORS = re.compile(r"[-_.]+")
_VARIANTS = re.compile(
    r"-(?:binary|headless|contrib|simd|cpu|gpu|intel|macos|rocm|directml|nightly|cu\d+|cuda\d+x?)"
    r"(?![^-])"
)
_YEAR_DIGITS = 4  # versions that begin with so many digits, or more, are dates


class Requires(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the code of a job needs of the Python that runs it.

    Attributes:
        python: such as `"3.12"`: bytecode and pickles of one minor version are read by no other;
            empty: any.
        function: what it calls, by name; empty: it is called as its job is.
        packages: distributions that it imports, by canonical names, with the versions that it was
            made with.
        environment: the name of the `Environment` that its site builds for it; empty: none.
        site: the name of the one site that it may run at; empty: any.
    """

    python: str = ""
    packages: dict[str, str] = {}
    function: str = ""
    environment: str = ""
    site: str = ""

    @property
    def key(self) -> tuple[object, ...]:
        """Equal where the same Python will do. What is called has no part in it."""
        if not self.python and not self.packages and not self.environment and not self.site:
            return ()
        return self.python, self.environment, self.site, *sorted(self.packages.items())


class Offer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a site has, and for whom.

    Attributes:
        python: its minor version; empty: not known.
        packages: every distribution with its version; None: not known.
        allow: names of functions that it runs, as patterns of the shell; empty: all.
        tariff: where it is, and at what price.
        works: whether it runs anything at all.
        names: by which jobs may ask for it, beside those that its home gives it.
    """

    python: str = ""
    packages: dict[str, str] | None = None
    allow: list[str] = []
    tariff: Tariff = Tariff()
    works: bool = True
    names: list[str] = []

    def lacks(self, requires: Requires) -> str | None:
        """Why it cannot run such code, in words; None if it can."""
        if not self.works:
            return "its node does no work itself"
        if requires.python and self.python and requires.python != self.python:
            return f"it runs Python {self.python}, and the job's code is of {requires.python}"
        if self.packages is None:
            return None
        wrong = [
            f"{name} {version} ({_other(self.packages, name)})"
            for name, version in sorted(requires.packages.items())
            if not _near(version, self.packages.get(name))
            and not _variant(version, name, self.packages)
        ]
        return (
            "it lacks packages that the job's code imports: " + ", ".join(wrong) if wrong else None
        )

    def lets(self, name: str) -> bool:
        """Whether functions of this name may run."""
        return not self.allow or _any_of(tuple(self.allow)).match(name) is not None


@lru_cache(maxsize=4096)  # a home asks this of all its sites
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns))


def canonical(name: str) -> str:
    """The one spelling of a distribution's name (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def _near(wanted: str, found: str | None) -> bool:
    """Whether code made with one version of a package may run with another: those of one major
    version are taken for compatible, as semantic versioning has it; so are all that are called by
    their dates, which say nothing of that."""
    return found is not None and _major(wanted) == _major(found)


def _major(version: str) -> str:
    first = version.split(".")[0]
    return "a date" if first.isdecimal() and len(first) >= _YEAR_DIGITS else first


def _variant(version: str, wanted: str, packages: Mapping[str, str]) -> bool:
    """Whether there is the same package as it was built for something else, such as
    opencv-python-headless for opencv-python: their modules have the same names."""
    plain = _VARIANTS.sub("", wanted)
    stem = plain.partition("-")[0]
    return any(
        name.startswith(stem) and _VARIANTS.sub("", name) == plain and _near(version, found)
        for name, found in packages.items()
    )


def _other(packages: Mapping[str, str], name: str) -> str:
    return f"it has {packages[name]}" if name in packages else "it has none"
