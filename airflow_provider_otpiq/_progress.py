"""A line in the log every few seconds."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

_SECONDS = 5


class Progress:
    """What logs how far a long work is."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def report(self, message: str, *arguments: object, now: bool = False) -> None:
        """Log it, unless something was logged a moment ago and it need not be now."""
        if now or time.monotonic() - self._last >= _SECONDS:
            log.info(message, *arguments)
            self._last = time.monotonic()
