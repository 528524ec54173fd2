"""What this machine offers: the cores and the memory that this process may really use."""

from __future__ import annotations

import os
import sys

from msgspec import structs

from hanse import limits
from hanse.errors import UsageError
from hanse.model.fit import canonical
from hanse.model.resources import SCRIPTS, Amount, Resources

_CGROUP = "/sys/fs/cgroup/"


def usable_cpus() -> float:
    """Cores: HANSE_CPUS if it is set, else what affinity and a cgroup's quota leave."""
    told = os.environ.get("HANSE_CPUS")
    if told:
        try:
            cpus = float(told)
        except ValueError:
            cpus = 0.0
        if cpus <= 0:
            raise UsageError(f"HANSE_CPUS={told!r} is not a number of cores")
        return cpus
    if sys.platform == "linux":
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, int(min(cpus, quota))) if quota else cpus


def _read(name: str) -> str:
    with open(_CGROUP + name) as file:
        return file.read()


def cgroup_quota() -> float | None:
    """Cores that this process's cgroup may use on average; None without such a limit."""
    for quota_file, period_file in (
        ("cpu.max", None),
        ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"),
    ):
        try:
            words = _read(quota_file).split()
            if period_file is not None:
                words += _read(period_file).split()
            quota, period = words
            if quota not in ("max", "-1"):
                return int(quota) / int(period)
        except (OSError, ValueError):
            continue
    return None


def usable_memory() -> int:
    """Bytes of memory, within a cgroup's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(_read(name)))
        except (OSError, ValueError):
            continue
    return total


def capacity(offered: Resources | None = None) -> Amount:
    """What is offered to jobs: as told, or all cores and all memory."""
    if offered is None:
        return Resources(cpus=usable_cpus(), memory=usable_memory()).amount()
    amount = offered.amount()
    if not amount.memory_bytes:
        amount = Amount(
            cpus_milli=amount.cpus_milli,
            gpus_milli=amount.gpus_milli,
            memory_bytes=usable_memory(),
            custom_milli=amount.custom_milli,
        )
    return amount


def with_scripts(offered: Amount) -> Amount:
    """What a node offers: beside that, places for scripts (see `model.resources.SCRIPTS`)."""
    places = max(1, offered.cpus_milli // 1000) * limits.SCRIPTS_PER_CORE
    return structs.replace(offered, custom_milli={SCRIPTS: 1000 * places} | offered.custom_milli)


def python_version() -> str:
    """The minor version of Python that items run in, such as `"3.12"`."""
    return "{}.{}".format(*sys.version_info)


def packages() -> dict[str, str]:
    """The distributions that they can import, by canonical names, with their versions."""
    from importlib import metadata

    found: dict[str, str] = {}
    for each in metadata.distributions():
        try:
            said = each.metadata
            name, version = said["Name"], said["Version"]
        except Exception:  # noqa: BLE001 - whatever is wrong with its files, it is no package here
            continue
        if name and version:  # else half of it was removed
            found.setdefault(canonical(name), version)
    return found
