"""Which item runs here: what `hanse.current_item()` answers."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    class Saver(Protocol):
        """See `saving.Saver`."""

        took_ns: int
        loss_ns: int
        wanted: bool

        def load(self, item: int, default: Any) -> Any: ...
        def save(self, item: int, state: Any) -> None: ...


class Item:
    """The item that runs now.

    Attributes:
        job: the id of its job.
        index: its place in the job.
        attempt: 1 the first time, more when it runs again.
        key: the same on every attempt, for outside effects that must happen once.
    """

    __slots__ = ("attempt", "index", "job")

    job: str
    index: int
    attempt: int

    def __init__(self, job: str, index: int, attempt: int) -> None:
        for name, value in (("job", job), ("index", index), ("attempt", attempt)):
            object.__setattr__(self, name, value)

    @property
    def key(self) -> str:
        return f"{self.job}/{self.index}"

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"an item is frozen; {name} cannot be set")

    def __reduce__(self) -> tuple[type[Item], tuple[str, int, int]]:
        return Item, (self.job, self.index, self.attempt)

    def _fields(self) -> tuple[str, int, int]:
        return self.job, self.index, self.attempt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Item) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return f"Item(job={self.job!r}, index={self.index}, attempt={self.attempt})"


_source: Callable[[], Item | None] | None = None
_token: Callable[[], str] | None = None
_saver: Saver | None = None


def current_item() -> Item | None:
    """The item that runs in this process, or None outside of a task."""
    return _source() if _source is not None else None


def home_token() -> str:
    """What lets the item that runs here ask the node whose job it is for more (see `Work.token`);
    empty if it may not. A secret."""
    return _token() if _token is not None else ""


def saver() -> Saver | None:
    """What keeps checkpoints in this process."""
    return _saver


def provide(
    source: Callable[[], Item | None],
    token: Callable[[], str] | None = None,
    keeper: Saver | None = None,
) -> None:
    """Say where to ask; a worker does so once."""
    global _source, _token, _saver
    _source, _token, _saver = source, token, keeper
