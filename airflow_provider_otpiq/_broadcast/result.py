"""What the tasks of a broadcast share: its ledger, its audience, and the result of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.manifest import MANIFEST, Audience
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._storage import split_location
from airflow_provider_otpiq._validation_errors import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._ledger.records import Campaign


@dataclass(frozen=True)
class BroadcastResult:
    """The result of a task: its shard's campaigns. All hold their part, and after a start, all are scheduled."""

    ledger: Ledger
    campaigns: list[Campaign]
    totals: dict[str, Any]
    """The counts, for XCom."""

    @property
    def first_campaign_id(self) -> str | None:
        """The id of the first campaign; None for a shard without parts."""
        return self.campaigns[0].campaign_id if self.campaigns else None


def open_broadcast(location: str) -> tuple[Ledger, Audience]:
    """
    Open the ledger of a broadcast, and its audience.

    :raises OtpiqValidationError: if there is no broadcast, or its audience was prepared again from other rows.
    """
    if split_location(location)[1] == MANIFEST:
        raise refusal(
            f"broadcast: {location} is the manifest of an audience; expected a ledger",
            "Set the path of the ledger, which is the output of the task that creates or starts the broadcast.",
        )
    ledger = Ledger.open(location)
    if ledger is None:
        raise refusal(
            f"broadcast: {location} is not the ledger of a broadcast",
            "Run the task that creates the broadcast first, or correct the path.",
        )
    audience = Audience(ledger.broadcast.audience)
    if audience.manifest.checksum != ledger.broadcast.audience_checksum:
        raise refusal(
            f"audience: {audience.location} was prepared again from other rows, after broadcast {ledger} was created",
            "Prepare the same rows again, or create a broadcast in another ledger.",
        )
    return ledger, audience


def add_up(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> dict[str, Any]:
    """Add up the recipients and the cost of the parts' campaigns; the cost is None if one of them is unknown."""
    costs = [campaigns[part.name].estimated_cost for part in parts]
    known = [cost for cost in costs if cost is not None]
    return {
        "recipients": count_recipients(parts, campaigns),
        "estimated_cost": sum(known) if len(known) == len(costs) else None,
    }


def count_recipients(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> int:
    """Add up the recipients that campaigns have according to OTPIQ or, if that is unknown, those of their parts."""
    counts = [(part.recipients, campaigns[part.name].recipients) for part in parts]
    return sum(of_part if of_campaign is None else of_campaign for of_part, of_campaign in counts)
