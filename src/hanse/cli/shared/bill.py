"""A job's account, as `job` and `explain` show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hanse.cli.shared import words

if TYPE_CHECKING:
    from hanse.model.account import Account


def account_of(told: Any) -> Account | None:
    """From what a program or a node answers; None if it says nothing that can be read."""
    import msgspec

    from hanse.decoding import from_builtins
    from hanse.model.account import Account

    try:
        return from_builtins(told, Account) if told is not None else None
    except msgspec.ValidationError:
        return None


def document(account: Account | None) -> dict[str, Any] | None:
    """What programs get."""
    from msgspec import to_builtins

    return None if account is None else to_builtins(account)


def rows(account: Account) -> Iterable[tuple[str, str | None]]:
    """What people get, where money or time matters to the job."""
    from hanse.core.deadlines import Late, outlook
    from hanse.limits import SECOND
    from hanse.model.resources import format_bytes

    if account.nowhere:
        yield "runs nowhere", account.nowhere
    spent = [f"{amount(site.spent)} at {site.site}" for site in account.sites if site.spent]
    of = "" if account.budget is None else f" of {amount(account.budget)}"
    if spent or of:
        yield "cost", f"{amount(account.spent)}{of}" + (f": {', '.join(spent)}" if spent else "")
    moved = [
        f"{format_bytes(site.moved_bytes)} to {site.site} for {amount(site.moved_cost)}"
        for site in account.sites
        if site.moved_bytes
    ]
    if moved:
        yield "bytes moved", ", ".join(moved)
    if account.expected is not None and account.expected_high is not None:
        where = [f"{amount(one.expected)} at {one.site}" for one in account.sites if one.expected]
        yield (
            "expected",
            f"{amount(account.expected)} more, at most {amount(account.expected_high)} in 19 of 20 "
            f"cases: {', '.join(where)}",
        )
    if account.end_s is not None:
        low, high = account.end_low_s or 0.0, account.end_high_s or 0.0
        yield (
            "ends in",
            f"{words.duration(account.end_s)} (between {words.duration(low)} and "
            f"{words.duration(high)}, four times out of five)",
        )
    if account.deadline_s is not None:
        left = account.deadline_s
        when = f"{words.duration(-left)} ago" if left < 0 else f"in {words.duration(left)}"
        late = Late(round(account.late_s * SECOND), round(account.late_high_s * SECOND))
        told = [when, outlook(left * SECOND, late)] + ["all sites are used for it"] * account.hurry
        yield "deadline", "; ".join(each for each in told if each)
    elif account.late_s:
        yield "deadline", f"missed by {words.duration(account.late_s)}"
    if account.sooner is not None:
        yield "an hour earlier", f"costs {amount(account.sooner)} more"
    for site in account.sites:
        if site.refused and not account.nowhere:
            yield f"{'no more' if site.leases else 'not'} at {site.site}", site.refused


def amount(whole: float) -> str:
    """In whatever currency prices are written."""
    from hanse.core.words import money
    from hanse.model.aims import NANO

    return money(whole * NANO)
