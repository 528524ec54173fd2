"""A systemd unit that starts a node as `hanse up` would."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from hanse import limits
from hanse.cli.shared import exits
from hanse.errors import UsageError

if TYPE_CHECKING:
    from hanse.node.daemon import Settings

# Variables that change where and how a node works. None of them holds a secret, or it is left out.
_KEPT: Final = ("HANSE_HOME", "HANSE_CPUS", "HANSE_QUOTA")

_UNIT: Final = """\
# Save it as ~/.config/systemd/user/hanse.service, and then:
#   systemctl --user daemon-reload
#   systemctl --user enable --now hanse
#   loginctl enable-linger    # it runs while you are not logged in, too
[Unit]
Description=Hanse node
Wants=network-online.target
After=network-online.target

[Service]
{environment}ExecStart={command}
Restart=on-failure
RestartSec=1
RestartPreventExitStatus={usage}
KillMode=mixed
TimeoutStopSec=30
UMask=0077

[Install]
WantedBy=default.target"""


def unit_for(settings: Settings) -> str:
    """Raises UsageError for what cannot stand in a unit."""
    told = {name: os.environ[name] for name in _KEPT if os.environ.get(name)}
    if "HANSE_HOME" in told:
        told["HANSE_HOME"] = str(Path(told["HANSE_HOME"]).expanduser().absolute())
    pairs = [_quoted(f"{name}={value}", expanded=False) for name, value in told.items()]
    lines = [f"Environment={pair}\n" for pair in pairs]
    command = [sys.executable, "-m", "hanse", *_words(settings)]
    return _UNIT.format(
        environment="".join(lines), command=" ".join(map(_quoted, command)), usage=exits.USAGE
    )


def _words(settings: Settings) -> Iterator[str]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    yield from ("up", "--listen", f"{host}:{settings.port}", "--home")
    yield str(settings.home.absolute())
    for name in settings.names:
        yield from ("--name", name)
    if settings.region:
        yield from ("--region", settings.region)
    if settings.price is not None:
        yield from ("--price", f"{settings.price!r}")
    for label in settings.labels:
        yield from ("--label", label)
    if settings.resources is not None and settings.resources.cpus is not None:
        yield from ("--cpus", f"{settings.resources.cpus!r}")
    if settings.evictions:
        yield from ("--evictions", settings.evictions)
    if settings.evict_file is not None:
        yield from ("--evict-file", str(settings.evict_file.absolute()))
    if settings.notice_s != limits.EVICTION_NOTICE_S:
        yield from ("--notice", f"{settings.notice_s!r}")
    if not settings.works:
        yield "--no-work"
    if settings.sandbox:
        yield from ("--sandbox", settings.sandbox)
    if settings.engine != "local":
        yield from ("--engine", settings.engine)
    if settings.providers is not None:
        yield from ("--providers", str(settings.providers))
    if settings.ray_address is not None:
        yield from ("--ray-address", settings.ray_address)


def _quoted(word: str, *, expanded: bool = True) -> str:
    """A word after systemd.service(5), such that nothing in it is expanded. `expanded`: it stands
    where variables would be, as in a command line."""
    if not word.isprintable():
        raise UsageError(f"{word!r} cannot stand in a systemd unit")
    safe = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    safe = safe.replace("$", "$$") if expanded else safe
    return safe if safe == word and word and " " not in word and "'" not in word else f'"{safe}"'
