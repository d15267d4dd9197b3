"""
Campaigns: what is sent to create, update and start one, and the responses.

The rules are the vendor's, from the pages *Create campaign* and *Update draft or scheduled campaign* of
https://docs.otpiq.com.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Required, Self, TypedDict

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import (
    CampaignName,
    Category,
    FutureTime,
    ObjectId,
    ScheduleType,
    String,
    is_set,
)
from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._models.resources import ResourceLookup, Resources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pendulum import DateTime


class _TemplateAndSenderFields(TypedDict, total=False):
    template_id: str | None
    phone_number_id: str | None
    schedule_type: str | None
    scheduled_for: object
    template_name: str | None
    template_language: str | None
    phone_number: str | None


class CreateCampaignFields(_TemplateAndSenderFields):
    """The fields of a create, as a type checker knows them; :class:`CreateCampaign` has their rules."""

    name: Required[str]


class UpdateCampaignFields(_TemplateAndSenderFields, total=False):
    """The fields of an update, as a type checker knows them; :class:`UpdateCampaign` has their rules."""

    campaign_id: Required[str]
    name: str | None
    category: str | None


class TemplateAndSender(RequestModel):
    """A request that names its template and its sending number by id, or by what people call them."""

    requires_template_and_sender: ClassVar[bool]

    template_name: Annotated[String | None, Field(exclude=True)] = None
    template_language: Annotated[String | None, Field(exclude=True)] = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)
    phone_number: Annotated[str | None, BeforeValidator(normalize), Field(exclude=True)] = None
    phone_number_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_language")
    @classmethod
    def _needs_its_name(cls, language: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("template_name", "wrong itself") is None:
            raise ValueError("is set without template_name, which it belongs to")
        return language

    @field_validator("template_id", "phone_number_id")
    @classmethod
    def _by_id_or_by_name(cls, object_id: str | None, info: ValidationInfo) -> str | None:
        by_name = "template_name" if info.field_name == "template_id" else "phone_number"
        if by_name not in info.data:  # it is wrong itself, and listed
            return object_id
        has_name = info.data[by_name] is not None
        if has_name and object_id is not None:
            raise ValueError(f"is set, and so is {by_name}; keep one of them")
        if cls.requires_template_and_sender and not has_name and object_id is None:
            raise ValueError(f"is required, and is not set, nor is {by_name}")
        return object_id

    @property
    def has_names(self) -> bool:
        """Whether an id has to be looked up."""
        return self.template_name is not None or self.phone_number is not None

    def resolve_ids(self, resources: Mapping[str, Any]) -> Self:
        """
        Look up the ids of what is set by name.

        :raises OtpiqValidationError: if there is no such template or number, or more than one.
        """
        lookup = ResourceLookup(**{name: getattr(self, name) for name in ResourceLookup.model_fields})
        return self.model_copy(update=lookup.resolve(Resources.model_validate(resources)))


class CreateCampaign(TemplateAndSender):
    """The body of a create."""

    subject = "The new campaign"
    requires_template_and_sender = True

    name: CampaignName
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = Field(default=None, validate_default=True)

    @field_validator("scheduled_for")
    @classmethod
    def _needs_its_type(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if "schedule_type" not in info.data:  # it is wrong itself, and listed
            return scheduled_for
        scheduled = info.data["schedule_type"] == "schedule"
        if scheduled and scheduled_for is None:
            raise ValueError("is required when schedule_type is 'schedule'; it is not set, or is the string 'None'")
        if scheduled_for is not None and not scheduled:
            raise ValueError(
                "is set, so schedule_type must be 'schedule'; without it OTPIQ saves a draft that never starts"
            )
        return scheduled_for

    @property
    def if_lost(self) -> str:
        """What an error adds if the response is lost."""
        return (
            f"Campaign {self.name!r} may have been created, without this task knowing its id: it has no recipients"
            " and sends nothing. A retry creates another one."
        )


class UpdateCampaign(TemplateAndSender):
    """The body of an update, and the id in its path."""

    subject = "The campaign's update"
    requires_template_and_sender = False

    campaign_id: Annotated[ObjectId, Field(exclude=True)]
    name: CampaignName | None = None
    category: Category | None = None
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = None

    @field_validator("scheduled_for")
    @classmethod
    def _not_together_with_now(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if info.data.get("schedule_type") == "now":
            raise ValueError("contradicts schedule_type 'now', which takes the campaign back to a draft")
        return scheduled_for

    @property
    def starts_by_itself(self) -> bool:
        """Whether the campaign is to start at a time."""
        return self.schedule_type == "schedule" or self.scheduled_for is not None

    @property
    def if_lost(self) -> str:
        """What an error adds if the response is lost."""
        text = "The change may have been made. A retry makes it again, which is idempotent."
        if self.scheduled_for:
            text += (
                " After scheduled_for it is refused as in the past, although the campaign may have started: look at it"
                " in OTPIQ's dashboard then."
            )
        return text

    @classmethod
    def _cross_field_errors(cls, fields: Mapping[str, object]) -> list[str]:
        if any(is_set(value) for name, value in fields.items() if name != "campaign_id"):
            return []
        return ["nothing is changed: set at least one field besides campaign_id"]

    def body(self) -> dict[str, Any]:
        """
        Return the fields that are set, by the API's names.

        With ``now`` the time is set to null, as the vendor's schema allows. That this clears it is an assumption.
        """
        cleared = {"scheduledFor": None} if self.schedule_type == "now" else {}
        return super().body() | cleared


class StartCampaign(RequestModel):
    """The id in the path of a start."""

    subject = "The campaign's start"

    campaign_id: ObjectId


class Campaign(BaseModel):
    """A campaign as OTPIQ returns it. Only its id is relied on: other fields may be missing, null or new."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    id: Annotated[str, Field(alias="_id", strict=True, pattern="^[0-9a-fA-F]{24}$")]


class CampaignResponse(BaseModel):
    """The response to every call that makes or changes a campaign."""

    model_config = ConfigDict(hide_input_in_errors=True)

    success: Literal[True]
    data: Campaign


class ProjectInfo(BaseModel):
    """The response to ``GET /info``: the project's name, and its credit in IQD."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    project_name: Annotated[str, Field(alias="projectName")]
    credit: Annotated[float, Field(allow_inf_nan=False)] | None = None
