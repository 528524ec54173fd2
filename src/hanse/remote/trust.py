"""Who vouches for a node, and by which way it is reached: TLS and proxies.

HTTPS_PROXY and NO_PROXY count as they do for other programs. TLS goes through a proxy as a whole
(CONNECT), so it sees whom is spoken with, and nothing more.
"""

from __future__ import annotations

import http.client
import ssl
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.util import make_headers

from hanse import limits
from hanse.errors import NodeError, NodeUnavailable, NotAllowed, UsageError
from hanse.remote.address import Address

CONNECT_S = 10.0


def pool(address: Address, patience_s: float) -> urllib3.PoolManager:
    """Connections to a node, kept for reuse."""
    options: dict[str, Any] = {"maxsize": 64, "block": False, "num_pools": 4}
    if address.url.startswith("https://"):
        options["ssl_context"] = _trust(address, patience_s)
        proxy = _proxy(address.url)
        if proxy is not None:
            host, port, headers = proxy
            return urllib3.ProxyManager(f"http://{host}:{port}", proxy_headers=headers, **options)
    return urllib3.PoolManager(**options)


def _proxy(url: str) -> tuple[str, int, dict[str, str]] | None:
    """The proxy for this URL, as the environment names it: host, port, headers. Raises
    UsageError."""
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    proxies = getproxies()
    told = proxies.get("https") or proxies.get("all")
    if not told or proxy_bypass(parts.hostname or ""):
        return None
    found = urlsplit(told if "://" in told else f"http://{told}")
    if found.scheme != "http" or not found.hostname:
        raise UsageError("HTTPS_PROXY is the URL of a proxy, such as http://proxy.example:3128")
    headers: dict[str, str] = {}
    if found.username is not None:
        secret = f"{unquote(found.username)}:{unquote(found.password or '')}"
        headers = dict(make_headers(proxy_basic_auth=secret))
    host = f"[{found.hostname}]" if ":" in found.hostname else found.hostname
    return host, found.port or 3128, headers


def _trust(address: Address, patience_s: float) -> ssl.SSLContext:
    """What vouches for the node: the authority that the token names, and no other; without one,
    the system's."""
    if not address.fingerprint:
        return ssl.create_default_context()
    pem = authority(address.url, patience_s)
    try:
        der = ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise NodeError(f"{address.url} is no node of Hanse: {error}") from error
    if sha256(der).hexdigest() != address.fingerprint:
        raise NotAllowed(
            f"{address.url} is not the node that this token is for: its certificate is another's. "
            "Somebody may be in between; or the node was set up anew: ask for a new token"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=der)  # what was hashed, and nothing that came beside it
    return context


def authority(url: str, patience_s: float = CONNECT_S) -> str:
    """The certificate of the node's authority. It is public, and nothing is sent to get it, so
    whoever answers need not be trusted: the fingerprint tells. PEM."""
    parts = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    proxy = _proxy(url)
    if proxy is None:
        host, port = parts.hostname or "", parts.port
    else:
        host, port = proxy[0].strip("[]"), proxy[1]
    line = http.client.HTTPSConnection(host, port, timeout=patience_s, context=context)
    if proxy is not None:
        line.set_tunnel(parts.hostname or "", parts.port, headers=proxy[2])
    try:
        line.request("GET", "/authority.pem")
        answer = line.getresponse()
        data = answer.read(limits.PROBLEM_BYTES)
        if answer.status != 200:
            raise NodeError(f"{url} is no node of Hanse: it has no /authority.pem")
        return data.decode("ascii")
    except (http.client.HTTPException, OSError) as error:
        raise NodeUnavailable(f"{url} cannot be reached: {words(error)}") from error
    except UnicodeDecodeError as error:
        raise NodeError(f"{url} is no node of Hanse") from error
    finally:
        line.close()


def words(error: BaseException) -> str:
    """The innermost reason: the layers around it repeat URLs."""
    while isinstance(inner := getattr(error, "reason", None), BaseException):
        error = inner
    text = str(error) or type(error).__name__
    return text.split(": ", 1)[-1] if " object at 0x" in text else text
