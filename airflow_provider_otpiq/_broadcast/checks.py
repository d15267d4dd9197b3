"""
Check the ledger, the recipients and the credit before a campaign is created or a broadcast starts.

Each ``require_…`` raises an OtpiqValidationError, unless its docstring names another class.
"""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from pendulum import DateTime

from airflow_provider_otpiq._broadcast.campaigns import read_number
from airflow_provider_otpiq._broadcast.process import MAX_LISTED, describe_parts
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq._validation_errors import list_some, refusal
from airflow_provider_otpiq.exceptions import OtpiqCreditError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Audience, Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._ledger.history import History
    from airflow_provider_otpiq._ledger.ledger import Ledger
    from airflow_provider_otpiq._ledger.records import Campaign, Start
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

_refusal = partial(refusal, effect="scheduled nothing")


def list_unattached(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> list[Part]:
    """List the parts that no campaign holds."""
    return [part for part in parts if part.name not in campaigns or not campaigns[part.name].attached]


def require_allowed(hook: OtpiqHook, audience: Audience, parts: Sequence[Part]) -> None:
    """Refuse recipients that the connection's guard rails do not allow, or too many."""
    sizes = [part.recipients for part in audience.manifest.parts]
    hook.guard_rails.check_broadcast(sum(sizes), max(sizes))
    if hook.guard_rails.allowed_recipients is not None:
        for part in parts:
            RecipientValidator(audience.read_part(part), DEFAULT_REGION).require_allowed(hook.guard_rails.is_allowed)


def require_created(ledger: Ledger, parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> None:
    """Refuse a ledger whose create has not finished, or in which two parts have the same campaign."""
    missing = list_unattached(parts, campaigns)
    if missing:
        raise _refusal(
            f"{len(missing)} of {len(parts)} campaigns without the recipients of their part: {describe_parts(missing)}",
            "First run the tasks that create the broadcast, in all shards, until they succeed.",
        )
    ids = Counter(campaign.campaign_id for campaign in campaigns.values())
    if repeated := [campaign_id for campaign_id, count in ids.items() if count > 1]:
        ids_listed = list_some(repeated, MAX_LISTED)
        raise _refusal(f"{ledger}: was edited; several parts have campaign {ids_listed}", "Restore the ledger.")


def require_stop_finished(ledger: Ledger, history: History, parts: Sequence[Part], request: StartBroadcast) -> None:
    """Refuse a start after a stop that has not finished, or at the time of a start that was stopped."""
    if not history.rounds:
        return
    left = [part for part in parts if part.name not in history.stopped.keys() | history.too_late]
    if left:
        raise _refusal(
            f"the stop of {ledger} has not finished: {describe_parts(left)}",
            "First run the tasks that stop the broadcast, in all shards, until they succeed.",
        )
    if request.scheduled_for in [start.requested for start, _ in history.rounds]:
        raise _refusal(
            f"scheduled_for: must differ from that of each stopped start; found {_format(request.scheduled_for)}",
            "To start the broadcast again, set another scheduled_for.",
        )


def require_same_start(ledger: Ledger, request: StartBroadcast, start: Start) -> None:
    """Refuse to change the time or the waves of a start that has begun."""
    saved = {"scheduled_for": start.requested, "wave_size": start.wave_size, "wave_interval": start.wave_interval}
    for name, value in saved.items():
        found = getattr(request, name)
        if value != found:
            to_finish = f"set that {name}" if value is not None else f"remove {name}"
            raise _refusal(
                f"{name}: must be {_format(value)}, its value when the start of {ledger} began; found {_format(found)}",
                f"A start that has begun keeps its time and its waves. To finish it, {to_finish}. To change them, stop"
                " the broadcast first. For another broadcast, set another output of the audience for each run, such as"
                " one with {{ run_id }}.",
            )


def require_not_replaced(ledger: Ledger) -> None:
    """Refuse to send a message that a create has just replaced."""
    if ledger.is_replaced():
        raise _refusal(
            f"the broadcast in {ledger} was replaced just before its start",
            "Set another ledger for the new message. To send the replaced one, create it again with replace=True.",
        )


def require_room_for_each_part(parts: Sequence[Part], wave_size: int | None) -> None:
    """Refuse waves that are smaller than a campaign."""
    largest = max(part.recipients for part in parts)
    if wave_size is not None and wave_size < largest:
        raise _refusal(
            f"wave_size: must be at least {largest:,}, the recipients of the largest campaign; found {wave_size:,}",
            "A campaign starts as a whole: set a larger wave_size.",
        )


def require_credit(costs: Sequence[float | None], credit: object) -> None:
    """Raise an OtpiqCreditError if the credit does not cover the costs, which are in IQD, and None if unknown."""
    available = read_number(credit)
    required = sum(cost for cost in costs if cost is not None)
    if available is None or None in costs:
        log.warning(
            "OTPIQ does not report the credit, or the cost of each campaign, so they are not compared (assumption"
            " update-cost)."
        )
    if available is not None and required > available:
        raise OtpiqCreditError(
            f"This task scheduled nothing: the campaigns to schedule ({len(costs)}) cost {required:,.0f} IQD, and"
            f" the credit is {available:,.0f} IQD.",
            amounts={"requiredCredit": required, "yourCredit": available},
        )


def _format(value: object) -> str:
    return to_api_format(value) if isinstance(value, DateTime) else str(value)
