"""
What goes to OTPIQ and what comes back: the API's contract as pydantic models.

A request is made from values as Airflow renders them: text where a template made text of everything, Python
objects under ``render_template_as_native_obj`` and from XCom. ``None``, ``""`` and ``"None"`` (what a blank field
of a trigger form renders to) all mean "not given". Each rule is the vendor's, from the pages *Create campaign* and
*Update draft or scheduled campaign* of https://docs.otpiq.com.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pendulum import DateTime
from pydantic import (
    AfterValidator,
    AliasGenerator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from airflow_provider_otpiq import times
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.problems import listed_problems
from airflow_provider_otpiq.redaction import shown

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_SHORTEST_NAME, _LONGEST_NAME = 3, 80
_NATIVE_HINT = "if render_template_as_native_obj made it one, turn that off or quote the value in the template"


def is_given(value: object) -> bool:
    """
    Tell whether a field was given at all.

    :param value: the field as Airflow rendered it.
    :return: False for None, for an empty text and for the text that None renders to.
    """
    return value is not None and not (isinstance(value, str) and value in ("", "None"))


def _text(value: object, rule: str) -> str:
    # Native rendering makes an int of "664", which keeps every digit. A float has lost some: "1e5", "2026.10".
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{rule}; found a {type(value).__name__}, not text ({_NATIVE_HINT})")
    text = str(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{rule}; found half of a surrogate pair, which is no character")
    return text


def _object_id(value: object) -> str:
    rule = "must be 24 hexadecimal characters (0-9, a-f)"
    text = _text(value, rule)
    if _OBJECT_ID.fullmatch(text):
        return text
    wrong = sorted(set(re.findall(r"[^0-9a-fA-F]", text)))
    among = f", among them {', '.join(map(repr, wrong[:3]))}" if wrong else ""
    raise ValueError(f"{rule}; found {len(text)} characters{among}")


def _name(value: object) -> str:
    rule = f"must be {_SHORTEST_NAME} to {_LONGEST_NAME} characters long"
    text = _text(value, rule)
    if _SHORTEST_NAME <= len(text) <= _LONGEST_NAME:
        return text
    raise ValueError(f"{rule}; found {len(text)}")


def _one_of(*allowed: str) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str) and value in allowed:
            return value
        raise ValueError(f"must be {' or '.join(map(repr, allowed))}; found {shown(value)}")

    return BeforeValidator(check)


def _future(value: object) -> DateTime:
    moment = times.moment(value)
    times.refuse_the_past(moment)
    return moment


def _something(changes: bool) -> bool:
    if not changes:
        raise ValueError("nothing is changed: give at least one field besides campaign_id")
    return changes


ObjectId = Annotated[str, BeforeValidator(_object_id)]
CampaignName = Annotated[str, BeforeValidator(_name)]
ScheduleType = Annotated[Literal["now", "schedule"], _one_of("now", "schedule")]
Category = Annotated[Literal["MARKETING", "UTILITY"], _one_of("MARKETING", "UTILITY")]
FutureTime = Annotated[DateTime, PlainValidator(_future), PlainSerializer(times.as_sent)]


class _Request(BaseModel):
    """A request that keeps the contract; making one is the check."""

    title: ClassVar[str]
    """What it is, as an error begins."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(serialization_alias=to_camel),
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_was_not_given(cls, fields: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in fields.items() if is_given(value)}

    @classmethod
    def checked(cls, **fields: object) -> Self:
        """
        Make the request, or say everything that is wrong with it.

        :param fields: the fields by their names in the operators.
        :return: the request.
        :raises OtpiqValidationError: if any field breaks a rule; the text lists every problem.
        """
        try:
            return cls(**fields)
        except ValidationError as error:
            problems = [problem.removeprefix("changes: ") for problem in listed_problems(error)]
        raise OtpiqValidationError(
            f"{cls.title} was not sent, because of:\n" + "\n".join(f"  - {problem}" for problem in problems),
            problems=problems,
        )

    def body(self) -> dict[str, Any]:
        """
        Make the JSON body.

        :return: the fields that were given, by the API's names.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class CreateCampaign(_Request):
    """The body of a create."""

    title = "The new campaign"

    name: CampaignName
    template_id: ObjectId
    phone_number_id: ObjectId
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = Field(default=None, validate_default=True)

    @field_validator("scheduled_for")
    @classmethod
    def _needs_its_type(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if "schedule_type" not in info.data:  # it is wrong itself, and listed
            return scheduled_for
        scheduled = info.data["schedule_type"] == "schedule"
        if scheduled and scheduled_for is None:
            raise ValueError("is required when schedule_type is 'schedule'; found nothing, or the text 'None'")
        if scheduled_for is not None and not scheduled:
            raise ValueError(
                "is given, so schedule_type must be 'schedule'; without it OTPIQ saves a draft that never starts"
            )
        return scheduled_for


class UpdateCampaign(_Request):
    """The body of an update, and the id in its path."""

    title = "The campaign's update"

    campaign_id: Annotated[ObjectId, Field(exclude=True)]
    name: CampaignName | None = None
    template_id: ObjectId | None = None
    phone_number_id: ObjectId | None = None
    category: Category | None = None
    schedule_type: ScheduleType | None = None
    scheduled_for: FutureTime | None = None
    changes: Annotated[bool, AfterValidator(_something), Field(exclude=True)]
    """Whether any field is given; a field itself so that its problem is listed with the others."""

    @field_validator("scheduled_for")
    @classmethod
    def _not_together_with_now(cls, scheduled_for: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if info.data.get("schedule_type") == "now":
            raise ValueError("contradicts schedule_type 'now', which takes the campaign back to a draft")
        return scheduled_for

    @model_validator(mode="before")
    @classmethod
    def _count_the_changes(cls, fields: dict[str, object]) -> dict[str, object]:
        return {**fields, "changes": any(is_given(fields[name]) for name in fields if name != "campaign_id")}

    def body(self) -> dict[str, Any]:
        """
        Make the JSON body.

        :return: the fields that were given, by the API's names; with ``now`` the time is set to null, as
            ``scheduledFor`` of the vendor's schema allows. That this clears the time is an assumption.
        """
        cleared = {"scheduledFor": None} if self.schedule_type == "now" else {}
        return super().body() | cleared


class Campaign(BaseModel):
    """A campaign as OTPIQ answers it. Only its id is relied on: other fields may be missing, null or new."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    id: Annotated[str, Field(alias="_id", strict=True, pattern=_OBJECT_ID.pattern, min_length=24, max_length=24)]


class RememberedCampaign(BaseModel):
    """What a task instance keeps of the campaign that it made."""

    request: dict[str, str | None]
    campaign: dict[str, Any]

    @classmethod
    def read(cls, kept: object) -> RememberedCampaign | None:
        """
        Read what was kept.

        :param kept: any value.
        :return: the request and the campaign; None if the value is not what this provider keeps.
        """
        try:
            remembered = cls.model_validate(kept)
            Campaign.model_validate(remembered.campaign)
        except ValidationError:
            return None
        return remembered


class CampaignAnswer(BaseModel):
    """The answer to every call that makes or changes a campaign."""

    model_config = ConfigDict(hide_input_in_errors=True)

    success: Literal[True]
    data: Campaign


class ProjectInfo(BaseModel):
    """The answer to ``GET /info``: the project's name, and its credit in IQD."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    project_name: Annotated[str, Field(alias="projectName")]
    credit: float | None = None
