"""The bodies of the API's requests: what each call takes."""

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
        raise ValueError("must be an ISO 8601 text")
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must be a time that UTC has") from None


Name = Annotated[str, StringConstraints(strict=True, min_length=3, max_length=MAX_NAME_LENGTH)]
Id = Annotated[str, StringConstraints(strict=True, pattern="^[a-fA-F0-9]{24}$")]
Time = Annotated[AwareDatetime, BeforeValidator(_require_iso_8601), AfterValidator(_to_utc)]
Text = Annotated[str, StringConstraints(strict=True)]
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


class RecipientsRequest(BaseModel):
    """The body of an attach, and of a sample."""

    model_config = ConfigDict(extra="forbid")

    recipients: Annotated[list[Recipient], Field(min_length=1, max_length=MAX_RECIPIENTS)]

    def numbers(self) -> list[str]:
        """Give each number once, in the order of the request."""
        return list(dict.fromkeys(recipient.phoneNumber for recipient in self.recipients))
