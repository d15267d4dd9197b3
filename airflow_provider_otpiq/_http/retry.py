"""Whether one call may retry its request, and after how long. Airflow's task retries have ``retry_policy``."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Protocol, TypeVar

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConnectionError,
    OtpiqRateLimitError,
    OtpiqServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

IDEMPOTENT_METHODS = frozenset({"GET", "PATCH"})
MAX_TOTAL_DELAY = 60.0
"""Seconds that one call waits at most; more is Airflow's to wait, which frees the worker slot."""
MAX_BACKOFF = 8.0
"""Seconds."""
DEFAULT_RATE_LIMIT_DELAY = 5.0
"""Seconds after a 429 that does not say how long to wait."""


class Log(Protocol):
    """Where HTTP retries are logged: a logger of the standard library, or Airflow's."""

    def warning(self, event: str, /, *args: object) -> object:
        """Log a warning."""


def with_retries(attempt: Callable[[], Result], retry: RetryState, log: Log) -> Result:
    """Attempt a request until it succeeds, or may not be retried any more."""
    while True:
        try:
            return attempt()
        except OtpiqApiError as error:
            delay = retry.next_delay(error)
            if delay is None:
                raise
            log.warning("%s HTTP retry %d in %.0f s.", error, retry.count, delay)
        _wait(delay)


def _wait(seconds: float) -> None:
    if os.environ.get("OTPIQ_SKIP_RETRY_WAITS") != "1":  # the pytest plugin sets it, so that tests of DAGs are fast
        time.sleep(seconds)


class RetryState:
    """The HTTP retries of one call, of a request that is idempotent or not."""

    def __init__(self, max_retries: int, *, is_idempotent: bool) -> None:
        self.count = 0
        """How many there were."""
        self._is_idempotent = is_idempotent
        self._max_retries = max_retries
        self._total_delay = 0.0
        self._rate_limited = False

    def next_delay(self, error: OtpiqApiError) -> float | None:
        """Return the seconds to wait before the next HTTP retry, and count it; None if there may be none."""
        is_rate_limit = isinstance(error, OtpiqRateLimitError)
        delay = self._delay(error)
        exhausted = self.count >= self._max_retries or self._total_delay + delay > MAX_TOTAL_DELAY
        if exhausted or (is_rate_limit and self._rate_limited):
            return None
        self.count += 1
        self._total_delay += delay
        self._rate_limited = self._rate_limited or is_rate_limit
        return delay

    def _delay(self, error: OtpiqApiError) -> float:
        if not isinstance(error, OtpiqRateLimitError | OtpiqConnectionError | OtpiqServerError):
            return math.inf
        if error.may_have_taken_effect and not self._is_idempotent:
            return math.inf
        if error.retry_after is not None:
            return error.retry_after
        return DEFAULT_RATE_LIMIT_DELAY if isinstance(error, OtpiqRateLimitError) else min(2**self.count, MAX_BACKOFF)
