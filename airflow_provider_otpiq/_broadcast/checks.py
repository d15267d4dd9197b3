"""What a start checks before it begins: the ledger, the last stop, and the project's credit."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from pendulum import DateTime

from airflow_provider_otpiq._broadcast.part_size import read_number
from airflow_provider_otpiq._broadcast.process import MAX_LISTED, describe_parts
from airflow_provider_otpiq._broadcast.result import list_unattached
from airflow_provider_otpiq._ledger.records import Stopped
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqCreditError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._ledger.history import History
    from airflow_provider_otpiq._ledger.ledger import Ledger
    from airflow_provider_otpiq._ledger.records import Campaign, Start

log = logging.getLogger(__name__)


def refusal(error: str, remedy: str) -> OtpiqValidationError:
    """Return the error of a start that has scheduled nothing."""
    return OtpiqValidationError(f"This task scheduled nothing: {error}. {remedy}", errors=[error])


def require_created(ledger: Ledger, parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> None:
    """
    Check that each part has a separate campaign with its recipients.

    :raises OtpiqValidationError: if the create has not finished, or the ledger was edited.
    """
    missing = [part.name for part in list_unattached(parts, campaigns)]
    if missing:
        raise refusal(
            f"{len(missing)} of {len(parts)} campaigns without the recipients of their part: {describe_parts(missing)}",
            "First run the tasks that create the broadcast, in all shards, until they succeed.",
        )
    ids = Counter(campaign.campaign_id for campaign in campaigns.values())
    if repeated := [campaign_id for campaign_id, count in ids.items() if count > 1]:
        ids_listed = list_some(repeated, MAX_LISTED)
        raise refusal(f"{ledger}: was edited; several parts have campaign {ids_listed}", "Restore the ledger.")


def require_stop_finished(ledger: Ledger, history: History, parts: Sequence[Part], request: StartBroadcast) -> None:
    """
    After a stop, start again only what it has stopped, and only at another time.

    :raises OtpiqValidationError: if the stop has not finished, or a start at this time was stopped.
    """
    if not history.rounds:
        return
    done = history.stopped.keys() | {name for name, kept in history.schedules.items() if isinstance(kept, Stopped)}
    left = [part.name for part in parts if part.name not in done]
    if left:
        raise refusal(
            f"the stop of {ledger} has not finished: {describe_parts(left)}",
            "First run the tasks that stop the broadcast, in all shards, until they succeed.",
        )
    if request.scheduled_for in [start.requested for _, start, _ in history.rounds]:
        found = _format(request.scheduled_for)
        raise refusal(
            f"scheduled_for: must differ from that of each stopped start; found {found}",
            "To start the broadcast again, set another scheduled_for.",
        )


def require_same_start(ledger: Ledger, request: StartBroadcast, start: Start) -> None:
    """
    Check that a start that has begun has the time and the waves of the request.

    :raises OtpiqValidationError: if it has others.
    """
    saved = {"scheduled_for": start.requested, "wave_size": start.wave_size, "wave_interval": start.wave_interval}
    for name, value in saved.items():
        found = getattr(request, name)
        if value != found:
            to_finish = f"set that {name}" if value is not None else f"remove {name}"
            raise refusal(
                f"{name}: must be {_format(value)}, its value when the start of {ledger} began; found {_format(found)}",
                f"A start that has begun keeps its time and its waves. To finish it, {to_finish}. To change them, stop"
                " the broadcast first. For another broadcast, set another output of the audience for each run, such as"
                " one with {{ run_id }}.",
            )


def require_credit(costs: Sequence[float | None], credit: object) -> None:
    """
    Compare the cost of the campaigns, in IQD and None if unknown, with the project's credit.

    :raises OtpiqCreditError: if the credit does not cover them.
    """
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
