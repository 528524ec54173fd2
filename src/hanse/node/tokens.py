"""Who may do what on a node: tokens, kept as hashes in a file of the node's user.

The file is the authority: `hanse token` changes it, and a running node reads it again whenever it
has changed, so what is revoked is refused from the next request on. Tokens of leases are in none.
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from hanse.errors import NotAllowed, UsageError
from hanse.ids import JobId, LeaseId
from hanse.journal import private
from hanse.node import files

_SCRIPTS = "w-"


class Right(enum.StrEnum):
    READ = "read"  # see jobs, sites and metrics; results and logs too
    SUBMIT = "submit"  # run code here
    LINK = "link"  # take work from here
    JOIN = "join"  # add machines to this site
    ADMIN = "admin"  # tokens


class Role(enum.StrEnum):
    READ = "read"
    SUBMIT = "submit"
    LINK = "link"
    JOIN = "join"
    ADMIN = "admin"


RIGHTS = {
    Role.READ: frozenset({Right.READ}),
    Role.SUBMIT: frozenset({Right.READ, Right.SUBMIT}),
    Role.LINK: frozenset({Right.LINK}),
    Role.JOIN: frozenset({Right.JOIN}),
    Role.ADMIN: frozenset(Right),
}


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of a token."""

    id: str  # for people, and to revoke it; no secret
    digest: str  # SHA-256 of the secret, in hex
    role: Role
    name: str  # whom it is for
    created_s: float
    expires_s: float | None = None
    parent: str | None = None  # the token that it was made with, and goes with
    site: str = ""  # it is for one rented machine, which is called so

    @property
    def account(self) -> str:
        """What it may have at once it shares with those that were made with it, and with the token
        that it was made with."""
        return self.parent or self.id

    def expired(self, now_s: float) -> bool:
        return self.expires_s is not None and now_s >= self.expires_s


class LeaseToken(Token, frozen=True, kw_only=True):
    """What code that runs under a lease shows (see `lease_tokens`). It is in no file, and makes no
    other token."""

    job: JobId
    lease: LeaseId

    @property
    def account(self) -> str:
        """One of all scripts: who may submit may submit many."""
        return _SCRIPTS


class OfLeases(Protocol):
    """The tokens of leases (see `lease_tokens`)."""

    def find(self, secret: str) -> LeaseToken | None: ...
    def holds(self, token: LeaseToken) -> bool: ...


class Tokens:
    """The tokens in a file. Every method may be called from any thread or process.

    Attributes:
        of_leases: knows the tokens that are in no file, if this is a node's.
    """

    of_leases: OfLeases | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Token] = {}
        self._stamp: tuple[int, int, int] | None = None

    def create(
        self, role: Role, name: str, expires_s: float | None, parent: str | None = None,
        site: str = "",
    ) -> tuple[Token, str]:  # fmt: skip
        """A new token, and its secret, which is kept nowhere. With a `parent` it is one of many
        that live for hours, with a `site` one of a machine that is rented: those that have expired
        make room for it."""
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise UsageError("a token is for somebody: --for NAME, 1 to 100 printable characters")
        secret = secrets.token_hex(32)
        token = Token(
            id="t-" + secrets.token_hex(4), digest=_digest(secret), role=role, name=name,
            created_s=time.time(), expires_s=expires_s, parent=parent, site=site,
        )  # fmt: skip
        with self._changing() as tokens:
            if parent is not None or site:
                now = time.time()
                passing = (each for each in tokens if each.parent or each.site)
                old = {each.id for each in passing if each.expired(now)}
                tokens[:] = [each for each in tokens if each.id not in old]
            tokens.append(token)
        return token, secret

    def revoke(self, id: str) -> Token:
        """Raises UsageError if there is no such token."""
        with self._changing() as tokens:
            found = [token for token in tokens if token.id == id]
            if not found:
                raise UsageError(f"there is no token {id!r}; hanse token list shows them")
            tokens[:] = [each for each in tokens if id not in (each.id, each.parent)]
        return found[0]

    def all(self) -> list[Token]:
        self._look()
        return list(self._known.values())

    def find(self, secret: str) -> Token | None:
        """Who shows this secret; None if nobody may. Raises NodeUnavailable if that cannot be said
        now."""
        self._look()
        digest = _digest(secret)
        token = self._known.get(digest)
        if token is None:
            return None if self.of_leases is None else self.of_leases.find(secret)
        if not hmac.compare_digest(token.digest, digest):
            return None
        return None if token.expired(time.time()) else token

    def holds(self, token: Token) -> bool:
        """Whether a token that was found before is still good."""
        if isinstance(token, LeaseToken):
            return self.of_leases is not None and self.of_leases.holds(token)
        self._look()
        return self._known.get(token.digest) == token and not token.expired(time.time())

    def allow(self, token: Token, right: Right) -> None:
        """Raises NotAllowed."""
        if right not in RIGHTS[token.role]:
            raise NotAllowed(
                f"the token {token.id} has the role {token.role}, which may not {right}"
            )

    # --- the file -------------------------------------------------------------------------------
    def _look(self) -> None:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            self._known, self._stamp = {}, None
            return
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        if stamp != self._stamp:
            self._known = {token.digest: token for token in self._read()}
            self._stamp = stamp

    def _read(self) -> list[Token]:
        advice = "Restore it, or remove it and make new ones"
        return files.read(self._path, list[Token], [], advice)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Token]]:
        """The tokens, written back when the block ends well."""
        private.directory(str(self._path.parent))
        lock = os.open(
            self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            tokens = self._read()
            yield tokens
            files.write(self._path, tokens)
        finally:
            os.close(lock)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
