"""
Everything that this provider raises.

What happened, whether a retry may help, and whether the request may have taken effect:

::

    OtpiqError                                                                   may have taken effect
    ├── OtpiqConfigurationError  *   the connection is wrong -> fix it                       no
    ├── OtpiqValidationError     *   a field is wrong -> fix the DAG                         no
    └── OtpiqApiError                a request failed
        ├── OtpiqRequestError        *   400, 422, other 4xx -> fix the DAG                  no
        ├── OtpiqAuthenticationError *   401, 403 -> fix the API key                         no
        ├── OtpiqNotFoundError       *   404 -> fix the id or the base URL                   no
        ├── OtpiqConflictError       *   409, 400 about its state -> look at the campaign    no
        ├── OtpiqRedirectError       *   3xx -> fix the base URL                             303 only
        ├── OtpiqReportError         *   a report that is not as documented -> ask OTPIQ     no
        ├── OtpiqOutcomeUnknownError *   a start or a sample, for each "yes" below -> look   yes
        ├── OtpiqCreditError             400 with amounts of money -> top up                 no
        ├── OtpiqDownloadError           a report's file is gone or not whole -> retry       no
        ├── OtpiqRateLimitError          429 -> wait for ``retry_after``                     no
        ├── OtpiqServerError             408, 425, 5xx -> retry                              yes
        ├── OtpiqResponseError           a response that is not in the contract -> retry     yes
        └── OtpiqConnectionError         no complete response -> retry                       yes, if it was sent

``*`` also derives from :class:`~airflow.exceptions.AirflowFailException`: a retry cannot fix it, so Airflow fails the
task immediately and leaves its retries unused, on every version of Airflow.

No message here ever holds the API key or a whole phone number.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class OtpiqError(AirflowException):
    """The root of the exception hierarchy."""

    # Airflow gives each of its exceptions the 500 of its own web server; here the word means OTPIQ's response.
    status_code: int | None = None  # type: ignore[assignment]

    may_have_taken_effect: bool = False
    """
    Whether the request may have been processed although it failed.

    If False, it provably was not, and sending it again is safe. The one place that decides whether a start or a sample
    ends as :class:`OtpiqOutcomeUnknownError`, and whether a request that is not idempotent may be retried.
    """


class OtpiqConfigurationError(OtpiqError, AirflowFailException):
    """The Airflow connection cannot be used as it is. Nothing was sent."""


class OtpiqValidationError(OtpiqError, AirflowFailException):
    """
    One or more fields break the API's rules, or the connection's guard rails. Nothing was sent.

    Only an attach, and a start of a broadcast, can tell afterwards that a campaign holds more recipients than allowed.

    :param message: the whole message, as it stands in the task's log.
    :param errors: each validation error by itself, such as ``"field: rule; what was found"``.
    """

    def __init__(self, message: str, *, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)


class OtpiqApiError(OtpiqError):
    """
    A request failed.

    :param message: what happened. The error's text is this and the remedy.
    :param status_code: the HTTP status of the response; None where there is none.
    :param server_message: OTPIQ's own words, phone numbers masked; None where it sent none.
    :param retry_after: seconds that OTPIQ asks to wait before the next try; None where it does not say.
    :param amounts: the amounts of money in the response by OTPIQ's names (``requiredCredit``, …), in IQD.
    :param may_have_taken_effect: whether the request may have been processed; None for what the class says.
    :param remedy: what to do next; None for what the class says.
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
        # Airflow's own serialisation makes a new error of an error's whole text.
        return message if message.endswith(self.remedy) else f"{message} {self.remedy}"


class OtpiqRequestError(OtpiqApiError, AirflowFailException):
    """OTPIQ refuses the request as it is (400, 422 and other 4xx)."""

    remedy = "Fix the task's fields as OTPIQ's message says, then clear the task."


class OtpiqAuthenticationError(OtpiqApiError, AirflowFailException):
    """OTPIQ does not accept the API key (401), or the key may not do this (403)."""

    remedy = "Check the API key in the connection's password."


class OtpiqNotFoundError(OtpiqApiError, AirflowFailException):
    """There is nothing at that address (404): a wrong id, or a wrong base URL."""

    remedy = "Check the id, and that the connection's host is the whole base URL (https://api.otpiq.com/api)."


class OtpiqConflictError(OtpiqApiError, AirflowFailException):
    """The campaign is not in a state that allows this (409, or a 400 that says so in the documents' words)."""

    remedy = (
        "Look at the campaign's state in OTPIQ's dashboard: only a draft or a scheduled campaign can be changed or"
        " started. If it runs already as you wanted, mark this task as success."
    )


class OtpiqRedirectError(OtpiqApiError, AirflowFailException):
    """The base URL redirects elsewhere (3xx). A redirect is not followed: the API key would go with it."""

    remedy = "Put the address that OTPIQ's API really has into the connection's host."

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.may_have_taken_effect = self.status_code == HTTPStatus.SEE_OTHER  # "done, look there"


class OtpiqReportError(OtpiqApiError, AirflowFailException):
    """A report is not what OTPIQ documents: its address is not safe, a column is missing, or a value cannot be read."""

    remedy = "Nothing was written. Look for a newer version of this provider, or ask OTPIQ what has changed."


class OtpiqDownloadError(OtpiqApiError):
    """
    A report's file could not be downloaded whole: it is gone, has expired, is too large or has other rows than it says.

    A later try of a task makes a new report, so the type leaves the task its retries.
    """

    remedy = "No file was written. A retry makes a new report."


class OtpiqCreditError(OtpiqApiError):
    """
    The project's credit or spending limit does not cover the request.

    A person can top up between two tries, so the type leaves the task its retries; the retry policy of this
    provider fails it immediately, and a DAG may choose another policy.
    """

    remedy = "Top up the project's credit or raise its spending limit, then clear the task."


class OtpiqRateLimitError(OtpiqApiError):
    """OTPIQ wants fewer requests (429). The request was not processed."""

    remedy = "OTPIQ asks to wait: a later retry can succeed."


class OtpiqServerError(OtpiqApiError):
    """OTPIQ failed to respond properly (408, 425, 5xx). Whether the request took effect is unknown."""

    may_have_taken_effect = True
    remedy = "A retry can succeed."


class OtpiqResponseError(OtpiqApiError):
    """The response is not what the API's contract says. Whether the request took effect is unknown."""

    may_have_taken_effect = True
    remedy = "If it happens again, check that the connection's host is OTPIQ's API and that no proxy responds for it."


class OtpiqConnectionError(OtpiqApiError):
    """
    No complete response came: refused, reset, timed out, cut short, malformed or far too large.

    What failed before the request was handed to a connected socket has ``may_have_taken_effect`` False.
    """

    may_have_taken_effect = True
    remedy = "A retry can succeed."


class OtpiqOutcomeUnknownError(OtpiqApiError, AirflowFailException):
    """
    A start or a sample was sent, and whether it took effect is unknown.

    It may have been paid for and be on its way to people, so no program sends it again: a person looks first.
    """

    may_have_taken_effect = True
    remedy = "Look at the campaign in OTPIQ's dashboard before anything is sent again."


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
    Tell which error an HTTP status outside 2xx is.

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
