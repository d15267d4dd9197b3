"""
Whether and when Airflow retries a failed task. Needs Airflow 3.3 or later.

Importing this module on an older Airflow is an ImportError; the operators then work without a policy.
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

    Insufficient credit and a reached spending limit fail immediately: waiting does not fill an account. Where OTPIQ
    says how long to wait, that is the delay of the next try, an hour at the most, and no worker slot is held
    meanwhile. Everything else follows the task's own ``retries`` and ``retry_delay``. (An error that a retry
    cannot fix is an ``AirflowFailException``, for which Airflow never asks a policy.)
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

        :param exception: what the try raised.
        :param try_number: the try that failed, counted from 1. Not used.
        :param max_tries: the tries that the task has. Not used: Airflow itself keeps to it.
        :param context: the task's context. Not used.
        :return: fail, retry after a delay, or Airflow's own way.
        """
        if isinstance(exception, OtpiqCreditError):
            return RetryDecision.fail(reason="Credit or spending limit does not suffice: a person must top up.")
        if isinstance(exception, OtpiqApiError) and exception.retry_after:
            delay = timedelta(seconds=min(exception.retry_after, MAX_DELAY))
            return RetryDecision.retry(delay=delay, reason=f"OTPIQ asks to wait {delay}.")
        return RetryDecision.default()
