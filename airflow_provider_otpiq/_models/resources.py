"""The response to ``GET /whatsapp/resources``: templates and phone numbers."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from airflow_provider_otpiq._models.base import ResponseModel
from airflow_provider_otpiq._redaction import mask_phone_number, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable

Listed = TypeVar("Listed", "Template", "PhoneNumber")

_TIER = re.compile(r"TIER_(?P<count>\d{1,9})(?P<thousands>K?)")


# Meta's: of templates, then of numbers. OTPIQ does not document them: assumption `resource-values`.
_META_STATUSES = re.compile(
    "APPROVED|PENDING|REJECTED|PAUSED|DISABLED|IN_APPEAL|PENDING_DELETION|DELETED|LIMIT_EXCEEDED|ARCHIVED|CONNECTED"
    "|DISCONNECTED|BANNED|FLAGGED|RESTRICTED|RATE_LIMITED|UNVERIFIED|MIGRATED|UNKNOWN|",
    re.IGNORECASE,
)


def _or_empty(value: object) -> object:
    return () if value is None else value


class Template(ResponseModel):
    """A message template."""

    id: str | None = None
    name: str | None = None
    language: str | None = None
    status: str | None = None

    def __str__(self) -> str:
        return sanitize(f"{self.name!r} in {self.language} ({self.status}, template_id {self.id})")


class PhoneNumber(ResponseModel):
    """A sending number."""

    id: str | None = None
    number: Annotated[str | None, Field(alias="phoneNumber")] = None
    verified_name: Annotated[str | None, Field(alias="verifiedName")] = None
    status: str | None = None
    messaging_limit: Annotated[str | None, Field(alias="messagingLimit")] = None
    quality_rating: Annotated[Any, Field(alias="qualityRating")] = None

    @property
    def max_people_a_day(self) -> int | None:
        """The number of people it may message in 24 hours: 1000 for ``TIER_1K``; None if unlimited or unknown."""
        tier = _TIER.fullmatch(str(self.messaging_limit).upper())
        return int(tier["count"]) * (1000 if tier["thousands"] else 1) if tier else None

    def __str__(self) -> str:
        name = sanitize(str(self.verified_name))
        return f"{mask_phone_number(self.number)} {name!r} ({self.status}, phone_number_id {sanitize(str(self.id))})"


class Account(ResponseModel):
    """A WhatsApp account. Its templates can only be sent from its own numbers."""

    numbers: Annotated[tuple[PhoneNumber, ...], BeforeValidator(_or_empty), Field(alias="phoneNumbers")] = ()
    templates: Annotated[tuple[Template, ...], BeforeValidator(_or_empty)] = ()
    ban_state: Annotated[Any, Field(alias="banState")] = None


class Business(ResponseModel):
    """A business with its WhatsApp accounts."""

    accounts: Annotated[tuple[Account, ...], BeforeValidator(_or_empty), Field(alias="whatsappAccounts")] = ()


class Resources(ResponseModel):
    """A project's templates and sending numbers."""

    businesses: Annotated[tuple[Business, ...], BeforeValidator(_or_empty)] = ()

    def phone_number(self, phone_number_id: str) -> PhoneNumber | None:
        """Return the number with this id."""
        return _find(chain.from_iterable(account.numbers for account in self.accounts), phone_number_id)

    def template(self, template_id: str) -> Template | None:
        """Return the template with this id."""
        return _find(chain.from_iterable(account.templates for account in self.accounts), template_id)

    def account(self, template_id: str, phone_number_id: str) -> Account | None:
        """Return the account of a number or, if the number is not listed, of a template."""
        of_number = (account for account in self.accounts if _find(account.numbers, phone_number_id))
        of_template = (account for account in self.accounts if _find(account.templates, template_id))
        return next(chain(of_number, of_template), None)

    @property
    def accounts(self) -> list[Account]:
        """All WhatsApp accounts."""
        return [account for business in self.businesses for account in business.accounts]


class ResourcesResponse(ResponseModel):
    """The response to ``GET /whatsapp/resources``."""

    data: Resources


def doubt_status(listed: Template | PhoneNumber) -> str:
    """Return what an error adds if a status is not one of Meta's; usually nothing."""
    status = (listed.status or "").strip()
    return (
        ""
        if _META_STATUSES.fullmatch(status)
        else f" ({sanitize(status)} is not one of Meta's statuses: assumption resource-values)"
    )


def has_id(listed: Template | PhoneNumber, object_id: str | None) -> bool:
    """Return whether a template or number has this id, in upper or lower case."""
    return str(listed.id).lower() == str(object_id).lower()


def _find(listed: Iterable[Listed], object_id: str) -> Listed | None:
    return next((candidate for candidate in listed if has_id(candidate, object_id)), None)
