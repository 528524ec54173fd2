"""The options of `task`, `map` and `submit`, checked where they come in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from os import PathLike, fspath
from typing import Any, Literal

import msgspec

from hanse.errors import UsageError
from hanse.limits import ENVIRONMENT_BYTES
from hanse.model.environment import Environment
from hanse.model.resources import Resources

OnError = Literal["raise", "collect"]


class Options(msgspec.Struct, frozen=True, dict=True):
    """How items run.

    Attributes:
        resources: what an item needs while it runs. Its memory is also its limit.
        retries: further attempts of an item that raised, timed out or passed its memory limit.
        timeout: seconds that one attempt of an item may take.
        packages: what its workers have installed, as pip names it; None: what this Python has.
        requirements: the path of a requirements file that says the same, in place of packages.
        calls_home: whether an item may ask the node whose job it is for more, as scripts of
            `hanse submit` do.
        site: the name of the one site where items may run; empty: any.
    """

    resources: Resources = msgspec.field(default_factory=Resources)
    retries: int = 0
    timeout: float | None = None
    packages: Sequence[str] | None = None
    requirements: str | PathLike[str] | None = None
    calls_home: bool = False
    site: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.resources, Resources):
            raise UsageError(f"resources must be hanse.Resources(...), not {self.resources!r}")
        if not isinstance(self.retries, int) or not 0 <= self.retries <= 1_000_000:
            raise UsageError(f"retries must be a whole number from 0 up, not {self.retries!r}")
        if self.timeout is not None and not (
            isinstance(self.timeout, (int, float)) and 0 < self.timeout < 1e9
        ):
            raise UsageError(f"timeout must be seconds above 0, or None, not {self.timeout!r}")
        self._check_packages()

    def _check_packages(self) -> None:
        if self.packages is None:
            return
        if self.requirements is not None:
            raise UsageError("packages= and requirements= say the same: give one of them")
        if not isinstance(self.packages, (list, tuple)) or not all(
            isinstance(package, str) for package in self.packages
        ):
            raise UsageError(f"packages must be a list of texts, not {self.packages!r}")
        if self.packages:
            _environment(packages=tuple(self.packages))

    def but(self, **given: Any) -> Options:
        """The same with those replaced that are not None."""
        # A new one, because only that is checked by every version of msgspec.
        now: dict[str, Any] = {
            "resources": self.resources,
            "retries": self.retries,
            "timeout": self.timeout,
            "packages": self.packages,
            "requirements": self.requirements,
            "calls_home": self.calls_home,
            "site": self.site,
        }
        given = {name: value for name, value in given.items() if value is not None}
        if "packages" in given or "requirements" in given:
            now["packages"] = now["requirements"] = None
        return Options(**now | given)

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """Equal for equal options; hashable."""
        amount = repr(self.resources.amount())
        return amount, self.retries, self.timeout, self.environment, self.site

    @cached_property
    def environment(self) -> Environment | None:
        """What packages and requirements say. The file is read here and now, and not where the
        task is defined: workers define it too, where the file may not be. Raises UsageError."""
        if self.requirements is None:
            return _environment(packages=tuple(self.packages)) if self.packages else None
        path = fspath(self.requirements)
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read(ENVIRONMENT_BYTES + 1)
        except (OSError, UnicodeDecodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"the requirements file {path!r} cannot be read: {why}") from error
        if not text.strip():
            raise UsageError(f"the requirements file {path!r} is empty")
        return _environment(requirements=text)

    @property
    def timeout_ns(self) -> int | None:
        return None if self.timeout is None else int(self.timeout * 1e9)


def _environment(**told: Any) -> Environment:
    try:
        return Environment(**told)
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_on_error(on_error: str) -> bool:
    """Whether the first failed item ends the job."""
    if on_error not in ("raise", "collect"):
        raise UsageError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    return on_error == "raise"


PLAIN = Options()
"""The options of a plain function."""
