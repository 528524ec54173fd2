"""`@hanse.task`: a function that knows how it wants to be run.

To say so a program needs no client yet, so this does not import it: see connecting.py.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from hanse.client.connecting import ambient
from hanse.client.options import PLAIN, Options
from hanse.model.resources import Resources

if TYPE_CHECKING:
    from hanse.client.future import Future
    from hanse.client.job import Job

P = ParamSpec("P")
R = TypeVar("R")


class Task(Generic[P, R]):
    """A function with options. Called, it is the function; `map` and `submit` run it on the
    ambient client (the innermost open one, or one that is made for the program)."""

    def __init__(self, function: Callable[P, R], options: Options) -> None:
        self.__wrapped__ = function
        self.__qualname__ = getattr(function, "__qualname__", type(function).__qualname__)
        self.options = options
        functools.update_wrapper(self, function)

    __qualname__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__wrapped__(*args, **kwargs)

    def map(self, *iterables: Iterable[Any], **options: Any) -> Job[R]:
        """`Client.map` of this function, on the ambient client."""
        return ambient().map(self, *iterables, **options)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """`Client.submit` of this function, on the ambient client."""
        function = cast("Callable[..., R]", self)
        return ambient().submit(function, *args, **kwargs)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """As a method it is bound like a function."""
        return (
            self if instance is None else cast("Any", functools.partial)(self.__wrapped__, instance)
        )

    def __reduce__(self) -> Any:
        """By name where a worker can import it, else by value."""
        found: Any = sys.modules.get(self.__module__)
        for part in self.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is self and self.__module__ != "__main__":
            return self.__qualname__
        return Task, (self.__wrapped__, self.options)

    def __repr__(self) -> str:
        return f"<Task {self.__module__}.{self.__qualname__}>"


@overload
def task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *, cpus: float = 1, gpus: float = 0, memory: int | str = 0,
    custom: dict[str, float] | None = None, retries: int = 0, timeout: float | None = None,
    packages: Sequence[str] | None = None, requirements: str | PathLike[str] | None = None,
) -> Callable[[Callable[P, R]], Task[P, R]]: ...  # fmt: skip
def task(
    function: Callable[..., Any] | None = None, /, *, cpus: float = 1, gpus: float = 0,
    memory: int | str = 0, custom: dict[str, float] | None = None, retries: int = 0,
    timeout: float | None = None, packages: Sequence[str] | None = None,
    requirements: str | PathLike[str] | None = None,
) -> Any:  # fmt: skip
    """Say how a function wants to be run. A plain function works too.

    Args:
        cpus: cores that one call needs, in thousandths at the finest.
        gpus: devices that one call needs.
        memory: bytes, or text such as `"1GiB"`, that one call needs, and is held to.
        custom: other resources that one call needs, by name.
        retries: further attempts of a call that raised, timed out or passed its memory limit.
        timeout: seconds that one attempt may take.
        packages: what workers have installed, as pip names it: `["numpy>=1.26"]`. Whoever runs the
            function makes an environment of them, with uv, once.
        requirements: the path of a requirements file that says the same, hashes and all. It is
            read when the function is first given to a client.

    Raises:
        UsageError: an option is out of range.
    """
    needs = Resources(cpus=cpus, gpus=gpus, memory=memory, custom=custom or {})
    options = Options(needs, retries, timeout, packages, requirements)
    if function is not None:
        return Task(function, options)
    return lambda wrapped: Task(wrapped, options)


def unwrap(function: Any) -> tuple[Any, Options]:
    """The function to send, and its options. What travels by value needs no wrapper there."""
    if not isinstance(function, Task):
        return function, PLAIN
    by_name = function.__reduce__() == function.__qualname__
    return (function if by_name else function.__wrapped__), function.options
