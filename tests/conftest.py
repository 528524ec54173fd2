"""No test touches the user's own state directory."""

import pytest


@pytest.fixture(autouse=True)
def hanse_home(tmp_path, monkeypatch):
    home = tmp_path / "hanse-home"
    monkeypatch.setenv("HANSE_HOME", str(home))
    monkeypatch.delenv("HANSE_JOURNAL", raising=False)
    return home
