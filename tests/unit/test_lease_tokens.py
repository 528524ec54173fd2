"""Tokens of leases: good while the home holds the lease, whoever shows them, and no longer."""

from __future__ import annotations

import os
import stat

import pytest

from hanse.core.lease import Lease
from hanse.engines.port import Program
from hanse.errors import NodeUnavailable, NotAllowed
from hanse.ids import JobId, LeaseId, SiteId
from hanse.node.held import Held
from hanse.node.lease_tokens import LeaseTokens, key_in
from hanse.node.tokens import Right, Role, Tokens

JOB = JobId("j-0123456789ab")
LEASE = LeaseId((7 << 32) + 1)


class Home:
    def __init__(self, key=b"k" * 32):
        self.leases = {}
        self.running = {JOB}
        self.tokens = LeaseTokens(key, self.leases, self.running.__contains__)

    def lease(self, id=LEASE, job=JOB):
        made = self.leases[id] = Lease(id, job, SiteId("lab"), (0, 1), 0)
        return made


@pytest.fixture
def home():
    return Home()


def test_it_is_good_while_its_lease_is_held(home):
    home.lease()
    secret = home.tokens.secret(JOB, LEASE)
    found = home.tokens.find(secret)
    assert (found.role, found.name, found.lease) == (Role.SUBMIT, JOB, LEASE)
    assert home.tokens.holds(found)
    assert secret not in repr(found)
    del home.leases[LEASE]
    assert not home.tokens.holds(found)


def test_it_ends_when_its_lease_is_cancelled(home):
    lease = home.lease()
    found = home.tokens.find(home.tokens.secret(JOB, LEASE))
    lease.cancelled = True
    assert not home.tokens.holds(found)


def test_while_its_job_runs_whose_lease_is_elsewhere_it_is_told_to_come_again(home):
    secret = home.tokens.secret(JOB, LEASE)
    home.lease(LeaseId(LEASE + 1))
    with pytest.raises(NodeUnavailable):
        home.tokens.find(secret)


def test_it_is_unknown_once_its_job_is_over(home):
    home.running.clear()
    assert home.tokens.find(home.tokens.secret(JOB, LEASE)) is None


def test_another_node_s_key_proves_nothing(home):
    home.lease()
    assert home.tokens.find(Home(b"x" * 32).tokens.secret(JOB, LEASE)) is None


@pytest.mark.parametrize("at", [0, 15, 16, 27, 28, 63])
def test_no_digit_of_it_can_be_another(home, at):
    home.lease()
    home.lease(LeaseId(LEASE ^ 1))
    secret = home.tokens.secret(JOB, LEASE)
    digit = "0" if secret[at] != "0" else "1"
    assert home.tokens.find(secret[:at] + digit + secret[at + 1 :]) is None
    for wrong in (secret[:-1], secret + "0", secret.upper() + " ", "", "\N{SUPERSCRIPT TWO}" * 64):
        assert home.tokens.find(wrong) is None


def test_it_may_read_and_submit_and_nothing_else(home, tmp_path):
    home.lease()
    tokens = Tokens(tmp_path / "tokens.json")
    tokens.of_leases = home.tokens
    found = tokens.find(home.tokens.secret(JOB, LEASE))
    assert tokens.holds(found)
    for right in Right:
        if right in (Right.READ, Right.SUBMIT):
            tokens.allow(found, right)
        else:
            with pytest.raises(NotAllowed):
                tokens.allow(found, right)
    assert tokens.all() == []
    home.leases.clear()
    assert not tokens.holds(found)


def test_the_key_is_made_once_and_is_its_user_s_alone(tmp_path):
    path = tmp_path / "leases.key"
    old = os.umask(0)
    try:
        key = key_in(path)
    finally:
        os.umask(old)
    assert key_in(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    assert len(key_in(path)) == 32


def test_who_may_feed_a_job_no_more_does_not_keep_it_from_others():
    """A script that was cut off, and whose lease is elsewhere now."""
    held = Held(None, JOB, Program(key=1, job=JOB, name="f", function=None))
    token = [LEASE]
    end = held.follow(lambda: None, held.take(), lambda: bool(token))
    assert held.is_fed
    token.clear()
    assert not held.is_fed
    held.follow(lambda: None, held.take())
    end()
    assert held.is_fed
