"""The commands about jobs, spoken to a node: the same words as about this machine's own jobs."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from system.nodes import Away, rest
from system.real import until

import hanse as api
from hanse.cli.shared import exits
from hanse.remote import address


@pytest.fixture
def client(node):
    with node.connect() as opened:
        yield opened


@pytest.fixture
def away(node, tmp_path):
    return Away(node, tmp_path / "away")


def square(x):
    return x * x


def odd_fails(x):
    print(f"this is item {x}")
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


class UntilThere:
    """Items that print, and then wait for a file."""

    def __init__(self, gate: Path) -> None:
        self.gate = gate

    def __call__(self, x):
        print(f"item {x} waits", flush=True)
        while not self.gate.exists():
            time.sleep(0.01)
        print(f"item {x} ends")
        return x


@pytest.fixture
def gated(client, tmp_path):
    """A job that runs until its gate is made; its items have begun."""
    job = client.map(UntilThere(tmp_path / "gate"), range(40), name="gated")
    job.gate = tmp_path / "gate"
    until(lambda: job.progress().running > 0)
    yield job
    job.gate.touch()
    job.join()


def ended(job):
    job.join()
    return job.id


def test_jobs_of_a_node_are_listed_and_shown(client, away):
    list(client.map(square, range(50), name="squares"))
    client.map(odd_fails, range(10), name="odd", on_error="collect").join()
    listed = away.json("jobs")["jobs"]
    assert [job["name"] for job in listed] == ["odd", "squares"]
    shown = away.json("job", "squares")
    assert (shown["state"], shown["done"], shown["holder"]) == ("done", 50, None)
    told = away("job", "odd", "--failures")
    assert told.stdout.count("is odd") >= 5
    assert away("job", "nothing").returncode == exits.NO_SUCH_JOB
    assert "perhaps 'squares'" in away("job", "squarez").stderr
    assert "http://127.0.0.1" in away("job", "nothing").stderr


def test_a_job_that_a_node_runs_is_running_and_not_interrupted(client, gated, node, away):
    (listed,) = away.json("jobs", "--state", "running")["jobs"]
    assert listed["holder"]["pid"] == node.process.pid
    assert away.json("jobs", "--state", "interrupted")["jobs"] == []
    shown = away("job", "gated").stdout
    assert f"running in process {node.process.pid}" in shown
    told = client._runtime.records().journal.find("gated")
    assert told.now_s > told.updated_s, "what it took is until now, by the clock of its node"


def test_what_items_print_comes_back_while_they_run(gated, away):
    following = away.start("logs", "gated", "--follow")
    first = following.stdout.readline()
    assert "waits" in first
    gated.gate.touch()
    out = rest(following)
    lines = [first, *out.splitlines(keepends=True)]
    assert len(lines) == 80
    assert away("logs", "gated").stdout.splitlines(keepends=True) == lines
    only = away("logs", "gated", "--item", 7).stdout
    assert only == "item 7 waits\nitem 7 ends\n"
    pieces = [json.loads(row) for row in away("logs", "gated", "--json").stdout.splitlines()]
    assert {piece["item"] for piece in pieces} == set(range(40))


def test_logs_are_followed_over_the_death_of_a_node(client, node, away, tmp_path):
    job = client.map(UntilThere(tmp_path / "gate"), range(4), name="gated")
    following = away.start("logs", "gated", "--follow")
    assert "waits" in following.stdout.readline()
    node.kill()
    assert "trying again" in following.stderr.readline()
    (tmp_path / "gate").touch()
    node.start()
    job.join()
    out = rest(following)
    assert out.count("ends") >= 4
    whole = away("logs", "gated").stdout
    assert whole.endswith(out)  # nothing twice, nothing left out


def test_a_job_is_followed_to_its_end(gated, away):
    following = away.start("job", "gated", "--follow", "--json")
    assert json.loads(following.stdout.readline())["state"] == "running"
    gated.gate.touch()
    out = rest(following)
    last = json.loads(out.splitlines()[-1])
    assert (last["state"], last["done"]) == ("done", 40)


def test_a_node_says_what_a_job_waits_for(gated, away):
    told = away.json("explain", "gated")
    assert told["answered"]
    assert told["running"] > 0
    assert "40 items" in "\n".join(told["lines"])


def test_a_job_that_has_ended_is_explained_from_its_record(client, away):
    ended(client.map(square, range(5), name="squares"))
    assert "waits for nothing" in away("explain", "squares").stdout


def test_a_job_is_cancelled_where_it_runs(gated, away):
    told = away.json("cancel", "gated")
    assert (told["state"], told["ended_before"]) == ("cancelled", False)
    assert away.json("cancel", "gated")["ended_before"]
    with pytest.raises(api.JobCancelled):
        list(gated)


def test_results_of_a_node_are_exported_here(client, away, tmp_path):
    ended(client.map(square, range(100), name="squares"))
    target = tmp_path / "out.jsonl"
    assert away("export", "squares", "--to", target).returncode == 0
    rows = [json.loads(row) for row in target.read_text().splitlines()]
    assert rows == [{"item": x, "value": x * x} for x in range(100)]


def test_failed_items_are_run_again_on_the_node(client, node, away, tmp_path):
    mended = tmp_path / "mended"

    def needs_file(x):
        if x % 3 == 0 and not mended.exists():
            raise ValueError("not yet")
        return x

    job = client.map(needs_file, range(10), name="mending", on_error="collect")
    job.join()
    again = away("retry", "mending", "--failed", "--json")
    assert again.returncode == exits.FAILED
    assert json.loads(again.stdout)["failed"] == 4
    mended.touch()
    told = away.json("retry", "mending", "--failed")
    assert (told["retried"], told["failed"], told["state"]) == (4, 0, "done")
    with api.connect(address.encode(node.address)) as later:
        assert list(later.job("mending")) == list(range(10))


def test_an_item_of_a_node_is_replayed_here(client, away):
    client.map(odd_fails, range(4), name="odd", on_error="collect").join()
    ran = away("replay", "odd", 3)
    assert ran.returncode == exits.FAILED
    assert "3 is odd" in ran.stderr
    assert away("replay", "odd", 2).stdout == "this is item 2\n2\n"


def test_single_calls_are_shown_and_what_they_cannot_is_told(client, away):
    future = client.submit(odd_fails, 1)
    with pytest.raises(ValueError, match="is odd"):
        future.result()
    (id,) = [job["id"] for job in away.json("jobs")["jobs"]]
    assert "is odd" in away("job", id).stdout
    assert away("logs", id).returncode == 0
    for command in (["replay", id, 0], ["retry", id, "--failed"]):
        ran = away(*command)
        assert ran.returncode == exits.USAGE
        assert "single calls" in ran.stderr


def test_the_tab_key_completes_jobs_of_a_node(client, away):
    ended(client.map(square, range(5), name="squares"))
    asked = {"_HANSE_COMPLETE": "bash_complete", "COMP_WORDS": "hanse job squ", "COMP_CWORD": "2"}
    away.env = away.env | asked
    assert "squares" in away().stdout


def test_jobs_of_a_node_are_forgotten_unless_they_run(request, client, away):
    done = ended(client.map(square, range(5), name="squares"))
    request.getfixturevalue("gated")
    refused = away("rm", "squares", "gated")
    assert refused.returncode == exits.USAGE
    assert "hanse cancel" in refused.stderr
    assert away("job", "squares").returncode == 0  # none was removed
    assert away.json("rm", "squares")["removed"] == [done]
    assert away("job", done).returncode == exits.NO_SUCH_JOB


def test_who_may_only_read_can_look_and_change_nothing(gated, node, away):
    made = node.command("token", "create", "--role", "read", "--for", "somebody", "--quiet")
    away.env = {"HANSE_TOKEN": made.stdout.strip()}
    for command in ("jobs", "job gated", "explain gated", "logs gated"):
        assert away(*command.split()).returncode == 0
    for command in ("cancel gated", "rm squares", "rm gated"):
        assert away(*command.split()).returncode != 0
    ran = away("cancel", "gated")
    assert "may not submit" in ran.stderr


def test_the_word_here_means_this_machine_whatever_node_is_named(client, node, away):
    ended(client.map(square, range(5), name="squares"))
    assert len(away.json("jobs")["jobs"]) == 1
    away.env = node.env | {"HANSE_URL": "here"}
    assert away.json("jobs")["jobs"] == []


def test_a_login_is_enough_and_a_node_that_is_away_is_told_in_words(client, node, away):
    ended(client.map(square, range(5), name="squares"))
    text, away.env = node.env["HANSE_TOKEN"], {}
    assert away("login", text).returncode == 0
    assert len(away.json("jobs")["jobs"]) == 1
    healthy = away("doctor", "--json")
    assert any(node.url in f["value"] for f in json.loads(healthy.stdout)["findings"])
    node.end()
    (found,) = [f for f in away.json("doctor", code=1)["findings"] if f["name"] == "node"]
    assert found["level"] == "mend"
    ran = away("jobs")
    assert ran.returncode == exits.WORLD
    assert "cannot be reached" in ran.stderr
    assert text not in ran.stderr
