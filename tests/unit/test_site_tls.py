"""Who may speak to a site's machines: those with a certificate of its authority, and no others."""

from __future__ import annotations

import base64
import ssl
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hanse.errors import UsageError, WorldError
from hanse.node.site_tls import SiteAuthority, asking, written


@pytest.fixture
def authority(tmp_path):
    tmp_path.chmod(0o700)
    return SiteAuthority(tmp_path / "site")


def join(authority, directory, address):
    """As a machine does."""
    key, request = asking(address)
    return written(directory, key, authority.certify(request), authority.certificate)


def meet(server, client, host):
    """A handshake, as Ray's: both show what they are."""
    contexts = []
    for tls, purpose in ((server, ssl.Purpose.CLIENT_AUTH), (client, ssl.Purpose.SERVER_AUTH)):
        context = ssl.create_default_context(purpose, cafile=tls.authority)
        context.load_cert_chain(tls.certificate, tls.key)
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        contexts[0].wrap_bio(to_server, to_client, server_side=True),
        contexts[1].wrap_bio(to_client, to_server, server_hostname=host),
    ]
    for _ in range(6):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return sides[1].getpeercert()


def test_machines_of_a_site_know_each_other(authority, tmp_path):
    head = authority.own("10.0.0.5")
    machine = join(authority, tmp_path / "machine", "10.0.0.6")
    assert meet(head, machine, "10.0.0.5")
    assert meet(machine, head, "10.0.0.6")
    assert meet(machine, machine, "127.0.0.1")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"10\.0\.0\.5"):
        meet(machine, head, "10.0.0.5")


def test_machines_of_another_site_are_strangers(authority, tmp_path):
    other = SiteAuthority(tmp_path / "other").own("10.0.0.5")
    with pytest.raises(ssl.SSLCertVerificationError):
        meet(authority.own("10.0.0.5"), other, "10.0.0.5")


def test_keys_are_the_user_s_alone_and_the_authority_is_kept(authority, tmp_path):
    made = join(authority, tmp_path / "machine", "10.0.0.6")
    for path in (made.key, tmp_path / "site" / "authority.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SiteAuthority(tmp_path / "site").certificate == authority.certificate
    (tmp_path / "site" / "authority.key").write_bytes(made.key.read_bytes())
    with pytest.raises(WorldError, match="remove"):
        SiteAuthority(tmp_path / "site")


def request(*names):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def request_with_a_name_twice():
    """No library makes one: another extension of the same length is renamed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.DNSName("m")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName([name]), False)
    builder = builder.add_extension(x509.IssuerAlternativeName([name]), False)
    made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    made = made.replace(b"\x06\x03\x55\x1d\x12", b"\x06\x03\x55\x1d\x11")
    return b"-----BEGIN CERTIFICATE REQUEST-----\n%s-----END CERTIFICATE REQUEST-----\n" % (
        base64.encodebytes(made)
    )


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"x" * 1000, request(), request(x509.DNSName("*.example")),
        request(x509.DNSName("a" * 300)), request(x509.RFC822Name("a@b")),
        request(*[x509.DNSName(f"m{n}") for n in range(9)]), request_with_a_name_twice(),
    ],
    ids=range(8),  # keys differ in every process
)  # fmt: skip
def test_what_is_no_request_is_refused(authority, bad):
    with pytest.raises(UsageError, match="no request"):
        authority.certify(bad)
