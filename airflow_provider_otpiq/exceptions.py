"""
The exceptions of this provider: what happened, what to do, and whether the request may have taken effect.

::

    OtpiqError                                                                   may have taken effect
    ├── OtpiqConfigurationError  *   the connection is wrong -> fix it                       no
    ├── OtpiqValidationError     *   a field is wrong -> fix the DAG                         no
    ├── OtpiqSupersededError     *   a stop or a later start replaces the task -> nothing    no
    └── OtpiqApiError                a request failed
        ├── OtpiqRequestError        *   400, 422, other 4xx -> fix the DAG                  no
        ├── OtpiqAuthenticationError *   401, 403 -> fix the API key                         no
        ├── OtpiqNotFoundError       *   404 -> fix the id or the base URL                   no
        ├── OtpiqConflictError       *   409, 400 about its state -> check the campaign      no
        ├── OtpiqRedirectError       *   3xx -> fix the base URL                             303 only
        ├── OtpiqReportError         *   a report that is not as documented -> ask OTPIQ     no
        ├── OtpiqOutcomeUnknownError *   a start or a sample, for each "yes" below -> check  yes
        ├── OtpiqCreditError             400 with amounts of money -> top up                 no
        ├── OtpiqDownloadError           a report's file is missing or incomplete -> retry   no
        ├── OtpiqRateLimitError          429 -> wait for ``retry_after``                     no
        ├── OtpiqServerError             408, 425, 5xx -> retry                              yes
        ├── OtpiqResponseError           a response that is not in the contract -> retry     yes
        └── OtpiqConnectionError         no complete response -> retry                       yes, if it was sent

``*`` also derives from :class:`~airflow.exceptions.AirflowFailException`: a retry cannot fix it, so Airflow fails the
task immediately and does not use its retries.

No error's text contains the API key or a complete phone number.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OtpiqError(AirflowException):
    """The root of the exception hierarchy."""

    # In Airflow's exceptions this is the status of its web server; here, the status of OTPIQ's response.
    status_code: int | None = None  # type: ignore[assignment]

    may_have_taken_effect: bool = False
    """
    Whether the request may have been processed although it failed. If False, sending it again is safe.

    It alone decides whether a start or a sample raises :class:`OtpiqOutcomeUnknownError`, and whether a request that is
    not idempotent may be retried.
    """


class OtpiqConfigurationError(OtpiqError, AirflowFailException):
    """The Airflow connection is invalid. Nothing was sent."""


class OtpiqValidationError(OtpiqError, AirflowFailException):
    """
    One or more fields break the API's rules, or the connection's guard rails. Nothing was sent.

    One error comes after a request: a campaign has more recipients than allowed. OTPIQ returns the number only in the
    response to an attach or a change.

    :param message: the complete message, as in the task's log.
    :param errors: the single validation errors, such as ``"field: rule; what was found"``.
    """

    def __init__(self, message: str, *, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class OtpiqSupersededError(OtpiqError, AirflowFailException):
    """The broadcast was stopped while this task was starting it, or started again while this task was stopping it."""


class OtpiqApiError(OtpiqError):
    """
    A request failed.

    :param message: what happened. The error's text is this and the remedy.
    :param status_code: the HTTP status of the response; None without a response.
    :param server_message: OTPIQ's message with masked phone numbers, or a substitute if it repeats a recipient's data;
        None without a message.
    :param retry_after: seconds that OTPIQ asks to wait before the next try; None if it does not ask.
    :param amounts: the response's amounts of money by OTPIQ's names (``requiredCredit``, …), in IQD.
    :param may_have_taken_effect: whether the request may have been processed; None for the class's value.
    :param remedy: what to do next; None for the class's text.
    """

    remedy: str = ""
    """What to do next, in full sentences."""

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        server_message: str | None = None,
        retry_after: float | None = None,
        amounts: Mapping[str, float] | None = None,
        may_have_taken_effect: bool | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.server_message = server_message
        self.retry_after = retry_after
        self.amounts = dict(amounts or {})
        if may_have_taken_effect is not None:
            self.may_have_taken_effect = may_have_taken_effect
        if remedy is not None:
            self.remedy = remedy

    def __str__(self) -> str:
        """Return what happened and what to do next."""
        message = super().__str__()
        # Airflow's serialization creates a new error from an error's complete text.
        return message if message.endswith(self.remedy) else f"{message} {self.remedy}"


class OtpiqRequestError(OtpiqApiError, AirflowFailException):
    """OTPIQ refuses the request (400, 422 and other 4xx)."""

    remedy = "Fix the task's fields according to OTPIQ's message, then clear the task."


class OtpiqAuthenticationError(OtpiqApiError, AirflowFailException):
    """OTPIQ does not accept the API key (401), or the key lacks a permission (403)."""

    remedy = "Check the API key in the connection's password; after a 403, also the key's permissions."


class OtpiqNotFoundError(OtpiqApiError, AirflowFailException):
    """OTPIQ does not find the id or the address (404)."""

    remedy = (
        "Check that the id belongs to the API key's project, and that the connection's host is the complete base URL"
        " (https://api.otpiq.com/api)."
    )


class OtpiqConflictError(OtpiqApiError, AirflowFailException):
    """The campaign's state does not allow this (409, or a 400 about the state in the documentation's words)."""

    remedy = (
        "Check the campaign's state in OTPIQ's dashboard: only a draft or a scheduled campaign can be changed or"
        " started. If it already runs as intended, mark this task as success."
    )


class OtpiqRedirectError(OtpiqApiError, AirflowFailException):
    """The base URL redirects elsewhere (3xx). A redirect is not followed, to keep the API key safe."""

    remedy = "Set the connection's host to the real address of OTPIQ's API."


class OtpiqReportError(OtpiqApiError, AirflowFailException):
    """A report is not as documented: its address is not safe, a column is missing, or a value is invalid."""

    remedy = "No file was written. Upgrade this provider, or ask OTPIQ what has changed."


class OtpiqDownloadError(OtpiqApiError):
    """
    A report's file could not be downloaded: it is missing, has expired, is too large or is incomplete.

    A retry of the task generates a new report.
    """

    remedy = "No file was written. A retry generates a new report."


class OtpiqCreditError(OtpiqApiError):
    """
    The project's credit or spending limit does not cover the request.

    A person can top up between two tries, so the class does not rule out retries. This provider's retry policy does;
    a DAG may set another policy.
    """

    remedy = "Top up the project's credit or raise its spending limit, then clear the task."


class OtpiqRateLimitError(OtpiqApiError):
    """OTPIQ's rate limit is reached (429). The request was not processed."""

    remedy = "OTPIQ asks to wait: a later retry can succeed."


class OtpiqServerError(OtpiqApiError):
    """OTPIQ failed (408, 425, 5xx). Whether the request took effect is unknown."""

    may_have_taken_effect = True
    remedy = "A retry can succeed."


class OtpiqResponseError(OtpiqApiError):
    """The response does not follow the API's contract. Whether the request took effect is unknown."""

    may_have_taken_effect = True
    remedy = "If it happens again, check that the connection's host is OTPIQ's API, and that no proxy responds instead."


class OtpiqConnectionError(OtpiqApiError):
    """
    No complete response arrived: refused, reset, timed out, cut short, malformed or too large.

    If no connection was made, ``may_have_taken_effect`` is False.
    """

    may_have_taken_effect = True
    remedy = "A retry can succeed."


class OtpiqOutcomeUnknownError(OtpiqApiError, AirflowFailException):
    """
    A start or a sample was sent, and whether it took effect is unknown.

    Its messages may be paid for and on their way, so it is never resent automatically: a person checks first.
    """

    may_have_taken_effect = True
    remedy = "Check the campaign in OTPIQ's dashboard before anything is sent again."


_CLASS_BY_STATUS: dict[int, type[OtpiqApiError]] = {
    HTTPStatus.UNAUTHORIZED: OtpiqAuthenticationError,
    HTTPStatus.FORBIDDEN: OtpiqAuthenticationError,
    HTTPStatus.NOT_FOUND: OtpiqNotFoundError,
    HTTPStatus.CONFLICT: OtpiqConflictError,
    HTTPStatus.TOO_MANY_REQUESTS: OtpiqRateLimitError,
    HTTPStatus.REQUEST_TIMEOUT: OtpiqServerError,
    HTTPStatus.TOO_EARLY: OtpiqServerError,
}


def error_class(status: int) -> type[OtpiqApiError]:
    """
    Return the exception class for an HTTP status outside 2xx.

    :param status: the HTTP status of the response.
    :return: the class to raise.
    """
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return OtpiqServerError
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return OtpiqResponseError
    if status < HTTPStatus.BAD_REQUEST:
        return OtpiqRedirectError
    return _CLASS_BY_STATUS.get(status, OtpiqRequestError)
