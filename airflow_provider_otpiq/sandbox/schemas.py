"""The schemas of the API's request bodies."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

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
    """The body of an update. Only ``scheduledFor`` may be null; the other defaults stand for "not set"."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    templateId: Id = ""  # noqa: N815
    phoneNumberId: Id = ""  # noqa: N815
    category: Literal["MARKETING", "UTILITY"] = "MARKETING"
    scheduleType: Literal["now", "schedule"] = "now"  # noqa: N815
    scheduledFor: Time | None = None  # noqa: N815


class TemplateParameters(BaseModel):
    """
    The values of a template's parameters for a recipient.

    The defaults are factories because pydantic deep-copies a mutable default, for each recipient anew.
    """

    model_config = ConfigDict(extra="forbid")

    body: dict[str, StrictString] = Field(default_factory=dict)
    header: dict[str, Any] = Field(default_factory=dict)
    buttons: dict[str, Any] = Field(default_factory=dict)


class Recipient(BaseModel):
    """A recipient."""

    model_config = ConfigDict(extra="forbid")

    phoneNumber: Digits  # noqa: N815
    templateParameters: TemplateParameters = Field(default_factory=TemplateParameters)  # noqa: N815


class RecipientsRequest(BaseModel):
    """The body of an attach, and of a sample."""

    model_config = ConfigDict(extra="forbid")

    recipients: Annotated[list[Recipient], Field(min_length=1, max_length=MAX_RECIPIENTS)]

    def numbers(self) -> list[str]:
        """Return the phone numbers without duplicates, in order."""
        return list(dict.fromkeys(recipient.phoneNumber for recipient in self.recipients))
