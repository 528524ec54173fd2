"""Full and read-only disks: real mounts, in a mount namespace that ends with its process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

from contract.journal.making import PRELUDE

from hanse.journal import disk

MOUNTS = """
import subprocess
def mount(*args):
    subprocess.run(["mount", *args], check=True)
home = Path(sys.argv[1])
"""


def with_mounts(tmp_path: Path, text: str) -> None:
    """Run a program that may mount: as root, or as the root of a user namespace of its own."""
    spaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--user", "--map-root-user"]
    path = [p for p in sys.path if p] + [str(Path(__file__).parents[1])]
    imports = PRELUDE.format(path=path, url="").replace("journal = open_journal", "# ")
    done = subprocess.run(
        ["unshare", *spaces, sys.executable, "-c", imports + MOUNTS + textwrap.dedent(text),
         str(tmp_path)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"


def test_a_full_disk_says_so_loses_nothing_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with_mounts(tmp_path, """
        from hanse.errors import JournalFull
        mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(home))
        filler = home / "filler"
        filler.write_bytes(bytes(300_000))
        journal, one = open_journal(None, home), head("full")
        run, acknowledged = journal.create(one, ME), 0
        while True:
            batch = [Append(one, run, [seal(one.id, acknowledged, b"b%d" % acknowledged,
                                            os.urandom(10_000))])]
            try:
                journal.append(batch)
            except JournalFull as error:
                assert str(home / "journal.sqlite") in str(error), error
                assert "make room" in str(error), error
                break
            acknowledged += 1
        assert acknowledged > 10
        expected = [b"b%d" % n for n in range(acknowledged)]
        assert bodies(journal, one.id) == expected  # reading goes on
        try:
            journal.append(batch)
            raise AssertionError("there was room after all")
        except JournalFull:
            pass
        journal.close()
        journal = open_journal(None, home)
        assert bodies(journal, one.id) == expected
        assert journal.check() == []
        filler.unlink()
        batch = [Append(one, journal.claim(one.id, ME), batch[0].entries)]
        journal.append(batch)
        journal.append(batch)
        assert bodies(journal, one.id) == [*expected, b"b%d" % acknowledged]
        journal.close()
        print("done")
    """)  # fmt: skip


def test_the_same_journal_goes_on_when_there_is_room_again(tmp_path: Path) -> None:
    with_mounts(tmp_path, """
        from hanse.errors import JournalFull
        mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(home))
        journal, one = open_journal(None, home), head("full")
        run = journal.create(one, ME)
        add(journal, one, run, 0)
        filler = os.open(home / "filler", os.O_CREAT | os.O_WRONLY)
        try:
            while os.write(filler, bytes(4096)):
                pass
        except OSError:
            pass
        big = [Append(one, run, [seal(one.id, 1, b"1", os.urandom(100_000))])]
        for _ in range(3):
            try:
                journal.append(big)
                raise AssertionError("there was room after all")
            except JournalFull:
                pass
        os.ftruncate(filler, 0)
        journal.append(big)
        assert bodies(journal, one.id) == [b"body 0", b"1"]
        journal.close()
        print("done")
    """)  # fmt: skip


def test_a_full_disk_at_the_first_start_says_so_and_the_next_start_is_whole(tmp_path: Path) -> None:
    with_mounts(tmp_path, """
        from hanse.errors import JournalFull
        mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(home))
        for free in range(0, 200_000, 8192):
            filler = home / "filler"
            filler.write_bytes(b"")
            room = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
            filler.write_bytes(bytes(room - min(free, room)))
            try:
                open_journal(None, home / "new").close()
                assert free
                break
            except JournalFull as error:
                assert "journal.sqlite" in str(error)
        filler.unlink()
        journal = open_journal(None, home / "new")
        assert journal.heads() == []
        assert journal.check() == []
        journal.close()
        print("done")
    """)  # fmt: skip


def test_a_read_only_disk_says_so(tmp_path: Path) -> None:
    with_mounts(tmp_path, """
        from hanse.errors import JournalError
        mount("-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(home))
        open_journal(None, home / "there").close()
        mount("-o", "remount,ro", str(home))
        for name in ("there", "new"):
            try:
                open_journal(None, home / name)
                raise AssertionError("it was opened")
            except JournalError as error:
                assert type(error) is JournalError, error
                for word in (str(home / name), "cannot be written", "HANSE_HOME"):
                    assert word in str(error), error
        print("done")
    """)  # fmt: skip


def test_the_kind_of_a_file_system_is_read_from_the_mounts() -> None:
    mounts = (
        "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
        "90 22 0:51 / /home rw,nosuid shared:40 - nfs4 server:/export rw,vers=4.2\n"
        "strange line\n"
    )
    assert disk.file_system(mounts, os.makedev(0, 51)) == "nfs4"
    assert disk.file_system(mounts, os.makedev(254, 1)) == "ext4"
    assert disk.file_system(mounts, os.makedev(9, 9)) == ""
