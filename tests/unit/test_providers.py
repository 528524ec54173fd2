"""The file that says what can be rented, and the commands that bring machines."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from hanse.errors import UsageError
from hanse.limits import SECOND
from hanse.model.aims import Tariff
from hanse.model.rental import Rental
from hanse.model.resources import Amount
from hanse.node.providers.aws import AwsOffer, AwsProvider, AwsSettings, user_data
from hanse.node.providers.command import CommandProvider, CommandSettings
from hanse.node.providers.config import read
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned
from hanse.node.providers.slurm import SlurmProvider, SlurmSettings

DOCS = Path(__file__).parents[2] / "docs" / "providers.md"
HEAD = '[lab]\nkind = "command"\ncreate = ["c"]\ndestroy = ["d"]\n'
OFFER = "[lab.offers.small]\ncpus = 1\nprice = 1.0\n"


def told(tmp_path: Path, text: str) -> str:
    """What is wrong with such a file."""
    path = tmp_path / "providers.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as found:
        read(path, "n-1")
    return str(found.value).removeprefix(str(path))


def test_the_examples_of_the_documentation_are_read_as_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "providers.toml"
    examples = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    path.write_text("\n".join(examples))
    lab, cluster, aws = read(path, "n-1")
    (small,) = lab.rentals
    assert small.amount == Amount(cpus_milli=4000, memory_bytes=8 << 30)
    assert small.tariff == Tariff(
        price_nano=200_000_000, start_ns=40 * SECOND, rented=True, speed_milli=1000
    )
    assert cluster.rentals[0].life_ns == 12 * 3600 * SECOND
    assert aws.rentals[0].tariff.spot


@pytest.mark.parametrize(("text", "words"), [
    ("[lab\n", "is not TOML"),
    ('[lab]\nkind = "cloud"\n', ", line 1, lab: kind is one of aws, command, slurm, not 'cloud'"),
    (HEAD, ", line 1, lab: it has no offer"),
    (HEAD.replace('["c"]', '"c"') + OFFER, ", line 3, lab.create: Expected `array`"),
    (HEAD + 'place = "x"\n' + OFFER, ", line 5, lab.place: "),
    (HEAD + OFFER + "most = 0\n", ", line 5, lab.offers.small: most is from 1 to 1,000"),
    (HEAD + OFFER + 'idle = "soon"\n', "idle is a time such as 90s, 10min or 1h, not 'soon'"),
    (HEAD + OFFER + "memry = 3\n", ", line 8, lab.offers.small.memry: "),
    (HEAD + OFFER + '[lab.offers."No Name"]\n', "is no name"),
    (HEAD + OFFER + HEAD.replace("lab", "b") + OFFER.replace("lab", "b"), "two offers are called"),
    (HEAD + OFFER + '[lab.offers.small.how]\nmachine = "n1"\n',
     ", line 8, lab.offers.small.how: HANSE_MACHINE cannot be said by an offer"),
    ('[s]\nkind = "slurm"\n[s.offers.a]\ncpus = 1\nprice = 1.0\n[s.offers.a.how]\noption = 1\n',
     ", line 7, s.offers.a.how.option: "),
])  # fmt: skip
def test_a_mistake_is_told_with_its_line_and_key(tmp_path: Path, text: str, words: str) -> None:
    assert words in told(tmp_path, text)


def provider(directory: Path, script: str, **more: object) -> CommandProvider:
    path = directory / "do"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    commands = {name: ["./do", name] for name in ("create", "destroy", "list")}
    return CommandProvider(CommandSettings(**(commands | more)), "n-1", directory)  # type: ignore[arg-type]


ORDER = Order("small-1-1", Rental(name="small", amount=Amount(cpus_milli=1000), tariff=Tariff()),
              {"flavour": "x"}, "the-token")  # fmt: skip


def test_commands_are_told_what_is_meant_and_the_token_by_their_input_alone(tmp_path: Path) -> None:
    seen = (
        'env | grep ^HANSE_ | sort > seen; echo "$@" >> seen; cat > token; echo one; echo its-name'
    )
    commands = provider(tmp_path, seen)
    assert commands.bring(ORDER) == "its-name"
    lines = (tmp_path / "seen").read_text()
    assert "the-token" not in lines
    assert "HANSE_MACHINE=small-1-1\n" in lines
    assert "HANSE_OWNER=n-1\n" in lines
    assert "HANSE_FLAVOUR=x\n" in lines
    assert (tmp_path / "token").read_text() == "the-token\n"


def test_what_a_command_leaves_running_holds_nobody_up(tmp_path: Path) -> None:
    commands = provider(tmp_path, "echo machine; sleep 30 & echo $! > pid")
    assert commands.bring(ORDER) == "machine"
    pid = int((tmp_path / "pid").read_text())
    assert Path(f"/proc/{pid}").exists()
    os.kill(pid, signal.SIGKILL)


def test_a_command_that_fails_or_hangs_is_told_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(NotBrought, match="exit code 3: the quota is reached"):
        provider(tmp_path, "echo no; echo the quota is reached >&2; exit 3").bring(ORDER)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(InDoubt, match=r"longer than 1 s"):
        provider(tmp_path, "exec 9> fifo; sleep 100 & wait", timeout_s=1).bring(ORDER)
    os.set_blocking(reader, True)
    with open(reader) as file:
        file.read()  # to its end: nobody that it has started has it open
    with pytest.raises(NotBrought, match="cannot be run"):
        provider(tmp_path, "", create=["./not-there"]).bring(ORDER)


def test_an_instance_ends_itself_if_its_script_fails_or_its_home_forgets_it(tmp_path: Path) -> None:
    shutdown = tmp_path / "shutdown"
    shutdown.write_text('#!/bin/sh\necho "$@" >> "${0%/*}/told"\n')
    shutdown.chmod(0o755)
    script = user_data(AwsOffer(launch_template="t", setup="exit 7"), ORDER)
    path = f"{tmp_path}:{os.environ['PATH']}"
    ended = subprocess.run(["sh", "-c", script], check=False, env={"PATH": path}, timeout=60)
    assert ended.returncode == 7
    day_and_more = 24 * 60 + 15
    assert (tmp_path / "told").read_text() == f"-h +{day_and_more}\n-h now\n"


class Refusing(BaseHTTPRequestHandler):
    """EC2, which answers everything with one error."""

    code: ClassVar[str] = ""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        words = f"<Error><Code>{self.code}</Code><Message>as it is</Message></Error>"
        data = f"<Response><Errors>{words}</Errors></Response>".encode()
        self.send_response(400)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None: ...


@pytest.mark.parametrize(
    ("code", "doubtful"),
    [("InternalError", True), ("Unavailable", True), ("IdempotentParameterMismatch", True),
     ("InsufficientInstanceCapacity", False), ("UnauthorizedOperation", False)],
)  # fmt: skip
def test_after_an_error_of_ec2s_own_a_machine_may_be_there(
    code: str, doubtful: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setattr(Refusing, "code", code)
    order = ORDER._replace(how={"launch_template": "t"})
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        ec2 = AwsProvider(AwsSettings(region="eu-central-1", endpoint=url), "n-1")
        with pytest.raises(NotBrought, match=f"{code}: as it is") as raised:
            ec2.bring(order)
        server.shutdown()
        thread.join()
    assert isinstance(raised.value, InDoubt) == doubtful


def test_lists_name_machines_and_their_handles(tmp_path: Path) -> None:
    commands = provider(tmp_path, "echo small-1-1 i-1; echo; echo small-1-2")
    assert commands.owned() == [Owned("small-1-1", "i-1"), Owned("small-1-2", "small-1-2")]
    assert provider(tmp_path, "", list=None).owned() is None


@pytest.mark.parametrize("line", ["WARNING: no x", "n-17 i-1", "../x-1-1 i", "a-1-1/"])
def test_a_list_that_names_anything_else_is_not_believed(tmp_path: Path, line: str) -> None:
    with pytest.raises(NotBrought, match="which names no machine"):
        provider(tmp_path, f"echo small-1-1 i-1; echo '{line}'").owned()


def test_jobs_of_slurm_get_no_secret_of_the_node_and_tokens_of_two_homes_are_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, does in {
        "squeue": "",
        "scancel": "",
        "sbatch": f"env > {tmp_path}/seen; echo 7",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for secret in ("HANSE_JOURNAL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(secret, "the-password")
    tmp_path.chmod(0o700)
    first, second = (SlurmProvider(SlurmSettings(), owner, tmp_path) for owner in ("n-1", "n-2"))
    for home, secret in ((first, "of the first"), (second, "of the second")):
        order = ORDER._replace(how={}, token=secret)
        assert home.bring(order) == "7"
    assert "the-password" not in (tmp_path / "seen").read_text()
    tokens = {each.read_text() for each in (tmp_path / "slurm").iterdir()}
    assert tokens == {"of the first\n", "of the second\n"}
    second.send_away(Owned(ORDER.id, "7"))
    assert [each.read_text() for each in (tmp_path / "slurm").iterdir()] == ["of the first\n"]
