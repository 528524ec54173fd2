"""What workers in a sandbox can and cannot do. The promises of every engine are tested in it, too
(see the fixture `factory`)."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from builders import Bench, eventually, program, sandboxed

import hanse
from hanse.engines.local.sandbox import Sandbox
from hanse.engines.port import End
from hanse.errors import UsageError, WorldError


@pytest.fixture
def secrets() -> Iterator[Path]:
    """A directory with a secret, below one that workers import from, which is not hidden as a whole
    as temporary ones are."""
    sources = Path(hanse.__file__).parents[1]
    with tempfile.TemporaryDirectory(prefix=".secrets-", dir=sources) as made:
        (Path(made) / "token").write_text("hanse_secret")
        (Path(made) / "code").mkdir()
        (Path(made) / "code" / "shown.py").write_text("ANSWER = 42\n")
        yield Path(made)


@pytest.fixture
def bench(secrets: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("SECRET_KEY", "hanse_secret")
    made = Bench(sandboxed(hidden=[str(secrets)], shown=[str(secrets / "code")]))
    yield made
    made.close()


def answer(bench: Bench, function: Callable[[Any], Any], told: object = None) -> Any:
    running = bench.run(function, [told])
    assert not running.failures(), running.failure().describe()
    return running.results()[0]


def test_there_is_no_network(bench: Bench, tmp_path: Path) -> None:
    servers: list[socket.socket] = []
    places: list[Any] = [("127.0.0.1", 0), "\0hanse-test-abstract", str(tmp_path / "socket")]
    for place in places:
        family = socket.AF_INET if isinstance(place, tuple) else socket.AF_UNIX
        servers.append(socket.socket(family))
        servers[-1].bind(place)
        servers[-1].listen()
    addresses = [(int(server.family), server.getsockname()) for server in servers]

    def reached(addresses: list[tuple[int, Any]]) -> list[Any]:
        import socket

        found = []
        for family, address in addresses:
            with socket.socket(family) as tried:
                found += [address] if tried.connect_ex(address) == 0 else []
        return [*found, [name for _, name in socket.if_nameindex()]]

    assert len(reached(addresses)) == 4  # from here
    assert answer(bench, reached, addresses) == [["lo"]]
    for server in servers:
        server.close()


def test_nothing_can_be_written_but_private_memory(
    bench: Bench, secrets: Path, tmp_path: Path
) -> None:
    places = ["/", "/etc", "/usr", "/var/lib", sys.prefix, str(secrets.parent), "/proc/1/root/etc"]
    places += [str(secrets / "code"), "/proc/1/cwd/../etc", "/sys"]

    def written(places: list[str]) -> list[str]:
        found = []
        for place in places:
            try:
                with open(place + "/hanse-was-here", "w"):
                    found.append(place)
            except OSError:
                pass
        return found

    assert answer(bench, written, places) == []
    private = ["/tmp", "/var/tmp", os.path.expanduser("~"), str(secrets)]
    assert answer(bench, written, private) == private
    assert not any(os.path.exists(f"{place}/hanse-was-here") for place in private)


def test_the_nodes_secrets_are_not_to_be_found(bench: Bench, secrets: Path) -> None:
    def find(token: str) -> tuple[list[str], int]:
        """Where the secret can be read: at its path, through any process, in any variable."""
        import os

        roots = [f"/proc/{pid}/{way}" for pid in os.listdir("/proc") if pid.isdigit()
                 for way in ("root", "cwd")]  # fmt: skip
        paths = [token, *(root + token for root in roots)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            paths += [f"/proc/{pid}/environ", f"/proc/{pid}/cmdline"]
            paths += [f"/proc/{pid}/fd/{fd}" for fd in os.listdir(f"/proc/{pid}/fd")]
        found, looked = [], 0
        for path in paths:
            try:
                if path.startswith("/proc/") and "/fd/" in path:
                    target = os.readlink(path)
                    if not target.startswith("/") or target.startswith(("/dev/null", "/memfd:")):
                        continue  # sockets, pipes and memory
                    if not target.startswith(f"{os.path.dirname(os.__file__)}/"):  # an import
                        found.append(target)
                with open(path, "rb") as file:
                    looked += 1
                    if b"hanse_secret" in file.read(1 << 20):
                        found.append(path)
            except OSError:
                pass
        return found, looked

    assert (secrets / "token").read_text() == os.environ["SECRET_KEY"]  # from here
    found, looked = answer(bench, find, str(secrets / "token"))
    assert found == []
    assert looked >= 4


def test_what_has_to_be_imported_is_there(bench: Bench, secrets: Path) -> None:
    def listed(place: str) -> tuple[list[str], int]:
        import os
        import runpy

        return os.listdir(place), runpy.run_path(place + "/code/shown.py")["ANSWER"]

    assert answer(bench, listed, str(secrets)) == (["code"], 42)


def test_no_process_of_the_machine_is_seen_or_signalled(bench: Bench) -> None:
    def seen(pid: int) -> tuple[list[int], str]:
        import os

        try:
            os.kill(pid, 0)
            said = "it is there"
        except ProcessLookupError:
            said = ""
        return [int(name) for name in os.listdir("/proc") if name.isdigit()], said

    numbers, said = answer(bench, seen, os.getpid())
    assert numbers[0] == 1
    assert len(numbers) <= 3
    assert said == ""


# So long that nobody else on the machine sleeps as long: that is what these are found by.
SLEEP = f"98765.{os.getpid()}"


def test_a_cancelled_item_ends_with_all_that_it_started(bench: Bench) -> None:
    def start(sleep: str) -> None:
        import subprocess
        import time

        subprocess.Popen(["setsid", "sleep", sleep])
        subprocess.Popen(["sleep", sleep])
        time.sleep(600)

    running = bench.start(program(start), [SLEEP])
    eventually(lambda: len(sleeping()) == 2)
    assert running.cancel().end is End.CANCELLED
    eventually(lambda: not sleeping())
    assert bench.run(abs, [-2]).results() == {0: 2}


def sleeping() -> list[psutil.Process]:
    return [one for one in psutil.process_iter() if lives(one) and SLEEP in command(one)]


def command(process: psutil.Process) -> list[str]:
    """The command of a process that sleeps; empty of any other."""
    try:
        return process.cmdline() if process.name() == "sleep" else []
    except (psutil.Error, FileNotFoundError):  # it ended between two looks
        return []


MAIN = """
    import os, sys, time
    from hanse.engines.local.sandbox import Sandbox
    from hanse.engines.local.engine import LocalEngine
    sys.path.insert(0, sys.argv[1])
    from builders import Bench, program

    def work(sleep):
        import subprocess, time
        subprocess.Popen(["setsid", "sleep", sleep])
        time.sleep(600)

    made = Bench(lambda loop, emit: LocalEngine(loop, emit, sandbox=Sandbox()))
    made.start(program(work), [sys.argv[2]])
    time.sleep(600)
"""


@pytest.mark.parametrize("who", ["main", "bwrap", "nursery"])
def test_whoever_is_killed_nothing_is_left(who: str) -> None:
    here = str(Path(__file__).parent)
    main = subprocess.Popen([sys.executable, "-c", textwrap.dedent(MAIN), here, SLEEP])
    try:
        eventually(sleeping)
        family = psutil.Process(main.pid).children(recursive=True)
        pids = {"main": main.pid, "bwrap": family[0].pid, "nursery": family[1].pid}
        os.kill(pids[who], signal.SIGKILL)
        eventually(lambda: not any(map(lives, family)))
    finally:
        main.kill()  # who has made another nursery meanwhile
        main.wait()
    eventually(lambda: not sleeping())


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, FileNotFoundError):  # it ended between two looks
        return False


def test_without_bubblewrap_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="apt install bubblewrap"):
        Sandbox()


def test_a_machine_that_refuses_it_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\necho 'bwrap: No permissions' >&2\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    refusing = Sandbox()
    with pytest.raises(WorldError, match=r"No permissions.*leave out --sandbox"):
        refusing.check()
    made = Bench(local_with(refusing))
    ended = made.run(abs, [1]).end()
    assert ended.end is End.LOST
    assert "No permissions" in ended.because
    made.close()


def local_with(sandbox: Sandbox) -> Any:
    from hanse.engines.local.engine import LocalEngine

    return lambda loop, emit: LocalEngine(loop, emit, sandbox=sandbox)
