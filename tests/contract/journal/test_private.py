"""What other users could lay in the way: directories, links, files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hanse.errors import JournalError
from hanse.journal import disk, private
from hanse.journal.sqlite import SqliteJournal
from hanse.records.state import open_state


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o702])
def test_a_directory_that_others_may_write_to_is_refused(path: Path, mode: int) -> None:
    path.parent.mkdir()
    path.parent.chmod(mode)
    with pytest.raises(JournalError, match=rf"{path.parent} .*{mode:04o}.*chmod go-w"):
        SqliteJournal(path)
    assert os.listdir(path.parent) == []
    path.parent.chmod(0o755)
    SqliteJournal(path).close()


def test_a_directory_or_file_of_another_user_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqliteJournal(path).close()
    with monkeypatch.context() as patch:  # whoever runs the tests may not give files away
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        with pytest.raises(JournalError, match=f"{path.parent} belongs to another user"):
            SqliteJournal(path)
        with pytest.raises(JournalError, match=f"{path} belongs to another user"):
            private.files([str(path)])


def test_the_state_directory_is_refused_too(
    hanse_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanse_home.mkdir()
    hanse_home.chmod(0o777)
    for url in ("", "postgresql://nobody@127.0.0.1:1/none"):  # its blobs are here all the same
        monkeypatch.setenv("HANSE_JOURNAL", url)
        with pytest.raises(JournalError, match=r"others may write to .*HANSE_HOME"):
            open_state()


@pytest.mark.parametrize("end", ["", "-wal", ".id", ".locks"])
def test_no_link_is_followed(path: Path, tmp_path: Path, end: str) -> None:
    victim = tmp_path / "victim"
    for target in (victim, tmp_path / "not there"):
        victim.write_text("precious")
        path.parent.mkdir(exist_ok=True)
        link = Path(f"{path}{end}")
        link.symlink_to(target)
        with pytest.raises(JournalError, match=f"{link} is a link"):
            SqliteJournal(path)
        assert victim.read_text() == "precious"
        assert not (tmp_path / "not there").exists()
        link.unlink()


def test_a_small_file_is_not_written_through_what_lies_there(tmp_path: Path) -> None:
    victim, target = tmp_path / "victim", tmp_path / "file"
    victim.write_text("precious")
    for name in ("file", "file.new"):
        (tmp_path / name).symlink_to(victim)
    disk.write_small(str(target), "text")
    assert disk.read_small(str(target)) == "text"
    assert not target.is_symlink()
    assert victim.read_text() == "precious"
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_that_everybody_may_write_is_refused(path: Path) -> None:
    SqliteJournal(path).close()
    path.chmod(0o666)
    with pytest.raises(JournalError, match=f"write to {path}: .chmod 600"):
        SqliteJournal(path)


def test_directories_above_a_new_one_are_private_and_outlive_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a" / "b" / "home"
    monkeypatch.setenv("HANSE_HOME", str(home))
    synced: list[tuple[str, list[str]]] = []  # each directory, and what was in it then
    fsync = os.fsync

    def watched(fd: int) -> None:
        path = os.path.realpath(f"/proc/self/fd/{fd}")
        if os.path.isdir(path):
            synced.append((path, os.listdir(path)))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", watched)
    state = open_state()
    assert state is not None
    state.close()
    for made in (home, *list(home.parents)[:2]):
        assert made.stat().st_mode & 0o777 == 0o700
        assert any(path == str(made.parent) and made.name in names for path, names in synced)
    count = len(synced)
    private.directory(str(home))  # what is there is not synced again
    assert len(synced) == count


def test_a_file_in_the_way_of_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "home"):
        with pytest.raises(JournalError, match=f"{tmp_path / 'file'}"):
            SqliteJournal(path / "journal.sqlite")
