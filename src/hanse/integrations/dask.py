"""Dask on Hanse: a scheduler for `dask.compute`, on whatever client is ambient.

    dask.config.set(scheduler=hanse.integrations.dask.get)

A graph becomes calls of one job, in Dask's own order: what follows one another alone is one call,
and what such calls need of each other passes between workers without being read here. Data that
stands in the graph goes along with the calls that use it; where it is large and several do, once.
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dask import config
from dask._task_spec import Alias, DataNode, Task, convert_legacy_graph, cull
from dask.base import named_schedulers
from dask.callbacks import Callback, unpack_callbacks
from dask.core import flatten
from dask.local import get_async, nested_get
from dask.order import order
from dask.sizeof import sizeof

from hanse.client.client import Client
from hanse.client.connecting import ambient
from hanse.client.executor import Executor
from hanse.client.functions import importable
from hanse.client.future import Future
from hanse.client.options import PLAIN
from hanse.errors import DependencyFailed

_CHAIN_TASKS = 32  # in one call: what a worker that dies may cost
_LARGE_BYTES = 64 << 10  # of data: from here on it is put for all calls that use it


def register() -> None:
    """Let Dask know the scheduler by its name: `dask.config.set(scheduler="hanse")`."""
    named_schedulers["hanse"] = get


def get(
    dsk: Any, keys: Any, *, client: Client | None = None, callbacks: Any = None, **_of_others: Any
) -> Any:
    """Compute a graph. A scheduler as Dask knows them.

    Args:
        keys: what to give back: a key, or a list of keys and of such lists.
        client: by default the ambient one: embedded, or a node's.
        callbacks: Dask's own, such as its ProgressBar; they, and `rerun_exceptions_locally`, are
            served by Dask's loop over all tasks, which takes longer.

    Raises:
        Exception: what the first failed task raised, with a `TaskError` as its cause.
    """
    if not isinstance(dsk, Mapping):
        dsk = dsk.__dask_graph__()
    opened = client or ambient()
    workers = opened.executor()
    try:
        again = config.get("rerun_exceptions_locally", False)
        if again or _looked_at(callbacks):
            slots = opened._slots(PLAIN.resources.amount())
            more = {"pack_exception": _packed} if again else {}
            return get_async(
                workers.submit, slots, dsk, keys, callbacks=callbacks, **more, **_of_others
            )
        wanted = set(flatten([keys]))
        results = _Graph(cull(convert_legacy_graph(dsk), wanted), wanted).submit(workers, opened)
        return nested_get(keys, _values(results))
    except BaseException:
        workers.kill_workers()
        raise
    finally:
        workers.shutdown(wait=False)


def _looked_at(callbacks: Any) -> bool:
    """Whether somebody wants to hear of every task, here."""
    return any(map(any, unpack_callbacks([callbacks] if callbacks else Callback.active)))


def _packed(error: BaseException, _dumps: object) -> tuple[BaseException, None]:
    """A failure as a result: the task runs again here, and raises here."""
    return error, None


class _Graph:
    """Tasks in order, each with those that it alone follows, and that it is alone to follow."""

    def __init__(self, tasks: Mapping[Any, Any], wanted: set[Any]) -> None:
        self._tasks = tasks
        self._wanted = wanted
        self._users: dict[Any, int] = {}  # of each task and each piece of data
        for task in tasks.values():
            for key in task.dependencies:
                self._users[key] = self._users.get(key, 0) + 1
        self._data: dict[Any, Any] = {}  # values in the graph, or futures of them
        self._done: dict[Any, Future[Any]] = {}
        self._functions: dict[int, tuple[Any, Future[Any]]] = {}  # by id, so each is held too

    def submit(self, workers: Executor, client: Client) -> dict[Any, Any]:
        """Hand all in; returns futures of what is wanted, or values that stood in the graph."""
        places = order(self._tasks)
        found: dict[Any, Any] = {}
        for chain in self._chains(self._in_order(places)):
            key = chain[-1]  # a node's own key may be another
            last = self._tasks[key]
            if isinstance(last, DataNode):
                self._data[key] = self._datum(key, last, client)
                value: Any = last.value
            elif isinstance(last, Alias):
                value = self._take(last.target)
                self._keep(key, value)
            else:
                value = self._call(workers, client, chain)
                self._keep(key, value)
            if key in self._wanted:
                found[key] = value
        return found

    def _in_order(self, places: Mapping[Any, int]) -> Iterator[Any]:
        """Tasks by Dask's order, which may put an alias or data behind a task that needs it: each
        comes after what it needs."""
        came: set[Any] = set()
        for first in sorted(self._tasks, key=places.__getitem__):
            waiting = [first]
            while waiting:
                key = waiting[-1]
                before = [
                    need
                    for need in self._tasks[key].dependencies
                    if need in self._tasks and need not in came
                ]
                if before and key not in came:
                    waiting += before
                    continue
                waiting.pop()
                if key not in came:
                    came.add(key)
                    yield key

    def _chains(self, keys: Iterable[Any]) -> list[list[Any]]:
        """Which tasks are one call, in the order in which calls can be handed in."""
        chains: list[list[Any]] = []
        ends: dict[Any, list[Any]] = {}  # the chain that a task is the last of
        for key in keys:
            task = self._tasks[key]
            chain = None if isinstance(task, (Alias, DataNode)) else self._before(task, ends)
            if chain is None:
                chain = []
                chains.append(chain)
            chain.append(key)
            ends[key] = chain
        last = {id(chain): number for number, chain in enumerate(ends.values())}
        return sorted(chains, key=lambda chain: last[id(chain)])

    def _before(self, task: Any, ends: dict[Any, list[Any]]) -> list[Any] | None:
        """The chain that the task goes on with."""
        needs = [k for k in task.dependencies if not isinstance(self._tasks.get(k), DataNode)]
        if len(needs) != 1 or self._users[needs[0]] != 1 or needs[0] in self._wanted:
            return None
        chain = None if isinstance(self._tasks.get(needs[0]), Alias) else ends.get(needs[0])
        return chain if chain is not None and len(chain) < _CHAIN_TASKS else None

    def _call(self, workers: Executor, client: Client, chain: Sequence[Any]) -> Future[Any]:
        tasks = [(key, self._tasks[key]) for key in chain]
        needs = {need for _, task in tasks for need in task.dependencies}.difference(chain)
        values = {key: self._take(key) for key in needs}
        return workers.submit(
            run_tasks, [(key, self._light(task, client)) for key, task in tasks], values
        )

    def _light(self, task: Any, client: Client) -> Any:
        """The task, with a reference in place of a function that travels by value."""
        if type(task) is not Task or importable(task.func):
            return task
        known = self._functions.get(id(task.func))
        if known is None:
            known = self._functions[id(task.func)] = task.func, client.put(task.func)
        light = task.copy()
        light.func = known[1]
        return light

    def _datum(self, key: Any, node: Any, client: Client) -> Any:
        """What stands in the graph, as its users get it."""
        if self._users.get(key, 0) > 1 and sizeof(node.value) >= _LARGE_BYTES:
            return client.put(node.value)
        return node.value

    def _take(self, key: Any) -> Any:
        """A result or a datum, which is dropped here after its last user has taken it: what the
        calls have of it is theirs to keep."""
        table = self._done if key in self._done else self._data
        self._users[key] -= 1
        return table[key] if self._users[key] else table.pop(key)

    def _keep(self, key: Any, future: Any) -> None:
        if self._users.get(key):
            self._done[key] = future


def _values(found: Mapping[Any, Any]) -> dict[Any, Any]:
    """The results, as soon as all are there. Raises what the first failed task raised."""
    futures = [each for each in found.values() if isinstance(each, Future)]
    done, _ = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
    for future in futures:
        if future in done and (error := future.exception()) is not None:
            raise _origin(error)
    return {k: v.result() if isinstance(v, Future) else v for k, v in found.items()}


def _origin(error: BaseException) -> BaseException:
    """Where a failure began: tasks that wait for a failed one fail with it."""
    while isinstance(error, DependencyFailed) and error.__cause__ is not None:
        error = error.__cause__
    return error


def run_tasks(
    tasks: Sequence[tuple[Any, Callable[[dict[Any, Any]], Any]]], values: dict[Any, Any]
) -> Any:
    """In a worker: tasks with their keys, each of which needs the one before it."""
    before = None
    for key, task in tasks:
        try:
            values[key] = task(values)
        except Exception as error:
            error.add_note(f"This was the Dask task {key!r}.")
            raise
        if before is not None:
            del values[before]
        before = key
    return values[before]
