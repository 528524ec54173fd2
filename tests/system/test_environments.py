"""Jobs that name their packages: embedded, at a node, and in a node's sandbox."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian import install
from packages import Slow, offline, wheel
from system.command import as_json
from system.command import hanse as command
from system.nodes import Away, Node
from system.programs import Program
from system.real import until
from system.test_links import link

import hanse
from hanse.errors import EngineError, JobChanged, UsageError
from hanse.model.fit import Requires
from hanse.remote import runtime


@pytest.fixture
def node(tmp_path: Path, index: Path) -> Iterator[Node]:
    started = Node(tmp_path / "there").start(**offline(index, tmp_path / "cache"))
    yield started
    started.close()


# --- embedded -------------------------------------------------------------------------------------
def test_jobs_of_one_program_have_packages_of_their_own(index, client):
    @hanse.task(packages=["tiny==1.0"])
    def old(x):
        import tiny

        return tiny.VERSION, x

    both = old.map(range(3)), client.map(old, range(3), packages=["tiny>=2"])
    single = client.submit(old, 7)
    assert [list(job) for job in both] == [
        [("1.0", 0), ("1.0", 1), ("1.0", 2)],
        [("2.0", 0), ("2.0", 1), ("2.0", 2)],
    ]
    assert single.result() == ("1.0", 7)
    with pytest.raises(ModuleNotFoundError):
        list(client.map(old.__wrapped__, [1]))


def test_explain_tells_of_the_build_and_results_come_after_it(index, client):
    slow = Slow(index, "slow")
    job = client.map(abs, [-1, -2], packages=["slow"])
    until(slow.builds)
    assert "is building environment" in job.explain()
    assert "(slow)" in job.explain()
    assert list(client.map(abs, range(-9, 0))) == list(range(9, 0, -1))  # others do not wait
    slow.gate.touch()
    assert list(job) == [1, 2]
    assert "building" not in job.explain()


def test_a_failed_build_ends_the_job_once_with_the_last_lines(index, client):
    slow = Slow(index, "slow")
    slow.gate.write_text("the compiler is on holiday")
    with pytest.raises(EngineError, match="the compiler is on holiday") as caught:
        list(client.map(abs, range(1000), packages=["slow"], on_error="collect"))
    assert "cannot be built on" in str(caught.value)
    assert len(slow.builds()) == 1
    call = client.submit(hanse.task(packages=["tiny==9"])(abs), -3)
    with pytest.raises(EngineError, match="tiny==9"):
        call.result()
    assert list(client.map(abs, [-4])) == [4]


def test_a_lock_file_is_read_where_the_job_is_made(index, client, tmp_path):
    digest = wheel(index, "locked", "3.1")
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"# of a project\nlocked==3.1 \\\n    --hash=sha256:{digest}\n")

    @hanse.task(requirements=lock)
    def version():
        import locked

        return locked.VERSION

    assert client.submit(version).result() == "3.1"
    lock.write_text(f"locked==3.1 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(EngineError, match=r"(?i)hash"):
        list(client.map(lambda _: 0, [1], requirements=lock))
    with pytest.raises(UsageError, match="cannot be read"):
        client.map(abs, [1], requirements=tmp_path / "missing.txt")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"packages": "numpy"}, "list of texts"),
        ({"packages": ["numpy", 1]}, "list of texts"),
        ({"packages": ["--index-url=http://x"]}, "is no package"),
        ({"packages": ["a\n-e /etc"]}, "is no package"),
        ({"packages": ["./here"]}, "is a path"),
        ({"packages": ["a @ https://me:secret@x/a.whl"]}, "has a password"),
        ({"packages": ["a"], "requirements": "b.txt"}, "say the same"),
    ],
)
def test_what_is_no_package_is_refused_in_words(client, options, words):
    with pytest.raises(UsageError, match=words):
        client.map(abs, [1], **options)


NAMED = """
    import sys
    import hanse

    def work(x):
        import tiny
        return tiny.VERSION

    with hanse.connect() as client:
        print(set(client.map(work, range(4), name="named", packages=[sys.argv[1]])))
"""


def test_a_named_job_goes_on_with_the_packages_that_it_began_with(index, tmp_path):
    program = Program(tmp_path, NAMED)
    assert program.result("tiny==1.0") == program.result("tiny==1.0") == "{'1.0'}"
    code, _, err = program.run("tiny==2.0")
    assert code
    assert JobChanged.__name__ in err
    assert "it ran with other packages: tiny==1.0" in err


def test_gc_removes_environments_that_were_not_used_for_long(index, client, hanse_home):
    def count() -> int:
        return len(list((hanse_home / "environments").glob("*/ready")))

    assert list(client.map(abs, [-1], packages=["tiny==1.0"])) == [1]
    client.close()
    assert as_json("gc", home=hanse_home)["environments"] == 0
    assert count() == 1
    (ready,) = (hanse_home / "environments").glob("*/ready")
    os.utime(ready, (0, 0))
    assert as_json("gc", "--dry-run", home=hanse_home)["environments"] == 1
    assert count() == 1
    told = command("gc", home=hanse_home)
    assert "1 unused environment" in told.stdout
    assert count() == 0


# --- at a node ------------------------------------------------------------------------------------
def versions(client: hanse.Client, package: str) -> set[str]:
    def work(_: int) -> str:
        import tiny

        return tiny.VERSION

    return set(client.map(work, range(5), packages=[package]))


def test_a_node_builds_what_its_jobs_name(node):
    with node.connect() as client:
        assert versions(client, "tiny==1.0") == {"1.0"}
        assert versions(client, "tiny==2.0") == {"2.0"}

        @hanse.task(packages=["tiny==1.0"])
        def single():
            import tiny

            return tiny.VERSION, sys.prefix

        version, prefix = client.submit(single).result()
        assert version == "1.0"
        assert Path(prefix).is_relative_to(node.home / "node" / "environments")
        with pytest.raises(EngineError, match="tiny==9"):
            versions(client, "tiny==9")


def test_a_node_that_is_killed_while_it_builds_goes_on_when_it_is_started_again(
    node, index, tmp_path
):
    slow = Slow(index, "slow")
    with node.connect() as client:
        job = client.map(abs, range(-3, 0), packages=["slow"])
        until(slow.builds)
        assert "building environment" in job.explain()
        node.kill()
        slow.gate.touch()
        node.start(**offline(index, tmp_path / "cache"))
        assert list(job) == [3, 2, 1]


def test_a_job_that_contradicts_its_program_is_refused(node, monkeypatch):
    """Else its home would grant what its site gives back, over and over."""
    monkeypatch.setattr(runtime, "Requires", lambda **told: Requires(**told | {"environment": "x"}))
    with node.connect() as client, pytest.raises(UsageError, match="another environment"):
        list(client.map(abs, [1], packages=["tiny"]))


def test_each_site_of_a_home_builds_for_itself_and_says_so(tmp_path, index):
    def versioned(_: int) -> tuple[str, str]:
        import os

        import tiny

        return tiny.VERSION, os.environ["HANSE_HOME"]

    cache = offline(index, tmp_path / "cache")
    slow = Slow(index, "slow")
    home = Node(tmp_path / "home", "--cpus", "1").start(UV_FIND_LINKS=str(tmp_path), **{
        name: value for name, value in cache.items() if name != "UV_FIND_LINKS"
    })  # fmt: skip
    site = Node(tmp_path / "site", "--cpus", "1").start(**cache)
    try:
        link(site, home)
        with home.connect() as client:
            job = client.map(versioned, range(40), packages=["tiny==1.0", "slow"])
            until(slow.builds)
            until(lambda: "is building environment" in job.explain())
            until(lambda: "cannot be built on" in job.explain())  # the home's own has no wheels
            slow.gate.touch()
            assert set(job) == {("1.0", str(site.home))}
    finally:
        site.close()
        home.close()


# --- in a sandbox ---------------------------------------------------------------------------------
@pytest.fixture
def boxed(index: Path, tmp_path: Path) -> Iterator[Node]:
    """Not below /tmp, of which nothing is seen in a sandbox anyway."""
    if shutil.which("bwrap") is None:
        install("bubblewrap")
    with tempfile.TemporaryDirectory(prefix=".home-", dir=Path(__file__).parent) as home:
        started = Node(Path(home), "--sandbox", "bwrap")
        started.start(**offline(index, tmp_path / "cache"))
        yield started
        started.close()


def test_a_sandboxed_node_runs_jobs_as_usual_and_keeps_its_secrets(boxed, index):
    token, prefix = str(boxed.place.local_token), boxed.home

    def look(_: int) -> tuple[list[str], str]:
        import os
        import socket

        names = []
        for path in (token, str(prefix / "node" / "tokens.json"), "/etc/hanse-was-here"):
            try:
                with open(path, "w" if path.startswith("/etc") else "r"):
                    names.append(path)
            except OSError:
                pass
        names += [name for _, name in socket.if_nameindex()]
        return names, os.environ.get("HANSE_HOME", "")

    assert os.path.exists(token)
    with boxed.connect() as client:
        assert list(client.map(abs, range(-1000, 0))) == list(range(1000, 0, -1))
        assert client.submit(look, 0).result() == (["lo"], "")
        assert client.map(abs, range(-9, 0), name="named").reduce(max) == 9
        assert versions(client, "tiny==1.0") == {"1.0"}
        Slow(index, "slow").gate.touch()
        with pytest.raises(EngineError, match="cannot be built"):  # its makers' code would run
            list(client.map(abs, [1], packages=["slow"]))


SCRIPT = """
    import hanse, util

    def work(x):
        return util.plus(x)

    if __name__ == "__main__":
        with hanse.connect() as client:
            print(list(client.map(work, range(3))))
"""


def test_code_travels_into_a_sandbox(boxed, tmp_path):
    (tmp_path / "util.py").write_text("def plus(x):\n    return x + 1\n")
    program = Program(tmp_path, SCRIPT)
    assert program.result(env=boxed.env) == "[1, 2, 3]"
    (tmp_path / "util.py").write_text("def plus(x):\n    return x + 10\n")
    assert program.result(env=boxed.env) == "[10, 11, 12]"


def test_a_script_in_a_sandbox_is_told_that_it_cannot_reach_its_node(boxed, tmp_path):
    (tmp_path / "asks.py").write_text(
        "import os, hanse\nprint('variables:', [n for n in os.environ if n.startswith('HANSE_')])\n"
        "hanse.connect()\n"
    )
    away = Away(boxed, tmp_path / "away")
    ran = away("submit", "--wait", tmp_path / "asks.py")
    assert ran.returncode == 1
    assert "runs in a sandbox, which has no network: it cannot reach its node" in ran.stderr
    assert "HANSE_TOKEN" not in ran.stdout


def test_up_and_the_doctor_say_when_there_can_be_no_sandbox(tmp_path):
    (tmp_path / "bin").mkdir()
    told = command("up", "--sandbox", "bwrap", home=tmp_path, PATH=str(tmp_path / "bin"))
    assert told.returncode == 2
    assert "apt install bubblewrap" in told.stderr
    fake = tmp_path / "bin" / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to make a namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    told = command("up", "--sandbox", "bwrap", home=tmp_path, PATH=str(tmp_path / "bin"))
    assert told.returncode not in (0, 2)
    assert "No permissions to make a namespace" in told.stderr
    doctor = as_json("doctor", home=tmp_path, PATH=str(tmp_path / "bin"))
    (found,) = (each for each in doctor["findings"] if each["name"] == "sandbox")
    assert (found["level"], "No permissions" in found["advice"]) == ("note", True)
