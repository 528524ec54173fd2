"""A node's TLS identity: an authority of its own, made once, and a certificate that it signs.

Clients trust the authority by its fingerprint, which their token carries; so the certificate may be
made anew whenever names change or it grows old, and no token has to be.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ssl
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hanse.errors import WorldError
from hanse.journal import private
from hanse.node import signing

_DAYS = 397  # the longest that clients accept of a server
_LEFT_DAYS = 200  # a node that starts has at least this much


class Identity(msgspec.Struct, frozen=True):
    """
    Attributes:
        chain: the file with the node's certificate and its authority's.
        key: the file with its key.
        authority: the authority's certificate, PEM.
        fingerprint: SHA-256 of that certificate (DER), in hex.
    """

    chain: Path
    key: Path
    authority: bytes
    fingerprint: str


def make_identity(directory: Path, names: Sequence[str]) -> Identity:
    """The identity in this directory; what is missing, old or for other names is made.

    Args:
        names: host names and addresses by which clients reach the node.
    """
    authority_key, authority = directory / "authority.key", directory / "authority.pem"
    chain, key = directory / "node.pem", directory / "node.key"
    if not authority.exists() or not authority_key.exists():
        signing.make_authority(authority_key, authority, "Hanse node authority")
    pem = authority.read_bytes()
    if not signing.belong(authority_key, pem):
        raise WorldError(
            f"{authority_key} is not the key of {authority}: restore what belongs together, or "
            "remove both, and make new tokens"
        )
    if not _fits(chain, key, pem, names):
        _make_certificate(chain, key, authority_key, authority, names)
    der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    return Identity(chain, key, pem, hashlib.sha256(der).hexdigest())


def _make_certificate(
    chain: Path, key_path: Path, authority_key: Path, authority: Path, names: Sequence[str]
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    own = signing.sign(
        authority_key, authority, "Hanse node", key.public_key(), names,
        [ExtendedKeyUsageOID.SERVER_AUTH], _DAYS,
    )  # fmt: skip
    private.write(key_path, signing.pem_of(key))
    private.write(chain, own + authority.read_bytes())


def _fits(chain: Path, key: Path, authority: bytes, names: Sequence[str]) -> bool:
    """Whether the certificate is for these names and this key, by this authority, long enough."""
    try:
        data = chain.read_bytes()
        found = x509.load_pem_x509_certificate(data)
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    left = found.not_valid_after_utc - dt.datetime.now(dt.UTC)
    return (
        signing.belong(key, data)
        and data.endswith(authority)
        and _signed(found, authority)
        and left > dt.timedelta(days=_LEFT_DAYS)
        and set(alternative) == {signing.general(name) for name in names}
    )


def _signed(certificate: x509.Certificate, authority: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
