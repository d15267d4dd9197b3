"""The sandbox's campaigns: what they hold, and the rules by which they change."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, StringConstraints

if TYPE_CHECKING:
    from collections.abc import Callable


def _only_text(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("must be an ISO 8601 text")
    return value


Name = Annotated[str, StringConstraints(strict=True, min_length=3, max_length=80)]
Id = Annotated[str, StringConstraints(strict=True, pattern="^[a-fA-F0-9]{24}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_only_text)]
Status = Literal["draft", "scheduled", "running"]


class RefusedError(Exception):
    """A rule of the contract is broken: the sandbox answers 400."""


class NewCampaign(BaseModel):
    """The body of a create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    templateId: Id  # noqa: N815
    phoneNumberId: Id  # noqa: N815
    scheduleType: Literal["now", "schedule"] = "now"  # noqa: N815
    scheduledFor: Time | None = None  # noqa: N815


class Changes(BaseModel):
    """The body of an update. Only ``scheduledFor`` may be null; the other defaults merely mark what is not given."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    templateId: Id = ""  # noqa: N815
    phoneNumberId: Id = ""  # noqa: N815
    category: Literal["MARKETING", "UTILITY"] = "MARKETING"
    scheduleType: Literal["now", "schedule"] = "now"  # noqa: N815
    scheduledFor: Time | None = None  # noqa: N815


@dataclass
class Campaign:
    """A campaign. Its status follows from the clock, as a scheduled one starts by itself."""

    name: str
    template: str
    phone_number: str
    scheduled: bool
    scheduled_for: datetime | None
    created_at: datetime
    updated_at: datetime
    category: str | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    campaign_id: str = field(default_factory=lambda: f"cmp_{secrets.token_hex(6)}")

    def status(self, now: datetime) -> Status:
        """Tell the status at a time."""
        if not self.scheduled:
            return "draft"
        return "running" if self.scheduled_for is not None and self.scheduled_for <= now else "scheduled"

    def as_answered(self, now: datetime) -> dict[str, Any]:
        """Make the campaign object of an answer. As in the vendor's example, it has no status."""
        started = self.scheduled_for if self.status(now) == "running" else None
        return {
            "_id": self.id,
            "campaignId": self.campaign_id,
            "name": self.name,
            "template": self.template,
            "phoneNumber": self.phone_number,
            "scheduledFor": _iso(self.scheduled_for),
            "startedAt": _iso(started),
            "completedAt": None,
            "createdAt": _iso(self.created_at),
            "updatedAt": _iso(self.updated_at),
            "totalRecipients": 0,
            "sentCount": 0,
            "deliveredCount": 0,
            "failedCount": 0,
            "estimatedTotalCost": 0,
            "reservedAmount": 0,
            "reconciledAmount": 0,
            "isSampleCampaign": False,
            "sampleOfCampaign": None,
        }


class Campaigns:
    """
    All campaigns of the sandbox.

    :param clock: tells the time.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._by_id: dict[str, Campaign] = {}

    def find(self, campaign_id: str) -> Campaign | None:
        """Find a campaign by its ``_id``."""
        return self._by_id.get(campaign_id.lower())

    def create(self, new: NewCampaign) -> dict[str, Any]:
        """Save a campaign as a draft, or as scheduled, and answer it."""
        now = self._clock()
        scheduled = new.scheduleType == "schedule"
        if scheduled and (new.scheduledFor is None or new.scheduledFor <= now):
            raise RefusedError("scheduledFor is required and must be in the future when scheduleType is schedule")
        if not scheduled and new.scheduledFor is not None:
            raise RefusedError("scheduledFor must be omitted when scheduleType is now")
        campaign = Campaign(
            name=new.name,
            template=new.templateId,
            phone_number=new.phoneNumberId,
            scheduled=scheduled,
            scheduled_for=new.scheduledFor,
            created_at=now,
            updated_at=now,
        )
        self._by_id[campaign.id] = campaign
        return campaign.as_answered(now)

    def update(self, campaign: Campaign, changes: Changes) -> dict[str, Any]:
        """Edit a campaign that has not started, and answer it."""
        now, given = self._clock(), changes.model_dump(exclude_unset=True)
        if campaign.status(now) == "running":
            raise RefusedError("Only campaigns in draft or scheduled status can be updated")
        schedule_type, scheduled_for = given.get("scheduleType"), given.get("scheduledFor", campaign.scheduled_for)
        if schedule_type == "now" and given.get("scheduledFor") is not None:
            raise RefusedError("scheduledFor must be omitted when scheduleType is now")
        scheduled = schedule_type == "schedule" if schedule_type else campaign.scheduled
        if scheduled and (scheduled_for is None or scheduled_for <= now):
            raise RefusedError("scheduledFor is required and must be in the future when scheduleType is schedule")
        campaign.name = given.get("name", campaign.name)
        campaign.template = given.get("templateId", campaign.template)
        campaign.phone_number = given.get("phoneNumberId", campaign.phone_number)
        campaign.category = given.get("category", campaign.category)
        campaign.scheduled, campaign.scheduled_for, campaign.updated_at = scheduled, scheduled_for, now
        return campaign.as_answered(now)

    def state(self) -> list[dict[str, Any]]:
        """List all campaigns, oldest first, with their status and category beside the answer's fields."""
        now = self._clock()
        return [
            campaign.as_answered(now) | {"status": campaign.status(now), "category": campaign.category}
            for campaign in list(self._by_id.values())
        ]

    def clear(self) -> None:
        """Forget all campaigns."""
        self._by_id.clear()


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
