"""The audit log of a node: what is written, what never is, and that nobody can push it out."""

from __future__ import annotations

import json
import os
import stat

import pytest

from hanse import limits
from hanse.node.audit import Audit
from hanse.node.tokens import Role, Token

ANN = Token(id="t-1", digest="d", role=Role.SUBMIT, name="ann", created_s=0)
JOB = {"job": "j-0123456789ab"}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "audit.log"


@pytest.fixture
def audit(path, clock):
    opened = Audit(path, 16 * 1024, clock)
    yield opened
    opened.close()


def lines(path):
    return [json.loads(row) for row in path.read_text().splitlines()]


def test_a_line_says_who_did_what_and_how_it_ended(audit, path):
    audit.say(ANN, "POST", "/v1/jobs/{job}/cancel", JOB, 200)
    assert lines(path) == [
        {"time": 1000.0, "token": "t-1", "name": "ann", "role": "submit", "method": "POST",
         "path": "/v1/jobs/j-0123456789ab/cancel", "status": 200}
    ]  # fmt: skip


def test_it_is_for_its_owner_alone_whatever_the_umask(path):
    before = os.umask(0)
    try:
        audit = Audit(path)
        audit.say(ANN, "POST", "/v1/jobs", {}, 201)
        audit.close()
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("secret", ["hanse_lAG2aHR0cHM6Ly9sb2Nh", "a" * 64, "../../etc/passwd"])
def test_what_is_no_id_is_not_repeated(audit, path, secret):
    audit.say(None, "DELETE", "/v1/jobs/{job}", {"job": secret}, 401)
    assert secret not in path.read_text()
    assert lines(path)[0]["path"] == "/v1/jobs/*"


def test_what_comes_over_and_over_is_a_line_a_minute_that_counts(audit, path, clock):
    for _ in range(50):
        audit.say(ANN, "PUT", "/v1/jobs/{job}/inputs", JOB, 200)
    assert len(lines(path)) == 1
    clock.now += limits.AUDIT_EVERY_S
    audit.say(ANN, "PUT", "/v1/jobs/{job}/inputs", JOB, 200)
    assert [line.get("times", 1) for line in lines(path)] == [1, 50]
    audit.say(ANN, "PUT", "/v1/jobs/{job}/inputs", JOB, 200)
    audit.close()
    assert sum(line.get("times", 1) for line in lines(path)) == 52


def test_who_guesses_cannot_push_out_what_was_written(audit, path):
    audit.say(ANN, "POST", "/v1/jobs", {}, 201)
    for n in range(10_000):
        audit.say(None, "DELETE", "/v1/jobs/{job}", {"job": f"j-{n:012x}"}, 401)
    assert [line["status"] for line in lines(path)] == [201, 401]


def test_a_new_job_is_always_a_line_of_its_own(audit, path):
    for _ in range(5):
        audit.say(ANN, "POST", "/v1/jobs", {}, 201)
    assert len(lines(path)) == 5


def test_kinds_beyond_the_bound_are_written_and_forgotten(audit, path):
    for n in range(limits.AUDIT_KEYS + 1):
        for _ in range(2):
            audit.say(ANN, "PUT", "/v1/jobs/{job}/inputs", {"job": f"j-{n:012x}"}, 200)
    assert len(audit._again) == limits.AUDIT_KEYS


def test_two_files_of_the_size_that_is_allowed_are_kept(audit, path):
    for _ in range(1000):
        audit.say(ANN, "POST", "/v1/jobs", {}, 201)
    assert sorted(each.name for each in path.parent.iterdir()) == ["audit.log", "audit.log.1"]
    assert all(each.stat().st_size <= 16 * 1024 for each in path.parent.iterdir())
    assert len(lines(path)) > 0


def test_a_later_node_goes_on_with_the_file(path, clock):
    for _ in range(2):
        audit = Audit(path, now=clock)
        audit.say(ANN, "POST", "/v1/jobs", {}, 201)
        audit.close()
    assert len(lines(path)) == 2


def test_a_log_that_cannot_be_written_is_told_once_and_fails_nothing(tmp_path, caplog):
    audit = Audit(tmp_path / "none" / "audit.log")
    for _ in range(3):
        audit.say(ANN, "POST", "/v1/jobs", {}, 201)
    audit.close()
    assert len(caplog.records) == 1
