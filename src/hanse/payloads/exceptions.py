"""Exceptions to plain failure fields and back.

The exception object travels only if it really comes back as itself, which is tried where it was
raised; otherwise the caller gets the `TaskError` that tells the story.
"""

from __future__ import annotations

import os
import sys

from hanse.payloads.pickling import by_value, dumps, loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from hanse.errors import TaskError
    from hanse.model.failure import Cause, Failure

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_EXCEPTION_BYTES = 1 << 20  # a larger exception object stays where it is
_TEXT = 16 * 1024  # of a message or traceback: both ends are what a reader needs


def fields_of(exc: BaseException) -> dict[str, Any]:
    """Type, message, traceback and pickled exception, as plain values."""
    return {
        "type": _type_name(exc),
        "message": _bounded(message_of(exc)),
        "traceback": _bounded(_traceback(exc)),
        "exception": _pickled(exc),
    }


def failure_of(
    exc: BaseException,
    *,
    cause: Cause | None = None,
    function: str = "",
    item: int = 0,
    **known: Any,
) -> Failure:
    """A failure with all that an exception tells."""
    from hanse.model.failure import Cause, Failure

    fields = fields_of(exc) | known
    return Failure(cause=cause or Cause.RAISED, function=function, item=item, **fields)


def _loads_ours(data: bytes) -> Any:
    """Of a class of `__main__`, which may be recorded: see `ours`."""
    from hanse.payloads import ours

    return ours.loads(data)


def to_exception(failure: Failure) -> BaseException:
    """What the caller of the item gets: its own exception, or an error that says everything."""
    from hanse import errors
    from hanse.model.failure import Cause

    classes: dict[Cause, type[errors.TaskError]] = {
        Cause.DIED: errors.WorkerDied,
        Cause.MEMORY: errors.OutOfMemory,
        Cause.TIMEOUT: errors.ItemTimeout,
        Cause.INITIALIZER: errors.InitializerFailed,
        Cause.ARGUMENT: errors.ArgumentError,
        Cause.RESULT: errors.ResultError,
        Cause.DEPENDENCY: errors.DependencyFailed,
    }
    story = _known_as_broken_pool(classes.get(failure.cause, errors.TaskError))(failure)
    if failure.cause is Cause.ARGUMENT:
        story.__cause__ = errors.PickleError(f"{failure.type}: {failure.message}")
        return story
    original = _rebuilt(failure.exception)
    if original is None:
        return story
    if failure.cause is not Cause.RAISED:
        story.__cause__ = original
        return story
    original.__cause__ = story
    original.add_note(failure.headline())
    return original


def _known_as_broken_pool(cls: type[TaskError]) -> type[TaskError]:
    """The class, caught by `except BrokenProcessPool` too in programs that know this name.

    A base class would do, at the price of importing multiprocessing into every program; whoever
    can write the name has imported it already."""
    module = sys.modules.get("concurrent.futures.process")
    if module is None or not issubclass(cls, module._base.BrokenExecutor):
        return cls
    if cls not in _broken_pools:
        names = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__reduce__": lambda self: (cls, (self.failure,)),
        }
        _broken_pools[cls] = type(cls.__name__, (cls, module.BrokenProcessPool), names)
    return _broken_pools[cls]


_broken_pools: dict[type[TaskError], type[TaskError]] = {}


def _rebuilt(data: bytes | None) -> BaseException | None:
    if data is None:
        return None
    try:
        original = _loads_ours(data) if b"_make_skeleton" in data else loads(data)
    except KeyboardInterrupt:
        raise  # from the user's keyboard, more likely than from the exception
    except BaseException:  # noqa: BLE001 - a class that this process lacks; TaskError says it all
        return None
    return original if isinstance(original, BaseException) else None


def _type_name(exc: BaseException) -> str:
    cls = type(exc)
    if cls.__module__ in ("builtins", "__main__"):
        return cls.__qualname__
    return f"{cls.__module__}.{cls.__qualname__}"


def message_of(exc: BaseException) -> str:
    """Its text, whatever its `__str__` does: sys.exit() there must not cost the worker."""
    try:
        return str(exc)
    except BaseException as error:  # noqa: BLE001
        return f"<its message cannot be made: {type(error).__name__}>"


def _traceback(exc: BaseException) -> str:
    import traceback

    try:
        return "".join(traceback.format_exception(type(exc), exc, _without_ours(exc.__traceback__)))
    except BaseException:  # noqa: BLE001 - a broken __str__ or source file
        return f"{_type_name(exc)}: {message_of(exc)}\n"


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the user's first frame on."""
    here = trace
    while here is not None and here.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        here = here.tb_next
    return here


def _pickled(exc: BaseException) -> bytes | None:
    """The exception's bytes, if it comes back from them as what it was."""
    for dump in (_plain, by_value):
        try:
            data = dump(exc)[0]
            if len(data) > _EXCEPTION_BYTES:
                return None
            back = loads(data)
        except BaseException:  # noqa: BLE001 - whatever its __reduce__ or __init__ raises
            continue
        if type(back) is type(exc) and message_of(back) == message_of(exc):
            return data
    return None


def _plain(exc: BaseException) -> tuple[bytes, None]:
    return dumps(exc, 5), None


def _bounded(text: str) -> str:
    if len(text) <= _TEXT:
        return text
    return text[: _TEXT // 2] + "\n... (cut) ...\n" + text[-_TEXT // 2 :]
