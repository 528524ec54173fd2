"""Machines that commands of the user's bring: `create`, `destroy` and, better, `list`.

They are told by their environment which machine is meant, and `create` gets the link token on its
input. Command lines can be seen by everybody on the machine, so nothing secret is in them.

| | |
|---|---|
| HANSE_MACHINE | our id of the machine |
| HANSE_OWNER | whose it is: `list` names machines of this owner alone |
| HANSE_HANDLE | what `create` printed, for `destroy` |
| HANSE_OFFER, HANSE_REGION | what is asked for |
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from hanse import limits
from hanse.decoding import from_builtins
from hanse.engines.local.processes import kill_group
from hanse.model.rental import MACHINE_ID
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned

_SHOWN = 500
_OURS = ("HANDLE", "HOME", "MACHINE", "OFFER", "OWNER", "REGION", "TOKEN", "URL")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
Words = list[str]


class CommandSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In the file; each is a program and its arguments."""

    create: Words
    destroy: Words
    list: Words | None = None
    timeout_s: float = limits.RENT_CALL_S

    def __post_init__(self) -> None:
        for name in ("create", "destroy", "list"):
            if getattr(self, name) == []:
                raise ValueError(f"{name} is a program and its arguments, not an empty list")
        if self.timeout_s <= 0:
            raise ValueError("timeout_s is more than 0")


def check_offer(how: Mapping[str, object]) -> None:
    """What an offer tells `create` beside, which becomes variables. Raises ValueError."""
    for name in from_builtins(how, dict[str, str | int | float]):
        if not _VARIABLE.fullmatch(name) or name.upper() in _OURS:
            raise ValueError(f"HANSE_{name.upper()} cannot be said by an offer: name it otherwise")


class CommandProvider:
    """See `port.Provider`.

    Args:
        owner: names this home among all that use the same commands.
        directory: relative programs are looked for here, and run here.
    """

    def __init__(self, settings: CommandSettings, owner: str, directory: Path) -> None:
        self._settings = settings
        self._owner = owner
        self._directory = directory

    def bring(self, order: Order) -> str:
        about = {
            "HANSE_MACHINE": order.id,
            "HANSE_OFFER": order.rental.name,
            "HANSE_REGION": order.rental.tariff.region,
            **{f"HANSE_{name.upper()}": str(told) for name, told in order.how.items()},
        }
        printed = self._run(self._settings.create, about, order.token + "\n")
        return printed[-1].strip() if printed else order.id

    def owned(self) -> list[Owned] | None:
        if self._settings.list is None:
            return None
        found = []
        for line in self._run(self._settings.list, {}):
            words = line.split()
            if words:
                if not MACHINE_ID.fullmatch(words[0]):  # what it names and is not ours is ended
                    raise NotBrought(f"`list` printed {line[:_SHOWN]!r}, which names no machine")
                found.append(Owned(words[0], words[-1]))
        return found

    def send_away(self, machine: Owned) -> None:
        about = {"HANSE_MACHINE": machine.id, "HANSE_HANDLE": machine.handle}
        self._run(self._settings.destroy, about)

    def _run(self, command: Sequence[str], about: Mapping[str, str], told: str = "") -> list[str]:
        """Run it to its end; the lines that it printed. Not through pipes: a machine that `create`
        leaves running may hold them open."""
        program = command[0]
        if "/" in program:
            program = str(self._directory / program)
        return run_quietly(
            [program, *command[1:]], told, self._settings.timeout_s, self._directory,
            own_environment() | {"HANSE_OWNER": self._owner} | dict(about),
        )  # fmt: skip


def own_environment(but: tuple[str, ...] = ("HANSE_",)) -> dict[str, str]:
    """This node's, without what begins so: its journal may have a password, and is its own."""
    return {name: told for name, told in os.environ.items() if not name.startswith(but)}


def run_quietly(
    command: Sequence[str], told: str, timeout_s: float, directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[str]:  # fmt: skip
    """Run a command to its end; the lines that it printed. Its output goes through files: what it
    leaves running may hold a pipe open. What is late is ended with all that it has started. Raises
    NotBrought."""
    import tempfile

    with tempfile.TemporaryFile() as told_file, tempfile.TemporaryFile() as out, \
         tempfile.TemporaryFile() as err:  # fmt: skip
        told_file.write(told.encode())
        told_file.seek(0)
        try:
            process = subprocess.Popen(
                command, stdin=told_file, stdout=out, stderr=err, cwd=directory, env=environment,
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotBrought(f"{command[0]} cannot be run: {error.strerror or error}") from error
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise InDoubt(f"{command[0]} took longer than {timeout_s:g} s") from error
        finally:
            if process.returncode is None:
                kill_group(process.pid)
                process.wait()
        out.seek(0)
        err.seek(0)
        said = err.read(64 * 1024).decode(errors="replace").strip()
        if code:
            last = said.rpartition("\n")[2][:_SHOWN] or "it said nothing"
            raise NotBrought(f"{command[0]} failed with exit code {code}: {last}")
        return out.read(4 * 1024 * 1024).decode(errors="replace").splitlines()
