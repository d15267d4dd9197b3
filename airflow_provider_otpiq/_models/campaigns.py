"""
Campaigns: the requests to create, update and start one, and the responses.

The rules are the vendor's, from *Create campaign* and *Update draft or scheduled campaign* of https://docs.otpiq.com.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel, ResponseModel
from airflow_provider_otpiq._models.fields import CampaignName, FutureTime, ObjectId, ScheduleType, is_object_id, is_set
from airflow_provider_otpiq._models.template_and_sender import TemplateAndSender

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pendulum import DateTime


class CreateCampaign(TemplateAndSender):
    """The body of a create."""

    subject = "The campaign"
    failure_phrase = "was not created"
    requires_template_and_sender = True

    name: CampaignName
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = Field(default=None, validate_default=True)

    @field_validator("scheduled_for")
    @classmethod
    def _needs_its_type(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if "schedule_type" not in info.data:  # it is invalid, and listed
            return scheduled_for
        scheduled = info.data["schedule_type"] == "schedule"
        if scheduled and scheduled_for is None:
            raise ValueError("is required if `schedule_type` is 'schedule'; it is not set, or is the string 'None'")
        if scheduled_for is not None and not scheduled:
            raise ValueError(
                "is set, so `schedule_type` must be 'schedule'; otherwise OTPIQ saves a draft that never starts"
            )
        return scheduled_for

    @property
    def if_lost(self) -> str:
        """What an error adds if the response is lost."""
        return (
            f"Campaign {self.name!r} may exist, and this task does not know its id. It has no recipients and sends"
            " nothing. A retry creates another one."
        )


class UpdateCampaign(TemplateAndSender):
    """The body of an update, and the id in its path."""

    subject = "The campaign"
    failure_phrase = "was not updated"
    requires_template_and_sender = False

    campaign_id: Annotated[ObjectId, Field(exclude=True)]
    name: CampaignName | None = None
    category: Literal["MARKETING", "UTILITY"] | None = None
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = None

    @field_validator("scheduled_for")
    @classmethod
    def _not_together_with_now(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if info.data.get("schedule_type") == "now":
            raise ValueError(
                "contradicts `schedule_type` 'now', which makes the campaign a draft again; remove one of them"
            )
        return scheduled_for

    @property
    def starts_automatically(self) -> bool:
        """Whether the campaign starts automatically."""
        return self.schedule_type == "schedule" or self.scheduled_for is not None

    @property
    def if_lost(self) -> str:
        """What an error adds if the response is lost."""
        text = "The change may have been made. A retry is idempotent."
        if self.scheduled_for:
            text += (
                " After `scheduled_for` OTPIQ refuses the time as past, although the campaign may have started: check"
                " it in OTPIQ's dashboard then."
            )
        return text

    @classmethod
    def _cross_field_errors(cls, fields: Mapping[str, object]) -> list[str]:
        if any(is_set(value) for name, value in fields.items() if name != "campaign_id"):
            return []
        return ["nothing changes: set at least one field besides `campaign_id`"]

    def body(self) -> dict[str, Any]:
        """
        Return the fields that are set, by the API's names.

        With ``now`` the time is null, as the vendor's schema allows. That null clears it is assumption
        ``null-clears-time``.
        """
        cleared = {"scheduledFor": None} if self.schedule_type == "now" else {}
        return super().body() | cleared


class StartCampaign(RequestModel):
    """The id in the path of a start."""

    subject = "The campaign"
    failure_phrase = "was not started"

    campaign_id: ObjectId


def _campaign_id(value: object) -> str:
    if isinstance(value, str) and is_object_id(value):
        return value
    raise ValueError("must be a string of 24 hexadecimal characters (assumption campaign-id)")


class Campaign(ResponseModel, extra="allow"):
    """A campaign as OTPIQ returns it. Only its id is required: other fields may be missing, null or new."""

    id: Annotated[str, PlainValidator(_campaign_id), Field(alias="_id")]


class CampaignResponse(ResponseModel):
    """The response to every call that creates or changes a campaign."""

    success: Literal[True]
    data: Campaign


class CreatedResponse(CampaignResponse):
    """The response to a create."""

    assumption: ClassVar[str] = "create-shape"


class UpdatedResponse(CampaignResponse):
    """The response to an update."""

    assumption: ClassVar[str] = "update-shape"


class ProjectInfo(ResponseModel, extra="allow"):
    """The response to ``GET /info``: the project's name, and its credit in IQD."""

    project_name: Annotated[str, Field(alias="projectName")]
    credit: Annotated[float, Field(allow_inf_nan=False)] | None = None
