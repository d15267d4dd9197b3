"""HTTP retries within one call. Airflow's task retries have ``retry_policy``."""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConnectionError,
    OtpiqRateLimitError,
    OtpiqServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_TOTAL_DELAY = 60.0
"""Seconds that one call waits in total. Airflow does longer waits, without a worker slot."""
MAX_BACKOFF = 8.0
"""Seconds."""
DEFAULT_RATE_LIMIT_DELAY = 5.0
"""Seconds after a 429 without a wait."""


def with_retries(attempt: Callable[[], Result], max_retries: int, *, is_idempotent: bool) -> Result:
    """Attempt a request until it succeeds or must not be retried; one call waits for one 429 only."""
    delays: list[float] = []
    was_rate_limited = False
    while True:
        try:
            return attempt()
        except OtpiqApiError as error:
            delay = _delay(error, len(delays), is_idempotent)
            is_rate_limit = isinstance(error, OtpiqRateLimitError)
            is_exhausted = len(delays) >= max_retries or sum(delays) + delay > MAX_TOTAL_DELAY
            if is_exhausted or (is_rate_limit and was_rate_limited):
                raise
            was_rate_limited |= is_rate_limit
            delays.append(delay)
            log.warning("%s HTTP retry %d in %.0f s.", error, len(delays), delay)
        wait(delays[-1])


def wait(seconds: float) -> None:
    """Sleep, unless the pytest plugin takes the waits out."""
    if os.environ.get("OTPIQ_SKIP_RETRY_WAITS") != "1":
        time.sleep(seconds)


def _delay(error: OtpiqApiError, retries: int, is_idempotent: bool) -> float:
    """Return the seconds to wait before the next HTTP retry; infinity if the error allows none."""
    if not isinstance(error, OtpiqRateLimitError | OtpiqConnectionError | OtpiqServerError):
        return math.inf
    if error.may_have_taken_effect and not is_idempotent:
        return math.inf
    if error.retry_after is not None:
        return error.retry_after
    return DEFAULT_RATE_LIMIT_DELAY if isinstance(error, OtpiqRateLimitError) else min(2**retries, MAX_BACKOFF)
