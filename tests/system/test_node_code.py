"""Code travels: a node runs programs whose modules it does not have, each with its own."""

from __future__ import annotations

import importlib
import os
import sys

import pytest
import urllib3
from system.command import hanse as command
from system.nodes import Node
from system.programs import Program
from system.real import until

import hanse
from hanse import limits
from hanse.blobs.codes import Codes
from hanse.errors import UsageError
from hanse.journal.port import Head
from hanse.payloads.parcel import wrap
from hanse.payloads.payload import Payload
from hanse.remote.dial import PARCEL
from hanse.wire import api
from hanse.wire.code import code_digest, file_digest


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node that finds Hanse, and nothing of the project."""
    started = Node(tmp_path / "there").start()
    for name, value in started.env.items():
        monkeypatch.setenv(name, value)
    yield started
    started.close()


SCRIPT = """
    import os, sys, time
    import hanse, util
    from package.part import plus_one

    HERE = os.path.dirname(__file__)

    def work(x):
        from only import when_it_runs
        return plus_one(util.times(x)) + when_it_runs.OFFSET

    def which(x):
        if x == 0:
            with open(os.path.join(HERE, "began"), "w"):
                pass
            while not os.path.exists(os.path.join(HERE, "gate")):
                time.sleep(0.01)
            if not os.path.exists(os.path.join(HERE, "died")):
                open(os.path.join(HERE, "died"), "w").close()
                os._exit(1)  # what comes next is loaded in a new worker
        return util.VERSION

    if __name__ == "__main__":
        with hanse.connect() as client:
            if sys.argv[1] == "work":
                print(list(client.map(work, range(4))), client.submit(work, 9).result())
            elif sys.argv[1] == "which":
                print(list(client.map(which, range(3))))
            else:
                print(list(client.map(which, range(1, 3))))
"""


@pytest.fixture
def program(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "only").mkdir()
    (tmp_path / "util.py").write_text("VERSION = 'old'\ndef times(x):\n    return 10 * x\n")
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "part.py").write_text("from .deep import plus_one\n")
    (tmp_path / "package" / "deep.py").write_text("def plus_one(x):\n    return x + 1\n")
    (tmp_path / "package" / "data.txt").write_text("is not sent\n")
    (tmp_path / "only" / "when_it_runs.py").write_text("OFFSET = 1000\n")
    return Program(tmp_path, SCRIPT)


def test_a_script_runs_with_its_modules_and_packages(node, program):
    assert program.result("work") == "[1001, 1011, 1021, 1031] 1091"
    (code,) = (node.home / "node" / "code").iterdir()
    source = code / "src"
    there = {str(p.relative_to(source)) for p in source.rglob("*.py")}
    assert there == {
        "util.py", "package/__init__.py", "package/part.py", "package/deep.py",
        "only/when_it_runs.py",
    }  # fmt: skip
    assert not list(source.rglob("data.txt"))


def test_a_change_is_for_later_runs_and_not_for_those_before(node, program, tmp_path):
    first = program.start("which")
    until((tmp_path / "began").exists)
    (tmp_path / "util.py").write_text("VERSION = 'new'\n")
    assert program.result("other") == "['new', 'new']"
    assert first.poll() is None
    (tmp_path / "gate").touch()
    out, err = first.communicate(timeout=60)
    assert out.splitlines()[-1:] == ["['old', 'old', 'old']"], err
    assert (tmp_path / "died").exists()


def test_a_node_that_is_started_again_goes_on_with_the_same_code(node, program, tmp_path):
    process = program.start("which")
    until((tmp_path / "began").exists)
    node.kill()
    (tmp_path / "util.py").write_text("VERSION = 'new'\n")
    (tmp_path / "began").unlink()
    node.start()
    until((tmp_path / "began").exists)
    assert program.result("other") == "['new', 'new']"
    (tmp_path / "gate").touch()
    out, err = process.communicate(timeout=60)
    assert out.splitlines()[-1:] == ["['old', 'old', 'old']"], err


def test_code_stays_as_long_as_a_job_names_it(node, program):
    assert program.result("other") == "['old', 'old']"
    (code,) = (node.home / "node" / "code").iterdir()

    def collect(*options):
        os.utime(code, (0, 0))  # nobody has asked for it for long
        assert command("gc", *options, home=node.home / "node").returncode == 0

    collect()
    assert code.exists()
    collect("--older-than", "0m")
    assert not code.exists()
    assert program.result("other") == "['old', 'old']"


def test_an_item_is_replayed_with_the_code_of_its_job(node, program, tmp_path):
    assert program.result("other") == "['old', 'old']"
    (job,) = node.dial().ask("GET", "/v1/jobs", list[Head])
    (tmp_path / "util.py").write_text("VERSION = 'new'\n")
    node.end()
    ran = command("replay", job.id, 1, home=node.home / "node", HANSE_URL="here")
    assert ran.stdout.splitlines()[-1:] == ["'old'"], ran.stderr


# --- one client -----------------------------------------------------------------------------------
@pytest.fixture
def client(node):
    with hanse.connect() as opened:
        yield opened


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes and loads a module that the node does not have."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        written.append(name)
        if name in sys.modules:
            return importlib.reload(sys.modules[name])
        return importlib.import_module(name)

    yield make
    for name in written:
        sys.modules.pop(name, None)


def test_what_is_imported_later_is_sent_later(client, module):
    early = module("early_one", "def call(x):\n    return x + 1\n")
    assert client.submit(early.call, 1).result() == 2
    late = module("late_one", "import early_one\ndef call(x):\n    return early_one.call(x) * 10\n")
    assert client.submit(late.call, client.submit(early.call, 1)).result() == 30
    assert list(client.map(late.call, range(2))) == [10, 20]


def test_what_is_reloaded_is_sent_anew(client, module):
    again = module("again_one", "def call(x):\n    return 'first'\n")
    assert list(client.map(again.call, range(2))) == ["first"] * 2
    again = module("again_one", "def call(x):\n    return 'the second'\n")
    assert list(client.map(again.call, range(2))) == ["the second"] * 2


def test_code_that_the_node_has_lost_is_sent_again(client, module, node):
    import shutil

    some = module("some_one", "def call(x):\n    return x\n")
    assert list(client.map(some.call, range(2))) == [0, 1]
    for code in (node.home / "node" / "code").iterdir():
        shutil.rmtree(code)
    assert list(client.map(some.call, range(2))) == [0, 1]


# --- what passes ----------------------------------------------------------------------------------
FILES = {"a.py": b"A = 1", "pack/__init__.py": b"", "pack/b.py": b"B = 2"}


def manifest_of(files):
    return {name: file_digest(content) for name, content in files.items()}


def payload_of(parts):
    ends = [sum(map(len, parts[: n + 1])) for n in range(len(parts))]
    return Payload(len(parts), b"".join(parts), tuple(ends))


def test_only_files_that_changed_are_asked_for(node):
    dial = node.dial()

    def offer(files):
        return dial.ask("POST", "/v1/code", api.CodeKept, api.Code(files=manifest_of(files)))

    def give(files, missing):
        by_digest = {file_digest(content): content for content in files.values()}
        about = api.CodeFiles(files=manifest_of(files), given=missing)
        payload = payload_of([by_digest[each] for each in missing])
        return dial.ask("PUT", "/v1/code", api.CodeKept, about, [payload])

    asked = offer(FILES)
    assert asked.code == code_digest(manifest_of(FILES))
    assert asked.missing == sorted(manifest_of(FILES).values())
    assert give(FILES, asked.missing).missing == []
    assert offer(FILES).missing == []
    changed = FILES | {"pack/b.py": b"B = 3"}
    asked = offer(changed)
    assert asked.missing == [file_digest(b"B = 3")]
    give(changed, asked.missing)
    codes = Codes(node.home / "node" / "code")
    assert (codes.find(asked.code) / "pack" / "b.py").read_bytes() == b"B = 3"
    moved = {"elsewhere.py": b"A = 1"}
    assert offer(moved).missing == []  # nothing has to be sent, so it is there
    assert (codes.find(code_digest(manifest_of(moved))) / "elsewhere.py").exists()


def answer(node, method, about, payloads=(), head=b""):
    """The status of what the node answers."""
    body = head or b"".join(wrap(about, payloads))
    headers = {"authorization": f"Bearer {node.address.secret}", "content-type": PARCEL}
    return urllib3.request(
        method, node.url + "/v1/code", body=body, headers=headers, retries=False
    ).status  # fmt: skip


A = file_digest(b"A = 1")


@pytest.mark.parametrize(
    "name",
    ["../a.py", "/tmp/a.py", "a\0.py", "a/../../b.py", ".hidden.py", "a.so", "hanse/errors.py",
     "a\\b.py", "con:.py", "a/" * 200 + "b.py", "", "\ufb01.py"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(node, name):
    files = {name: A}
    assert 400 <= answer(node, "POST", api.Code(files=files)) < 500
    about = api.CodeFiles(files=files, given=[A])
    assert 400 <= answer(node, "PUT", about, [payload_of([b"A = 1"])]) < 500
    assert not (node.home / "node" / "code").exists()


def test_what_is_wrong_is_refused_and_leaves_nothing(node):
    good = {"a.py": A}
    one = payload_of([b"A = 1"])
    many = {f"m{n}.py": A for n in range(limits.CODE_FILES + 1)}
    large = payload_of([bytes(limits.CODE_BYTES + 1)])
    wrong = [
        ("POST", api.Code(files=many), []),
        ("POST", api.Code(files={"a.py": "A" * 64}), []),
        ("POST", api.Code(files={"a.py": A[:-1]}), []),
        ("POST", api.Code(files=good), [one]),
        ("POST", {"files": {"a.py": 7}}, []),
        ("POST", {"files": good, "more": 1}, []),
        ("PUT", api.CodeFiles(files=many, given=[A]), [one]),
        ("PUT", api.CodeFiles(files=good, given=[A]), []),
        ("PUT", api.CodeFiles(files=good, given=[]), [payload_of([])]),
        ("PUT", api.CodeFiles(files=good, given=[A, A]), [one]),
        ("PUT", api.CodeFiles(files=good, given=[A]), [payload_of([b"A = 2"])]),
        ("PUT", api.CodeFiles(files=good, given=[A]), [Payload(1, b"A = 1")]),
        ("PUT", api.CodeFiles(files={"b.py": file_digest(b"b")}, given=[A]), [one]),
        ("PUT", api.CodeFiles(files={"a.py": file_digest(b"")}, given=[A]), [large]),
    ]
    for method, about, payloads in wrong:
        assert 400 <= answer(node, method, about, payloads) < 500, about
    assert 400 <= answer(node, "PUT", None, head=b"\0\0\0\5nope") < 500
    assert not (node.home / "node" / "code").exists()
    assert answer(node, "PUT", api.CodeFiles(files=good, given=[A]), [one]) == 201


@pytest.mark.parametrize("code", ["0" * 64, "../../etc", "x"])
def test_a_job_whose_code_is_not_there_is_refused(node, code):
    import msgspec

    from hanse.model.job import JobSpec
    from hanse.payloads.payload import dump_one
    from hanse.records.program import ProgramRecord, encode, here

    told = ProgramRecord(
        name="f", function=b"", manifest=b"", star=False, retries=0, timeout_s=None, raising=True,
        code=code, **here(),
    )  # fmt: skip
    new = api.NewJob(
        id="j-000000000001", spec=JobSpec(name="f", durable=True), program=encode(told)
    )
    with pytest.raises(UsageError, match="is not on this node"):
        node.dial().ask("POST", "/v1/jobs", api.Taken, new, [dump_one(len)])
    assert node.dial().ask("GET", "/v1/jobs", list[msgspec.Raw]) == []
