"""Machines that are jobs of Slurm: `sbatch` brings one, `squeue` lists them, `scancel` ends them.

A job's name says whose it is and which machine. Its token lies in a file for the user alone, in a
directory that the nodes of Slurm see too: batch scripts are kept by Slurm, which others may read.
"""

from __future__ import annotations

import contextlib
import shlex
from pathlib import Path

import msgspec

from hanse import limits
from hanse.decoding import from_builtins
from hanse.journal import private
from hanse.node.providers.command import own_environment, run_quietly
from hanse.node.providers.port import InDoubt, NotBrought, Order, Owned

_PRIVATE = ("HANSE_", "AWS_")  # not for jobs of Slurm, which get what sbatch has
Words = list[str]


class SlurmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In the file, of the provider.

    Attributes:
        options: of sbatch, for all offers, such as `["--account=physics"]`.
        setup: lines of shell before `hanse` is started, such as `module load python`.
        hanse: the command on the nodes of Slurm.
        directory: for tokens and logs, on a file system that these nodes see; by default one
            beside the file that says this.
        timeout_s: for each command of Slurm.
    """

    options: Words = []
    setup: str = ""
    hanse: str = "hanse"
    directory: str | None = None
    timeout_s: float = limits.RENT_CALL_S


class SlurmOffer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """In the file, of an offer, as `how`: further options of sbatch."""

    options: Words = []


class SlurmProvider:
    """See `port.Provider`."""

    def __init__(self, settings: SlurmSettings, owner: str, beside: Path) -> None:
        self._settings = settings
        self._prefix = f"hanse.{owner}."
        self._directory = Path(settings.directory or beside / "slurm").expanduser().absolute()

    def bring(self, order: Order) -> str:
        there = [each.handle for each in self._listed() if each.id == order.id]
        if there:
            return there[0]
        private.directory(str(self._directory))
        token = self._token(order.id)
        private.write(token, order.token.encode() + b"\n")
        try:
            printed = self._run([*self._sbatch(order)], self._script(order, token))
            return printed[-1].partition(";")[0].strip()
        except NotBrought as error:
            token.unlink(missing_ok=True)
            raise type(error)(f"Slurm: {error}") from error
        except IndexError as error:
            raise InDoubt("Slurm: sbatch did not say which job it made") from error

    def _sbatch(self, order: Order) -> list[str]:
        how = from_builtins(order.how, SlurmOffer)
        amount, rental = order.rental.amount, order.rental
        minutes = max(1, rental.life_ns // (60 * limits.SECOND))
        memory = [f"--mem={amount.memory_bytes >> 20}M"] if amount.memory_bytes else []
        gpus = [f"--gpus-per-node={amount.gpus_milli // 1000}"] if amount.gpus_milli else []
        return [
            "sbatch", "--parsable", "--no-requeue", f"--job-name={self._prefix}{order.id}",
            "--nodes=1", "--ntasks=1", f"--cpus-per-task={-(-amount.cpus_milli // 1000)}",
            *memory, *gpus, f"--time={minutes}", f"--chdir={self._directory}",
            f"--output={self._directory}/{self._prefix}{order.id}.log", "--open-mode=append",
            *self._settings.options, *how.options,
        ]  # fmt: skip

    def _script(self, order: Order, token: Path) -> str:
        cpus = order.rental.amount.cpus_milli / 1000
        command = f"{self._settings.hanse} up --rented --cpus {cpus:g}"
        return (
            f"#!/bin/sh\n{self._settings.setup.strip() or ':'}\n"
            f"exec {command} < {shlex.quote(str(token))}\n"
        )

    def owned(self) -> list[Owned] | None:
        return self._listed()

    def _listed(self) -> list[Owned]:
        """Jobs of ours that wait or run."""
        told = self._run(["squeue", "--me", "--noheader", "--format=%i %j",
                          "--states=PENDING,CONFIGURING,RUNNING,SUSPENDED"])  # fmt: skip
        found = []
        for line in told:
            handle, _, name = line.strip().partition(" ")
            if name.startswith(self._prefix):
                found.append(Owned(name.removeprefix(self._prefix), handle))
        return found

    def send_away(self, machine: Owned) -> None:
        handles = [machine.handle] if machine.handle else [
            each.handle for each in self._listed() if each.id == machine.id
        ]  # fmt: skip
        for handle in handles:
            try:
                self._run(["scancel", handle])
            except NotBrought as error:
                if "Invalid job id" not in str(error):
                    raise
        with contextlib.suppress(OSError):
            self._token(machine.id).unlink(missing_ok=True)

    def _token(self, id: str) -> Path:
        return self._directory / f"{self._prefix}{id}.token"  # several homes may use one directory

    def _run(self, command: list[str], told: str = "") -> list[str]:
        environment = own_environment(_PRIVATE)
        return run_quietly(command, told, self._settings.timeout_s, environment=environment)
