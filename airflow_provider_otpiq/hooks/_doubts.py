"""Refusals and responses that contradict an assumption about OTPIQ: errors name it, with what to do."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqError,
    OtpiqNotFoundError,
    OtpiqRequestError,
    OtpiqValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pendulum import DateTime

log = logging.getLogger(__name__)

_PRECISION = pendulum.duration(minutes=1)
"""OTPIQ may leave out the seconds."""


_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
_A_DAY = pendulum.duration(days=1)
"""A time that is farther ahead is not too soon for OTPIQ."""


class _Doubt(NamedTuple):
    """A refusal that contradicts an assumption."""

    assumption: str
    message: str
    """The pattern of OTPIQ's message, in lower case."""
    concerns: Callable[[CreateCampaign | UpdateCampaign], object]
    """Whether the request relies on the assumption."""
    condition: str = "Perhaps"


def _is_ahead(request: CreateCampaign | UpdateCampaign, distance: pendulum.Duration) -> bool:
    return request.scheduled_for is not None and request.scheduled_for > pendulum.now("UTC") + distance


def _is_only_a_stop(request: CreateCampaign | UpdateCampaign) -> bool:
    return request.body() == {"scheduleType": "now", "scheduledFor": None}


_DOUBTS = (
    _Doubt("back-to-draft", "", _is_only_a_stop, "If the campaign has not started,"),
    _Doubt("state-refusal", "", _is_only_a_stop, "If the campaign has started,"),
    _Doubt("time-alone", "schedule ?type", lambda new: new.scheduled_for and new.schedule_type is None),
    _Doubt(
        "schedule-alone",
        "scheduled ?for",
        lambda new: new.scheduled_for is None and new.schedule_type == "schedule",
        "If the campaign has a time,",
    ),
    _Doubt("time-offset", "future|past", lambda new: _is_ahead(new, _PRECISION)),
    _Doubt("schedule-far-ahead", "within|ahead|later than|days", lambda new: _is_ahead(new, _A_DAY)),
    _Doubt(
        "schedule-empty", "recipient", lambda new: isinstance(new, CreateCampaign) and new.schedule_type == "schedule"
    ),
    _Doubt("name-reuse", "name.*(already|taken|unique|duplicate)", lambda new: isinstance(new, CreateCampaign)),
)


def doubt(error: OtpiqApiError, assumption_id: str, condition: str = "Perhaps") -> None:
    """Add to an error's message that an assumption is wrong under a condition, and what to do then."""
    assumption = ASSUMPTIONS[assumption_id]
    text = f"{condition} assumption {assumption_id} is wrong ({assumption.text.rstrip('.')}). {assumption.if_wrong}"
    error.args = (f"{error.args[0]} {text}", *error.args[1:])


@contextmanager
def doubt_refusals(request: CreateCampaign | UpdateCampaign) -> Iterator[None]:
    """Name an assumption in an error if the request relies on it and OTPIQ's message is about it."""
    try:
        yield
    except OtpiqRequestError as error:
        message = (error.server_message or "").lower()
        for candidate in _DOUBTS if message and error.status_code in _REFUSED else ():
            if re.search(candidate.message, message) and candidate.concerns(request):
                doubt(error, candidate.assumption, candidate.condition)
        raise


@contextmanager
def doubt_report(phone_numbers: Sequence[str] | None) -> Iterator[None]:
    """Name an assumption in an error if OTPIQ refuses a report without messages, or one for many phone numbers."""
    try:
        yield
    except OtpiqNotFoundError as error:
        if re.search("message|record|data", (error.server_message or "").lower()):
            doubt(error, "report-empty")
        raise
    except OtpiqRequestError as error:
        is_limit = re.search("number.*(most|max|many|limit|exceed|more than)", (error.server_message or "").lower())
        if is_limit and len(phone_numbers or ()) > 1:
            doubt(error, "report-1000-numbers")
        raise


def require_same_time(update: Callable[..., dict[str, Any]], campaign: Mapping[str, Any], wanted: DateTime) -> None:
    """
    Make a campaign a draft again if OTPIQ has read its time differently: assumption ``time-offset``.

    :param update: changes a campaign.
    :param campaign: the response to the request with the time.
    :raises OtpiqValidationError: if the time differs; the text contains whether the campaign is a draft.
    """
    shown, expected = sanitize(str(campaign.get("scheduledFor"))), to_api_format(wanted)
    try:
        differs = abs(parse_datetime(campaign.get("scheduledFor")) - wanted) >= _PRECISION
    except ValueError:
        differs = bool(campaign.get("startedAt"))
        log.warning(
            "Campaign %s: OTPIQ's scheduledFor, %s, cannot be compared with %s (assumption time-offset). Check the time"
            " in OTPIQ's dashboard.",
            campaign["_id"],
            shown,
            expected,
        )
    if differs:
        error = f"scheduled_for: OTPIQ has {shown}; expected {expected}"
        state = _state_without_time(update, campaign)
        raise OtpiqValidationError(f"Campaign {campaign['_id']}: {error}. {state}", errors=[error])


def _state_without_time(update: Callable[..., dict[str, Any]], campaign: Mapping[str, Any]) -> str:
    """Make a campaign with a wrong time a draft again, and return its state."""
    if campaign.get("startedAt"):
        return (
            "It has started, and OTPIQ has not refused the change (assumption started-refused). If it already runs as"
            " intended, mark the task as success."
        )
    try:
        is_draft = not update(campaign_id=campaign["_id"], schedule_type="now").get("scheduledFor")
    except OtpiqError as failure:
        log.error("%s", failure)
        is_draft = False
    if is_draft:
        return "It is a draft again, and starts at no wrong time (assumption time-offset)."
    return (
        "It could not be made a draft again. Make it a draft in OTPIQ's dashboard before it starts (assumption"
        " time-offset)."
    )
