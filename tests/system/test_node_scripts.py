"""Scripts of `hanse submit` and the jobs that they give to the very node that runs them: where
these run, what survives, and what the token of a script's lease is good for."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from system.nodes import Away, Node, rest
from system.real import until
from system.test_links import link

import hanse
from hanse import limits
from hanse.errors import NotAllowed
from hanse.remote import address
from hanse.remote.dial import Dial
from hanse.wire import api

SUMS = """
    import os, sys, time
    import hanse

    ledger, pids, items = sys.argv[1:4]
    with open(pids, "a") as file:
        print(os.getpid(), os.environ["HANSE_HOME"], file=file, flush=True)

    def square(item):
        with open(ledger, "a") as file:
            file.write(f"{item} {os.environ['HANSE_HOME']}\\n")
        time.sleep(0.05)
        return item * item

    if __name__ == "__main__":
        with hanse.connect() as client:
            print("sum", sum(client.map(square, range(int(items)), name="inner")))
"""


class Scripts:
    """Nodes, and a user elsewhere who submits scripts to the first of them."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.ledger = directory / "ledger"
        self.pids = directory / "pids"
        self._stack = stack

    def node(self, name: str, *options: str) -> Node:
        made = Node(self.directory / name, *(options or ("--cpus", "1")))
        self._stack.callback(made.close)
        return made.start()

    def of(self, home: Node) -> Away:
        return Away(home, self.directory / "away")

    def submit(self, away: Away, text: str, *args: object, name: str = "work.py") -> str:
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        ran = away("submit", "--json", path, *args)
        assert ran.returncode == 0, ran.stderr
        return str(json.loads(ran.stdout)["id"])

    def sums(self, away: Away, items: int) -> str:
        return self.submit(away, SUMS, self.ledger, self.pids, items)

    def read(self, path: Path) -> list[tuple[int, str]]:
        rows = path.read_text().splitlines() if path.exists() else []
        return [(int(number), place) for number, _, place in (row.partition(" ") for row in rows)]


@pytest.fixture
def scripts(tmp_path: Path) -> Iterator[Scripts]:
    with ExitStack() as stack:
        yield Scripts(tmp_path, stack)


def squares(items: int) -> str:
    return f"sum {sum(item * item for item in range(items))}\n"


def test_a_script_s_jobs_run_on_all_sites_of_its_node(scripts):
    home, site = scripts.node("home"), scripts.node("site")
    link(site, home)
    away = scripts.of(home)
    id = scripts.sums(away, 200)
    assert squares(200) in rest(away.start("logs", id, "--follow"))
    ran = scripts.read(scripts.ledger)
    assert {item for item, _ in ran} == set(range(200))
    assert {place for _, place in ran} == {str(home.home), str(site.home)}
    assert {job["name"] for job in away.json("jobs")["jobs"]} == {"work.py", "inner"}


def test_a_node_that_does_no_work_leaves_scripts_and_their_jobs_to_its_sites(scripts):
    """Over TLS, so the token that a script has at a site must carry the home's fingerprint."""
    listen = ("--listen", "127.0.0.2:0", "--name", "127.0.0.2")
    home = scripts.node("home", "--no-work", *listen)
    away = scripts.of(home)
    id = scripts.sums(away, 40)
    told = away("explain", id).stdout
    assert "its node does no work itself" in told
    assert "no work of its own" in away("doctor").stdout
    refused = home.command("link", home.command(
        "token", "create", "--role", "link", "--for", "x").stdout.strip())  # fmt: skip
    assert "does no work" in refused.stderr
    site = scripts.node("site")
    link(site, home)
    assert squares(40) in rest(away.start("logs", id, "--follow"))
    assert {place for _, place in scripts.read(scripts.ledger)} == {str(site.home)}
    assert {place for _, place in scripts.read(scripts.pids)} == {str(site.home)}
    with home.connect() as client:
        assert client.executor().submit(abs, -3).result() == 3


def test_a_script_and_its_job_go_on_when_their_node_was_killed(scripts):
    home = scripts.node("home")
    away = scripts.of(home)
    id = scripts.sums(away, 150)
    until(lambda: len(scripts.read(scripts.ledger)) > 40)
    (old, _) = scripts.read(scripts.pids)[0]
    home.kill()
    until(lambda: not psutil.pid_exists(old))
    before = len(scripts.read(scripts.ledger))
    home.start()
    assert squares(150) in rest(away.start("logs", id, "--follow"))
    assert len(scripts.read(scripts.pids)) == 2
    runs = Counter(item for item, _ in scripts.read(scripts.ledger))
    assert set(runs) == set(range(150))
    assert max(runs.values()) <= 2
    again = sum(runs.values()) - 150
    assert again <= 10 < before, "what was committed does not run again"


def test_a_script_at_a_site_works_on_while_its_home_is_killed_and_comes_back(scripts):
    home, site = scripts.node("home", "--no-work"), scripts.node("site")
    link(site, home)
    away = scripts.of(home)
    id = scripts.sums(away, 150)
    until(lambda: len(scripts.read(scripts.ledger)) > 20)
    home.kill()
    home.start()
    assert squares(150) in rest(away.start("logs", id, "--follow"))
    assert len(scripts.read(scripts.pids)) == 1, "it did not begin again"
    assert Counter(item for item, _ in scripts.read(scripts.ledger)) == Counter(range(150))


MANY = """
    import os, sys, time
    import hanse

    pids, gate, items = sys.argv[1:4]
    with hanse.connect() as client:
        with open(pids, "a") as file:
            print(os.getpid(), items, file=file, flush=True)
        while not os.path.exists(gate):
            time.sleep(0.05)
        print("max", client.map(abs, range(int(items)), name=items).reduce(max))
"""


def test_scripts_that_wait_for_their_jobs_do_not_hold_the_cores_that_these_need(scripts):
    """More of them than places for them, on one core."""
    home, gate = scripts.node("home"), scripts.directory / "gate"
    away = scripts.of(home)
    ids = [
        scripts.submit(away, MANY, scripts.pids, gate, 10 + n, name=f"s{n}.py")
        for n in range(limits.SCRIPTS_PER_CORE + 2)
    ]
    until(lambda: len(scripts.read(scripts.pids)) == limits.SCRIPTS_PER_CORE)
    assert "scripts" in away("explain", ids[-1]).stdout
    assert len(scripts.read(scripts.pids)) == limits.SCRIPTS_PER_CORE
    gate.touch()
    for n, id in enumerate(ids):
        assert f"max {9 + n}\n" in rest(away.start("logs", id, "--follow"))


TELLS = """
    import os, sys, time
    with open(sys.argv[1] + ".new", "w") as file:
        file.write(os.environ["HANSE_TOKEN"])
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.01)
"""


@pytest.fixture
def told(scripts):
    """A script at a linked site whose token is known, and what lets it end."""
    home, site = scripts.node("home", "--no-work"), scripts.node("site")
    link(site, home)
    away = scripts.of(home)
    shown, gate = scripts.directory / "shown", scripts.directory / "gate"
    id = scripts.submit(away, TELLS, shown, gate)
    until(shown.exists)
    return home, site, away, id, shown.read_text(), gate


def test_the_token_of_a_script_ends_with_it(told):
    home, _, away, id, token, gate = told
    with hanse.connect(token) as client:
        assert client.map(abs, range(-9, 0), name="by it").reduce(max) == 9
        following = client.submit(abs, -4)
        assert following.result() == 4
    dial = Dial(address.decode(token))
    for method, path, about in (
        ("POST", "/v1/links", api.NewLink(token="x")),
        ("DELETE", "/v1/links/l-00000000", None),
    ):
        with pytest.raises(NotAllowed, match="w-"):
            dial.ask(method, path, type(None), about)
    gate.touch()
    until(lambda: away.json("job", id)["state"] == "done")
    with pytest.raises(NotAllowed):
        hanse.connect(token)
    audit = (home.place.audit).read_text()
    assert '"token":"w-' in audit


def test_the_token_of_a_script_ends_when_it_is_cancelled_or_its_site_is_sent_away(told):
    home, _, away, id, token, _ = told
    made = json.loads(home.command("token", "list", "--json").stdout)["tokens"]
    (linked,) = [each["id"] for each in made if each["role"] == "link"]
    dial = Dial(address.decode(token))
    dial.ask("GET", "/v1/node", api.NodeInfo)
    assert home.command("token", "revoke", linked).returncode == 0
    until(lambda: refused(dial))
    away("cancel", id)
    with pytest.raises(NotAllowed):
        dial.ask("GET", "/v1/node", api.NodeInfo)


def refused(dial: Dial) -> bool:
    try:
        dial.ask("GET", "/v1/node", api.NodeInfo)
    except (NotAllowed, hanse.NodeUnavailable):
        return True
    return False


def test_the_token_of_a_script_is_in_its_own_environment_and_nowhere_else(told, scripts):
    home, site, away, id, token, gate = told
    secret = address.decode(token).secret
    found = []
    for node in (home, site):
        process = psutil.Process(node.process.pid)
        for each in (process, *process.children(recursive=True)):
            words = " ".join(each.cmdline())
            assert secret[:40] not in words
            assert token[-40:] not in words
            if token in each.environ().values():
                found.append(words)
    assert len(found) == 1
    assert "work.py" in found[0]
    gate.touch()
    until(lambda: away.json("job", id)["state"] == "done")
    for node in (home, site):
        node.end()
    for directory in (home.home, site.home, away.home):
        for file in directory.rglob("*"):
            if file.is_file():
                data = file.read_bytes()
                assert secret[:40].encode() not in data, file
                assert secret[28:].encode() not in data, file
                assert token[-40:].encode() not in data, file
