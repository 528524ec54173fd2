"""The certificates of a site's machines, for Ray's traffic between them.

The site has an authority of its own, which signs nothing else: who holds one of its certificates
can speak to Ray, if they have its token too, and cannot pass for the node. A machine that joins
makes its key itself and asks for a certificate over the node's authenticated TLS.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from hanse.engines.ray.tls import Tls
from hanse.errors import UsageError, WorldError
from hanse.journal import private
from hanse.node import signing

_LOOPBACK = ("127.0.0.1", "::1", "localhost")  # how Ray's processes of one machine find each other
_MOST_NAMES = 8
_USES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
# As long as the authority: Ray's processes read theirs once, and a machine may stay for years. It
# is of no use without Ray's token.
_DAYS = signing.AUTHORITY_DAYS - 1
_UNREADABLE = (
    ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.ExtensionNotFound,
    x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip


class SiteAuthority:
    """The authority in this directory, made if there is none. Raises WorldError, OSError."""

    def __init__(self, directory: Path) -> None:
        private.directory(str(directory))
        self._directory = directory
        self._key, self._path = directory / "authority.key", directory / "authority.pem"
        if not self._key.exists() or not self._path.exists():
            signing.make_authority(self._key, self._path, "Hanse site authority")
        if not signing.belong(self._key, self.certificate):
            raise WorldError(
                f"{self._key} is not the key of {self._path}: remove {directory}, and let all "
                "machines join again"
            )

    @property
    def certificate(self) -> bytes:
        return self._path.read_bytes()

    def own(self, *addresses: str) -> Tls:
        """For the head, made anew at each start."""
        key, request = asking(*addresses)
        return written(self._directory, key, self.certify(request), self.certificate)

    def certify(self, request: bytes) -> bytes:
        """What a machine asks for, PEM. Raises UsageError.

        It may name any addresses: who may join can run what they like on all machines of the site.
        """
        names, public = _read(request)
        return signing.sign(
            self._key, self._path, "Hanse site machine", public, names, _USES, _DAYS
        )


def asking(*addresses: str) -> tuple[bytes, bytes]:
    """A new key, and a request for a certificate of a machine that is reached so; both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = dict.fromkeys([*addresses, *_LOOPBACK])
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(signing.named("Hanse site machine"))
        .add_extension(x509.SubjectAlternativeName([signing.general(n) for n in names]), False)
        .sign(key, hashes.SHA256())
    )
    return signing.pem_of(key), request.public_bytes(serialization.Encoding.PEM)


def written(directory: Path, key: bytes, certificate: bytes, authority: bytes) -> Tls:
    """The files for Ray, which are this user's alone."""
    private.directory(str(directory))
    tls = Tls(directory / "machine.pem", directory / "machine.key", directory / "authority.pem")
    for path, data in ((tls.key, key), (tls.certificate, certificate), (tls.authority, authority)):
        private.write(path, data)
    return tls


def _read(request: bytes) -> tuple[Sequence[str], ec.EllipticCurvePublicKey]:
    """What is asked for, and by which key."""
    try:
        found = x509.load_pem_x509_csr(request)
        public = found.public_key()
        kind = x509.SubjectAlternativeName
        names = [str(each.value) for each in found.extensions.get_extension_for_class(kind).value]
        good = found.is_signature_valid and isinstance(public, ec.EllipticCurvePublicKey)
    except _UNREADABLE:
        good = False
    if not good or not 0 < len(names) <= _MOST_NAMES or not all(map(_is_host, names)):
        raise UsageError("this is no request for a machine's certificate")
    assert isinstance(public, ec.EllipticCurvePublicKey)
    return names, public


def _is_host(name: str) -> bool:
    if len(name) > 253:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return all(
            part and len(part) <= 63 and part.replace("-", "a").isalnum() and part.isascii()
            for part in name.split(".")
        )
    return True
