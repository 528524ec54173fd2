"""What every provider does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from hanse.errors import WorldError
from hanse.model.rental import Rental


class NotBrought(WorldError):
    """A provider did not do what it was asked for: no capacity, a quota, no network."""

    code = "not-brought"


class InDoubt(NotBrought):
    """It did not say whether it has done it."""


class Owned(NamedTuple):
    """A machine of ours that a provider has."""

    id: str  # ours, which it was brought with
    handle: str  # the provider's own


class Order(NamedTuple):
    """A machine to be brought.

    Args:
        id: ours. Asked for twice, it is brought once, as far as the provider can tell.
        rental: what it is to be.
        how: what only the provider understands, from its offer in the file.
        token: it links with. A secret: never in a command line, a tag or a log.
    """

    id: str
    rental: Rental
    how: Mapping[str, object]
    token: str


class Provider(Protocol):
    """All methods may wait, and may be called from several threads. They raise NotBrought, with
    words for people."""

    def bring(self, order: Order) -> str:
        """Have a machine started; its handle. It need not be there yet. Raises InDoubt if there
        may be one nonetheless."""

    def owned(self) -> list[Owned] | None:
        """The machines of ours that there are, whoever brought them; None: nobody knows."""

    def send_away(self, machine: Owned) -> None:
        """End it. One that is not there any more is no error. The handle is empty if the home was
        killed before it learnt it."""
