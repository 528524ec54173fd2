"""What a notebook shows: a card for a job or a client, a live bar for each job that runs, and what
an interrupted cell lets go of.

Names, messages and tracebacks come from programs of any kind: they are text, never markup.
"""

from __future__ import annotations

import contextlib
import sys
import time
import weakref
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any, Final

from hanse.client.progress import describe
from hanse.core.words import money
from hanse.errors import HanseError
from hanse.model.aims import NANO
from hanse.model.progress import Progress

if TYPE_CHECKING:
    from hanse.client.client import Client
    from hanse.client.job import Job
    from hanse.model.failure import Failure

LIVE_AFTER_S: Final = 0.3
REDRAW_S: Final = 0.25
FAILURES_SHOWN: Final = 5
JOBS_SHOWN: Final = 20
TEXT_CHARS: Final = 4000  # of one traceback: a notebook is kept as a file
_COLOURS: Final = {"running": "#2a78d6", "done": "#2e7d4f", "failed": "#c0392b"}


def shell() -> Any:
    """The IPython shell of the notebook that this process is the kernel of; None elsewhere."""
    ipython = sys.modules.get("IPython")
    found = None if ipython is None else ipython.get_ipython()
    return found if hasattr(found, "kernel") else None


# --- cards ----------------------------------------------------------------------------------------
def job_card(job: Job[Any]) -> dict[str, str]:
    """A job as it is now."""
    snapshot = job.progress()
    failures = job.failures()
    html = _bar(job.name, snapshot, _cost(job)) + _waits(job, snapshot) + _failures(failures)
    return {"text/plain": repr(job), "text/html": _framed(html)}


def client_card(
    client: Client, place: str, capacity: str, jobs: Iterable[Job[Any]]
) -> dict[str, str]:
    """A client and the jobs that it still knows, the newest last."""
    state = "closed" if client.closed else "open"
    shown = list(jobs)
    rows = "".join(_bar(job.name, job.progress(), _cost(job)) for job in shown[-JOBS_SHOWN:])
    if len(shown) > JOBS_SHOWN:
        rows = f"<div>{len(shown) - JOBS_SHOWN:,} older jobs</div>" + rows
    html = f"<b>Hanse</b> on {escape(place)}, {state}: {escape(capacity)}{rows}"
    return {"text/plain": repr(client), "text/html": _framed(html)}


def _framed(html: str) -> str:
    return f'<div style="font-family: system-ui, sans-serif; max-width: 50em">{html}</div>'


def _cost(job: Job[Any]) -> float:
    """What it has cost; 0 where that is not counted, or cannot be asked now."""
    with contextlib.suppress(HanseError, TimeoutError):
        return job.cost
    return 0.0


def _waits(job: Job[Any], snapshot: Progress) -> str:
    """What it waits for, in words."""
    lines: Sequence[str] = ()
    if snapshot.state == "running":
        with contextlib.suppress(HanseError, TimeoutError):
            lines = job.explain().splitlines()
    if not lines:
        return ""
    shown = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<details><summary>what it waits for</summary><ul>{shown}</ul></details>"


def _bar(name: str, snapshot: Progress, cost: float = 0.0) -> str:
    past = snapshot.done + snapshot.failed
    whole = snapshot.total
    ended = snapshot.state != "running"
    share = 100.0 * past / whole if whole else 100.0 * ended
    colour = _COLOURS.get(snapshot.state, "#777")
    if snapshot.failed and snapshot.state == "running":
        colour = _COLOURS["failed"]
    return (
        f'<div style="margin: 4px 0"><b>{escape(name)}</b> '
        f"{escape(snapshot.state)} · {escape(describe(snapshot))}"
        f"{f', cost {money(cost * NANO)}' if cost else ''}"
        '<div style="background: #8884; border-radius: 3px; height: 6px">'
        f'<div style="background: {colour}; border-radius: 3px; height: 6px; width: {share:.1f}%">'
        "</div></div></div>"
    )


def _failures(failures: Sequence[Failure]) -> str:
    shown = "".join(
        f"<details><summary>item {failed.item}: {escape(failed.what()[:200])}</summary>"
        f'<pre style="white-space: pre-wrap">{escape(failed.describe()[-TEXT_CHARS:])}</pre>'
        "</details>"
        for failed in failures[:FAILURES_SHOWN]
    )
    more = len(failures) - FAILURES_SHOWN
    return shown + (f"<div>and {more:,} more: job.failures()</div>" if more > 0 else "")


# --- live bars ------------------------------------------------------------------------------------
class NotebookDisplay:
    """A bar for each job in the output of the cell that runs, for as long as it runs. See
    `hanse.client.progress.ProgressDisplay`; short jobs that went well leave no trace."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[str, Any]] = {}  # by job: its name, and the output's handle
        self._drawn: dict[str, float] = {}

    def update(self, job_name: str, key: str, snapshot: Progress) -> None:
        now = time.monotonic()
        if snapshot.state != "running" or now - self._drawn.get(key, 0.0) < REDRAW_S:
            return
        if snapshot.elapsed_s < LIVE_AFTER_S:
            return
        self._drawn[key] = now
        self._draw(job_name, key, snapshot)

    def finish(self, key: str, snapshot: Progress) -> None:
        self._drawn.pop(key, None)
        if key in self._bars:
            name, _ = self._bars[key]
            self._draw(name, key, snapshot)
            del self._bars[key]

    def close(self) -> None:
        self._bars.clear()

    def _draw(self, name: str, key: str, snapshot: Progress) -> None:
        from IPython.display import display

        bundle = {
            "text/plain": f"{name}: {describe(snapshot)}",
            "text/html": _framed(_bar(name, snapshot)),
        }
        if key in self._bars:
            self._bars[key][1].update(bundle, raw=True)
        else:
            self._bars[key] = name, display(bundle, raw=True, display_id=True)


# --- interrupted cells ----------------------------------------------------------------------------
_begun: weakref.WeakSet[Job[Any]] = weakref.WeakSet()  # jobs of the cell that runs
_heard: Any = None  # the shell that tells us of its cells


def begun(job: Job[Any]) -> None:
    """A cell that is interrupted lets go of the jobs that it began. Its traceback holds them, and
    so would keep them running. Those that earlier cells began go on."""
    global _heard
    found = shell()
    if found is None:
        return
    if _heard is not found:
        _heard = found
        found.events.register("post_run_cell", _cell_ended)
    _begun.add(job)


def _cell_ended(result: Any) -> None:
    jobs = list(_begun)
    _begun.clear()
    if type(result.error_in_exec).__name__ in ("KeyboardInterrupt", "CancelledError"):
        for job in jobs:
            job.let_go()
