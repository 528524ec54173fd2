"""Keeps Ray's processes of one machine: none of them outlives the program that had them started.

Ray's own parent process leaves them behind when it is killed, and `ray stop` ends those of every
cluster on the machine. This process adopts whatever its command leaves (as a subreaper); when the
socket to its starter closes, or the command ends, it kills all that descends from it, removes what
lay on disk, and goes.

It runs as a program of its own and imports nothing of Ray.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys

from hanse.engines.local.processes import become_subreaper, die_with_parent, family, orphans

_DRAIN = b"d"


def main() -> None:
    """Arguments: the socket, the directory to remove, the command."""
    starter = socket.socket(fileno=int(sys.argv[1]))
    directory, command = sys.argv[2], sys.argv[3:]
    become_subreaper()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - there is one thread
    )
    try:
        _wait(starter, read, child)
    finally:
        _end_all()
        shutil.rmtree(directory, ignore_errors=True)


def _wait(starter: socket.socket, signals: int, child: subprocess.Popen[bytes]) -> None:
    watcher = select.poll()
    for source in (starter.fileno(), signals):
        watcher.register(source, select.POLLIN)
    while child.poll() is None:
        for source, _ in watcher.poll(1000):
            if source == signals:
                if signal.SIGTERM in os.read(signals, 64):
                    return
            elif starter.recv(1) == _DRAIN:
                child.terminate()  # Ray empties the machine, then ends
            else:
                return
        _reap(child)


def _reap(child: subprocess.Popen[bytes]) -> None:
    """Bury what was adopted and has ended."""
    for pid in orphans():
        if pid != child.pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass


def _end_all() -> None:
    """Kill everything below this process, until nothing new comes up."""
    while below := orphans():
        for pid in below:
            for one in family(pid):
                try:
                    os.kill(one, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for pid in below:
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass


if __name__ == "__main__":
    main()
