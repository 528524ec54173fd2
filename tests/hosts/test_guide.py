"""The guide from a laptop to three regions: every command of it, as it stands there."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

from hosts.machines import PATH, Host, hosts
from hosts.wan import wan

from hanse.node.place import Place

GUIDE = Path(__file__).parents[2] / "docs" / "three-regions.md"
WAYS = {"laptop": 30.0, "paris": 80.0, "oregon": 150.0}  # round trips to the head, ms


class Step(NamedTuple):
    """A command of the guide, and the lines that it shows behind it."""

    host: str
    command: str
    shown: list[str]


def steps(text: str) -> list[Step]:
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            prompt = re.match(r"(\w+)\$ (.+)", line)
            if prompt:
                found.append(Step(prompt[1], prompt[2], []))
            else:
                found[-1].shown.append(line)
    return found


def install(directory: Path) -> None:
    """`python` and `hanse`, as they are where Hanse is installed."""
    for name, words in (("python", ""), ("hanse", "-m hanse")):
        path = directory / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\nexec {sys.executable} {words} "$@"\n')
        path.chmod(0o755)


def begin(host: Host, command: str, env: dict[str, str]) -> None:
    host.start(["sh", "-c", f"exec {command}"], env)
    place = Place(host.disk / "node")
    end = time.monotonic() + 60
    while place.running() is None:
        assert time.monotonic() < end, (host.directory / "log").read_text()
        time.sleep(0.05)


def test_every_command_of_the_guide_does_what_it_says(possible: None, tmp_path: Path) -> None:
    text = GUIDE.read_text()
    (script,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    files = tmp_path / "files"  # what is handed from one host to another
    files.mkdir()
    (files / "primes.py").write_text(script)
    install(tmp_path)
    with hosts() as fabric:
        names = {name: fabric.host(name) for name in ("head", *WAYS)}
        for name in WAYS:
            names[name].know({"head.example": names[name].gateway})
        ways = {names[name]: ms for name, ms in WAYS.items()}
        path = f"{tmp_path / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        env = {"PATH": path, "PYTHONPATH": PATH}
        with wan(fabric, names["head"], 7437, ways):
            for step in steps(text):
                host = names[step.host]
                cpus = "2" if step.host == "oregon" else "1"  # it gives half of itself
                env = env | {"HANSE_CPUS": cpus}
                if step.command.startswith("hanse unlink"):
                    told = json.loads(host.run(["sh", "-c", "hanse links --json"], env))
                    assert told["links"][0]["offered"]["cpus_milli"] == 1000
                if step.command.endswith("&"):
                    begin(host, step.command.removesuffix("&"), env)
                    continue
                command = f"cd {files} && {step.command}"
                said = host.run(["sh", "-c", command], env)
                for line in step.shown:
                    assert line in said.splitlines(), f"{step}: {said}"
        for host in fabric.hosts:
            end = time.monotonic() + 20
            while host.pids and time.monotonic() < end:
                time.sleep(0.05)
            assert not host.pids, f"left at {host.name}"
