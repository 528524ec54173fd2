"""A cloud of processes: commands that start and end machines, each a node of its own.

    python cloud.py DIRECTORY create|destroy|list

A machine is a directory with its owner, its process and its log. `refuse` in the cloud's directory
has it say no to every machine, `stillborn` has machines never come up.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from system.command import HANSE

_JOURNAL = "postgresql://nobody@127.0.0.1:1/none"  # as the profile of a shared home may say


def create(cloud: Path) -> None:
    if (cloud / "refuse").exists():
        sys.exit("there is no capacity today")
    machine = cloud / os.environ["HANSE_MACHINE"]
    machine.mkdir()
    (machine / "owner").write_text(os.environ["HANSE_OWNER"])
    token = sys.stdin.read()
    assert token not in Path("/proc/self/cmdline").read_text()
    command = [*HANSE, "up", "--rented", "--home", str(machine / "node"), "--cpus", "1"]
    if (cloud / "stillborn").exists():
        command = [sys.executable, "-c", "import time; time.sleep(1000)"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("HANSE_")}
    (machine / "token").write_text(token)
    (machine / "token").chmod(0o600)
    with open(machine / "token") as told, open(machine / "log", "ab") as log:
        process = subprocess.Popen(
            command, stdin=told, stdout=log, stderr=log, start_new_session=True,
            env=env | {"HANSE_HOME": str(machine), "HANSE_CPUS": "1", "HANSE_JOURNAL": _JOURNAL},
        )  # fmt: skip
    (machine / "pid").write_text(str(process.pid))
    print(f"process-{process.pid}")


def destroy(machine: Path) -> None:
    """It may not be there any more."""
    try:
        pid = int((machine / "pid").read_text())
    except FileNotFoundError:
        return
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    while alive(pid):
        time.sleep(0.01)
    (machine / "pid").rename(machine / "gone")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def machines(cloud: Path) -> list[Path]:
    """Those that there are, whoever owns them."""
    return sorted(each.parent for each in cloud.glob("*/pid"))


def ever(cloud: Path) -> list[str]:
    """All that there ever were."""
    return sorted(each.parent.name for each in cloud.glob("*/owner"))


def end(cloud: Path) -> None:
    """All of them."""
    for machine in machines(cloud):
        destroy(machine)


if __name__ == "__main__":
    place, what = Path(sys.argv[1]), sys.argv[2]
    if what == "create":
        create(place)
    elif what == "destroy":
        destroy(place / os.environ["HANSE_MACHINE"])
    else:
        for machine in machines(place):
            pid = int((machine / "pid").read_text())
            if (machine / "owner").read_text() == os.environ["HANSE_OWNER"] and alive(pid):
                print(machine.name, f"process-{pid}")
