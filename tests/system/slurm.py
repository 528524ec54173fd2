"""A real Slurm on this machine: its own keys, ports and files, all in one directory."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from debian import install
from system.real import until

_CONF = """
ClusterName=hanse
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={dir}/munge.socket
CredType=cred/munge
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
SlurmctldPidFile={dir}/ctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/ctld.log
SlurmdLogFile={dir}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=2
SwitchType=switch/none
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def slurm(directory: Path) -> Iterator[dict[str, str]]:
    """A cluster of one machine with four cores; what the commands need in their environment."""
    if shutil.which("slurmctld") is None or shutil.which("munged") is None:
        install("slurm-wlm", "munge")
    directory.chmod(0o755)
    for name in ("state", "spool"):
        (directory / name).mkdir()
    key = directory / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    host = socket.gethostname().partition(".")[0]
    conf = directory / "slurm.conf"
    conf.write_text(_CONF.format(host=host, dir=directory, ctld=_free_port(), slurmd=_free_port()))
    env = {"SLURM_CONF": str(conf)}
    with ExitStack() as stack:
        socket_path = directory / "munge.socket"
        _start(stack, directory, {}, "munged", "--foreground", "--force", f"--key-file={key}",
               f"--socket={socket_path}", f"--pid-file={directory}/munge.pid",
               f"--log-file={directory}/munge.log",
               f"--seed-file={directory}/munge.seed")  # fmt: skip
        until(socket_path.exists)
        _start(stack, directory, env, "slurmctld", "-D")
        _start(stack, directory, env, "slurmd", "-D", "-N", host)
        until(lambda: _idle(env))
        yield env


def _idle(env: dict[str, str]) -> bool:
    told = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True, text=True,
                          check=False, env=os.environ | env)  # fmt: skip
    return told.stdout.strip() == "idle"


def _start(stack: ExitStack, directory: Path, env: dict[str, str], *command: str) -> None:
    with open(directory / f"{command[0]}.out", "ab") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   env=os.environ | env, start_new_session=True)  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)
