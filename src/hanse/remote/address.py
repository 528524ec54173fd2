"""Where a node is and how it is trusted, as one string that people hand on.

    hanse_<base64 of msgpack: version, URL, fingerprint of its authority, secret>

The secret goes into one header and nowhere else: never into a URL, a log or an error.
"""

from __future__ import annotations

import base64
import binascii
from urllib.parse import urlsplit

import msgspec

from hanse.decoding import from_msgpack
from hanse.errors import UsageError

_PREFIX = "hanse_"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Address(msgspec.Struct, frozen=True):
    """A node and a secret for it.

    Attributes:
        url: scheme, host and port, nothing more.
        fingerprint: SHA-256 of the certificate of the node's own authority, in hex; empty where
            the system's authorities vouch for it, or there is no TLS (loopback only).
        secret: 64 hex digits.
    """

    url: str
    fingerprint: str
    secret: str

    def __repr__(self) -> str:
        return f"Address({self.url!r})"  # never the secret


def encode(address: Address) -> str:
    data = msgspec.msgpack.encode([1, address.url, address.fingerprint, address.secret])
    return _PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> Address:
    """Raises UsageError; the text is not repeated, as most of it may be a secret."""
    text = text.strip()
    if not text.startswith(_PREFIX) or len(text) > 4096:
        raise UsageError("this is no token of Hanse: it begins with hanse_ (hanse token create)")
    try:
        data = text[len(_PREFIX) :].encode("ascii")
        data = base64.b64decode(data + b"=" * (-len(data) % 4), b"-_", validate=True)
        version, url, fingerprint, secret = from_msgpack(data, tuple[int, str, str, str])
    except (binascii.Error, msgspec.MsgspecError, UnicodeError, ValueError):
        raise UsageError("this token is cut short or changed: copy it as a whole") from None
    if version != 1:
        raise UsageError("this token was made by a newer Hanse: bring this one up to date")
    return Address(check_url(url), _hex(fingerprint, (0, 64)), _hex(secret, (64,)))


def _hex(text: str, lengths: tuple[int, ...]) -> str:
    if len(text) not in lengths or not all(c in "0123456789abcdef" for c in text):
        raise UsageError("this token is cut short or changed: copy it as a whole")
    return text


def check_url(url: str) -> str:
    """A node's URL without a slash at its end. Raises UsageError."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or port is None:
        raise UsageError("a node's URL looks like https://host:7437")
    if parts.username or parts.password or parts.path not in ("", "/") or parts.query:
        raise UsageError("a node's URL has a host and a port, and nothing behind: no secrets")
    if parts.scheme == "http" and not is_loopback(host):
        raise UsageError(f"{host} is another machine: only https:// is spoken with it")
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    return host in LOOPBACK
