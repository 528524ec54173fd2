"""Types are read by several threads at once, the first time too."""

from __future__ import annotations

import subprocess
import sys

READS = """
import sys, threading
import msgspec
from hanse.decoding import from_builtins, from_json, from_msgpack, json_decoder, msgpack_decoder

def read(kind, value):
    packed, text = msgspec.msgpack.encode(value), msgspec.json.encode(value)
    acts = [
        lambda: from_msgpack(packed, kind), lambda: from_json(text, kind),
        lambda: msgpack_decoder(list[kind]).decode(msgspec.msgpack.encode([value]))[0],
        lambda: json_decoder(kind | None).decode(text),
        lambda: from_builtins(msgspec.to_builtins(value), kind),
    ]
    together, found = threading.Barrier(len(acts)), []

    def act(one):
        together.wait()
        found.append(one())

    threads = [threading.Thread(target=act, args=(one,)) for one in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [value] * len(acts)

sys.setswitchinterval(1e-6)
for _ in range(10):
    inner = msgspec.defstruct("Inner", [("a", int), ("b", list[int]), ("c", dict[str, int])])
    middle = msgspec.defstruct("Middle", [("x", inner), ("y", list[inner]), ("z", inner | None)])
    outer = msgspec.defstruct("Outer", [("m", middle), ("n", list[middle]), ("i", inner)])
    one = inner(1, [2], {"three": 4})
    two = middle(one, [one], None)
    read(outer, outer(two, [two], one))
"""


def test_what_is_read_by_several_threads_for_the_first_time_is_read_right() -> None:
    ran = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"
