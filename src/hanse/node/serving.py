"""A node on a machine that was rented: it works for the one that rented it, and for nobody else.

It links by itself, and ends when that node wants it no more or has been away for long: then a
machine that nobody remembers does not cost money for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from hanse import limits
from hanse.errors import HanseError, NodeUnavailable, UsageError
from hanse.node.links import Links
from hanse.wire import api

_logger = logging.getLogger("hanse")


class Serving:
    """
    Args:
        token: of the node that it works for.
        stop: ends this one.
    """

    def __init__(self, links: Links, token: str, stop: Callable[[], None]) -> None:
        self._links = links
        self._token = token
        self._stop = stop

    def begin(self) -> None:
        threading.Thread(target=self._serve, name="hanse-serving", daemon=True).start()

    def _serve(self) -> None:
        try:
            why = self._link() or self._until_over()
        except Exception as error:  # the machine must not stay for a bug
            _logger.exception("hanse: serving")
            why = str(error)
        _logger.warning("hanse: this machine ends: %s", why)
        self._stop()

    def _link(self) -> str:
        """Take part. Returns why that cannot be."""
        until = time.monotonic() + limits.RENTED_PATIENCE_S
        while True:
            try:
                self._links.add(api.NewLink(token=self._token))
                return ""
            except NodeUnavailable as error:
                if time.monotonic() > until:
                    return str(error)
                time.sleep(limits.RENT_LOOK_NS / 1e9)
            except UsageError as error:
                return "" if self._links.all() else str(error)  # it was linked before
            except HanseError as error:
                return str(error)

    def _until_over(self) -> str:
        spoke_s = time.monotonic()
        while True:
            state, over = self._links.standing(self._token)
            if over:
                return state
            if state == "linked":
                spoke_s = time.monotonic()
            elif time.monotonic() - spoke_s > limits.RENTED_PATIENCE_S:
                return f"the node that rented it has been away for long: {state}"
            time.sleep(limits.RENT_LOOK_NS / 1e9)
