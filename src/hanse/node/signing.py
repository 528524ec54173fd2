"""Authorities that sign certificates, and what all certificates of a node have in common."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from hanse.journal import private

AUTHORITY_DAYS = 3650


def make_authority(key_path: Path, path: Path, common_name: str) -> None:
    """A key and a certificate that may sign others, but none that sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = named(common_name)
    public = key.public_key()
    certificate = (
        begun(name, name, public, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    private.write(key_path, pem_of(key))
    private.write(path, certificate.public_bytes(serialization.Encoding.PEM))


def sign(
    authority_key: Path,
    authority: Path,
    subject: str,
    public: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    uses: Sequence[x509.ObjectIdentifier],
    days: int,
) -> bytes:
    """A certificate, PEM, for these host names and addresses."""
    signer = serialization.load_pem_private_key(authority_key.read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.read_bytes())
    certificate = (
        begun(named(subject), issuer.subject, public, days)
        .add_extension(x509.SubjectAlternativeName([general(n) for n in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def begun(
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


def named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def general(name: str) -> x509.GeneralName:
    """A host's name or address, as certificates say it."""
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def belong(key: Path, certificate: bytes) -> bool:
    """Whether this is the certificate's key."""
    try:
        found = serialization.load_pem_private_key(key.read_bytes(), None)
        return found.public_key() == x509.load_pem_x509_certificate(certificate).public_key()
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
