"""The blob store among real processes, kills and full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from hanse.blobs.store import BlobStore

SOURCE = Path(__file__).parents[2] / "src"


def program(text: str, *args: object, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*before, sys.executable, "-c", textwrap.dedent(text), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )


def answer(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=90)
    assert process.returncode == 0, err
    return out


# Each round puts one of few values, so that the same blob is put, dropped and collected by several
# at once. Most are committed: a line in a file, which stands for the journal.
WRITER = """
    import os, random, sys
    from pathlib import Path
    from hanse.blobs.store import BlobStore

    root, journal, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    store, chance = BlobStore(root, None), random.Random(seed)
    entries = os.open(journal, os.O_WRONLY | os.O_APPEND)
    for number in range(120):
        with store.writing():
            value = (b"%d %d " % (number % 60, chance.randrange(4))) * chance.choice([1, 1000])
            blob = store.put(value if chance.random() < 0.5 else [value[:3], value[3:]])
            for _ in range(chance.randrange(3)):
                os.sched_yield()
            assert store.read(blob) == value  # in flight
            if chance.random() < 0.5:
                os.write(entries, (blob + "\\n").encode())
        if number == 0:
            print("begun", flush=True)
            sys.stdin.readline()
"""

COLLECTOR = """
    import sys
    from pathlib import Path
    from hanse.blobs.store import BlobStore

    root, journal, ended = map(Path, sys.argv[1:4])
    store, rounds, removed = BlobStore(root, None), 0, 0
    while True:
        last = ended.exists()
        removed += store.collect(lambda: journal.read_text().split()).count
        rounds += 1
        if rounds == 1:
            print("begun", flush=True)
            sys.stdin.readline()
        if last:
            break
    print(removed)
"""


@pytest.mark.parametrize("seed", range(3))
def test_no_blob_is_lost_between_its_put_and_its_commit(tmp_path: Path, seed: int) -> None:
    root, journal, ended = tmp_path / "blobs", tmp_path / "journal", tmp_path / "ended"
    journal.touch()
    BlobStore(root, None).put(b"")
    writers = [program(WRITER, root, journal, seed * 2 + each) for each in range(2)]
    collector = program(COLLECTOR, root, journal, ended)
    everybody = [*writers, collector]
    for each in everybody:
        assert each.stdout is not None
        assert each.stdout.readline() == "begun\n", each.communicate()[1]
    for each in everybody:  # now all at once
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for writer in writers:
        answer(writer)
    ended.touch()
    assert int(answer(collector)) > 0  # it did remove what nobody refers to
    store, committed = BlobStore(root, None), set(journal.read_text().split())
    assert committed
    found = {path.name: path.stat().st_size for path in root.glob("??/*")}
    assert set(found) == committed
    assert store.check() == []
    assert store.used_bytes() == sum(found.values())


HALF = """
    import sys
    from pathlib import Path
    from hanse.blobs.store import BlobStore

    def pieces():
        yield b"x" * 1_000_000
        print("half", flush=True)
        sys.stdin.readline()
        yield b"y"

    BlobStore(Path(sys.argv[1]), None).put(pieces())
"""


def test_a_program_killed_in_mid_put_leaves_no_blob_and_its_leftover_is_collected(
    tmp_path: Path,
) -> None:
    store = BlobStore(tmp_path, 1_500_000)
    kept = store.put(b"kept")
    process = program(HALF, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    assert [path.name for path in tmp_path.glob("??/*")] == [kept]
    assert store.check() == []
    [left] = (tmp_path / "tmp").iterdir()
    assert left.stat().st_size == 1_000_000
    collected = store.collect(lambda: [kept])
    assert (collected.count, collected.bytes) == (1, 1_000_000)
    assert store.put([b"x" * 1_000_000, b"y"])  # the quota knows that it is gone
    assert store.used_bytes() == 1_000_005


# In a mount namespace of its own: nothing is left behind, whatever happens.
FULL = """
    import errno, json, os, subprocess, sys
    from pathlib import Path
    from hanse.blobs.store import BlobStore
    from hanse.errors import JournalError, JournalFull

    home = Path(sys.argv[1])
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "none", home], check=True)
    store, kept, errors = BlobStore(home / "blobs", None), [], []
    for number in range(40):
        try:
            kept.append(store.put(b"%02d" % number * 50_000))
        except JournalFull as error:
            errors.append(str(error))
    read = all(len(store.read(blob)) == 100_000 for blob in kept)
    left, damaged, used = os.listdir(home / "blobs" / "tmp"), store.check(), store.used_bytes()
    gone = store.collect(lambda: kept[1:])
    again = store.put(b"n" * 100_000)
    subprocess.run(["mount", "-o", "remount,ro", home], check=True)
    try:
        store.put(b"m" * 100_000)
    except JournalFull:
        raise
    except JournalError as error:
        read_only = str(error)
    print(json.dumps(dict(kept=len(kept), errors=errors, read=read, left=left, damaged=damaged,
                          used=used, gone=gone.count, read_only=read_only,
                          after=len(store.read(again)))))
"""


def test_a_full_disk_and_a_read_only_one_say_so_and_leave_what_is_there(tmp_path: Path) -> None:
    alone = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "-Urm")
    found = json.loads(answer(program(FULL, tmp_path, before=alone)))
    assert 5 <= found["kept"] < 11
    assert len(found["errors"]) == 40 - found["kept"]
    assert all("hanse gc" in each and str(tmp_path) in each for each in found["errors"])
    assert found["read"]
    assert (found["left"], found["damaged"]) == ([], [])
    assert found["used"] == found["kept"] * 100_000
    assert (found["gone"], found["after"]) == (1, 100_000)
    assert "Read-only" in found["read_only"]
    assert "HANSE_HOME" in found["read_only"]
