"""OTPIQ's response: the requested data, or an error with a remedy."""

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

from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq._validation_errors import format_errors
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqAuthenticationError,
    OtpiqConflictError,
    OtpiqCreditError,
    OtpiqRedirectError,
    OtpiqRequestError,
    OtpiqResponseError,
    error_class,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel, SecretStr

# Names in the vendor's older OpenAPI file for SMS; that campaigns use them is assumption `credit-error`.
_AMOUNTS = ("yourCredit", "requiredCredit", "currentSpending", "spendingThreshold", "cost")
_CREDIT_ERROR_AMOUNTS = {"requiredCredit", "spendingThreshold"}
# The documentation's own words, assumption `state-refusal`; with any other it is a general refusal.
_STATE_ERROR = re.compile(
    r"draft or scheduled|(has|have) (already )?started|cannot be modified|is running", re.IGNORECASE
)
_REMEDY_FOR_HTML = (
    "Check the proxy and the firewall between the worker and OTPIQ, and the connection's host, then clear the task."
)
_BLAME_THE_DAG = (OtpiqAuthenticationError, OtpiqConflictError, OtpiqRequestError)
# An API may send HTML for an unknown address, and a redirect or a rate limit keeps its usual remedy.
_EXPLAINED = (*range(300, 400), HTTPStatus.NOT_FOUND, HTTPStatus.TOO_MANY_REQUESTS)
_CAMPAIGN_IN_PATH = re.compile(r"/whatsapp/campaigns/(?P<id>[0-9a-fA-F]{24})(?:/(?P<action>\w+))?$")


@dataclass(frozen=True)
class RawResponse:
    """A complete response, not parsed yet."""

    call: str
    """The request, for errors: ``"POST /whatsapp/campaigns (connection 'otpiq_default')"``."""
    path: str
    """The request's path, below the base URL."""
    status: int
    headers: Mapping[str, str]
    content: bytes
    api_key: SecretStr
    """The request's key, which no error shows even if OTPIQ echoes it."""
    substitute_for: Callable[[str], str] | None = None
    """What is shown instead of a text that repeats personal data of the request, which is None if it has none."""

    def sanitize(self, text: str) -> str:
        """Return a text of the response without the API key, or a substitute if it repeats personal data."""
        substitute = self.substitute_for and self.substitute_for(text)
        return substitute or sanitize(text, self.api_key)


def parse_response(response: RawResponse, model: type[BaseModel]) -> Any:
    """
    Return the body of a response that follows the contract: an object or a list.

    :raises OtpiqApiError: if the status is outside 2xx, or the body breaks the contract.
    """
    if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
        raise error_from_response(response)
    body = _json(response)
    if not (errors := _contract_errors(response, body, model)):
        return body
    message = _server_message(response, _fields(body))
    raise OtpiqResponseError(
        f"{response.call} returned {response.status} and a response outside OTPIQ's contract"
        f" ({_with_assumption(errors, model)}): {message or _kind(response)}.{_sender_of_html(response)}",
        status_code=response.status,
        server_message=message,
    )


def _with_assumption(errors: list[str], model: type[BaseModel]) -> str:
    text, assumption = "; ".join(errors), getattr(model, "assumption", None)
    return text if "assumption" in text or assumption is None else f"{text}; assumption {assumption}"


def _contract_errors(response: RawResponse, body: Any, model: type[BaseModel]) -> list[str]:
    try:
        model.model_validate(body)
    except ValidationError as error:
        return format_errors(error)
    return _other_campaign_errors(response.path, _fields(body).get("data"))


def _other_campaign_errors(path: str, campaign: Any) -> list[str]:
    """Compare the ids in a response with the id in the request's path."""
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


def error_from_response(response: RawResponse) -> OtpiqApiError:
    """Return the error of a response outside 2xx."""
    body = _fields(_json(response))
    amounts = {name: body[name] for name in _AMOUNTS if _is_number(body.get(name))}
    error = error_class(response.status)
    if error is OtpiqRequestError and amounts.keys() & _CREDIT_ERROR_AMOUNTS:
        error = OtpiqCreditError
    if error is OtpiqRequestError and _STATE_ERROR.search(_raw_message(body)):
        error = OtpiqConflictError
    message = _server_message(response, body)
    details = message or _kind(response)
    if not message and response.status == HTTPStatus.BAD_REQUEST and body:
        details += " (assumption error-body)"
    if error is OtpiqRedirectError:
        location = response.headers.get("Location")
        details += f", to {response.sanitize(location)}" if location else ", without a Location"
    details += "".join(f", {name} {amount:,} IQD" for name, amount in amounts.items())
    sender = _sender_of_html(response)
    return error(
        f"{response.call} returned {response.status}: {details}.{sender}",
        status_code=response.status,
        server_message=message,
        retry_after=_retry_after(response, body),
        amounts=amounts,
        may_have_taken_effect=response.status == HTTPStatus.SEE_OTHER or None,  # processed, with the result elsewhere
        remedy=_REMEDY_FOR_HTML if sender and error in _BLAME_THE_DAG else None,
    )


def _json(response: RawResponse) -> Any:
    try:
        return from_json(response.content, allow_inf_nan=False)
    except ValueError:
        return {}


def _fields(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {}


def _raw_message(body: dict[str, Any]) -> str:
    found = [body.get("message"), body.get("error"), _fields(body.get("error")).get("message")]
    return next((text for text in found if isinstance(text, str) and text.strip().rstrip(".")), "")


def _server_message(response: RawResponse, body: dict[str, Any]) -> str | None:
    return response.sanitize(_raw_message(body)).rstrip(".") or None


def _kind(response: RawResponse) -> str:
    kind = response.headers.get("Content-Type")
    of_kind = f" of {response.sanitize(kind)}" if kind else " without a content type"
    return f"no message, {describe_count(len(response.content), 'byte')}{of_kind}"


def _sender_of_html(response: RawResponse) -> str:
    """Return a sentence about the probable sender of HTML; empty if the status has another explanation."""
    is_html = "html" in response.headers.get("Content-Type", "").lower() and bool(response.content)
    if not is_html or response.status in _EXPLAINED or _json(response):
        return ""
    return " The HTML probably comes from something between the worker and OTPIQ, such as a proxy or a firewall."


def _retry_after(response: RawResponse, body: dict[str, Any]) -> float | None:
    # If header and body differ, the longer wait is the safe one.
    waits = [_header_seconds(response.headers.get("Retry-After")), _body_seconds(body.get("waitMinutes"))]
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
