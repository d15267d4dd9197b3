"""
What goes to OTPIQ and what comes back: the API's contract as pydantic models.

A request is made from values as Airflow renders them: text where a template made text of everything, Python
objects under ``render_template_as_native_obj`` and from XCom. ``None``, ``""`` and ``"None"`` (what a blank field
of a trigger form renders to) all mean "not given". Each rule is the vendor's, from the pages *Create campaign* and
*Update draft or scheduled campaign* of https://docs.otpiq.com.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

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

from airflow_provider_otpiq._models import datetimes as times
from airflow_provider_otpiq._models.phone_numbers import in_api_form
from airflow_provider_otpiq._models.resources import Resources, Wanted
from airflow_provider_otpiq._redaction import shown
from airflow_provider_otpiq._validation_errors import as_lines, listed_problems
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

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


def is_object_id(value: object) -> bool:
    """
    Tell whether a value is an id of OTPIQ's.

    :param value: any value of a template field.
    :return: whether it has 24 hexadecimal characters.
    """
    try:
        return bool(_object_id(value))
    except ValueError:
        return False


def _name(value: object) -> str:
    rule = f"must be {_SHORTEST_NAME} to {_LONGEST_NAME} characters long"
    text = _text(value, rule)
    if _SHORTEST_NAME <= len(text) <= _LONGEST_NAME:
        return text
    raise ValueError(f"{rule}; found {len(text)}")


def _some_text(value: object) -> str:
    return _text(value, "must be text")


def one_of(*allowed: str) -> BeforeValidator:
    """
    Make the check of a field that is one of a few words.

    :param allowed: the words.
    :return: the check, whose error names them.
    """

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
ScheduleType = Annotated[Literal["now", "schedule"], one_of("now", "schedule")]
Category = Annotated[Literal["MARKETING", "UTILITY"], one_of("MARKETING", "UTILITY")]
FutureTime = Annotated[DateTime, PlainValidator(_future), PlainSerializer(times.as_sent)]


class CheckedRequest(BaseModel):
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
            f"{cls.title} was not sent, because of:{as_lines(problems)}",
            problems=problems,
        )

    def body(self) -> dict[str, Any]:
        """
        Make the JSON body.

        :return: the fields that were given, by the API's names.
        """
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class _NamesItsSender(CheckedRequest):
    """A request whose template and phone number are given by id, or by what people call them."""

    needs_both: ClassVar[bool]

    template_name: Annotated[str | None, BeforeValidator(_some_text), Field(exclude=True)] = None
    template_language: Annotated[str | None, BeforeValidator(_some_text), Field(exclude=True)] = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)
    phone_number: Annotated[str | None, BeforeValidator(in_api_form), Field(exclude=True)] = None
    phone_number_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_language")
    @classmethod
    def _needs_its_name(cls, language: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("template_name", "wrong itself") is None:
            raise ValueError("is given without template_name, which it belongs to")
        return language

    @field_validator("template_id", "phone_number_id")
    @classmethod
    def _by_id_or_by_name(cls, object_id: str | None, info: ValidationInfo) -> str | None:
        by_name = "template_name" if info.field_name == "template_id" else "phone_number"
        if by_name not in info.data:  # it is wrong itself, and listed
            return object_id
        has_name = info.data[by_name] is not None
        if has_name and object_id is not None:
            raise ValueError(f"is given, and so is {by_name}; keep one of them")
        if cls.needs_both and not has_name and object_id is None:
            raise ValueError(f"is required, and was not given, nor was {by_name}")
        return object_id

    @property
    def has_names(self) -> bool:
        """Whether an id has to be looked up."""
        return self.template_name is not None or self.phone_number is not None

    def with_ids(self, resources: Mapping[str, Any]) -> Self:
        """
        Find the ids of what is given by name.

        :param resources: ``data`` of OTPIQ's answer to ``GET /whatsapp/resources``.
        :return: the same request with ids.
        :raises OtpiqValidationError: if there is no such template or number, or more than one.
        """
        wanted = Wanted(**{name: getattr(self, name) for name in Wanted.model_fields})
        return self.model_copy(update=wanted.found_in(Resources.model_validate(resources)))


class CreateCampaign(_NamesItsSender):
    """The body of a create."""

    title = "The new campaign"
    needs_both = True

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
            raise ValueError("is required when schedule_type is 'schedule'; found nothing, or the text 'None'")
        if scheduled_for is not None and not scheduled:
            raise ValueError(
                "is given, so schedule_type must be 'schedule'; without it OTPIQ saves a draft that never starts"
            )
        return scheduled_for


class UpdateCampaign(_NamesItsSender):
    """The body of an update, and the id in its path."""

    title = "The campaign's update"
    needs_both = False

    campaign_id: Annotated[ObjectId, Field(exclude=True)]
    name: CampaignName | None = None
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

    @property
    def starts_by_itself(self) -> bool:
        """Whether the campaign is to start at a time."""
        return self.schedule_type == "schedule" or self.scheduled_for is not None

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


class StartCampaign(CheckedRequest):
    """The id in the path of a start."""

    title = "The campaign's start"

    campaign_id: ObjectId


class Campaign(BaseModel):
    """A campaign as OTPIQ answers it. Only its id is relied on: other fields may be missing, null or new."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    id: Annotated[str, Field(alias="_id", strict=True, pattern=_OBJECT_ID.pattern, min_length=24, max_length=24)]


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
