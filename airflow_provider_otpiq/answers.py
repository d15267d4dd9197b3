"""An HTTP answer of OTPIQ, or none: the data that was asked for, or the error that says what to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from pydantic import ValidationError
from pydantic_core import from_json
from urllib3.exceptions import InvalidHeader, NewConnectionError, SSLError
from urllib3.util import Retry

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqError,
    OtpiqOutcomeUnknownError,
    OtpiqRedirectError,
    OtpiqRequestError,
    OtpiqResponseError,
    OtpiqServerError,
    error_class,
)
from airflow_provider_otpiq.problems import listed_problems
from airflow_provider_otpiq.redaction import presentable
from airflow_provider_otpiq.transport import LARGEST_ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel, SecretStr

# Names of the vendor's older OpenAPI file for SMS; that campaigns use the same is an assumption.
_AMOUNTS = ("yourCredit", "requiredCredit", "currentSpending", "spendingThreshold", "cost")
_MARKS_OF_A_CREDIT_ERROR = {"requiredCredit", "spendingThreshold"}


@dataclass(frozen=True)
class Answer:
    """An answer, read whole."""

    call: str
    """What it answers, for errors: ``"POST /whatsapp/campaigns (connection 'otpiq_default')"``."""
    status: int
    headers: Mapping[str, str]
    content: bytes
    api_key: SecretStr
    """The key of the call, so that it can be kept out of an error even if OTPIQ repeats it."""
    sanitize: Callable[[str], str] = str
    """Keeps out of an error what the request said of people, even if OTPIQ repeats it."""

    def presentable(self, text: str) -> str:
        """
        Make a text of the answer fit for an error.

        :param text: any text.
        :return: the text as :func:`~airflow_provider_otpiq.redaction.presentable` makes it, without the call's key
            and people.
        """
        return presentable(self.sanitize(text), self.api_key)


def accepted(answer: Answer, model: type[BaseModel]) -> dict[str, Any]:
    """
    Take the body out of an answer that keeps the contract.

    :param answer: the answer.
    :param model: what the contract says of the body.
    :return: the body as OTPIQ sent it.
    :raises OtpiqApiError: if the status is outside 2xx, or the body is not what the contract says.
    """
    if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        raise _refusal(answer)
    body = _json(answer)
    try:
        model.model_validate(body)
    except ValidationError as error:
        problems = "; ".join(listed_problems(error))
    else:
        return body
    message = _server_message(answer, body)
    raise OtpiqResponseError(
        f"{answer.call} was answered with {answer.status} and something that is not in OTPIQ's contract"
        f" ({problems}): {message or _kind(answer)}. {OtpiqResponseError.remedy}",
        status_code=answer.status,
        server_message=message,
    )


def no_answer(call: str, error: Exception, api_key: SecretStr) -> OtpiqError:
    """
    Say why no answer came.

    :param call: what was to be answered.
    :param error: what requests, urllib3 or the network raised.
    :param api_key: the key of the call, which must not be in the text.
    :return: the error to raise, outside of the handler: its context would hold the request, and the key with it.
    """
    reason = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)  # of urllib3's MaxRetryError
    reason = getattr(reason, "original_error", reason)  # of its ProxyError
    said = presentable(str(reason.args[-1] if getattr(reason, "args", None) else reason), api_key).rstrip(".")
    if isinstance(reason, SSLError) and "CERTIFICATE_VERIFY_FAILED" in said:
        return OtpiqConfigurationError(
            f"{call} was not sent, as the server's certificate is not to be trusted: {said}. Check the connection's"
            " host; for a certificate authority of your own, set REQUESTS_CA_BUNDLE on the workers."
        )
    if isinstance(error, requests.RequestException) and isinstance(error, ValueError):  # InvalidURL and its kin
        return OtpiqConfigurationError(f"{call} could not even be sent: {said}. Check the connection's host.")
    return OtpiqConnectionError(
        f"{call} got no whole answer: {said}. {OtpiqConnectionError.remedy}",
        never_processed=isinstance(error, requests.ConnectTimeout) or isinstance(reason, NewConnectionError),
    )


def too_large(call: str) -> OtpiqConnectionError:
    """
    Say that an answer was not read.

    :param call: what was answered.
    :return: the error to raise.
    """
    return OtpiqConnectionError(
        f"{call} got an answer of more than {LARGEST_ANSWER} bytes, which was not read. {OtpiqConnectionError.remedy}"
    )


def leaves_the_outcome_unknown(error: BaseException) -> bool:
    """
    Tell whether a request may have taken effect although it failed.

    :param error: what was raised while it was sent and its answer was read.
    :return: False only where OTPIQ refused it, or it never reached OTPIQ.
    """
    if isinstance(error, OtpiqConnectionError | OtpiqServerError | OtpiqResponseError):
        return not error.never_processed
    if isinstance(error, OtpiqRedirectError):
        return error.status_code == HTTPStatus.SEE_OTHER  # "done, look there"
    return not isinstance(error, OtpiqError)


def outcome_unknown(call: str, error: BaseException) -> OtpiqOutcomeUnknownError:
    """
    Say that nobody knows whether a request took effect.

    :param call: what was sent.
    :param error: what was raised before an answer was read.
    :return: the error to raise.
    """
    if isinstance(error, OtpiqApiError):
        said = str(error).removesuffix(error.remedy)  # which says that a later try can succeed
    else:
        said = f"{type(error).__name__}: {presentable(str(error))}"
    return OtpiqOutcomeUnknownError(
        f"Nobody knows whether {call} took effect. {OtpiqOutcomeUnknownError.remedy} What was seen: {said.strip()}",
        status_code=getattr(error, "status_code", None),
        server_message=getattr(error, "server_message", None),
    )


def _refusal(answer: Answer) -> OtpiqApiError:
    body = _json(answer)
    amounts = {name: body[name] for name in _AMOUNTS if _is_number(body.get(name))}
    error = error_class(answer.status)
    if error is OtpiqRequestError and amounts.keys() & _MARKS_OF_A_CREDIT_ERROR:
        error = OtpiqCreditError
    message = _server_message(answer, body)
    said = message or _kind(answer)
    if error is OtpiqRedirectError:
        said += f", to {answer.presentable(answer.headers.get('Location', 'nowhere'))}"
    details = "".join(f", {name} {amount:,} IQD" for name, amount in amounts.items())
    return error(
        f"{answer.call} was answered with {answer.status}: {said}{details}. {error.remedy}",
        status_code=answer.status,
        server_message=message,
        retry_after=_retry_after(answer, body),
        amounts=amounts,
        never_processed=answer.status == HTTPStatus.TOO_MANY_REQUESTS,
    )


def _json(answer: Answer) -> dict[str, Any]:
    try:
        body = from_json(answer.content, allow_inf_nan=False)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _server_message(answer: Answer, body: dict[str, Any]) -> str | None:
    nested = body["error"] if isinstance(body.get("error"), dict) else {}
    found = [body.get("message"), body.get("error"), nested.get("message")]
    texts = [answer.presentable(text).rstrip(".") for text in found if isinstance(text, str)]
    return next(filter(None, texts), None)


def _kind(answer: Answer) -> str:
    kind = answer.presentable(answer.headers.get("Content-Type", "no content type"))
    return f"no message, {len(answer.content)} bytes of {kind}"


def _retry_after(answer: Answer, body: dict[str, Any]) -> float | None:
    # Where header and body differ, the longer wait is the safe one.
    waits = [_header_seconds(answer.headers.get("Retry-After")), _body_seconds(body.get("waitMinutes"))]
    return max((wait for wait in waits if wait is not None), default=None)


def _header_seconds(value: str | None) -> float | None:
    try:
        return None if value is None else float(Retry().parse_retry_after(value))
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _body_seconds(minutes: object) -> float | None:
    return float(minutes) * 60 if _is_number(minutes) and minutes >= 0 else None  # type: ignore[arg-type,operator]


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer that is larger than any float
        return False
