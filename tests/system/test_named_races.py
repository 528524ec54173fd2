"""Programs that want the same name at the same moment."""

from __future__ import annotations

import pytest

import hanse
from hanse.journal.sqlite import SqliteJournal
from hanse.records.state import open_state


def append_to(path, item):
    with open(path, "a") as log:
        log.write(f"{item}\n")
    return item


@pytest.mark.parametrize("fresh", [False, True], ids=["goes-on", "fresh"])
def test_a_job_that_was_made_and_done_meanwhile_is_not_lost(
    client, hanse_home, tmp_path, monkeypatch, fresh
):
    log = tmp_path / "log"
    inputs = [str(log)] * 10, range(10)
    create = SqliteJournal.create

    def create_late(*args):
        monkeypatch.setattr(SqliteJournal, "create", create)
        with hanse.connect() as quicker:
            assert sum(quicker.map(append_to, *inputs, name="race")) == 45
        return create(*args)

    monkeypatch.setattr(SqliteJournal, "create", create_late)
    assert sum(client.map(append_to, *inputs, name="race", fresh=fresh)) == 45
    assert len(log.read_text().split()) == (20 if fresh else 10)
    state = open_state()
    assert state is not None
    assert [head.superseded for head in state.journal.heads()] == ([False, True] if fresh else
                                                                   [False])  # fmt: skip
    state.close()
