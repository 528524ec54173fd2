"""Code by content: what it is called, which names its files may have, and how they are kept."""

from __future__ import annotations

import os
import stat
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hanse import limits
from hanse.blobs.codes import Codes
from hanse.blobs.store import BlobStore
from hanse.errors import CodeMissing, JournalError, JournalFull, UsageError
from hanse.wire.code import check_manifest, code_digest, file_digest, may_be_named

PARTS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True)
NAMES = st.lists(PARTS, min_size=1, max_size=5).map(lambda parts: "/".join(parts) + ".py")
FILES = st.dictionaries(NAMES, st.binary(max_size=20), max_size=8)


def manifest_of(files):
    return {name: file_digest(content) for name, content in files.items()}


def contents(files):
    return {file_digest(content): content for content in files.values()}


def kept(codes, digest):
    """The files of a code as they lie on the disk."""
    root = codes.find(digest)
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


# --- names ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    ["", "a", ".py", "/a.py", "../a.py", "a/../b.py", "./a.py", "a//b.py", "a/b.py/", "a\\b.py",
     "a\0.py", "a.py\n", "a b.py", "a-b.py", "C:/a.py", ".a.py", "a.pyc", "a.so", "a.py.py", "1.py",
     "a/.py", "hanse.py", "hanse/limits.py", "\ufb01.py", "\ud800.py", "a" * 240 + ".py",
     "a/" * 120 + "b.py", "a.PY", "~/a.py", "%2e%2e/a.py"],
)  # fmt: skip
def test_names_that_lead_elsewhere_are_refused(name):
    assert not may_be_named(name)
    with pytest.raises(UsageError):
        check_manifest({name: "0" * 64})


@given(st.text(max_size=30))
@example("a/__init__.py")
@example("große/Übung.py")
def test_a_name_that_is_let_through_stays_below_its_directory(name):
    if may_be_named(name):
        assert os.path.normpath(os.path.join("/root", name)) == "/root/" + name
        assert "\0" not in name
        assert name.removesuffix(".py").replace("/", "").isidentifier()


@given(st.lists(PARTS.filter(lambda part: part != "hanse"), min_size=1, max_size=5))
def test_modules_may_have_their_names(parts):
    assert may_be_named("/".join(parts) + ".py")
    assert may_be_named("/".join([*parts, "__init__.py"]))


@given(FILES, st.randoms())
def test_a_code_is_called_by_what_is_in_it(files, random):
    manifest = manifest_of(files)
    shuffled = list(manifest.items())
    random.shuffle(shuffled)
    assert code_digest(dict(shuffled)) == code_digest(manifest)
    for name in manifest:
        other = manifest | {name: "0" * 64}
        assert code_digest(other) != code_digest(manifest)


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "../" + "0" * 61])
def test_digests_are_digests(digest):
    with pytest.raises(UsageError):
        check_manifest({"a.py": digest})


def test_too_many_files_are_refused():
    check_manifest({f"m{n}.py": "0" * 64 for n in range(limits.CODE_FILES)})
    with pytest.raises(UsageError, match="at most"):
        check_manifest({f"m{n}.py": "0" * 64 for n in range(limits.CODE_FILES + 1)})


# --- keeping --------------------------------------------------------------------------------------
@pytest.fixture
def codes(tmp_path):
    return Codes(tmp_path / "code")


OLD = {"a.py": b"a", "p/__init__.py": b"", "p/b.py": b"b"}
NEW = OLD | {"p/b.py": b"other"}


def test_what_is_added_is_there_and_private(codes, tmp_path):
    digest = codes.add(manifest_of(OLD), contents(OLD))
    assert digest == code_digest(manifest_of(OLD))
    assert kept(codes, digest) == OLD
    for path in (tmp_path / "code").rglob("*"):
        mode = path.lstat().st_mode
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600)
        assert stat.S_ISDIR(mode) or stat.S_ISREG(mode)


def test_only_what_has_changed_is_missing(codes):
    assert codes.lacks(manifest_of(OLD)) == sorted(contents(OLD))
    codes.add(manifest_of(OLD), contents(OLD))
    assert codes.lacks(manifest_of(OLD)) == []
    missing = codes.lacks(manifest_of(NEW))
    assert missing == [file_digest(b"other")]
    digest = codes.add(manifest_of(NEW), {missing[0]: b"other"})
    assert kept(codes, digest) == NEW
    assert codes.lacks(manifest_of({"z.py": b"a"})) == []  # moved


def test_what_was_changed_on_the_disk_is_not_taken_over(codes):
    found = codes.find(codes.add(manifest_of(OLD), contents(OLD)))
    (found / "a.py").write_bytes(b"something else")
    assert codes.lacks(manifest_of(NEW)) == sorted([file_digest(b"other"), file_digest(b"a")])


def test_a_link_among_the_sources_is_not_followed(codes, tmp_path):
    (tmp_path / "secret").write_bytes(b"a")
    found = codes.find(codes.add(manifest_of(OLD), contents(OLD)))
    (found / "a.py").unlink()
    (found / "a.py").symlink_to(tmp_path / "secret")
    assert file_digest(b"a") in codes.lacks(manifest_of(NEW))


@pytest.mark.parametrize(
    ("manifest", "given_"),
    [
        ({"../a.py": file_digest(b"a")}, {file_digest(b"a"): b"a"}),
        ({"a.py": file_digest(b"a")}, {file_digest(b"a"): b"b"}),  # not what it says
        ({"a.py": file_digest(b"a")}, {}),  # missing
        ({"a.py": file_digest(b"a")}, {file_digest(b"a"): b"a", file_digest(b"b"): b"b"}),
    ],
)
def test_what_is_wrong_leaves_nothing(codes, tmp_path, manifest, given_):
    with pytest.raises(UsageError):
        codes.add(manifest, given_)
    assert not (tmp_path / "code").exists()


def test_too_much_leaves_nothing(codes, tmp_path, monkeypatch):
    monkeypatch.setattr("hanse.blobs.codes.CODE_BYTES", 10)
    files = {"a.py": b"123456", "b.py": b"123456"}  # one file by content, two on the disk
    with pytest.raises(UsageError, match="at most"):
        codes.add(manifest_of(files), contents(files))
    assert not (tmp_path / "code").exists()


def test_a_disk_that_fails_in_between_leaves_no_half(codes, tmp_path, monkeypatch):
    synced = []

    def fails(fd):
        synced.append(fd)
        if len(synced) == 2:
            raise OSError(5, "I/O error")

    monkeypatch.setattr("hanse.blobs.codes.sync", fails)
    with pytest.raises(JournalError):
        codes.add(manifest_of(OLD), contents(OLD))
    assert os.listdir(tmp_path / "code") == []
    assert codes.lacks(manifest_of(OLD)) == sorted(contents(OLD))


def test_many_may_add_the_same_at_once(codes, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        added = [pool.submit(codes.add, manifest_of(OLD), contents(OLD)) for _ in range(16)]
    (digest,) = {each.result() for each in added}
    assert kept(codes, digest) == OLD
    assert os.listdir(tmp_path / "code") == [digest]


def test_codes_are_bounded(codes, monkeypatch):
    monkeypatch.setattr("hanse.blobs.codes.CODES", 2)
    for text in (b"1", b"2"):
        codes.add(manifest_of({"a.py": text}), contents({"a.py": text}))
    with pytest.raises(JournalFull, match="hanse gc"):
        codes.add(manifest_of({"a.py": b"3"}), contents({"a.py": b"3"}))


def test_a_code_that_no_job_names_goes_after_a_while(codes, tmp_path):
    used = codes.add(manifest_of(OLD), contents(OLD))
    fresh = codes.add(manifest_of(NEW), contents(NEW))
    (tmp_path / "code" / ".new-of-a-killed-program").mkdir()
    now = os.stat(tmp_path / "code" / fresh).st_mtime
    assert codes.collect({used}, now + 60) == 0
    assert codes.collect({used}, now + limits.CODE_GRACE_S + 60) == 2
    assert kept(codes, used) == OLD
    with pytest.raises(CodeMissing):
        codes.find(fresh)


@pytest.mark.parametrize("digest", ["", "..", "0" * 64, "../../etc", "manifest"])
def test_what_is_not_there_is_not_found(codes, digest):
    with pytest.raises(CodeMissing):
        codes.find(digest)


# --- quota ----------------------------------------------------------------------------------------
def test_code_and_blobs_have_one_quota(tmp_path):
    beside = Codes(tmp_path / "code")
    store = BlobStore(tmp_path / "blobs", 10_000, beside.count)
    codes = Codes(tmp_path / "code", store)
    files = {"a.py": b"a" * 3000, "p/b.py": b"b" * 1000}
    digest = codes.add(manifest_of(files), contents(files))
    used = store.used_bytes()
    assert used == codes.count() > 4000
    assert codes.add(manifest_of(files), contents(files)) == digest  # what is there takes nothing
    store.put(b"x" * 3000)
    more = {"c.py": b"c" * 4000}
    with pytest.raises(JournalFull, match="quota"):
        codes.add(manifest_of(more), contents(more))
    assert codes.lacks(manifest_of(more)) == [file_digest(more["c.py"])]  # nothing is left of it
    with pytest.raises(JournalFull):
        store.put(b"y" * 4000)
    assert store.used_bytes() == used + 3000
    store.collect(list)
    assert store.used_bytes() == used
    (codes.find(digest) / "__pycache__").mkdir()
    (codes.find(digest) / "__pycache__" / "a.pyc").write_bytes(bytes(500))
    assert codes.collect([], time.time() + limits.CODE_GRACE_S + 10) == 1
    assert store.used_bytes() == 0
