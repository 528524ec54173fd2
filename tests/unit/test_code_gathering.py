"""Which modules of a program are sent to a node."""

from __future__ import annotations

import importlib
import os
import sys

import pytest

from hanse.client import code
from hanse.client.code import Gatherer
from hanse.errors import UsageError


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory to import from. No other module of these tests counts as the program's."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(sys.modules)
    own = code.is_ours

    def is_ours(name):
        file = str(getattr(sys.modules[name], "__file__", ""))
        return own(name) and file.startswith(str(tmp_path) + os.sep)

    monkeypatch.setattr(code, "is_ours", is_ours)
    yield tmp_path
    for name in set(sys.modules) - set(before):
        del sys.modules[name]


def write(project, **files):
    """`a__b="text"` is a/b.py."""
    for name, text in files.items():
        path = project / (name.replace("__", "/").replace("INIT", "__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    importlib.invalidate_caches()


def names(gather=None):
    return set((gather or Gatherer())().files)


def test_loaded_modules_go_with_their_packages_and_what_they_import(project):
    write(
        project, one="import two\ndef f():\n    from lazy.part import x", two="import json, numpy",
        pack__INIT="", pack__used="", pack__not_loaded="", pack__sub__deep="import later.on",
        lazy__part="", later__INIT="", later__on="", unrelated="",
    )  # fmt: skip
    importlib.import_module("one")
    importlib.import_module("pack.used")
    assert names() == {
        "one.py", "two.py", "pack/__init__.py", "pack/used.py", "pack/not_loaded.py",
        "pack/sub/deep.py", "lazy/part.py", "later/__init__.py", "later/on.py",
    }  # fmt: skip


def test_only_sources_go(project):
    write(project, pack__INIT="", pack__part="")
    for odd in ("data.json", "secret.key", "with-dash.py", ".hidden.py", "part.pyc"):
        (project / "pack" / odd).write_text("x")
    for directory in ("__pycache__", "site-packages", ".git", "node-modules"):
        (project / "pack" / directory).mkdir()
        (project / "pack" / directory / "inside.py").write_text("")
    environment = project / "pack" / "env"
    environment.mkdir()
    (environment / "pyvenv.cfg").write_text("")
    (environment / "inside.py").write_text("")
    (project / "pack" / "back").symlink_to(project / "pack")
    os.mkfifo(project / "pack" / "pipe.py")  # nobody writes to it
    importlib.import_module("pack")
    assert names() == {"pack/__init__.py", "pack/part.py"}


def test_packages_without_a_file_of_their_own_go_too(project):
    write(project, one="import space\ndef f():\n    import space.part", space__part="")
    importlib.import_module("one")
    assert names() == {"one.py", "space/part.py"}


def test_a_module_goes_as_it_was_until_it_is_reloaded(project):
    write(project, one="X = 1")
    module, gather = importlib.import_module("one"), Gatherer()
    first = gather()
    write(project, one="X = 22")
    assert gather() == first
    importlib.reload(module)
    again = gather()
    assert again.files != first.files
    assert again.content[again.files["one.py"]] == b"X = 22"


def test_modules_that_answer_oddly_do_no_harm(project, monkeypatch):
    class Odd:
        def __getattr__(self, name):
            raise ImportError(name)

    monkeypatch.setitem(sys.modules, "odd", Odd())
    monkeypatch.setitem(sys.modules, "nothing", None)
    assert names() == set()


def test_a_package_with_too_much_sends_what_is_loaded(project, monkeypatch, caplog):
    write(project, pack__INIT="", **{f"pack__m{n}": "" for n in range(10)})
    monkeypatch.setattr(code, "CODE_FILES", 5)
    importlib.import_module("pack.m3")
    gather = Gatherer()
    assert names(gather) == names(gather) == {"pack/__init__.py", "pack/m3.py"}
    assert len(caplog.records) == 1
    monkeypatch.setattr(code, "CODE_FILES", 1)
    with pytest.raises(UsageError, match="most of them in pack"):
        gather()


def test_a_package_with_very_many_other_files_is_not_searched_for_ever(project, monkeypatch):
    write(project, pack__INIT="")
    for n in range(30):
        (project / "pack" / f"{n}.dat").touch()
    monkeypatch.setattr(code, "CODE_PLACES", 20)
    importlib.import_module("pack")
    assert names() == {"pack/__init__.py"}


def test_names_in_import_lines_are_read():
    source = (
        b"import a, b.c as d\n  from e.f import g\nfrom . import h\nfrom .i import j\nimporting"
    )
    assert code._imports_in(source) == {"a", "b", "e"}
