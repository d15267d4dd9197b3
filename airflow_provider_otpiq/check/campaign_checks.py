"""The checks of what is assumed about campaigns, their schedules and their recipients."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq._recipients.attach_response import says_all_already_attached
from airflow_provider_otpiq.check.client import UnknownError
from airflow_provider_otpiq.check.finding import finding, keys_of, refusal_finding

if TYPE_CHECKING:
    from airflow_provider_otpiq.check.client import Reply
    from airflow_provider_otpiq.check.evidence import Evidence
    from airflow_provider_otpiq.check.finding import Check, Finding

_ID = re.compile("[0-9a-fA-F]{24}")
_RATE_LIMIT = re.compile("rate-?limit|retry-after", re.IGNORECASE)
_AFTER_ATTACH = "update after the attach"


def _has_status(request: str, status: HTTPStatus) -> Check:
    def check(evidence: Evidence) -> Finding:
        seen = evidence.accepted(request).status
        return finding(seen == status, seen)

    return check


def _has_shape(request: str) -> Check:
    return lambda evidence: _shape(evidence.accepted(request))


def _is_refused(request: str) -> Check:
    return lambda evidence: refusal_finding(evidence[request])


def _shape(reply: Reply) -> Finding:
    content = reply.content
    data = content.get("data") if isinstance(content, dict) else None
    holds = isinstance(data, dict) and "_id" in data and content.get("success") is True
    return finding(holds, keys_of(content) + (f"; data has {keys_of(data)}" if data else ""))


def _campaign_id(evidence: Evidence) -> Finding:
    value = evidence.campaign("create").get("_id")
    if not isinstance(value, str):
        return finding(False, type(value).__name__)
    return finding(_ID.fullmatch(value), f"{len(value)} characters, hexadecimal: {bool(_ID.fullmatch(value))}")


def _update_recipients(evidence: Evidence) -> Finding:
    total = evidence.campaign("update").get("totalRecipients")
    return finding(_is_number(total), f"totalRecipients {total}")


def _update_cost(evidence: Evidence) -> Finding:
    campaign = evidence.campaign(_AFTER_ATTACH if evidence.was_accepted(_AFTER_ATTACH) else "update")
    cost, total = campaign.get("estimatedTotalCost"), campaign.get("totalRecipients")
    is_free = cost == 0 and _is_number(total) and total != 0
    return finding(_is_number(cost) and not is_free, f"estimatedTotalCost {cost} with totalRecipients {total}")


def _attach_counts_at_once(evidence: Evidence) -> Finding:
    evidence.accepted("attach")
    total = evidence.campaign(_AFTER_ATTACH).get("totalRecipients")
    if not _is_number(total):
        raise UnknownError("the update returns no totalRecipients")
    return finding(total == 1, f"totalRecipients {total} after one number")


def _name_limits(evidence: Evidence) -> Finding:
    requests = ("name of 2 characters", "name of 81 characters")
    findings = [refusal_finding(evidence[request]) for request in requests]
    seen = "; ".join(f"{request}: {found.seen}" for request, found in zip(requests, findings, strict=True))
    return finding(all(found.result == "holds" for found in findings), seen)


def _error_body(evidence: Evidence) -> Finding:
    refused = [reply for reply in evidence.replies.values() if reply.status == HTTPStatus.BAD_REQUEST]
    if not refused:
        evidence.accepted("create")
        raise UnknownError("no response was a 400")
    wrong = [reply.content for reply in refused if not isinstance(_field(reply, "error"), str)]
    return finding(not wrong, keys_of(wrong[0] if wrong else refused[0].content))


def _unknown_campaign(evidence: Evidence) -> Finding:
    reply = evidence["unknown campaign"]
    holds = reply.status == HTTPStatus.NOT_FOUND and isinstance(_field(reply, "message"), str)
    return finding(holds, f"{reply.status}, {keys_of(reply.content)}")


def _time_offset(evidence: Evidence) -> Finding:
    asked, seen = evidence.scheduled_for, evidence.campaign("schedule").get("scheduledFor")
    try:
        return finding(parse_datetime(seen) == parse_datetime(asked), f"{asked} became {seen}")
    except ValueError:
        raise UnknownError("the response has no scheduledFor with an offset") from None


def _schedule_far_ahead(evidence: Evidence) -> Finding:
    reply = evidence["schedule"]
    if reply.was_refused and _is_about_recipients(reply):
        raise UnknownError(str(reply))
    return finding(reply.is_success, reply)


def _schedule_empty(evidence: Evidence) -> Finding:
    reply = evidence["schedule"]
    if reply.was_refused and not _is_about_recipients(reply):
        raise UnknownError(str(reply))
    return finding(reply.is_success, reply)


def _time_alone(evidence: Evidence) -> Finding:
    reply = evidence["time alone"]
    if reply.was_refused and not evidence["schedule"].is_success:
        raise UnknownError(f"this time is refused with scheduleType too: {evidence['schedule']}")
    return finding(reply.is_success, reply)


def _schedule_alone(evidence: Evidence) -> Finding:
    before = evidence.campaign("schedule").get("scheduledFor")
    reply = evidence["schedule alone"]
    if reply.was_refused:
        return finding(False, reply)
    after = evidence.campaign("schedule alone").get("scheduledFor")
    return finding(after == before, f"scheduledFor {after}; before {before}")


def _back_to_draft(evidence: Evidence) -> Finding:
    evidence.accepted("schedule")
    reply = evidence["back to draft"]
    return finding(reply.is_success, reply)


def _null_clears_time(evidence: Evidence) -> Finding:
    evidence.accepted("schedule")
    campaign = evidence.campaign("back to draft")
    if "scheduledFor" not in campaign:
        raise UnknownError("the response has no scheduledFor")
    return finding(campaign["scheduledFor"] is None, f"scheduledFor {campaign['scheduledFor']}")


def _attach_all_present(evidence: Evidence) -> Finding:
    evidence.accepted("attach")
    reply = evidence["attach again"]
    if reply.status == HTTPStatus.BAD_REQUEST and not reply.message:
        raise UnknownError("400 without a message in error or message")
    holds = reply.status == HTTPStatus.BAD_REQUEST and says_all_already_attached(str(reply.message))
    return finding(holds, reply)


def _plus_refused(evidence: Evidence) -> Finding:
    evidence.accepted("attach")
    reply, again = evidence["attach with a plus"], evidence["attach again"]
    if reply.was_refused and not reply.message:
        raise UnknownError("400 without a message in error or message")
    is_known = says_all_already_attached(str(reply.message)) or (reply.was_refused and reply.message == again.message)
    return finding(reply.was_refused and not is_known, reply)


def _line_break_accepted(evidence: Evidence) -> Finding:
    reply = evidence["attach with a line break"]
    if not reply.is_success:
        evidence.accepted("attach")  # otherwise the line break is not the reason
    return finding(reply.is_success, reply)


def _rate_limit(evidence: Evidence) -> Finding:
    headers = {
        f"{name}: {value}"
        for reply in evidence.replies.values()
        for name, value in reply.headers.items()
        if _RATE_LIMIT.search(name)
    }
    limited = [call.purpose for call in evidence.client.calls if call.status == HTTPStatus.TOO_MANY_REQUESTS]
    seen = [*sorted(headers), *(f"429 to {purpose}" for purpose in limited)]
    if not seen:
        evidence.accepted("create")
    return finding(not seen, "; ".join(seen) or "no header about a rate limit")


def _field(reply: Reply, name: str) -> Any:
    return reply.content.get(name) if isinstance(reply.content, dict) else None


def _is_about_recipients(reply: Reply) -> bool:
    return "recipient" in str(reply.message).lower()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


CAMPAIGN_CHECKS: dict[str, Check] = {
    "create-status": _has_status("create", HTTPStatus.CREATED),
    "create-shape": _has_shape("create"),
    "campaign-id": _campaign_id,
    "update-status": _has_status("update", HTTPStatus.OK),
    "update-shape": _has_shape("update"),
    "update-recipients": _update_recipients,
    "update-cost": _update_cost,
    "attach-counts-at-once": _attach_counts_at_once,
    "name-limits": _name_limits,
    "unknown-fields": _is_refused("unknown field"),
    "error-body": _error_body,
    "unknown-campaign": _unknown_campaign,
    "past-time-refused": _is_refused("time in the past"),
    "time-offset": _time_offset,
    "schedule-far-ahead": _schedule_far_ahead,
    "schedule-empty": _schedule_empty,
    "time-alone": _time_alone,
    "schedule-alone": _schedule_alone,
    "back-to-draft": _back_to_draft,
    "null-clears-time": _null_clears_time,
    "attach-shape": _has_shape("attach"),
    "attach-all-present": _attach_all_present,
    "plus-refused": _plus_refused,
    "line-break-accepted": _line_break_accepted,
    "rate-limit": _rate_limit,
}
"""The checks by the assumption's id."""
