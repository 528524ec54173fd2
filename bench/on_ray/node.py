"""One of Ray's nodes, until SIGTERM: `python -m bench.on_ray.node HOME CPUS [ADDRESS]`.

Without an address it is the head, and writes its own to HOME/address. The token is in the
environment, and where the files for TLS are."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hanse.engines.ray import cluster
from hanse.engines.ray.tls import Tls
from hanse.model.resources import Amount

_MEMORY = 2 << 30


def main() -> None:
    home, cpus, *joined = sys.argv[1:]
    token, place = os.environ["RAY_AUTH_TOKEN"], Path(home)
    offers = Amount(cpus_milli=1000 * int(cpus), memory_bytes=_MEMORY)
    tls = None
    if os.environ["RAY_USE_TLS"] == "1":
        files = (os.environ[f"RAY_TLS_{name}"] for name in ("SERVER_CERT", "SERVER_KEY", "CA_CERT"))
        tls = Tls(*map(Path, files))
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    kept: cluster.Kept
    if joined:
        kept = cluster.Worker(joined[0], token, place, offers, tls=tls)
    else:
        head = cluster.Head(token, place, offers, tls=tls)
        head.started()
        (place / "address").write_text(head.address)
        kept = head
    signal.sigwait([signal.SIGTERM])
    kept.end()


if __name__ == "__main__":
    main()
