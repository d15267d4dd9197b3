"""The contract's rules: what each request does, and when it returns 400."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox.campaigns import Campaign
from airflow_provider_otpiq.sandbox.resources import same_account, template_by_id
from airflow_provider_otpiq.sandbox.schemas import MAX_NAME_LENGTH, MAX_RECIPIENTS

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from airflow_provider_otpiq.sandbox.schemas import (
        CreateCampaignRequest,
        RecipientsRequest,
        UpdateCampaignRequest,
    )

CREDIT = 15000
"""The project's initial credit by default, in IQD."""
_SAMPLE_SUFFIX = " (sample)"


class BadRequestError(Exception):
    """
    A request breaks a rule of the contract: the response is a 400.

    :param message: the response's ``error``.
    :param details: the response's other fields.
    """

    def __init__(self, message: str, **details: float) -> None:
        super().__init__(message)
        self.details = details


class CampaignService:
    """The sandbox's campaigns, and the requests that change them, which return the response's campaign object."""

    def __init__(self, clock: Callable[[], datetime], credit: int) -> None:
        self._clock = clock
        self._by_id: dict[str, Campaign] = {}
        self._initial_credit = self._budget = credit

    @property
    def credit(self) -> int:
        """The project's credit in IQD."""
        now = self._clock()
        return self._budget - sum(campaign.spent(now) for campaign in list(self._by_id.values()))

    @credit.setter
    def credit(self, credit: int) -> None:
        self._budget += credit - self.credit

    @property
    def names(self) -> set[str]:
        """The names of all campaigns."""
        return {campaign.name for campaign in list(self._by_id.values())}

    def find(self, campaign_id: str) -> Campaign | None:
        """Find a campaign by its ``_id``."""
        return self._by_id.get(campaign_id.lower())

    def create(self, new: CreateCampaignRequest) -> dict[str, Any]:
        """Save a campaign as a draft, or as scheduled."""
        now = self._clock()
        scheduled = new.scheduleType == "schedule"
        if scheduled and (new.scheduledFor is None or new.scheduledFor <= now):
            raise BadRequestError("scheduledFor is required and must be in the future when scheduleType is schedule")
        if not scheduled and new.scheduledFor is not None:
            raise BadRequestError("scheduledFor must be omitted when scheduleType is now")
        _require_same_account(new.templateId, new.phoneNumberId)
        campaign = Campaign(
            name=new.name,
            template=new.templateId,
            phone_number=new.phoneNumberId,
            scheduled=scheduled,
            scheduled_for=new.scheduledFor,
            created_at=now,
            updated_at=now,
        )
        return self._save(campaign)

    def update(self, campaign: Campaign, changes: UpdateCampaignRequest) -> dict[str, Any]:
        """Update a campaign that has not started."""
        now, fields = self._clock(), changes.model_dump(exclude_unset=True)
        self._require_not_started(campaign, "updated")
        schedule_type, scheduled_for = fields.get("scheduleType"), fields.get("scheduledFor", campaign.scheduled_for)
        if schedule_type == "now" and fields.get("scheduledFor") is not None:
            raise BadRequestError("scheduledFor must be omitted when scheduleType is now")
        scheduled = schedule_type == "schedule" if schedule_type else campaign.scheduled
        if scheduled and (scheduled_for is None or scheduled_for <= now):
            raise BadRequestError("scheduledFor is required and must be in the future when scheduleType is schedule")
        template = fields.get("templateId", campaign.template)
        phone_number = fields.get("phoneNumberId", campaign.phone_number)
        _require_same_account(template, phone_number)
        campaign.name = fields.get("name", campaign.name)
        campaign.template, campaign.phone_number = template, phone_number
        campaign.category = fields.get("category", campaign.category)
        campaign.scheduled, campaign.scheduled_for, campaign.updated_at = scheduled, scheduled_for, now
        return campaign.to_api(now)

    def attach(self, campaign: Campaign, new: RecipientsRequest) -> dict[str, Any]:
        """Attach the recipients that are not on the campaign yet."""
        self._require_not_started(campaign, "given recipients")
        _require_parameters(campaign, new)
        existing = set(campaign.recipients)
        added = {number: refusal for number, refusal in new.refusals().items() if number not in existing}
        if not added:
            raise BadRequestError("All of these recipients are already on this campaign")
        if len(campaign.recipients) + len(added) > MAX_RECIPIENTS:
            raise BadRequestError(f"A campaign can hold at most {MAX_RECIPIENTS} recipients")
        campaign.add_recipients(added)
        campaign.updated_at = self._clock()
        return campaign.to_api(self._clock())

    def send_sample(self, campaign: Campaign, new: RecipientsRequest) -> dict[str, Any]:
        """Create and start a separate campaign with the same message."""
        _require_parameters(campaign, new)
        now = self._clock()
        sample = Campaign(
            name=f"{campaign.name[: MAX_NAME_LENGTH - len(_SAMPLE_SUFFIX)]}{_SAMPLE_SUFFIX}",
            template=campaign.template,
            phone_number=campaign.phone_number,
            category=campaign.category,
            created_at=now,
            updated_at=now,
            sample_of=campaign.id,
            started_at=now,
        )
        sample.add_recipients(new.refusals())
        self._require_credit(sample)
        return self._save(sample)

    def start(self, campaign: Campaign) -> dict[str, Any]:
        """Start a campaign."""
        self._require_not_started(campaign, "started")
        if not campaign.recipients:
            raise BadRequestError("A campaign without recipients cannot be started")
        self._require_credit(campaign)
        campaign.started_at = campaign.updated_at = self._clock()
        return campaign.to_api(self._clock())

    def list_campaigns(self) -> list[dict[str, Any]]:
        """List all campaigns, oldest first, with their status and category in addition to the API's fields."""
        now = self._clock()
        return [
            campaign.to_api(now) | {"status": campaign.status(now), "category": campaign.effective_category}
            for campaign in list(self._by_id.values())
        ]

    def started_between(self, start: datetime, end: datetime, now: datetime) -> list[Campaign]:
        """List the campaigns that started from ``start`` to ``end``, including both."""
        campaigns = list(self._by_id.values())
        return [campaign for campaign in campaigns if (time := campaign.start_time(now)) and start <= time <= end]

    def clear(self) -> None:
        """Remove all campaigns, and reset the credit."""
        self._by_id.clear()
        self._budget = self._initial_credit

    def _save(self, campaign: Campaign) -> dict[str, Any]:
        self._by_id[campaign.id] = campaign
        return campaign.to_api(self._clock())

    def _require_not_started(self, campaign: Campaign, participle: str) -> None:
        if campaign.status(self._clock()) not in ("draft", "scheduled"):
            raise BadRequestError(f"Only campaigns in draft or scheduled status can be {participle}")

    def _require_credit(self, campaign: Campaign) -> None:
        credit = self.credit
        if campaign.cost > credit:
            can_cover = max(credit, 0) // campaign.price
            raise BadRequestError(
                "Insufficient credit", yourCredit=credit, requiredCredit=campaign.cost, canCover=can_cover
            )


def _require_same_account(template_id: str, number_id: str) -> None:
    if not same_account(template_id, number_id):
        raise BadRequestError("templateId and phoneNumberId must belong to the same WhatsApp Business Account")


def _require_parameters(campaign: Campaign, new: RecipientsRequest) -> None:
    for parameter in template_by_id(campaign.template).parameters:
        if parameter.required and (index := next(new.lacking(parameter.path), None)) is not None:
            raise BadRequestError(f"recipients.{index}.{parameter.path} is required")
