"""A node's TLS identity: an authority of its own, made once, and a certificate that it signs.

Clients trust the authority by its fingerprint, which their token carries; so the certificate may be
made anew whenever names change or it grows old, and no token has to be.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hanse.errors import WorldError
from hanse.journal import private

_AUTHORITY_DAYS = 3650
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
        _make_authority(authority_key, authority)
    pem = authority.read_bytes()
    if not _belong(authority_key, pem):
        raise WorldError(
            f"{authority_key} is not the key of {authority}: restore what belongs together, or "
            "remove both, and make new tokens"
        )
    if not _fits(chain, key, pem, names):
        _make_certificate(chain, key, authority_key, authority, names)
    der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))
    return Identity(chain, key, pem, hashlib.sha256(der).hexdigest())


def _make_authority(key_path: Path, path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hanse node authority")])
    public = key.public_key()
    certificate = (
        _begun(name, name, public, _AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private.write(key_path, _pem_of(key))
    private.write(path, certificate.public_bytes(serialization.Encoding.PEM))


def _make_certificate(
    chain: Path, key_path: Path, authority_key: Path, authority: Path, names: Sequence[str]
) -> None:
    signer = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hanse node")])
    public, signed_by = key.public_key(), signer.public_key()
    certificate = (
        _begun(name, issuer.subject, public, _DAYS)
        .add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    private.write(key_path, _pem_of(key))
    own = certificate.public_bytes(serialization.Encoding.PEM)
    private.write(chain, own + authority.read_bytes())


def _begun(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))  # clocks differ
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _belong(key: Path, certificate: bytes) -> bool:
    """Whether this is the certificate's key."""
    try:
        found = serialization.load_pem_private_key(key.read_bytes(), None)
        return found.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return False


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
        _belong(key, data)
        and data.endswith(authority)
        and _signed(found, authority)
        and left > dt.timedelta(days=_LEFT_DAYS)
        and set(alternative) == {_general(name) for name in names}
    )


def _signed(certificate: x509.Certificate, authority: bytes) -> bool:
    try:
        certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True
