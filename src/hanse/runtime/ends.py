"""Why a job has ended, as the error that its client gets."""

from __future__ import annotations

from hanse.core.events import JobEnded
from hanse.errors import BudgetSpent, EngineError, HanseError
from hanse.model.aims import NANO


def error_of(end: JobEnded, kept: bool) -> HanseError | None:
    """None if it ended by itself, by an item that failed, or was cancelled. `kept`: it is recorded,
    so it can go on."""
    if end.short is None:
        return EngineError(end.because) if end.because else None
    advice = (
        "what is done is kept: run it again with a higher budget, or none, to go on"
        if kept
        else "give it a name to keep what is done, and go on with more"
    )
    error = BudgetSpent(f"{end.because}; {advice}")
    error.budget, error.spent = end.short.budget_nano / NANO, end.short.spent_nano / NANO
    error.done, error.left = end.short.done, end.short.left
    return error
