"""Tokens: found by their secret, as long as they last, and kept as hashes."""

from __future__ import annotations

import os
import stat
import time

import pytest

from hanse.errors import JournalError, NotAllowed, UsageError, WorldError
from hanse.node.tokens import RIGHTS, Right, Role, Tokens


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "home" / "tokens.json")


def test_a_token_is_found_by_its_secret_and_by_nothing_else(tokens, tmp_path):
    made, secret = tokens.create(Role.SUBMIT, "ann", None)
    assert tokens.find(secret) == made
    assert tokens.find(secret[:-1]) is None
    assert tokens.find("") is None
    assert tokens.find(made.digest) is None
    assert secret not in (tmp_path / "home" / "tokens.json").read_text()


def test_what_is_revoked_is_refused_by_who_has_read_it_before(tokens, tmp_path):
    made, secret = tokens.create(Role.READ, "ann", None)
    other = Tokens(tmp_path / "home" / "tokens.json")
    assert other.find(secret) == made
    tokens.revoke(made.id)
    assert other.find(secret) is None
    with pytest.raises(UsageError, match="no token"):
        tokens.revoke(made.id)


def test_a_token_that_was_found_holds_until_it_is_revoked_or_expires(tokens, tmp_path, monkeypatch):
    made, _ = tokens.create(Role.READ, "ann", time.time() + 1000)
    other = Tokens(tmp_path / "home" / "tokens.json")
    assert other.holds(made)
    with monkeypatch.context() as later:
        later.setattr(time, "time", lambda: made.expires_s)
        assert not other.holds(made)
    tokens.revoke(made.id)
    assert not other.holds(made)


def test_an_expired_token_is_refused(tokens):
    _, secret = tokens.create(Role.READ, "ann", time.time() - 1)
    assert tokens.find(secret) is None


@pytest.mark.parametrize("role", Role)
def test_a_role_reaches_as_far_as_it_says(tokens, role):
    made, _ = tokens.create(role, "ann", None)
    for right in Right:
        if right in RIGHTS[role]:
            tokens.allow(made, right)
        else:
            with pytest.raises(NotAllowed, match=role):
                tokens.allow(made, right)
    assert Right.SUBMIT not in RIGHTS[Role.READ] | RIGHTS[Role.LINK]


def test_the_file_is_for_its_owner_alone_whatever_the_umask(tokens, tmp_path):
    before = os.umask(0)
    try:
        tokens.create(Role.READ, "ann", None)
    finally:
        os.umask(before)
    for path in (tmp_path / "home").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_file_that_others_wrote_or_that_is_damaged_is_refused(tokens, tmp_path):
    tokens.create(Role.READ, "ann", None)
    path = tmp_path / "home" / "tokens.json"
    path.write_text("[{}]")
    with pytest.raises(WorldError, match=r"tokens\.json"):
        tokens.find("x")
    path.chmod(0o666)
    with pytest.raises(JournalError):
        tokens.find("x")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101])
def test_a_token_is_for_somebody(tokens, name):
    with pytest.raises(UsageError):
        tokens.create(Role.READ, name, None)
