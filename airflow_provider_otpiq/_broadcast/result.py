"""What the tasks of a broadcast share: its ledger, its audience, and the result of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.manifest import MANIFEST, Audience
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq._storage import split_location
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._ledger.records import Campaign
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook


@dataclass(frozen=True)
class BroadcastResult:
    """The result of a task: its shard's campaigns. All hold their part, and after a start, all are scheduled."""

    ledger: Ledger
    campaigns: dict[str, Campaign]
    """The campaigns, by the name of the part."""
    totals: dict[str, Any]
    """The counts, for XCom."""
    scheduled_for: DateTime | None = None
    """The time at which the last campaign starts; None after a create."""
    sent_by: str | None = None
    """The other DAG run that has sent all of the shard; None if there is none."""

    @property
    def first_campaign_id(self) -> str | None:
        """The id of the first campaign; None for a shard without parts."""
        return next((campaign.campaign_id for campaign in self.campaigns.values()), None)


def open_broadcast(location: str) -> tuple[Ledger, Audience]:
    """
    Open the ledger of a broadcast, and its audience.

    :raises OtpiqValidationError: if there is no broadcast, or its audience was prepared again from other rows.
    """
    if split_location(location)[1] == MANIFEST:
        raise _unusable(
            f"broadcast: {location} is the manifest of an audience; expected a ledger",
            "Set the path of the ledger, which is the output of the task that creates or starts the broadcast.",
        )
    ledger = Ledger.open(location)
    if ledger is None:
        raise _unusable(
            f"broadcast: {location} is not the ledger of a broadcast",
            "Run the task that creates the broadcast first, or correct the path.",
        )
    audience = Audience(ledger.broadcast.audience)
    if audience.manifest.checksum != ledger.broadcast.audience_checksum:
        raise _unusable(
            f"audience: {audience.location} was prepared again from other rows, after broadcast {ledger} was created",
            "Prepare the same rows again, or create a broadcast in another ledger.",
        )
    return ledger, audience


def _unusable(error: str, remedy: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"{error}. {remedy}", errors=[error])


def campaign_name(name: str, part: Part, parts: int) -> str:
    """Return the name of a part's campaign, such as ``Summer offer 3/50``."""
    return f"{name} {int(part.name) + 1}/{parts}"


def list_unattached(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> list[Part]:
    """List the parts that no campaign holds."""
    return [part for part in parts if part.name not in campaigns or not campaigns[part.name].attached]


def require_allowed(hook: OtpiqHook, audience: Audience, parts: Sequence[Part]) -> None:
    """
    Check the recipients of the parts against the connection's guard rails.

    :raises OtpiqValidationError: if one of them is not allowed, or they are too many.
    """
    sizes = [part.recipients for part in audience.manifest.parts]
    hook.guard_rails.check_broadcast(sum(sizes), max(sizes))
    if hook.guard_rails.allowed_recipients is not None:
        for part in parts:
            RecipientValidator(audience.read_part(part), DEFAULT_REGION).require_allowed(hook.guard_rails.is_allowed)


def add_up(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> dict[str, Any]:
    """Add up the recipients and the cost of the parts' campaigns; the cost is None if one of them is unknown."""
    pairs = [(part, campaigns[part.name]) for part in parts]
    costs = [campaign.estimated_cost for _, campaign in pairs]
    known = [cost for cost in costs if cost is not None]
    return {
        "recipients": sum(
            part.recipients if campaign.recipients is None else campaign.recipients for part, campaign in pairs
        ),
        "estimated_cost": sum(known) if len(known) == len(costs) else None,
    }
