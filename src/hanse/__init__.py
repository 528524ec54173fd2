"""Hanse: the machines a team can reach, as one Python computer.

    import hanse

    with hanse.connect() as client:
        for answer in client.map(work, inputs):
            ...

The names below are all there is to import; each is loaded when it is first used.
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing, which costs every worker 6 ms
if TYPE_CHECKING:
    from typing import Any

    from hanse.client.client import Client
    from hanse.client.connecting import connect
    from hanse.client.executor import Executor
    from hanse.client.future import Future
    from hanse.client.job import Job
    from hanse.client.task import Task, task
    from hanse.engines.local.checkpoint import Checkpoint, checkpoint
    from hanse.engines.local.current import Item, current_item
    from hanse.errors import (
        ArgumentError,
        BudgetSpent,
        ClientClosed,
        DependencyFailed,
        EngineError,
        Fenced,
        HanseError,
        InitializerFailed,
        InputError,
        InternalError,
        ItemTimeout,
        JobBusy,
        JobCancelled,
        JobChanged,
        JobFailed,
        JournalDamaged,
        JournalError,
        JournalFull,
        JournalUnavailable,
        JournalVersion,
        NameTaken,
        NodeError,
        NodeUnavailable,
        NodeVersion,
        NoSuchJob,
        NotAllowed,
        OutOfMemory,
        PickleError,
        ResultError,
        ResultsConsumed,
        TaskError,
        UsageError,
        WorkerDied,
        WorldError,
    )
    from hanse.model.data import Data
    from hanse.model.failure import Failure
    from hanse.model.progress import Progress
    from hanse.model.resources import Resources

__version__ = "0.1.0"

_HOMES = {
    "hanse.client.client": ("Client",),
    "hanse.client.connecting": ("connect",),
    "hanse.client.executor": ("Executor",),
    "hanse.client.future": ("Future",),
    "hanse.client.job": ("Job",),
    "hanse.client.task": ("Task", "task"),
    "hanse.engines.local.checkpoint": ("Checkpoint", "checkpoint"),
    "hanse.engines.local.current": ("Item", "current_item"),
    "hanse.model.data": ("Data",),
    "hanse.model.failure": ("Failure",),
    "hanse.model.progress": ("Progress",),
    "hanse.model.resources": ("Resources",),
    "hanse.errors": (
        "ArgumentError", "BudgetSpent", "ClientClosed", "DependencyFailed", "EngineError", "Fenced",
        "HanseError", "InitializerFailed", "InputError", "InternalError", "ItemTimeout", "JobBusy",
        "JobCancelled", "JobChanged", "JobFailed", "JournalDamaged", "JournalError", "JournalFull",
        "JournalUnavailable", "JournalVersion", "NameTaken", "NodeError", "NodeUnavailable",
        "NodeVersion", "NoSuchJob", "NotAllowed", "OutOfMemory", "PickleError", "ResultError",
        "ResultsConsumed", "TaskError", "UsageError", "WorkerDied", "WorldError",
    ),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "ArgumentError", "BudgetSpent", "Checkpoint", "Client", "ClientClosed", "Data",
    "DependencyFailed", "EngineError", "Executor", "Failure", "Fenced", "Future", "HanseError",
    "InitializerFailed", "InputError", "InternalError", "Item", "ItemTimeout", "Job", "JobBusy",
    "JobCancelled", "JobChanged", "JobFailed", "JournalDamaged", "JournalError", "JournalFull",
    "JournalUnavailable", "JournalVersion", "NameTaken", "NoSuchJob", "NodeError",
    "NodeUnavailable", "NodeVersion", "NotAllowed", "OutOfMemory", "PickleError", "Progress",
    "Resources", "ResultError", "ResultsConsumed", "Task", "TaskError", "UsageError",
    "WorkerDied", "WorldError", "__version__", "checkpoint", "connect", "current_item", "task",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'hanse' has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home), name)
    return value


def __dir__() -> list[str]:
    return __all__
