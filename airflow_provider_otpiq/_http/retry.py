"""Whether one call may repeat its request, and after how long. What it may not is left to Airflow's own retries."""

from __future__ import annotations

import math

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConnectionError,
    OtpiqRateLimitError,
    OtpiqServerError,
)

_LONGEST_PAUSE = 60.0  # seconds in one call; more is Airflow's to wait, which frees the worker slot
_LONGEST_BACKOFF = 8.0
_PAUSE_AFTER_429 = 5.0  # seconds, where OTPIQ does not say how long
_HARMLESS_TO_REPEAT = frozenset({"GET", "PATCH"})


class Repeats:
    """
    The repeats of one call.

    :param method: the HTTP method of its request.
    :param at_most: how many there may be.
    """

    def __init__(self, method: str, at_most: int) -> None:
        self._is_harmless = method in _HARMLESS_TO_REPEAT
        self._left = at_most
        self._backoff = 1.0
        self._paused = 0.0
        self._rate_limited = False

    def pause_after(self, error: OtpiqApiError) -> float | None:
        """
        Count a failed request.

        :param error: how it failed.
        :return: the seconds to wait before it is repeated; None if it may not be.
        """
        is_429 = isinstance(error, OtpiqRateLimitError)
        pause = self._pause(error, is_429)
        if not self._left or self._paused + pause > _LONGEST_PAUSE or (is_429 and self._rate_limited):
            return None
        self._left -= 1
        self._backoff = min(self._backoff * 2, _LONGEST_BACKOFF)
        self._paused += pause
        self._rate_limited = self._rate_limited or is_429
        return pause

    def _pause(self, error: OtpiqApiError, is_429: bool) -> float:
        may_pass = is_429 or isinstance(error, OtpiqConnectionError | OtpiqServerError)
        if not may_pass or (error.may_have_taken_effect and not self._is_harmless):
            return math.inf
        if error.retry_after is not None:
            return error.retry_after
        return _PAUSE_AFTER_429 if is_429 else self._backoff
