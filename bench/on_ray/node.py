"""One of Ray's nodes, until SIGTERM: `python -m bench.on_ray.node HOME CPUS [ADDRESS]`.

Without an address it is the head, and writes its own to HOME/address. The token is in the
environment."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from hanse.engines.ray import cluster
from hanse.model.resources import Amount

_MEMORY = 2 << 30


def main() -> None:
    home, cpus, *joined = sys.argv[1:]
    token, place = os.environ["RAY_AUTH_TOKEN"], Path(home)
    offers = Amount(cpus_milli=1000 * int(cpus), memory_bytes=_MEMORY)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    kept: cluster.Kept
    if joined:
        kept = cluster.Worker(joined[0], token, place, offers)
    else:
        head = cluster.Head(token, place, offers)
        head.started()
        (place / "address").write_text(head.address)
        kept = head
    signal.sigwait([signal.SIGTERM])
    kept.end()


if __name__ == "__main__":
    main()
