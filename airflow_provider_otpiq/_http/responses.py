"""An HTTP answer of OTPIQ, or none: the data that was asked for, or the error that says what to do."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic_core import from_json
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from airflow_provider_otpiq._redaction import presentable
from airflow_provider_otpiq._validation_errors import listed_problems
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqCreditError,
    OtpiqOutcomeUnknownError,
    OtpiqRedirectError,
    OtpiqRequestError,
    OtpiqResponseError,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel, SecretStr

# Names of the vendor's older OpenAPI file for SMS; that campaigns use the same is an assumption.
_AMOUNTS = ("yourCredit", "requiredCredit", "currentSpending", "spendingThreshold", "cost")
_MARKS_OF_A_CREDIT_ERROR = {"requiredCredit", "spendingThreshold"}
_CAMPAIGN_IN_PATH = re.compile(r"/whatsapp/campaigns/(?P<id>[0-9a-fA-F]{24})(?:/(?P<action>\w+))?$")


@dataclass(frozen=True)
class Answer:
    """An answer, read whole."""

    call: str
    """What it answers, for errors: ``"POST /whatsapp/campaigns (connection 'otpiq_default')"``."""
    path: str
    """The path of the request, below the base URL."""
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
        :return: the text as :func:`~airflow_provider_otpiq._redaction.presentable` makes it, without the call's key
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
    if not (problems := _against_the_contract(answer, body, model)):
        return body
    message = _server_message(answer, body)
    raise OtpiqResponseError(
        f"{answer.call} was answered with {answer.status} and something that is not in OTPIQ's contract"
        f" ({'; '.join(problems)}): {message or _kind(answer)}. {OtpiqResponseError.remedy}",
        status_code=answer.status,
        server_message=message,
    )


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


def _against_the_contract(answer: Answer, body: dict[str, Any], model: type[BaseModel]) -> list[str]:
    try:
        model.model_validate(body)
    except ValidationError as error:
        return listed_problems(error)
    return _about_another_campaign(answer.path, body.get("data"))


def _about_another_campaign(path: str, campaign: Any) -> list[str]:
    """Compare the ids in a response with the one in the request's path."""
    if not (asked := _CAMPAIGN_IN_PATH.match(path)) or not isinstance(campaign, dict):
        return []
    is_sample = asked["action"] == "sample"
    parent = "sampleOfCampaign" if is_sample else "_id"
    errors = []
    if campaign.get(parent) is not None and str(campaign[parent]).lower() != asked["id"].lower():
        errors.append(f"data.{parent}: must be the requested campaign's _id, {asked['id']}; found another")
    if is_sample and campaign["_id"].lower() == asked["id"].lower():
        errors.append("data._id: must be a new campaign's; found the requested campaign's own")
    return errors


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
