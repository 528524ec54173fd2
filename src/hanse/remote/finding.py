"""Which node a program means: told by the call, by variables, or by `hanse login`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from urllib.parse import urlsplit

from hanse.errors import JournalError, UsageError
from hanse.home import home_directory
from hanse.journal import private
from hanse.remote.address import Address, check_url, decode, is_loopback

# In place of an address.
HERE = "here"  # this machine, whatever `hanse login` said
OUT_OF_REACH = "out-of-reach"  # a script has a node, in a sandbox without a network


def login_path() -> Path:
    return home_directory() / "login"


def node_home() -> Path:
    """The directory of this user's node on this machine."""
    return home_directory() / "node"


def find_node(url: str | None = None) -> Address | None:
    """The node to connect to; None for none: then this machine does the work.

    In this order: `url` (which may be a token too), HANSE_URL, HANSE_TOKEN, what `hanse login`
    left; the word "here" in place of an address means this machine. The secret is from the token,
    from HANSE_TOKEN, or, for a node of this user on this machine, from that node's directory.
    Raises UsageError.
    """
    told = url or os.environ.get("HANSE_URL", "").strip() or None
    token = os.environ.get("HANSE_TOKEN", "").strip()
    if told == HERE:
        return None
    if told == OUT_OF_REACH:
        raise UsageError(
            "this script runs in a sandbox, which has no network: it cannot reach its node. "
            'hanse.connect("here") uses the cores of the machine that it runs on'
        )
    if told is None and token:
        told = token
    if told is None:
        text = _read(login_path())
        return decode(text) if text else None
    if not told.startswith(("http://", "https://")):
        return decode(told)
    return _with_secret(check_url(told), token)


def _with_secret(url: str, token: str) -> Address:
    candidates = [token] if token else [_read(login_path())]
    if not token and is_loopback(urlsplit(url).hostname or ""):
        candidates.insert(0, _read(node_home() / "token"))
    for text in candidates:
        if text:
            found = decode(text)
            if _same_here(found.url, url):
                return found  # where the node itself says it is: no other "localhost" gets it
            if found.url == url or (token and _travels(found, url)):
                return Address(url, found.fingerprint, found.secret)
    raise UsageError(
        f"a token for {url} is needed: `hanse login TOKEN`, or HANSE_TOKEN. On the node's machine "
        "`hanse token create` makes one"
    )


def _same_here(one: str, other: str) -> bool:
    """Whether both are the same port of this machine."""
    first, second = urlsplit(one), urlsplit(other)
    hosts = (first.hostname or "", second.hostname or "")
    return (
        all(map(is_loopback, hosts)) and first.scheme == second.scheme and first.port == second.port
    )


def _travels(found: Address, url: str) -> bool:
    """Whether a token may go to another URL than its own, as behind a tunnel: only where the
    fingerprint in it tells whether that is the same node."""
    return bool(found.fingerprint) and url.startswith("https://")


def _read(path: Path) -> str:
    """A file with a token; empty if there is none. Raises JournalError if it is not private."""
    with contextlib.suppress(FileNotFoundError):
        private.files([str(path)])
        try:
            return path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise JournalError(f"{path} cannot be read: {error}") from error
    return ""
