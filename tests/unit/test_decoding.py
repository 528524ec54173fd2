"""Types are read by several threads at once, the first time too."""

from __future__ import annotations

import subprocess
import sys

READS = """
import sys, threading
import msgspec
from hanse.decoding import (
    from_builtins, from_json, from_msgpack, json_decoder, json_schemas, msgpack_decoder,
)

def read(kind, value):
    packed, text = msgspec.msgpack.encode(value), msgspec.json.encode(value)
    acts = [
        lambda: from_msgpack(packed, kind), lambda: from_json(text, kind),
        lambda: msgpack_decoder(list[kind]).decode(msgspec.msgpack.encode([value]))[0],
        lambda: json_decoder(kind | None).decode(text),
        lambda: from_builtins(msgspec.to_builtins(value), kind),
        lambda: (json_schemas([kind], "{name}"), value)[1],
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
    run(READS)


FORKS = """
import os, sys, threading
import msgspec
from hanse.decoding import from_json

kinds = [msgspec.defstruct(f"Kind{n}", [("a", int), ("b", list[int])]) for n in range(300)]
sys.setswitchinterval(1e-6)
reads = threading.Thread(target=lambda: [from_json('{"a": 1, "b": []}', kind) for kind in kinds])
reads.start()
while reads.is_alive():
    child = os.fork()
    if child == 0:
        found = [from_json('{"a": 1, "b": []}', kind).a for kind in kinds]
        os._exit(found != [1] * len(kinds))
    assert os.waitpid(child, 0)[1] == 0
reads.join()
"""


def test_a_child_that_is_forked_while_types_are_worked_out_can_read() -> None:
    run(FORKS)


def run(text: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, f"{ran.returncode}: {ran.stderr}"
