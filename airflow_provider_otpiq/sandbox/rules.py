"""The contract's rules: what each call takes, and when it is refused."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from airflow_provider_otpiq.sandbox.campaigns import Campaign
from airflow_provider_otpiq.sandbox.resources import are_of_one_account, template_by_id

if TYPE_CHECKING:
    from collections.abc import Callable

_DATE = re.compile(r"\d{4}-\d\d-\d\dT")
_LONGEST_NAME = 80
_SAMPLE = " (sample)"
MOST_RECIPIENTS = 1000
CREDIT = 15000
"""What the project has to spend at first, in IQD."""


def _only_text(value: object) -> object:
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("must be an ISO 8601 text")
    return value


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time that UTC has") from None


Name = Annotated[str, StringConstraints(strict=True, min_length=3, max_length=_LONGEST_NAME)]
Id = Annotated[str, StringConstraints(strict=True, pattern="^[a-fA-F0-9]{24}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_only_text), AfterValidator(_in_utc)]
Text = Annotated[str, StringConstraints(strict=True)]
Digits = Annotated[str, StringConstraints(strict=True, pattern="^[0-9]{10,15}$")]


class RefusedError(Exception):
    """
    A rule of the contract is broken: the sandbox answers 400.

    :param message: which one.
    :param details: fields that the answer has beside it.
    """

    def __init__(self, message: str, **details: float) -> None:
        super().__init__(message)
        self.details = details


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


class TemplateParameters(BaseModel):
    """
    What fills the template for a recipient.

    Factories make the defaults, here and below: pydantic copies a mutable default deeply, for each recipient anew.
    """

    model_config = ConfigDict(extra="forbid")

    body: dict[str, Text] = Field(default_factory=dict)
    header: dict[str, Any] = Field(default_factory=dict)
    buttons: dict[str, Any] = Field(default_factory=dict)


class Recipient(BaseModel):
    """A recipient."""

    model_config = ConfigDict(extra="forbid")

    phoneNumber: Digits  # noqa: N815
    templateParameters: TemplateParameters = Field(default_factory=TemplateParameters)  # noqa: N815


class NewRecipients(BaseModel):
    """The body of an attach, and of a sample."""

    model_config = ConfigDict(extra="forbid")

    recipients: Annotated[list[Recipient], Field(min_length=1, max_length=MOST_RECIPIENTS)]

    def numbers(self) -> list[str]:
        """Give each number once, in the order of the request."""
        return list(dict.fromkeys(recipient.phoneNumber for recipient in self.recipients))


class Campaigns:
    """
    All campaigns of the sandbox.

    :param clock: tells the time.
    :param credit: what there is to spend at first, in IQD.
    """

    def __init__(self, clock: Callable[[], datetime], credit: int) -> None:
        self._clock = clock
        self._by_id: dict[str, Campaign] = {}
        self._initial_credit = self.budget = credit

    @property
    def credit(self) -> int:
        """What is left to spend, in IQD."""
        now = self._clock()
        return self.budget - sum(campaign.spent(now) for campaign in list(self._by_id.values()))

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
        _refuse_another_account(new.templateId, new.phoneNumberId)
        campaign = Campaign(
            name=new.name,
            template=new.templateId,
            phone_number=new.phoneNumberId,
            scheduled=scheduled,
            scheduled_for=new.scheduledFor,
            created_at=now,
            updated_at=now,
        )
        return self._saved(campaign)

    def update(self, campaign: Campaign, changes: Changes) -> dict[str, Any]:
        """Edit a campaign that has not started, and answer it."""
        now, given = self._clock(), changes.model_dump(exclude_unset=True)
        self._refuse_a_started_one(campaign, "updated")
        schedule_type, scheduled_for = given.get("scheduleType"), given.get("scheduledFor", campaign.scheduled_for)
        if schedule_type == "now" and given.get("scheduledFor") is not None:
            raise RefusedError("scheduledFor must be omitted when scheduleType is now")
        scheduled = schedule_type == "schedule" if schedule_type else campaign.scheduled
        if scheduled and (scheduled_for is None or scheduled_for <= now):
            raise RefusedError("scheduledFor is required and must be in the future when scheduleType is schedule")
        template = given.get("templateId", campaign.template)
        phone_number = given.get("phoneNumberId", campaign.phone_number)
        _refuse_another_account(template, phone_number)
        campaign.name = given.get("name", campaign.name)
        campaign.template, campaign.phone_number = template, phone_number
        campaign.category = given.get("category", campaign.category)
        campaign.scheduled, campaign.scheduled_for, campaign.updated_at = scheduled, scheduled_for, now
        return campaign.as_answered(now)

    def attach(self, campaign: Campaign, new: NewRecipients) -> dict[str, Any]:
        """Add the recipients that are not on the campaign yet, and answer it."""
        self._refuse_a_started_one(campaign, "given recipients")
        _refuse_missing_parameters(campaign, new)
        added = [number for number in new.numbers() if number not in campaign.recipients]
        if not added:
            raise RefusedError("All of these recipients are already on this campaign")
        if len(campaign.recipients) + len(added) > MOST_RECIPIENTS:
            raise RefusedError(f"A campaign can hold at most {MOST_RECIPIENTS} recipients")
        campaign.add_recipients(added)
        campaign.updated_at = self._clock()
        return campaign.as_answered(self._clock())

    def send_sample(self, campaign: Campaign, new: NewRecipients) -> dict[str, Any]:
        """Make a separate campaign of the same message, start it, and answer it; the other stays as it is."""
        _refuse_missing_parameters(campaign, new)
        now = self._clock()
        sample = Campaign(
            name=f"{campaign.name[: _LONGEST_NAME - len(_SAMPLE)]}{_SAMPLE}",
            template=campaign.template,
            phone_number=campaign.phone_number,
            category=campaign.category,
            created_at=now,
            updated_at=now,
            sample_of=campaign.id,
            started_at=now,
        )
        sample.add_recipients(new.numbers())
        self._refuse_what_costs_too_much(sample)
        return self._saved(sample)

    def start(self, campaign: Campaign) -> dict[str, Any]:
        """Start a campaign, and answer it."""
        self._refuse_a_started_one(campaign, "started")
        if not campaign.recipients:
            raise RefusedError("A campaign without recipients cannot be started")
        self._refuse_what_costs_too_much(campaign)
        campaign.started_at = campaign.updated_at = self._clock()
        return campaign.as_answered(self._clock())

    def state(self) -> list[dict[str, Any]]:
        """List all campaigns, oldest first, with their status and category beside the answer's fields."""
        now = self._clock()
        return [
            campaign.as_answered(now) | {"status": campaign.status(now), "category": campaign.own_category}
            for campaign in list(self._by_id.values())
        ]

    def clear(self) -> None:
        """Forget all campaigns, and what was spent."""
        self._by_id.clear()
        self.budget = self._initial_credit

    def _saved(self, campaign: Campaign) -> dict[str, Any]:
        self._by_id[campaign.id] = campaign
        return campaign.as_answered(self._clock())

    def _refuse_a_started_one(self, campaign: Campaign, what: str) -> None:
        if campaign.status(self._clock()) not in ("draft", "scheduled"):
            raise RefusedError(f"Only campaigns in draft or scheduled status can be {what}")

    def _refuse_what_costs_too_much(self, campaign: Campaign) -> None:
        credit = self.credit
        if campaign.cost > credit:
            can_cover = max(credit, 0) // campaign.price
            raise RefusedError(
                "Insufficient credit", yourCredit=credit, requiredCredit=campaign.cost, canCover=can_cover
            )


def _refuse_another_account(template_id: str, number_id: str) -> None:
    if not are_of_one_account(template_id, number_id):
        raise RefusedError("templateId and phoneNumberId must belong to the same WhatsApp Business Account")


def _refuse_missing_parameters(campaign: Campaign, new: NewRecipients) -> None:
    for parameter in template_by_id(campaign.template).parameters:
        for at, recipient in enumerate(new.recipients):
            if parameter.required and not recipient.templateParameters.body.get(parameter.key):
                raise RefusedError(f"recipients.{at}.templateParameters.body.{parameter.key} is required")
