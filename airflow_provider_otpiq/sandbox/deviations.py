"""Deviations: how the sandbox differs from OTPIQ as it is assumed to be, one for each id of an assumption."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq.sandbox.campaigns import to_api_time
from airflow_provider_otpiq.sandbox.exchange import (
    refuse_if,
    replace_error,
    replace_in_file,
    replace_values,
    set_fields,
    set_status,
    unwrap,
)
from airflow_provider_otpiq.sandbox.parameters import LINE_BREAK_REASON, refusal_of
from airflow_provider_otpiq.sandbox.schemas import CreateCampaignRequest, RecipientsRequest, UpdateCampaignRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_otpiq.sandbox.exchange import Change, Exchange
    from airflow_provider_otpiq.sandbox.faults import Call

_CREATE: tuple[Call, ...] = ("create",)
_UPDATE: tuple[Call, ...] = ("update",)
_ATTACH: tuple[Call, ...] = ("attach",)
_REPORT: tuple[Call, ...] = ("generate",)
_FILE: tuple[Call, ...] = ("download",)
_SAVE: tuple[Call, ...] = ("create", "update")
_CHANGE: tuple[Call, ...] = ("update", "attach", "sample", "start")
_CAMPAIGN: tuple[Call, ...] = (*_CREATE, *_CHANGE)
_FIELDS: dict[Call, set[str]] = {
    "create": {*CreateCampaignRequest.model_fields},
    "update": {*UpdateCampaignRequest.model_fields},
    "attach": {*RecipientsRequest.model_fields},
    "sample": {*RecipientsRequest.model_fields},
}
_BAGHDAD = timedelta(hours=3)
_FARTHEST = timedelta(days=30)
_MOST_NUMBERS = 100
_CREATED_EARLIER = timedelta(hours=1)


class Deviation(NamedTuple):
    """How the sandbox deviates from an assumption."""

    text: str
    """What it does instead."""
    calls: tuple[Call, ...]
    """The kinds of requests that are affected."""
    before: Change | None = None
    """Changes the request, or refuses it with a ``BadRequestError``."""
    after: Change | None = None
    """Changes the response."""


def _object_id(exchange: Exchange) -> None:
    if exchange.data:
        exchange.data["_id"] = {"$oid": exchange.data["_id"]}


def _any_name(exchange: Exchange) -> None:
    if isinstance(name := exchange.body.get("name"), str):
        exchange.body["name"] = name.ljust(3, "_")[:80]


def _documented_fields(exchange: Exchange) -> None:
    known = _FIELDS[exchange.call]
    exchange.body = {name: value for name, value in exchange.body.items() if name in known}


def _nested_errors(exchange: Exchange) -> None:
    if exchange.error:
        exchange.content = {"statusCode": exchange.status, "errors": [{"detail": exchange.error}]}


def _not_found(exchange: Exchange) -> None:
    if exchange.status == 404:  # noqa: PLR2004
        exchange.status, exchange.content = 400, {"error": "Invalid campaign id"}


def _without_amounts(exchange: Exchange) -> None:
    if exchange.error == "Insufficient credit":
        exchange.content = {"error": exchange.error}


def _ignored(exchange: Exchange) -> None:
    if "draft or scheduled" in exchange.error and exchange.campaign:
        exchange.status = 200
        exchange.content = {"success": True, "data": exchange.campaign.to_api(exchange.now)}


def _soon(exchange: Exchange) -> None:
    if exchange.time and exchange.time <= exchange.now and exchange.body.get("scheduleType") == "schedule":
        exchange.body["scheduledFor"] = to_api_time(exchange.now + timedelta(seconds=1))


def _local_time(exchange: Exchange) -> None:
    if exchange.time:
        exchange.body["scheduledFor"] = to_api_time(exchange.time - _BAGHDAD)


def _has_scheduled_type(exchange: Exchange) -> bool:
    return bool(exchange.body.get("scheduleType") == "schedule")


def _is_empty(exchange: Exchange) -> bool:
    return _has_scheduled_type(exchange) and not (exchange.campaign and len(exchange.campaign.recipients))


def _is_time_alone(exchange: Exchange) -> bool:
    return bool(exchange.time) and "scheduleType" not in exchange.body


def _schedule_at_time(exchange: Exchange) -> None:
    if _is_time_alone(exchange):
        exchange.body["scheduleType"] = "schedule"


def _leaves_schedule(exchange: Exchange) -> bool:
    return bool(exchange.body.get("scheduleType") == "now" and exchange.campaign and exchange.campaign.scheduled)


def _keep_time(exchange: Exchange) -> None:
    if exchange.body.get("scheduleType") == "now":
        exchange.body.pop("scheduledFor", None)


def _attached(exchange: Exchange) -> None:
    if exchange.data:
        exchange.content = {"success": True, "message": "Recipients attached"}


def _recipients(exchange: Exchange) -> list[dict[str, Any]]:
    recipients = exchange.body.get("recipients")
    return (
        [recipient for recipient in recipients if isinstance(recipient, dict)] if isinstance(recipients, list) else []
    )


def _without_plus(exchange: Exchange) -> None:
    for recipient in _recipients(exchange):
        recipient["phoneNumber"] = str(recipient.get("phoneNumber")).removeprefix("+")


def _has_line_break(exchange: Exchange) -> bool:
    return any(refusal_of(recipient.get("templateParameters")) for recipient in _recipients(exchange))


def _flat_buttons(exchange: Exchange) -> None:
    for parameter in exchange.data.get("fields", ()):
        path = parameter["templateParametersPath"]
        parameter["templateParametersPath"] = re.sub(r"buttons\.(\d+)\.(\d+)", r"buttons[\1].\2", path)


def _later_window(exchange: Exchange) -> None:
    with suppress(KeyError, ValueError):
        start = datetime.fromisoformat(exchange.body["startDate"]) + _CREATED_EARLIER
        end = datetime.fromisoformat(exchange.body["endDate"]) + _CREATED_EARLIER
        exchange.body |= {"startDate": to_api_time(start), "endDate": to_api_time(end)}


def _wrap(exchange: Exchange) -> None:
    if "_id" in exchange.content:
        exchange.content = {"success": True, "data": exchange.content}


def _no_empty_report(exchange: Exchange) -> None:
    if exchange.content.get("recordCount") == 0:
        exchange.status, exchange.content = 404, {"message": "No messages found"}


def _private_host(exchange: Exchange) -> None:
    if "downloadUrl" in exchange.content:
        path = exchange.content["downloadUrl"].partition("/files/")[2]
        exchange.content["downloadUrl"] = f"http://files.internal/{path}"


def _one_more(exchange: Exchange) -> None:
    if "recordCount" in exchange.content:
        exchange.content["recordCount"] += 1


def _key_required(exchange: Exchange) -> None:
    exchange.status, exchange.content = 401, {"message": "Unauthorized"}


DEVIATIONS = {
    "create-status": Deviation("A create returns 200.", _CREATE, after=set_status(200)),
    "create-shape": Deviation("A create returns the campaign itself.", _CREATE, after=unwrap),
    "campaign-id": Deviation('_id is an object: {"$oid": "…"}.', _CAMPAIGN, after=_object_id),
    "update-status": Deviation("An update returns 202.", _UPDATE, after=set_status(202)),
    "update-shape": Deviation("An update returns the campaign itself.", _UPDATE, after=unwrap),
    "update-recipients": Deviation(
        "An update returns no totalRecipients.", _UPDATE, after=set_fields(totalRecipients=None)
    ),
    "update-cost": Deviation(
        "An update returns no estimatedTotalCost.", _UPDATE, after=set_fields(estimatedTotalCost=None)
    ),
    "attach-counts-at-once": Deviation(
        "totalRecipients stays 0 until the campaign starts.", ("attach", "update"), after=set_fields(totalRecipients=0)
    ),
    "name-limits": Deviation("A short name is padded, and a long one is cut.", _SAVE, before=_any_name),
    "name-reuse": Deviation(
        "A create with the name of another campaign returns 400.",
        _CREATE,
        before=refuse_if("A campaign with this name already exists", lambda new: new.body.get("name") in new.names),
    ),
    "unknown-fields": Deviation("Unknown fields are ignored.", tuple(_FIELDS), before=_documented_fields),
    "error-body": Deviation("A 400 has a list of errors.", (*_CAMPAIGN, *_REPORT), after=_nested_errors),
    "unknown-campaign": Deviation("An unknown campaign returns 400.", _CHANGE, after=_not_found),
    "credit-error": Deviation("The 400 has no amounts.", ("start", "sample"), after=_without_amounts),
    "state-refusal": Deviation(
        "The 400 has other words.",
        _CHANGE,
        after=replace_error("draft or scheduled", 400, error="Operation not permitted"),
    ),
    "started-refused": Deviation(
        "A change to a campaign that has started returns 200, and changes nothing.", _CHANGE, after=_ignored
    ),
    "past-time-refused": Deviation("A campaign that is scheduled in the past starts.", _SAVE, before=_soon),
    "time-offset": Deviation("The time is read as three hours earlier, as in Baghdad.", _SAVE, before=_local_time),
    "schedule-far-ahead": Deviation(
        "A time more than 30 days ahead returns 400.",
        _SAVE,
        before=refuse_if(
            "scheduledFor must be within 30 days", lambda new: new.time and new.time > new.now + _FARTHEST
        ),
    ),
    "schedule-empty": Deviation(
        "A schedule without recipients returns 400.",
        _SAVE,
        before=refuse_if("A campaign without recipients cannot be scheduled", _is_empty),
    ),
    "time-alone": Deviation(
        "It returns 400.",
        _UPDATE,
        before=refuse_if("scheduleType is required with scheduledFor", _is_time_alone),
    ),
    "time-alone-keeps-draft": Deviation("It schedules a draft.", _UPDATE, before=_schedule_at_time),
    "schedule-alone": Deviation(
        "It returns 400.",
        _UPDATE,
        before=refuse_if(
            "scheduledFor is required", lambda new: _has_scheduled_type(new) and "scheduledFor" not in new.body
        ),
    ),
    "back-to-draft": Deviation(
        "It returns 400.", _UPDATE, before=refuse_if("A scheduled campaign cannot become a draft", _leaves_schedule)
    ),
    "null-clears-time": Deviation("The campaign is a draft, and keeps the time.", _UPDATE, before=_keep_time),
    "attach-shape": Deviation("An attach returns only a message.", _ATTACH, after=_attached),
    "attach-all-present": Deviation(
        "The 400 has other words.", _ATTACH, after=replace_error("^All of these", 400, error="No new recipients")
    ),
    "plus-refused": Deviation("It is accepted.", ("attach", "sample"), before=_without_plus),
    "line-break-accepted": Deviation(
        "It returns 400.", ("attach", "sample"), before=refuse_if(LINE_BREAK_REASON, _has_line_break)
    ),
    "button-parameters": Deviation("Its path has brackets: buttons[0].1.", ("payload",), after=_flat_buttons),
    "resource-values": Deviation(
        "They are ACTIVE and ONLINE.", ("resources",), after=replace_values(APPROVED="ACTIVE", CONNECTED="ONLINE")
    ),
    "rate-limit": Deviation(
        "Responses have the header X-RateLimit-Limit.",
        _CAMPAIGN,
        after=lambda exchange: exchange.headers.update({"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}),
    ),
    "report-shape": Deviation(
        "A report is in data.",
        _REPORT,
        after=_wrap,
    ),
    "report-empty": Deviation("It returns 404.", _REPORT, after=_no_empty_report),
    "report-columns": Deviation(
        "Phone Number is called Recipient.", _FILE, after=replace_in_file("Phone Number", "Recipient")
    ),
    "report-times": Deviation("They have no offset.", _FILE, after=replace_in_file(r"(\d\d:\d\d:\d\d[.\d]*)Z", r"\1")),
    "report-host": Deviation("It is http on a private host.", _REPORT, after=_private_host),
    "report-download": Deviation("It returns 401.", _FILE, after=_key_required),
    "report-record-count": Deviation("It is one more.", _REPORT, after=_one_more),
    "report-phone-numbers": Deviation(
        "Their last digits are hidden.", _FILE, after=replace_in_file(r"^([^,]*,\+?\d{5})\d+", r"\1****")
    ),
    "report-statuses": Deviation(
        "delivered is called accepted.", _FILE, after=replace_in_file(",delivered,", ",accepted,")
    ),
    "report-1000-numbers": Deviation(
        "More than 100 phone numbers return 400.",
        _REPORT,
        before=refuse_if(
            "phoneNumbers must have at most 100 items",
            lambda new: len(new.body.get("phoneNumbers", ())) > _MOST_NUMBERS,
        ),
    ),
    "report-message-type": Deviation("It is Campaign.", _FILE, after=replace_in_file("WhatsApp Template", "Campaign")),
    "report-created-at": Deviation("A message is created an hour earlier.", _REPORT, before=_later_window),
}
"""All deviations by the assumption's id."""


def parse_deviations(ids: Iterable[str]) -> tuple[str, ...]:
    """
    Validate the ids of assumptions from which the sandbox deviates.

    :raises ValueError: if it cannot deviate from one; the text lists all ids.
    """
    wanted = {ids} if isinstance(ids, str) else set(ids)
    if unknown := sorted(map(str, wanted - DEVIATIONS.keys())):
        raise ValueError(
            f"deviations: the sandbox cannot deviate from {', '.join(unknown)}; expected ids of {', '.join(DEVIATIONS)}"
        )
    return tuple(name for name in DEVIATIONS if name in wanted)
