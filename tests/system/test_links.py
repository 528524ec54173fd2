"""Links: nodes that work for a home at another node."""

from __future__ import annotations

import base64
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import msgspec
import pytest
from system.nodes import Away, Node
from system.real import until

from hanse.wire import api


class Hosts:
    """A home and its sites, each with a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._all: list[Node] = []

    def node(self, name: str, *options: str) -> Node:
        return self.add(Node(self._directory / name, *(options or ("--cpus", "1")))).start()

    def add(self, node: Node) -> Node:
        """It is closed with the others."""
        self._all.append(node)
        return node

    def refused(self, name: str, *options: str) -> str:
        """What a node says that does not start."""
        node = Node(self._directory / name, *options)
        self._all.append(node)
        with pytest.raises(AssertionError):
            node.start()
        return node.log

    def close(self) -> None:
        with ExitStack() as stack:
            for node in self._all:
                stack.callback(node.close)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    made = Hosts(tmp_path)
    yield made
    made.close()


def link_token(home: Node, name: str = "lab") -> str:
    made = home.command("token", "create", "--role", "link", "--for", name)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def link(site: Node, home: Node, *options: str) -> str:
    made = site.command("link", link_token(home), *options, "--quiet")
    assert made.returncode == 0, made.stderr
    until(lambda: links(site)[0].state == "linked")
    return made.stdout.strip()


def links(site: Node) -> list[api.LinkInfo]:
    return site.dial().ask("GET", "/v1/links", list[api.LinkInfo])


def where(item: int) -> tuple[int, str]:
    time.sleep(0.02)
    return item, os.environ["HANSE_HOME"]


def noted(item: int, seconds: float, ledger: str) -> int:
    """Says in a file that it runs, and where."""
    with open(ledger, "a") as file:
        file.write(f"{item} {os.environ['HANSE_HOME']}\n")
    time.sleep(seconds)
    return item


def part_of(table: list[int], item: int) -> int:
    time.sleep(0.02)
    return sum(table[item * 1000 : (item + 1) * 1000])


def total(parts: list[int]) -> int:
    return sum(parts)


def fails_at_seven(item: int) -> int:
    print("item number", item)
    time.sleep(0.02)
    if item % 40 == 7:
        raise ValueError("seven")
    return item


def noting(ledger: Path, seconds: float) -> Callable[[int], int]:
    return partial(noted, seconds=seconds, ledger=str(ledger))


def read(ledger: Path) -> list[tuple[int, str]]:
    if not ledger.exists():
        return []
    lines = [line.split() for line in ledger.read_text().splitlines()]
    return [(int(item), place) for item, place in lines]


def ran_at(node: Node, ledger: Path) -> bool:
    return any(place == str(node.home) for _, place in read(ledger))


def test_a_linked_node_takes_work(hosts: Hosts) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    with home.connect() as client:
        found = list(client.map(where, range(300)))
    assert [item for item, _ in found] == list(range(300))
    assert {place for _, place in found} == {str(home.home), str(site.home)}


def test_a_killed_home_takes_back_what_its_site_still_runs(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    ledger = tmp_path / "ledger"
    with home.connect() as client:
        job = client.map(noting(ledger, 0.1), range(150), name="noted")
        # One item to measure, then a lease of about a second: it is early in that one.
        until(lambda: sum(place == str(site.home) for _, place in read(ledger)) > 3)
        home.kill()
        here = sum(place == str(site.home) for _, place in read(ledger))
        # It goes on while its home is away.
        until(lambda: sum(place == str(site.home) for _, place in read(ledger)) > here)
        home.start()
        assert list(job) == list(range(150))
    runs = Counter(item for item, _ in read(ledger))
    assert set(runs) == set(range(150))
    at_site = Counter(item for item, place in read(ledger) if place == str(site.home))
    assert max(at_site.values()) == 1, "what a site has run is not run there again"
    again = [item for item in runs if runs[item] > 1]
    assert len(again) <= 25, "only what the home's own workers were at runs again"


def test_a_killed_site_loses_nothing_but_time(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    ledger = tmp_path / "ledger"
    with home.connect() as client:
        job = client.map(noting(ledger, 0.1), range(120))
        until(lambda: sum(place == str(site.home) for _, place in read(ledger)) > 10)
        site.kill()
        site.start()
        assert list(job) == list(range(120))
        assert links(site)[0].state == "linked"


def test_a_revoked_token_ends_a_link_at_once(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    ledger = tmp_path / "ledger"
    with home.connect() as client:
        job = client.map(noting(ledger, 0.1), range(60))
        until(lambda: any(place == str(site.home) for _, place in read(ledger)))
        shown = home.command("token", "list", "--json").stdout
        (token,) = [
            each["id"] for each in msgspec.json.decode(shown)["tokens"] if each["role"] == "link"
        ]
        assert home.command("token", "revoke", token).returncode == 0
        until(lambda: "linked" not in links(site)[0].state)
        last = len(read(ledger))
        assert list(job) == list(range(60))
        assert all(place == str(home.home) for _, place in read(ledger)[last + 2 :])


def test_unlinking_gives_back_what_runs(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    made = link(site, home)
    ledger = tmp_path / "ledger"
    with home.connect() as client:
        job = client.map(noting(ledger, 0.1), range(60))
        until(lambda: any(place == str(site.home) for _, place in read(ledger)))
        assert site.command("unlink", made).returncode == 0
        assert links(site) == []
        assert list(job) == list(range(60))


def test_a_site_that_has_left_may_come_back(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    for round in range(2):
        made = link(site, home, "--hours", "0-24")
        ledger = tmp_path / f"ledger-{round}"
        with home.connect() as client:
            job = client.map(noting(ledger, 0.02), range(10_000))
            until(partial(ran_at, site, ledger))
            job.cancel()
        assert site.command("unlink", made).returncode == 0


def test_work_of_its_own_comes_first(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    with home.connect() as far, site.connect() as near:
        job = far.map(where, range(3000))
        until(lambda: links(site)[0].used.cpus_milli == 1000)
        mine = near.map(noting(tmp_path / "mine", 0.02), range(100))
        until(lambda: links(site)[0].offered.cpus_milli == 0)
        assert list(mine) == list(range(100))
        until(lambda: links(site)[0].used.cpus_milli == 1000)
        job.cancel()


def test_two_nodes_link_to_each_other(hosts: Hosts) -> None:
    one, other = hosts.node("one"), hosts.node("other")
    link(one, other)
    link(other, one)
    with one.connect() as first, other.connect() as second:
        both = first.map(where, range(200)), second.map(where, range(200))
        for found in both:
            assert [item for item, _ in found] == list(range(200))


def test_bad_links_are_refused_with_words(hosts: Hosts) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    reader = home.command("token", "create", "--role", "read", "--for", "x").stdout.strip()
    for token, words in (
        ("nonsense", "no token of Hanse"),
        (link_token(site), "the same node"),
        (reader, "may not link"),
    ):
        made = site.command("link", token)
        assert made.returncode == 2, made.stderr
        assert words in made.stderr
    endless = site.command("link", link_token(home), "--cpus", "inf")
    assert endless.returncode == 2
    assert "cpus are from" in endless.stderr
    assert links(site) == []
    link(site, home)
    again = site.command("link", link_token(home, "again"))
    assert "linked already" in again.stderr


def test_a_site_runs_only_what_its_owner_lets_through(hosts: Hosts, tmp_path: Path) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home, "--allow", "*noted*")
    with home.connect() as client:
        found = list(client.map(where, range(100)))
        assert {place for _, place in found} == {str(home.home)}
        ledger = tmp_path / "ledger"
        job = client.map(noting(ledger, 0.02), range(10_000))
        until(lambda: {place for _, place in read(ledger)} == {str(home.home), str(site.home)})
        job.cancel()


def test_what_travels_to_a_site(hosts: Hosts, tmp_path: Path) -> None:
    """Values that were put, results of other calls, failures, and lines that are printed."""
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    with home.connect() as client:
        table = client.put(list(range(100_000)))
        parts = [client.submit(part_of, table, item) for item in range(40)]
        whole = client.submit(total, parts)
        assert whole.result() == sum(range(40_000))
        job = client.map(fails_at_seven, range(60), on_error="collect", name="lines")
        found = list(job)
        assert [item for item, each in enumerate(found) if isinstance(each, Exception)] == [7, 47]
        assert "seven" in str(found[47])
    away = Away(home, tmp_path / "away")

    def printed() -> set[str]:
        lines = away("logs", "lines").stdout.splitlines()
        return {line.split()[-1] for line in lines if "item number" in line}

    until(lambda: printed() >= {str(item) for item in range(60)})


class Proxy:
    """An HTTP proxy that knows CONNECT, wants a password, and keeps what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:pass%21@127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client: socket.socket) -> None:
        with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.recv(4096)
            self.asked.append(head)
            host, _, port = head.split()[1].decode().rpartition(":")
            if b"Basic " + base64.b64encode(b"user:pass!") not in head:
                client.sendall(b"HTTP/1.1 407 No\r\n\r\n")
                return
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=_pour, args=(server, client), daemon=True)
                back.start()
                _pour(client, server)
                back.join()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()


def _pour(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while data := one.recv(1 << 16):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)


def test_a_home_that_ends_breaks_off_its_streams_without_a_word(hosts: Hosts) -> None:
    home, site = hosts.node("home"), hosts.node("site")
    link(site, home)
    assert home.end() == 0
    (line,) = home.log.splitlines()
    assert line.startswith("A node runs at ")


def test_a_link_passes_tls_and_a_proxy(hosts: Hosts) -> None:
    home = hosts.node("home", "--listen", "127.0.0.2:0", "--name", "127.0.0.2", "--cpus", "1")
    site = hosts.node("site")
    site.end()
    proxy = Proxy()
    site.start(HTTPS_PROXY=proxy.url, NO_PROXY="")
    link(site, home)
    with home.connect() as client:
        found = list(client.map(where, range(300)))
    assert {place for _, place in found} == {str(home.home), str(site.home)}
    assert proxy.asked
    assert all(head.startswith(b"CONNECT 127.0.0.2:") for head in proxy.asked)
    secret = link_token(home).encode()
    assert all(b"hanse_" not in head and secret not in head for head in proxy.asked)
    site.close()
    proxy.close()
