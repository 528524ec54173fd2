"""What bodies that are on their way take: with each token so much is in memory at once.

A parcel says in its first bytes how large it is. One that finds no room is not read on until there
is some, so its sender waits; in the end it is told to come again. Small ones always pass, and so
does a large one that is alone, however large it is.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

from hanse import limits
from hanse.errors import NodeUnavailable


class Bodies:
    """All of them.

    Args:
        most: bytes that those of one account take.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._accounts: WeakValueDictionary[tuple[str, str], _Account] = WeakValueDictionary()

    def begin(self, token: str, kind: str) -> Body:
        """One more, on the account of these."""
        account = self._accounts.get((token, kind))
        if account is None:
            account = self._accounts[token, kind] = _Account(self._most)
        return Body(account)


class _Account:
    def __init__(self, most: int) -> None:
        self.most = most
        self.nbytes = 0
        self.freed = asyncio.Event()


class Body:
    """One of them, on its way until it is dealt with."""

    def __init__(self, account: _Account) -> None:
        self._account = account
        self._nbytes = 0

    async def reach(self, nbytes: int) -> None:
        """Take so much in all. Raises NodeUnavailable if there is no room for long."""
        if nbytes <= max(self._nbytes, limits.BODY_FREE_BYTES):
            return
        account = self._account
        try:
            async with asyncio.timeout(limits.BODY_WAIT_S):
                while (others := account.nbytes - self._nbytes) and others + nbytes > account.most:
                    await account.freed.wait()
        except TimeoutError:
            words = "as much as may be sent at once is on its way with this token: come again"
            raise NodeUnavailable(words) from None
        account.nbytes += nbytes - self._nbytes
        self._nbytes = nbytes

    def end(self) -> None:
        """It takes nothing any more."""
        account, nbytes, self._nbytes = self._account, self._nbytes, 0
        if nbytes:
            account.nbytes -= nbytes
            freed, account.freed = account.freed, asyncio.Event()
            freed.set()
