"""EC2 as moto has it, and what moto leaves out: instances that run what their user data says."""

from __future__ import annotations

import base64
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer
from system.command import HANSE
from system.nodes import PATH

KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_EC2_METADATA_DISABLED": "1",
}
REGION = "eu-central-1"


class Ec2:
    """
    Attributes:
        url: where it answers.
        booted: instances that ever ran, by their ids.
    """

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.client = boto3.client("ec2", endpoint_url=url, region_name=REGION)
        self.directory = directory
        self.booted: dict[str, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._bin = directory / "bin"
        self._bin.mkdir()
        hanse = self._bin / "hanse"
        hanse.write_text(f'#!/bin/sh\nexec {shlex.join(HANSE)} "$@"\n')
        shutdown = self._bin / "shutdown"
        shutdown.write_text('#!/bin/sh\n[ "$2" != now ] || touch "$INSTANCE/shut-down"\n')
        for program in (hanse, shutdown):
            program.chmod(0o755)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def instances(self, *states: str) -> list[dict[str, Any]]:
        filters = [{"Name": "instance-state-name", "Values": list(states)}] if states else []
        told = self.client.describe_instances(Filters=filters)
        return [one for each in told["Reservations"] for one in each["Instances"]]

    def alive(self) -> list[str]:
        return [one["InstanceId"] for one in self.instances("pending", "running")]

    def _run(self) -> None:
        """What the hypervisors do."""
        while not self._ended.wait(0.3):
            alive = self.alive()
            for id in alive:
                if id not in self.booted:
                    self._boot(id)
                elif (self.directory / id / "shut-down").exists():
                    self.client.terminate_instances(InstanceIds=[id])
            for id in self.booted.keys() - set(alive):
                self._power_off(id)

    def _boot(self, id: str) -> None:
        machine = self.directory / id
        machine.mkdir()
        told = self.client.describe_instance_attribute(InstanceId=id, Attribute="userData")
        script = machine / "user-data"
        script.touch(0o600)
        text = base64.b64decode(told["UserData"]["Value"]).decode()
        script.write_text(text.replace("/run/hanse-token", str(machine / "token")))
        env = {key: value for key, value in os.environ.items()
               if not key.startswith(("HANSE_", "AWS_"))}  # fmt: skip
        about = {
            "PATH": f"{self._bin}:{os.environ['PATH']}", "INSTANCE": str(machine),
            "HANSE_HOME": str(machine), "PYTHONPATH": PATH, "TMPDIR": str(machine),
        }  # fmt: skip
        with open(machine / "console", "ab") as console:
            self.booted[id] = subprocess.Popen(
                ["sh", str(script)], stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                env=env | about, start_new_session=True,
            )  # fmt: skip

    def _power_off(self, id: str) -> None:
        process = self.booted[id]
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()

    def close(self) -> None:
        self._ended.set()
        self._thread.join()
        for id in self.booted:
            self._power_off(id)


@contextmanager
def moto() -> Iterator[str]:
    """A server; its URL."""
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # they take seconds
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
