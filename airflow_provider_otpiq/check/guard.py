"""
The one place that keeps ``otpiq-check`` from sending a message.

Every request passes this guard. It admits what is listed here and refuses everything else.
"""

from __future__ import annotations

import re
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import OtpiqError

if TYPE_CHECKING:
    from collections.abc import Mapping

CAMPAIGNS = "/whatsapp/campaigns"
GENERATE = "/reports/generate"
UNKNOWN_CAMPAIGN = "0" * 24
"""An id that no campaign has, for a 404."""
UNKNOWN_FIELD = "otpiqCheck"
TAKE_BACK = {"scheduleType": "now", "scheduledFor": None}
"""The update that makes a scheduled campaign a draft again."""
MIN_DISTANCE = timedelta(days=365)
"""How far from now a schedule must be: a person has a year to notice it. In the past, clocks may differ."""

_READS = re.compile(rf"/info|/whatsapp/resources|{CAMPAIGNS}/recipient-payload\?[\w=]+|/reports\?[\w=]+")
_CAMPAIGN = re.compile(rf"{CAMPAIGNS}/(?P<id>[0-9a-fA-F]{{24}})(?P<action>/\w+)?")
_ID = re.compile("[0-9a-fA-F]{24}")
_CREATE = {"name", "templateId", "phoneNumberId", "scheduleType"}
_UPDATE = {"name", "scheduleType", "scheduledFor", UNKNOWN_FIELD}
_REFUSED = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)


class UnsafeRequestError(OtpiqError):
    """The request could send a message, so it was not sent."""


class Guard:
    """
    Refuses every request that could send a message.

    It admits one draft. The draft may be scheduled while nobody is attached, at least a year from now. The user's own
    number may be attached while the draft provably has no schedule; afterwards it is never scheduled again.

    :param phone_number: the user's own phone number in the API's form; None if nobody may be attached.
    """

    def __init__(self, phone_number: str | None) -> None:
        self.phone_number = phone_number
        self.campaign_id: str | None = None
        """The draft's ``_id``; None until OTPIQ's response shows it."""
        self.may_be_scheduled = False
        """Whether the draft may have a schedule: True until OTPIQ's response proves that it has none."""
        self._was_created = self._may_have_started = self._may_have_recipients = self._has_far_time = False
        self._before = (False, False)

    @property
    def warning(self) -> str:
        """What the user must know about the draft; empty if it provably is one."""
        if self.campaign_id is None or not (self.may_be_scheduled or self._may_have_started):
            return ""
        recipients = (
            "Only the number of --phone-number is attached to it, and may get the message."
            if self._may_have_recipients
            else "Nobody is attached to it, so it sends nothing."
        )
        return f"may still be scheduled, or may have started. {recipients}"

    def admit(self, method: str, path: str, body: object) -> None:
        """
        Admit a request that is about to be sent, and assume that it takes effect.

        :raises UnsafeRequestError: if it could send a message.
        """
        self._before = (self.may_be_scheduled, self._may_have_started)
        campaign = _CAMPAIGN.fullmatch(path)
        match method, campaign["action"] if campaign else path, body:
            case "GET", _, None if _READS.fullmatch(path):
                return
            case "POST", "/reports/generate", dict():
                return
            case "POST", "/whatsapp/campaigns", dict():
                self._admit_create(body)
            case "PATCH", None, dict() if campaign:
                self._admit_update(campaign["id"], body)
            case "POST", "/recipients", dict() if campaign:
                self._admit_attach(campaign["id"], body)
            case _:
                raise UnsafeRequestError(f"{method} {path}: is not a request of otpiq-check")

    def follow(self, method: str, path: str, body: object, status: int, content: object) -> None:
        """Learn from the response to an admitted request what its effect was."""
        if status in _REFUSED:
            self.may_be_scheduled, self._may_have_started = self._before
        campaign = content.get("data") if isinstance(content, dict) else None
        if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES or not isinstance(campaign, dict):
            return
        self._may_have_started |= campaign.get("startedAt") is not None
        self.may_be_scheduled |= campaign.get("scheduledFor") is not None
        if path == CAMPAIGNS and _is_id(campaign.get("_id")):
            self.campaign_id = campaign["_id"]
            self.may_be_scheduled = not _has_no_time(campaign)
        if method == "PATCH":
            self._has_far_time = _is_far(campaign.get("scheduledFor"))
            if body == TAKE_BACK and _has_no_time(campaign):
                self.may_be_scheduled = False

    def _admit_create(self, body: Mapping[str, Any]) -> None:
        if self._was_created:
            raise UnsafeRequestError("otpiq-check creates one draft only")
        if set(body) - _CREATE or body.get("scheduleType", "now") != "now":
            raise UnsafeRequestError("otpiq-check creates a draft only")
        self._was_created = True

    def _admit_update(self, campaign_id: str, body: Mapping[str, Any]) -> None:
        if campaign_id == UNKNOWN_CAMPAIGN and set(body) == {"name"}:
            return
        self._require_own(campaign_id)
        if unknown := set(body) - _UPDATE:
            raise UnsafeRequestError(f"otpiq-check does not change {', '.join(sorted(unknown))}")
        time = body.get("scheduledFor")
        if time is None and body.get("scheduleType", "now") == "now":
            return
        if self._may_have_recipients:
            raise UnsafeRequestError("a campaign with recipients is not scheduled")
        if not (self._has_far_time if time is None else _is_far(time)):
            raise UnsafeRequestError(f"scheduledFor: is less than {MIN_DISTANCE.days} days from now")
        self.may_be_scheduled = True
        self._may_have_started |= time is not None and parse_datetime(time) < pendulum.now("UTC")

    def _admit_attach(self, campaign_id: str, body: Mapping[str, Any]) -> None:
        self._require_own(campaign_id)
        if self.may_be_scheduled or self._may_have_started:
            raise UnsafeRequestError("nobody is attached, because the campaign may be scheduled or have started")
        match body:
            case {"recipients": [{"phoneNumber": str(number)}]} if number.removeprefix("+") == self.phone_number:
                self._may_have_recipients = True
            case _:
                raise UnsafeRequestError("nobody is attached but the number of --phone-number")

    def _require_own(self, campaign_id: str) -> None:
        if campaign_id != self.campaign_id:
            raise UnsafeRequestError("otpiq-check changes its own draft only")


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_far(time: object) -> bool:
    """Return whether a time is at least a year from now; False if it is not a valid time."""
    try:
        return abs(parse_datetime(time) - pendulum.now("UTC")) >= MIN_DISTANCE
    except ValueError:
        return False


def _has_no_time(campaign: Mapping[str, Any]) -> bool:
    return "scheduledFor" in campaign and campaign["scheduledFor"] is None and campaign.get("startedAt") is None
