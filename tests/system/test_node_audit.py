"""What a node says of itself: who did what, and how it can be a service."""

from __future__ import annotations

import configparser
import json
import shlex
import stat
import subprocess
import sys

import pytest
from system.command import SRC, environment
from system.command import hanse as command
from system.nodes import Away

import hanse
from hanse.cli.shared.unit import _quoted
from hanse.errors import UsageError
from hanse.remote import address
from hanse.remote.dial import Dial


def audited(node):
    return [json.loads(row) for row in node.place.audit.read_text().splitlines()]


def test_what_changes_something_and_what_is_refused_is_audited(node, tmp_path):
    made = node.command("token", "create", "--role", "submit", "--for", "ann", "--quiet")
    with hanse.connect(made.stdout.strip()) as client:
        job = client.map(abs, range(10), name="numbers")
        assert list(job) == list(range(10))
    away = Away(node, tmp_path / "away")
    away.json("cancel", "numbers")
    away.json("rm", "numbers")
    with pytest.raises(hanse.NotAllowed):
        Dial(address.Address(node.url, "", "0" * 64)).ask("GET", "/v1/jobs", list)
    lines = audited(node)
    did = [(line["name"], line["method"], line["path"], line["status"]) for line in lines]
    assert ("ann", "POST", "/v1/jobs", 201) in did
    assert ("ann", "PUT", f"/v1/jobs/{job.id}/inputs", 200) in did
    assert ("the user of this machine", "DELETE", f"/v1/jobs/{job.id}", 200) in did
    assert (None, "GET", "/v1/jobs", 401) in did
    assert not any(line["method"] == "GET" and line["status"] == 200 for line in lines)
    assert {line["role"] for line in lines} == {"submit", "admin", None}
    assert stat.S_IMODE(node.place.audit.stat().st_mode) == 0o600


def test_no_secret_is_in_the_audit_log(node):
    dial = node.dial()
    secret = node.address.secret
    for path in (f"/v1/jobs/{secret}/cancel", f"/v1/jobs/{node.env['HANSE_TOKEN']}/cancel"):
        with pytest.raises(hanse.HanseError):
            dial.ask("POST", path, dict)
    text = node.place.audit.read_text()
    assert "/v1/jobs/*/cancel" in text
    assert secret not in text
    assert node.env["HANSE_TOKEN"] not in text


def test_a_unit_starts_the_node_that_was_described(tmp_path):
    home = tmp_path / "home"
    options = ["--listen", "127.0.0.1:0", "--region", "eu west", "--label", "50% off", "--label",
               "spot", "--price", "0.12", "--cpus", "2", "--name", "build1",
               "--sandbox", "bwrap"]  # fmt: skip
    ran = command("up", "--systemd", *options, home=home, HANSE_TOKEN="hanse_secret")
    assert ran.returncode == 0, ran.stderr
    assert "hanse_secret" not in ran.stdout
    assert not home.exists()  # nothing was started
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read_string(ran.stdout)
    service = unit["Service"]
    assert service["Restart"] == "on-failure"
    words = shlex.split(service["ExecStart"].replace("%%", "%").replace("$$", "$"))
    assert words[:4] == [sys.executable, "-m", "hanse", "up"]
    given = words[words.index("--home") + 2 :]
    assert dict(zip(given[::2], given[1::2], strict=True)) == {
        "--name": "build1", "--region": "eu west", "--price": "0.12", "--label": "spot",
        "--cpus": "2.0", "--sandbox": "bwrap",
    }  # fmt: skip
    assert "50% off" in given
    assert words[words.index("--home") + 1] == str(home / "node")
    assert f"\nEnvironment=HANSE_HOME={home}\n" in ran.stdout
    helped = subprocess.run(
        [*words[:4], "--help"], env=environment(home, PYTHONPATH=str(SRC)), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "Start a node on this machine" in helped.stdout


def test_a_node_without_work_says_so_in_its_unit_and_takes_no_word_on_how(tmp_path):
    ran = command("up", "--systemd", "--no-work", home=tmp_path)
    assert " --no-work" in ran.stdout
    for option in (("--cpus", "1"), ("--sandbox", "bwrap"), ("--engine", "ray")):
        refused = command("up", "--systemd", "--no-work", *option, home=tmp_path)
        assert refused.returncode == 2
        assert "nothing runs here" in refused.stderr


@pytest.mark.parametrize(
    ("word", "shown"),
    [("plain", "plain"), ("a b", '"a b"'), ("50%", '"50%%"'), ("$HOME", '"$$HOME"'), ("", '""'),
     ('a"b\\', '"a\\"b\\\\"')],
)  # fmt: skip
def test_words_of_a_unit_are_quoted_as_systemd_reads_them(word, shown):
    assert _quoted(word) == shown


def test_a_word_that_would_be_a_line_of_its_own_is_refused():
    with pytest.raises(UsageError):
        _quoted("a\nExecStartPre=evil")
