"""The schemas of the API's request bodies."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    with_config,
)
from typing_extensions import TypedDict  # pydantic refuses that of Python 3.11

from airflow_provider_otpiq.sandbox.parameters import refusal_of

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_NAME_LENGTH = 80
MAX_RECIPIENTS = 1000
_DATE = re.compile(r"\d{4}-\d\d-\d\dT")


def _require_iso_8601(value: object) -> object:
    if not isinstance(value, str) or not _DATE.match(value):
        raise ValueError("must be an ISO 8601 string")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time that can be converted to UTC") from None


Name = Annotated[str, StringConstraints(strict=True, min_length=3, max_length=MAX_NAME_LENGTH)]
Id = Annotated[str, StringConstraints(strict=True, pattern="^[a-fA-F0-9]{24}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_require_iso_8601), AfterValidator(_to_utc)]
StrictString = Annotated[str, StringConstraints(strict=True)]
MessageStatus = Literal["pending", "sent", "delivered", "read", "failed"]
ReportStatus = Literal["available", "expired", "deleted"]
InternationalNumber = Annotated[str, StringConstraints(strict=True, pattern=r"^\+[0-9]{10,15}$")]
Digits = Annotated[str, StringConstraints(strict=True, pattern="^[0-9]{10,15}$")]


class CreateCampaignRequest(BaseModel):
    """The body of a create."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    templateId: Id  # noqa: N815
    phoneNumberId: Id  # noqa: N815
    scheduleType: Literal["now", "schedule"] = "now"  # noqa: N815
    scheduledFor: Time | None = None  # noqa: N815


class UpdateCampaignRequest(BaseModel):
    """The body of an update. Only ``scheduledFor`` may be null; the other defaults mean "not set"."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    templateId: Id = ""  # noqa: N815
    phoneNumberId: Id = ""  # noqa: N815
    category: Literal["MARKETING", "UTILITY"] = "MARKETING"
    scheduleType: Literal["now", "schedule"] = "now"  # noqa: N815
    scheduledFor: Time | None = None  # noqa: N815


class GenerateReportRequest(BaseModel):
    """The body of a request for a delivery report; the default, an empty list, means "not set"."""

    model_config = ConfigDict(extra="forbid")

    startDate: Time  # noqa: N815
    endDate: Time  # noqa: N815
    phoneNumbers: Annotated[list[InternationalNumber], Field(min_length=1)] = []  # noqa: N815
    statuses: Annotated[list[MessageStatus], Field(min_length=1)] = []


# Dicts, because pydantic validates a thousand of them in half the time of models.


@with_config(ConfigDict(extra="forbid"))
class TemplateParameters(TypedDict, total=False):
    """The values of a template's parameters for a recipient."""

    body: dict[str, StrictString]
    header: dict[str, Any]
    buttons: dict[str, Any]


@with_config(ConfigDict(extra="forbid"))
class Recipient(TypedDict):
    """A recipient."""

    phoneNumber: Digits
    templateParameters: NotRequired[TemplateParameters]


class RecipientsRequest(BaseModel):
    """The body of an attach, and of a sample."""

    model_config = ConfigDict(extra="forbid")

    recipients: Annotated[list[Recipient], Field(min_length=1, max_length=MAX_RECIPIENTS)]

    def refusals(self) -> dict[str, str | None]:
        """Return WhatsApp's reason to refuse each message, or None, by phone number; the first of duplicates counts."""
        first = {recipient["phoneNumber"]: recipient for recipient in reversed(self.recipients)}
        numbers = dict.fromkeys(recipient["phoneNumber"] for recipient in self.recipients)
        return {number: refusal_of(first[number].get("templateParameters")) for number in numbers}

    def lacking(self, path: str) -> Iterator[int]:
        """Yield the indexes of the recipients without a parameter, such as ``templateParameters.body.1``."""
        for index, recipient in enumerate(self.recipients):
            value: Any = recipient
            for key in path.split("."):
                value = value.get(key) if isinstance(value, dict) else None
            if value is None:
                yield index
