"""Programs written and loaded by tests, for what is said of their functions."""

from __future__ import annotations

import itertools
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from hanse.client.fingerprints.fingerprint import fingerprint
from hanse.client.fingerprints.manifest import Manifest

Load = Callable[..., Manifest]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Runs a program's source, with the modules given, and fingerprints its `count`."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    numbers = itertools.count()

    def load(source: str, **modules: str) -> Manifest:
        home = tmp_path / str(next(numbers))
        home.mkdir()
        for name, text in modules.items():
            (home / f"{name}.py").write_text(textwrap.dedent(text))
            sys.modules.pop(name, None)
        file = home / "program.py"
        file.write_text(textwrap.dedent(source))
        with monkeypatch.context() as patch:
            patch.syspath_prepend(home)
            names = {"__name__": "__main__"}
            exec(compile(file.read_text(), file, "exec", dont_inherit=True), names)
            found = names["count"]
            manifest = fingerprint(found)
        for name in modules:
            sys.modules.pop(name, None)
        return manifest

    return load
