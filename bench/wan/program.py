"""What is measured, by a program at home: python program.py hanse|dask ITEMS TRIVIAL TRIPS ROUNDS.

Prints a line of JSON for each figure. Needs nothing but the contestant.
"""

from __future__ import annotations

import json
import os
import sys
import time

WORKERS = 12
ITEM_S = 0.02


def nap(item):
    time.sleep(ITEM_S)
    return item


def same(item):
    return item


def each(function, items):
    return [function(item) for item in items]


class Hanse:
    def __init__(self):
        import hanse

        self.client = hanse.connect()

    def map(self, function, count):
        return list(self.client.map(function, range(count)))

    trivial = map

    def submit(self, item):
        return self.client.submit(same, item).result()


class Dask:
    def __init__(self):
        from distributed import Client
        from distributed.security import Security

        keys = os.environ["DASK_KEYS"]
        security = Security(
            tls_ca_file=f"{keys}/cert", tls_client_cert=f"{keys}/cert",
            tls_client_key=f"{keys}/key", require_encryption=True,
        )  # fmt: skip
        self.client = Client("tls://home.test:8786", security=security, timeout=60)
        self.client.wait_for_workers(WORKERS, timeout=120)

    def map(self, function, count):
        return self.client.gather(self.client.map(function, range(count), pure=False))

    def trivial(self, function, count):
        size = -(-count // (16 * WORKERS))
        chunks = [range(at, min(at + size, count)) for at in range(0, count, size)]
        parts = self.client.gather(self.client.map(each, [function] * len(chunks), chunks))
        return [value for part in parts for value in part]

    def submit(self, item):
        return self.client.submit(same, item, pure=False).result()


def say(what, value):
    print(json.dumps({"what": what, "value": value}), flush=True)


def main(peer, items, trivial, trips, rounds):
    contestant = {"hanse": Hanse, "dask": Dask}[peer]()
    time.sleep(2)  # sites that have just come are known to all
    contestant.map(same, 1000)
    for _ in range(rounds):
        if items:
            began = time.monotonic()
            assert contestant.map(nap, items) == list(range(items))
            say("map", time.monotonic() - began)
        if trivial:
            began = time.monotonic()
            assert len(contestant.trivial(same, trivial)) == trivial
            say("trivial", time.monotonic() - began)
    for number in range(trips):
        began = time.monotonic()
        assert contestant.submit(number) == number
        say("trip", time.monotonic() - began)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
