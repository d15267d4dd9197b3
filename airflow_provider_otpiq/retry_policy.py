"""
The retry policy of the operators, on Airflow 3.3 or later.

On an older Airflow, importing this module raises an ImportError; the operators then have no policy.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import RetryDecision, RetryPolicy

from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqCreditError

if TYPE_CHECKING:
    from airflow.sdk import Context

MAX_DELAY = 3600.0  # seconds


class OtpiqRetryPolicy(RetryPolicy):
    """
    The default ``retry_policy`` of this provider's operators.

    Insufficient credit and a reached spending limit fail immediately. If OTPIQ asks to wait, that is the delay before
    the next try, one hour at most, without a worker slot. Everything else follows the task's own ``retries`` and
    ``retry_delay``. An error that a retry cannot fix is an ``AirflowFailException``, for which Airflow asks no policy.
    """

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,
        max_tries: int,
        context: Context | None = None,
    ) -> RetryDecision:
        """
        Decide what follows a failed try.

        :param exception: the try's exception.
        :param try_number: the failed try, from 1. Not used.
        :param max_tries: the task's number of tries. Not used: Airflow enforces it.
        :param context: the task's context. Not used.
        :return: fail, retry after a delay, or Airflow's default.
        """
        if isinstance(exception, OtpiqCreditError):
            reason = f"The credit or the spending limit does not cover the request. {OtpiqCreditError.remedy}"
            return RetryDecision.fail(reason=reason)
        if isinstance(exception, OtpiqApiError) and exception.retry_after:
            delay = timedelta(seconds=min(exception.retry_after, MAX_DELAY))
            return RetryDecision.retry(delay=delay, reason=f"OTPIQ asks to wait {delay}.")
        return RetryDecision.default()
