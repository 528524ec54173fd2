"""One contestant's first result: from the import of its library, and from the process start.

    BENCH_BEGAN=<monotonic clock> python -m bench.first '{"peer": "pool", "workers": 2, "fd": 5}'

Imports nothing that costs before the clock starts, so it reads its one argument by hand.
"""

import os
import re
import sys
import time

from bench.contest import NotOffered
from bench.work import same


def first_result(peer) -> bool:
    """Whether it is right. A map will do where there are no single calls."""
    try:
        return peer.results([peer.submit(same, 42)]) == [42]
    except NotOffered:
        return list(peer.map(same, range(1))) == [0]


def main() -> None:
    peer_name, workers, fd = (
        re.search(rf'"{key}": "?(\w+)', sys.argv[1])[1] for key in ("peer", "workers", "fd")
    )
    os.set_inheritable(int(fd), False)
    before_import = time.monotonic()
    module = __import__(f"bench.peers.{peer_name}", fromlist=["Contestant"])
    peer = module.Contestant(int(workers))
    peer.open()
    right = first_result(peer)
    now = time.monotonic()
    process = now - float(os.environ["BENCH_BEGAN"])
    status = ("ok" if right else "wrong") if peer.parallel else "not offered"
    for key, value in (("first_import", now - before_import), ("first_process", process)):
        line = f'{{"end": "{key}", "status": "{status}", "value": {value}, "seconds": {process}}}\n'
        os.write(int(fd), line.encode())
    peer.close()


if __name__ == "__main__":
    main()
