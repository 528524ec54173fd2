"""A node's certificate is made anew whenever it would not serve."""

from __future__ import annotations

import shutil
import ssl

import pytest

from hanse.errors import WorldError
from hanse.node.identity import make_identity

NAMES = ["localhost", "127.0.0.1"]


@pytest.fixture(autouse=True)
def directories(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir(mode=0o700)


def loads(identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.chain, identity.key)
    return True


def test_what_is_whole_is_kept(tmp_path):
    made = make_identity(tmp_path / "a", NAMES)
    chain = made.chain.read_bytes()
    assert make_identity(tmp_path / "a", NAMES) == made
    assert made.chain.read_bytes() == chain


def test_a_key_of_another_certificate_is_made_anew_with_it(tmp_path):
    """As after a death between the two files."""
    made, other = make_identity(tmp_path / "a", NAMES), make_identity(tmp_path / "b", NAMES)
    for spoil in (lambda: shutil.copy(other.key, made.key), lambda: made.key.write_text("x")):
        spoil()
        again = make_identity(tmp_path / "a", NAMES)
        assert loads(again)
        assert again.fingerprint == made.fingerprint


def test_a_certificate_that_another_authority_signed_is_made_anew(tmp_path):
    made, other = make_identity(tmp_path / "a", NAMES), make_identity(tmp_path / "b", NAMES)
    own = other.chain.read_bytes().removesuffix(other.authority)
    made.chain.write_bytes(own + made.authority)
    shutil.copy(other.key, made.key)
    assert make_identity(tmp_path / "a", NAMES).chain.read_bytes() != own + made.authority


def test_an_authority_without_its_key_is_said(tmp_path):
    make_identity(tmp_path / "a", NAMES)
    make_identity(tmp_path / "b", NAMES)
    shutil.copy(tmp_path / "b" / "authority.key", tmp_path / "a" / "authority.key")
    with pytest.raises(WorldError, match="restore"):
        make_identity(tmp_path / "a", NAMES)
