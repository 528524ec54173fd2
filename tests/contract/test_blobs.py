"""The blob store, in one process: what goes in comes out, damage is seen, the quota holds."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hanse.blobs import disk
from hanse.blobs.store import BlobStore, Collected
from hanse.errors import JournalDamaged, JournalError, JournalFull, JournalUnavailable
from hanse.ids import BlobId
from hanse.payloads.files import File


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "state" / "blobs"


@pytest.fixture
def store(root: Path) -> BlobStore:
    return BlobStore(root, None)


def path_of(root: Path, blob: BlobId) -> Path:
    return root / blob[:2] / blob


def leftovers(root: Path) -> list[str]:
    return os.listdir(root / "tmp")


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.binary(max_size=300), max_size=6))
def test_what_is_put_is_read_whole_or_in_pieces_under_one_name(
    store: BlobStore, pieces: list[bytes]
) -> None:
    whole = b"".join(pieces)
    name = store.put(whole)
    assert name == blake3(whole).hexdigest()
    assert store.put(pieces) == name
    assert store.put(bytearray(piece) for piece in pieces) == name
    assert store.read(name) == whole


def test_an_array_is_put_by_its_bytes(store: BlobStore) -> None:
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12.0).reshape(3, 4)
    assert store.read(store.put(array)) == array.tobytes()
    assert store.put(numpy.empty((0, 3))) == store.put(b"")


def test_what_is_no_buffer_is_refused(store: BlobStore, root: Path) -> None:
    with pytest.raises(TypeError):
        store.put(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        store.put("text")  # type: ignore[arg-type]
    assert leftovers(root) == []


def test_files_are_for_their_user_alone(store: BlobStore, root: Path) -> None:
    before = os.umask(0)
    try:
        blob = store.put(b"private")
    finally:
        os.umask(before)
    for directory in (root.parent, root, root / "tmp", path_of(root, blob).parent):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for file in (path_of(root, blob), root / "lock", root / "used"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_there_is_not_written_again(store: BlobStore, root: Path) -> None:
    blob = store.put(b"x" * 1000)
    before = path_of(root, blob).stat()
    assert store.put([b"x" * 500] * 2) == blob == store.put(b"x" * 1000)
    assert path_of(root, blob).stat().st_ino == before.st_ino
    assert store.used_bytes() == 1000
    assert leftovers(root) == []


def test_a_blob_is_mapped_copy_on_write(store: BlobStore) -> None:
    blob = store.put(b"array" * 1000)
    view = File.received(*store.get(blob)).view()
    view[:5] = b"ARRAY"
    assert bytes(view[:10]) == b"ARRAYarray"
    assert store.read(blob) == b"array" * 1000


def test_an_open_blob_outlives_its_collection(store: BlobStore) -> None:
    opened = File.received(*store.get(store.put(b"going")))
    assert store.collect(lambda: []) == Collected(1, 5)
    assert bytes(opened.view()) == b"going"


# --- damage ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("damage", [b"", b"half", b"other of the same size", b"x" * 3_000_000])
def test_damage_is_seen_when_it_is_opened_and_names_the_path(
    store: BlobStore, root: Path, damage: bytes
) -> None:
    sound, blob = store.put(b"sound"), store.put(b"bytes of the same size")
    path_of(root, blob).write_bytes(damage)
    for look in (store.get, store.read):
        with pytest.raises(JournalDamaged, match=str(path_of(root, blob))):
            look(blob)
    assert store.read(sound) == b"sound"
    [line] = store.check()
    assert str(path_of(root, blob)) in line


@pytest.mark.parametrize("as_stream", [False, True])
def test_a_blob_that_is_damaged_at_its_size_is_written_anew_by_the_next_put(
    store: BlobStore, root: Path, as_stream: bool
) -> None:
    blob = store.put(b"the right bytes")
    reader = store.get(blob)
    path_of(root, blob).write_bytes(b"the wrong bytes")
    assert store.put(iter([b"the right ", b"bytes"]) if as_stream else b"the right bytes") == blob
    assert store.read(blob) == b"the right bytes"
    assert store.check() == []
    assert store.used_bytes() == 15
    assert leftovers(root) == []
    os.close(reader.fd)


def test_a_name_that_the_disk_refused_to_keep_is_made_anew(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that goes well after one that failed says nothing of what the first one lost."""
    store.put(b"other")  # the directories above are there
    refused: list[os.stat_result] = []
    real = os.fsync

    def refuse_once(fd: int) -> None:
        found = os.readlink(f"/proc/self/fd/{fd}")
        blobs = list(Path(found).glob("*")) if os.path.isdir(found) else []
        if not refused and os.path.dirname(found) == str(root) and blobs:
            refused.append(blobs[0].stat())
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)

    monkeypatch.setattr(os, "fsync", refuse_once)
    with pytest.raises(JournalError, match="the disk fails"):
        store.put(b"refused")
    [before] = refused
    blob = store.put(b"refused")
    assert path_of(root, blob).stat().st_ino != before.st_ino
    again = path_of(root, blob).stat()
    assert store.put(b"refused") == blob
    assert path_of(root, blob).stat().st_ino == again.st_ino


def test_a_missing_blob_is_damage(store: BlobStore, root: Path) -> None:
    blob = store.put(b"gone")
    path_of(root, blob).unlink()
    with pytest.raises(JournalDamaged, match="missing"):
        store.get(blob)


def test_a_blob_that_was_cut_short_is_made_whole_by_the_next_put(
    store: BlobStore, root: Path
) -> None:
    blob = store.put(b"whole")
    path_of(root, blob).write_bytes(b"wh")
    store.collect(lambda: [blob])  # counts it as it is
    assert store.put(b"whole") == blob
    assert store.read(blob) == b"whole"
    assert store.used_bytes() == 5


def test_no_descriptor_is_left_open_by_an_error(store: BlobStore, root: Path) -> None:
    blob = store.put(b"bytes")
    path_of(root, blob).write_bytes(b"BYTES")
    before = os.listdir("/dev/fd")
    with pytest.raises(JournalDamaged):
        store.get(blob)
    with pytest.raises(RuntimeError):
        store.put(breaking())
    assert os.listdir("/dev/fd") == before


@pytest.mark.parametrize(
    "name",
    ["", "ab", "../" * 21 + "a", "/" + "a" * 63, "A" * 64, "a" * 63 + "\n", "a" * 65, "\0" * 64,
     "٣" * 64],
)  # fmt: skip
def test_a_name_that_is_no_hash_makes_no_path(store: BlobStore, root: Path, name: str) -> None:
    store.put(b"kept")
    for use in (store.get, store.read, lambda name: store.collect(lambda: [name])):
        with pytest.raises(ValueError, match="64 hex digits"):
            use(BlobId(name))
    assert store.check() == []  # and nothing was collected
    assert store.used_bytes() == 4


def test_a_symbolic_link_is_not_followed(store: BlobStore, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    blob = store.put(b"secret")
    path_of(root, blob).unlink()
    path_of(root, blob).symlink_to(secret)
    with pytest.raises(JournalError, match="symbolic link"):
        store.get(blob)
    assert len(store.check()) == 1
    store.put(b"secret")  # takes the link's place
    assert secret.read_bytes() == b"secret"
    assert not path_of(root, blob).is_symlink()


def test_a_directory_that_is_a_link_is_refused(
    store: BlobStore, root: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root.mkdir(parents=True)
    (root / blake3(b"bytes").hexdigest()[:2]).symlink_to(elsewhere)
    with pytest.raises(JournalError, match="symbolic link"):
        store.put(b"bytes")
    assert list(elsewhere.iterdir()) == []
    assert leftovers(root) == []


def test_a_pipe_in_a_blobs_place_does_not_hang(store: BlobStore, root: Path) -> None:
    blob = store.put(b"bytes")
    path_of(root, blob).unlink()
    os.mkfifo(path_of(root, blob))
    with pytest.raises(JournalError):
        store.get(blob)


# --- failing puts --------------------------------------------------------------------------------
def breaking() -> Iterator[bytes]:
    yield b"x" * 100
    raise RuntimeError("the source broke")


def test_a_put_that_fails_leaves_nothing(store: BlobStore, root: Path) -> None:
    with pytest.raises(RuntimeError):
        store.put(breaking())
    assert leftovers(root) == []
    assert store.used_bytes() == 0
    assert store.check() == []


def test_an_error_of_the_source_is_not_taken_for_one_of_the_disk(store: BlobStore) -> None:
    def source() -> Iterator[bytes]:
        yield b"x"
        raise FileNotFoundError("the source's own")

    with pytest.raises(FileNotFoundError):
        store.put(source())


def test_a_root_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="HANSE_HOME"):
        BlobStore(tmp_path / "file" / "blobs", None).put(b"x")


# --- quota ----------------------------------------------------------------------------------------
def test_the_quota_is_stated_when_it_is_reached(root: Path) -> None:
    store = BlobStore(root, 1000)
    kept = store.put(b"a" * 600)
    with pytest.raises(JournalFull) as refused:
        store.put(b"b" * 500)
    for word in ("1,000 bytes", "600 bytes", "500 bytes", "hanse gc", "HANSE_QUOTA", str(root)):
        assert word in str(refused.value)
    assert leftovers(root) == []
    assert store.put(b"a" * 600) == kept  # what is there takes nothing
    assert store.put(b"c" * 400)
    assert store.used_bytes() == 1000


def test_a_stream_is_stopped_at_the_quota_not_behind_it(root: Path) -> None:
    store = BlobStore(root, 1000)
    given = 0

    def endless() -> Iterator[bytes]:
        nonlocal given
        while True:
            given += 100
            yield b"x" * 100

    with pytest.raises(JournalFull):
        store.put(endless())
    assert given == 1100
    assert store.used_bytes() == 0


def test_what_is_collected_makes_room(root: Path) -> None:
    store = BlobStore(root, 1000)
    store.put(b"a" * 600)
    assert store.collect(lambda: []) == Collected(1, 600)
    store.put(b"b" * 900)
    assert store.used_bytes() == 900


@pytest.mark.parametrize("number", [b"", b"garbage garbage!", b"\xff" * 16, b"\0" * 15])
def test_a_number_that_is_none_is_counted_anew(root: Path, number: bytes) -> None:
    store = BlobStore(root, 1000)
    store.put(b"a" * 600)
    (root / "used").write_bytes(number)
    assert store.used_bytes() == 600


def test_a_number_that_is_too_high_refuses_nobody(root: Path) -> None:
    store = BlobStore(root, 1000)
    store.put(b"a" * 600)
    store._use.take(400)  # as by a program that was killed then
    store.put(b"b" * 400)
    assert store.used_bytes() == 1000


# --- collecting ---------------------------------------------------------------------------------
def test_what_is_referred_to_stays(store: BlobStore, root: Path) -> None:
    blobs = [store.put(bytes([number]) * 10) for number in range(100)]
    (root / "tmp" / "left").write_bytes(b"left")
    assert store.collect(lambda: blobs[::2]) == Collected(51, 504)
    assert [store.read(blob)[0] for blob in blobs[::2]] == list(range(0, 100, 2))
    assert store.used_bytes() == 500
    assert leftovers(root) == []


def test_files_of_others_are_told_of_and_left_alone(store: BlobStore, root: Path) -> None:
    blob = store.put(b"bytes")
    other = root / blob[:2] / "notes.txt"
    other.write_text("mine")
    (root / "tmp" / "directory").mkdir()
    store.collect(lambda: [])
    assert other.read_text() == "mine"
    assert [str(other) in line for line in store.check()] == [True]


def test_nothing_is_removed_when_nobody_can_say_what_is_referred_to(store: BlobStore) -> None:
    blob = store.put(b"kept")

    def referred() -> Iterator[BlobId]:
        yield BlobId("0" * 64)
        raise JournalUnavailable("the server restarts")

    with pytest.raises(JournalUnavailable):
        store.collect(referred)
    assert store.read(blob) == b"kept"


def test_nothing_is_collected_while_somebody_writes_and_the_wait_has_an_end(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "BLOB_LOCK_WAIT_NS", 0)
    with store.writing():
        blob = store.put(b"not referred to yet")
        with pytest.raises(JournalUnavailable, match="programs that write blobs"):
            BlobStore(root, None).collect(lambda: [])
        assert store.read(blob)
    assert store.collect(lambda: []).count == 1


def test_nobody_writes_while_it_is_collected_and_the_wait_has_an_end(
    store: BlobStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "BLOB_LOCK_WAIT_NS", 0)
    store.put(b"x")

    def referred() -> list[BlobId]:
        with pytest.raises(JournalUnavailable, match="hanse gc"):
            store.put(b"y")
        return []

    assert store.collect(referred).count == 1


def test_many_may_write_at_once(store: BlobStore) -> None:
    both = threading.Barrier(2, timeout=30)

    def write() -> None:
        with store.writing():
            both.wait()
            store.put(b"x")

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not both.broken


def test_a_store_that_was_never_written_is_empty(store: BlobStore, root: Path) -> None:
    assert store.collect(lambda: []) == Collected(0, 0)
    assert store.used_bytes() == 0
    assert store.check() == []
    assert not root.exists()
