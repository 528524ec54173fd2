"""The file that says what can be rented: TOML, checked as a whole before anything is done.

    [NAME]                     a provider: its kind, and what that kind takes
    kind = "command"
    [NAME.offers.OFFER]        a kind of machine: what it has and costs (see `_Offer`)

There are no secrets in it: clouds have their own ways to find these.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hanse.decoding import from_builtins
from hanse.errors import UsageError
from hanse.limits import SECOND
from hanse.model.aims import NANO, Tariff
from hanse.model.rental import Rental
from hanse.model.resources import Resources
from hanse.node.providers.aws import AwsOffer, AwsProvider, AwsSettings
from hanse.node.providers.command import CommandProvider, CommandSettings, check_offer
from hanse.node.providers.port import Provider
from hanse.node.providers.slurm import SlurmOffer, SlurmProvider, SlurmSettings

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
_TIME = re.compile(r"(\d{1,9}(?:\.\d+)?)\s*(s|min|h|d)")
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_MOST = 1000


class _Offer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kind of machine. Times are texts such as "90s", "10min", "1h"."""

    cpus: float
    price: float  # for an hour of it
    memory: int | str = 0
    gpus: float = 0
    custom: dict[str, float] = {}
    region: str = ""
    spot: bool = False
    most: int = 1
    speed: float = 1.0
    start: str = "60s"  # how long it takes to come up
    patience: str = "10min"  # it is given up after that
    idle: str = "60s"
    least: str = "0s"
    billed: str = "0s"
    life: str = "1d"
    how: dict[str, Any] = {}  # what the provider alone understands


class Brings(NamedTuple):
    """A provider with its offers."""

    name: str
    provider: Provider
    rentals: list[Rental]
    how: dict[str, Mapping[str, object]]  # by the names of the offers


Make = Callable[[Mapping[str, Any], str, Path], Provider]


def _command(told: Mapping[str, Any], owner: str, directory: Path) -> Provider:
    return CommandProvider(from_builtins(told, CommandSettings), owner, directory)


def _slurm(told: Mapping[str, Any], owner: str, directory: Path) -> Provider:
    return SlurmProvider(from_builtins(told, SlurmSettings), owner, directory)


def _aws(told: Mapping[str, Any], owner: str, directory: Path) -> Provider:
    return AwsProvider(from_builtins(told, AwsSettings), owner)


class _Kind(NamedTuple):
    make: Make
    check: Callable[[Mapping[str, Any]], object]  # what its offers say beside; raises ValueError


KINDS: dict[str, _Kind] = {
    "aws": _Kind(_aws, partial(from_builtins, kind=AwsOffer)),
    "command": _Kind(_command, check_offer),
    "slurm": _Kind(_slurm, partial(from_builtins, kind=SlurmOffer)),
}


def read(path: Path, owner: str) -> list[Brings]:
    """The providers that a file names. Raises UsageError, which says where it is wrong.

    Args:
        owner: what machines of this home are marked with.
    """
    try:
        text = path.read_text()
        told = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    found: list[Brings] = []
    seen: set[str] = set()
    for name, table in told.items():
        with _where(path, text, (name,)):
            found.append(_provider(path, text, name, table, owner))
            for rental in found[-1].rentals:
                if rental.name in seen:
                    raise ValueError(f"two offers are called {rental.name}")
                seen.add(rental.name)
    return found


def _provider(path: Path, text: str, name: str, told: Any, owner: str) -> Brings:
    if not isinstance(told, dict):
        raise ValueError("this is outside of a provider's table, such as [lab]")
    _check_name(name)
    told = dict(told)
    kind, offers = told.pop("kind", None), told.pop("offers", {})
    if kind not in KINDS:
        raise ValueError(f"kind is one of {', '.join(KINDS)}, not {kind!r}")
    provider = KINDS[kind].make(told, owner, path.parent)
    if not isinstance(offers, dict) or not offers:
        raise ValueError("it has no offer: write one as [NAME.offers.OFFER]")
    rentals: list[Rental] = []
    how: dict[str, Mapping[str, object]] = {}
    for each, about in offers.items():
        with _where(path, text, (name, "offers", each)):
            _check_name(each)
            offer = from_builtins(about, _Offer)
            rentals.append(_rental(each, offer))
            with _where(path, text, (name, "offers", each, "how")):
                KINDS[kind].check(offer.how)
            how[each] = offer.how
    return Brings(name, provider, rentals, how)


def _rental(name: str, offer: _Offer) -> Rental:
    if not 0 <= offer.price < NANO or not 0 < offer.speed < NANO:
        raise ValueError("a price is from 0, and a speed more than 0")
    if not 1 <= offer.most <= _MOST:
        raise ValueError(f"most is from 1 to {_MOST:,}")
    tariff = Tariff(
        region=offer.region, price_nano=round(offer.price * NANO), spot=offer.spot,
        speed_milli=round(offer.speed * 1000), start_ns=_ns("start", offer.start), rented=True,
    )  # fmt: skip
    amount = Resources(
        cpus=offer.cpus, gpus=offer.gpus, memory=offer.memory, custom=offer.custom
    ).amount()
    return Rental(
        name=name, amount=amount, tariff=tariff, most=offer.most,
        billed_ns=max(1, _ns("billed", offer.billed)), least_ns=_ns("least", offer.least),
        idle_ns=_ns("idle", offer.idle), life_ns=_ns("life", offer.life),
        patience_ns=_ns("patience", offer.patience),
    )  # fmt: skip


def _ns(name: str, text: str) -> int:
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{name} is a time such as 90s, 10min or 1h, not {text!r}")
    return round(float(found[1]) * _UNITS[found[2]] * SECOND)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: small letters, digits and -, at most 31")


class _Placed(UsageError):
    """It says already where the mistake is."""


class _where:  # noqa: N801 - used as a function
    """What is wrong inside is told with the line and the key where it is."""

    def __init__(self, path: Path, text: str, keys: tuple[str, ...]) -> None:
        self._path, self._text, self._keys = path, text, keys

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (ValueError, UsageError)) and not isinstance(error, _Placed):
            words, keys = str(error), list(self._keys)
            if isinstance(error, msgspec.ValidationError):
                words, _, inner = words.partition(" - at `$.")
                keys += [key for key in re.split(r"[.\[]", inner.rstrip("`")) if key]
                if unknown := re.search(r"unknown field `(\w+)`", words):
                    keys.append(unknown[1])
            place = f"{self._path}, line {_line(self._text, keys)}, {'.'.join(keys)}"
            raise _Placed(f"{place}: {words}") from error


def _line(text: str, keys: list[str]) -> int:
    """The line of the last key that can be found: its table's, and then its own in that."""
    lines = text.splitlines()
    line = 0
    for depth in range(len(keys), 0, -1):
        head = "[" + ".".join(keys[:depth]) + "]"
        found = [n for n, each in enumerate(lines) if each.replace(" ", "").startswith(head)]
        if found:
            line = found[0]
            if depth < len(keys):
                own = re.compile(rf"\s*{re.escape(keys[depth])}\s*=")
                for n in range(line + 1, len(lines)):
                    if lines[n].lstrip().startswith("["):
                        break
                    if own.match(lines[n]):
                        return n + 1
            return line + 1
    own = re.compile(rf"\s*{re.escape(keys[0])}\s*=")
    return next((n + 1 for n, each in enumerate(lines) if own.match(each)), line + 1)
