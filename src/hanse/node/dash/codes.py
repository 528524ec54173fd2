"""Codes that let a browser in, each once.

A code is short-lived and is made for somebody who may look already. It stands in the fragment of a
URL, which browsers send to nobody, and is exchanged for a token of its own that may read and
nothing else.
"""

from __future__ import annotations

import secrets
import threading
import time

from hanse import limits
from hanse.errors import NotAllowed
from hanse.node.tokens import LeaseToken, Role, Token, Tokens

BROWSER = "a browser"


class Codes:
    """The codes that wait, in memory. For any thread."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._waiting: dict[str, tuple[Token | None, float]] = {}  # for whom, and until when
        self._lock = threading.Lock()

    def create(self, owner: Token | None) -> str:
        """A code for this owner's browser; None: for whoever runs this process. Raises NotAllowed:
        a session would outlive the lease whose token asks."""
        if isinstance(owner, LeaseToken):
            raise NotAllowed("the token of a lease lets no browser in")
        code = secrets.token_urlsafe(24)
        with self._lock:
            while len(self._waiting) >= limits.DASH_CODES:
                self._waiting.pop(next(iter(self._waiting)))
            self._waiting[code] = owner, time.monotonic() + limits.DASH_CODE_S
        return code

    def redeem(self, code: str) -> tuple[Token, str]:
        """The browser's own token and its secret. Raises NotAllowed."""
        with self._lock:
            owner, until_s = self._waiting.pop(code, (None, 0.0))
        good = time.monotonic() < until_s and (owner is None or self._tokens.holds(owner))
        if not good:
            raise NotAllowed("this code was used, or is too old: `hanse dash` makes another")
        expires_s = time.time() + limits.DASH_SESSION_S
        if owner is None:
            return self._tokens.create(Role.READ, BROWSER, expires_s)
        if owner.expires_s is not None:
            expires_s = min(expires_s, owner.expires_s)
        if owner.parent is not None:  # a browser lets another one in
            return self._tokens.create(Role.READ, owner.name, expires_s, owner.parent)
        name = f"{BROWSER} of {owner.name}"[:100]
        return self._tokens.create(Role.READ, name, expires_s, owner.id)
