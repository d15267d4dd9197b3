"""A line in the log every few seconds."""

from __future__ import annotations

import logging
import time

log = logging.getLogger(__name__)

_SECONDS = 5


class Progress:
    """Logs the progress of a long task."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def report(self, message: str, *arguments: object, now: bool = False) -> None:
        """Log a message, unless one was logged less than five seconds ago and ``now`` is false."""
        if now or time.monotonic() - self._last >= _SECONDS:
            log.info(message, *arguments)
            self._last = time.monotonic()
