"""Refusals and responses that contradict an assumption about OTPIQ: errors name it, with what to do."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from airflow_provider_otpiq._models.campaigns import CreateCampaign, UpdateCampaign
from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.assumptions import ASSUMPTIONS
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqError, OtpiqRequestError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pendulum import DateTime

log = logging.getLogger(__name__)

_PRECISION = pendulum.duration(minutes=1)
"""OTPIQ may leave out the seconds."""


class _Doubt(NamedTuple):
    assumption: str
    message: str
    """The pattern of OTPIQ's message."""
    concerns: Callable[[CreateCampaign | UpdateCampaign], object]
    """Whether a request relies on the assumption."""


_DOUBTS = (
    _Doubt("back-to-draft", "", lambda new: isinstance(new, UpdateCampaign) and new.schedule_type == "now"),
    _Doubt("time-alone", "schedule ?type", lambda new: new.scheduled_for and new.schedule_type is None),
    _Doubt(
        "schedule-alone", "scheduled ?for", lambda new: new.scheduled_for is None and new.schedule_type == "schedule"
    ),
    _Doubt("time-offset", "future|past", lambda new: new.scheduled_for),
    _Doubt("schedule-far-ahead", "within|ahead|later than|days", lambda new: new.scheduled_for),
    _Doubt("schedule-empty", "recipient", lambda new: new.schedule_type == "schedule"),
    _Doubt("name-reuse", "name.*(exist|taken|unique|duplicate)", lambda new: isinstance(new, CreateCampaign)),
)


def doubt(error: OtpiqApiError, assumption_id: str) -> None:
    """Add to an error's message that an assumption may be wrong, and what to do then."""
    assumption = ASSUMPTIONS[assumption_id]
    text = f"Perhaps assumption {assumption_id} is wrong ({assumption.text.rstrip('.')}). {assumption.if_wrong}"
    error.args = (f"{error.args[0]} {text}", *error.args[1:])


@contextmanager
def doubt_refusals(request: CreateCampaign | UpdateCampaign) -> Iterator[None]:
    """Name the assumption in an error if a request relies on it and OTPIQ's message is about it."""
    try:
        yield
    except OtpiqRequestError as error:
        for candidate in _DOUBTS:
            message = error.server_message or ""
            if candidate.concerns(request) and re.search(candidate.message, message, re.IGNORECASE):
                doubt(error, candidate.assumption)
                break
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
