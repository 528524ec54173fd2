"""A real notebook kernel: what it shows, and what an interrupted cell ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import KernelManager
from system.command import SRC, environment
from system.real import until

SETUP = """
import os, pathlib, time, hanse
from hanse.model.resources import Resources
client = hanse.connect(resources=Resources(cpus=2))
def hold(path):
    pathlib.Path(path + '.' + str(os.getpid())).touch()
    while not os.path.exists(path):
        time.sleep(0.01)
    return path
"""


class Kernel:
    """Runs cells, and keeps what they show."""

    def __init__(self, home) -> None:
        self._manager = KernelManager()
        self._manager.start_kernel(env=environment(home, PYTHONPATH=str(SRC)))
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        self.shown: list[dict[str, Any]] = []

    def begin(self, code: str) -> None:
        self.shown = []
        self._cell = self._client.execute(code)

    def end(self) -> dict[str, Any]:
        """Wait for the cell; returns the reply to it."""
        while self.next().get("execution_state") != "idle":
            pass
        while (reply := self._client.get_shell_msg(timeout=60))["parent_header"][
            "msg_id"
        ] != self._cell:
            pass
        return reply["content"]

    def next(self) -> dict[str, Any]:
        """The next that is heard of the cell."""
        while True:
            message = self._client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") == self._cell:
                if "data" in message["content"]:
                    self.shown.append(message["content"]["data"])
                return message["content"]

    def cell(self, code: str) -> dict[str, Any]:
        self.begin(code)
        return self.end()

    def value(self, expression: str) -> str:
        assert self.cell(expression)["status"] == "ok"
        return self.shown[-1]["text/plain"]

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=False)


@pytest.fixture
def kernel(hanse_home) -> Iterator[Kernel]:
    started = Kernel(hanse_home)
    assert started.cell(SETUP)["status"] == "ok"
    yield started
    started.close()


def running(directory):
    """Calls of `hold` whose process still lives."""
    pids = {path.suffix[1:] for path in directory.iterdir()}
    return [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_jobs_and_clients_are_shown_as_cards_and_hostile_names_are_text(kernel):
    kernel.cell(
        """
        def fails(x):
            if x == 1:
                raise ValueError('<script>alert(1)</script>')
            return x
        fails.__qualname__ = '<img src=x onerror=alert(2)>'
        job = client.map(fails, range(3), on_error='collect')
        job.wait()
        """
    )
    kernel.cell("job")
    (card,) = kernel.shown
    assert "&lt;img src=x" in card["text/html"]
    assert "&lt;script&gt;" in card["text/html"]
    assert "<script" not in card["text/html"]
    assert "<img" not in card["text/html"]
    assert "3/3" in card["text/html"]
    assert "item 1" in card["text/html"]
    assert card["text/plain"].startswith("<Job j-")
    kernel.cell("client")
    (card,) = kernel.shown
    assert "2 cores" in card["text/html"]
    assert "<img" not in card["text/html"]


def test_a_card_says_what_a_job_waits_for_and_what_it_has_cost(kernel, tmp_path):
    place = tmp_path / "go"
    assert kernel.cell(f"job = client.map(hold, [{str(place)!r}])")["status"] == "ok"
    until(lambda: any(path.name.startswith("go.") for path in tmp_path.iterdir()))
    kernel.cell("job")
    (card,) = kernel.shown
    assert "what it waits for" in card["text/html"]
    assert "0 of 1 items are done" in card["text/html"]
    place.touch()
    kernel.cell("job.wait(); type(job).cost = property(lambda job: 12.345)")
    for shown in ("job", "client"):
        kernel.cell(shown)
        (card,) = kernel.shown
        assert "cost 12.3" in card["text/html"]
        assert "what it waits for" not in card["text/html"]


def test_a_running_job_has_a_live_bar(kernel, tmp_path):
    flag = tmp_path / "flags"
    flag.mkdir()
    kernel.begin(f"list(client.map(hold, [{str(flag / 'a')!r}, {str(flag / 'b')!r}]))")
    until(lambda: len(list(flag.iterdir())) == 2)
    while not kernel.shown:
        kernel.next()
    assert "hold" in kernel.shown[0]["text/html"]
    (flag / "a").touch()
    (flag / "b").touch()
    assert kernel.end()["status"] == "ok"
    assert any("2/2 (100 %)" in shown["text/plain"] for shown in kernel.shown)


@pytest.mark.parametrize(
    "waits",
    [
        "list(client.map(hold, [PATH]))",
        "job = client.map(hold, [PATH]); job.wait()",
        "job = client.map(hold, [PATH]); time.sleep(1000)",
        "job = client.map(hold, [PATH]); await job",
    ],
)
def test_an_interrupt_ends_what_the_cell_began_and_nothing_else(kernel, tmp_path, waits):
    before, interrupted = tmp_path / "before", tmp_path / "interrupted"
    before.mkdir()
    interrupted.mkdir()
    kernel.cell(f"earlier = client.map(hold, [{str(before / 'x')!r}])")
    until(lambda: running(before))
    kernel.begin(waits.replace("PATH", repr(str(interrupted / "x"))))
    until(lambda: running(interrupted))
    kernel.interrupt()
    assert kernel.end()["status"] == "error"
    until(lambda: not running(interrupted))
    (before / "x").touch()
    assert kernel.value("len(list(earlier))") == "1"
    assert kernel.value("list(client.map(abs, [-1, -2]))") == "[1, 2]"


def test_results_can_be_awaited_in_a_cell(kernel):
    assert kernel.value("await client.map(abs, range(-3, 0))") == "[3, 2, 1]"
    assert kernel.value("[x async for x in client.map(abs, range(-3, 0))]") == "[3, 2, 1]"
