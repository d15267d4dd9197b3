"""Templates and phone numbers by the names that people know, looked up in ``GET /whatsapp/resources``."""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._redaction import mask_phone_number, safe_repr, sanitize
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

Listed = TypeVar("Listed", "Template", "PhoneNumber")

_MAX_CANDIDATES = 30
_TIER = re.compile(r"TIER_(?P<count>\d{1,9})(?P<thousands>K?)")


def _list(value: object) -> object:
    return [] if value is None else value


class _Part(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class Template(_Part):
    """A message template."""

    id: str | None = None
    name: str | None = None
    language: str | None = None
    status: str | None = None

    def __str__(self) -> str:
        return sanitize(f"{self.name!r} in {self.language} ({self.status}, template_id {self.id})")


class PhoneNumber(_Part):
    """A number that sends."""

    id: str | None = None
    number: Annotated[str | None, Field(alias="phoneNumber")] = None
    verified_name: Annotated[str | None, Field(alias="verifiedName")] = None
    status: str | None = None
    messaging_limit: Annotated[str | None, Field(alias="messagingLimit")] = None
    quality_rating: Annotated[Any, Field(alias="qualityRating")] = None

    @property
    def max_people_a_day(self) -> int | None:
        """How many people it may reach in 24 hours, such as 1000 of ``TIER_1K``; None if unlimited or not known."""
        tier = _TIER.fullmatch(str(self.messaging_limit).upper())
        return int(tier["count"]) * (1000 if tier["thousands"] else 1) if tier else None

    def __str__(self) -> str:
        name = sanitize(str(self.verified_name))
        return f"{mask_phone_number(self.number)} {name!r} ({self.status}, phone_number_id {sanitize(str(self.id))})"


class Account(_Part):
    """A WhatsApp account, whose templates can only be sent from its own numbers."""

    numbers: Annotated[list[PhoneNumber], BeforeValidator(_list), Field(alias="phoneNumbers")] = []
    templates: Annotated[list[Template], BeforeValidator(_list)] = []
    ban_state: Annotated[Any, Field(alias="banState")] = None

    def template(self, template_id: str) -> Template | None:
        """Find a template by its id."""
        return _find(self.templates, template_id)

    def phone_number(self, phone_number_id: str) -> PhoneNumber | None:
        """Find a number by its id."""
        return _find(self.numbers, phone_number_id)


class Business(_Part):
    """A business with its WhatsApp accounts."""

    accounts: Annotated[list[Account], BeforeValidator(_list), Field(alias="whatsappAccounts")] = []


class Resources(_Part):
    """What a project can send, and from where."""

    businesses: Annotated[list[Business], BeforeValidator(_list)] = []

    def phone_number(self, phone_number_id: str) -> PhoneNumber | None:
        """Find a number by its id."""
        found = (account.phone_number(phone_number_id) for account in self.accounts)
        return next(filter(None, found), None)

    def template(self, template_id: str) -> Template | None:
        """Find a template by its id."""
        return next(filter(None, (account.template(template_id) for account in self.accounts)), None)

    def account(self, template_id: str, phone_number_id: str) -> Account | None:
        """Find the account of a number, or, if the number is not listed, of a template."""
        accounts = self.accounts
        of_number = (account for account in accounts if account.phone_number(phone_number_id))
        of_template = (account for account in accounts if account.template(template_id))
        return next(chain(of_number, of_template), None)

    @property
    def accounts(self) -> list[Account]:
        """All WhatsApp accounts."""
        return [account for business in self.businesses for account in business.accounts]


class ResourcesResponse(_Part):
    """The response to ``GET /whatsapp/resources``."""

    data: Resources


class ResourceLookup(BaseModel):
    """A template, a sending number or both, each by its id or by what people call it."""

    template_id: str | None = None
    template_name: str | None = None
    template_language: str | None = None
    phone_number_id: str | None = None
    phone_number: str | None = None

    def resolve(self, resources: Resources) -> dict[str, str]:
        """
        Find the ids: of an approved template and of a connected number, both of one WhatsApp account.

        An id that is set and not listed is left for OTPIQ itself to judge.

        :raises OtpiqValidationError: if there is no such template or number, if there are several, or if they belong
            to different accounts. The text lists what there is.
        """
        accounts = list(enumerate(resources.accounts))
        templates = [(at, template) for at, account in accounts for template in account.templates if template.id]
        numbers = [(at, number) for at, account in accounts for number in account.numbers if number.id]
        template_matches = [(at, template) for at, template in templates if self._is_template(template)]
        number_matches = [(at, number) for at, number in numbers if self._is_number(number)]
        if self.template_name is not None and not template_matches:
            raise _refusal(f"template_name: there is no approved template {self._template()}.", templates)
        if self.phone_number is not None and not number_matches:
            raise _refusal(
                f"phone_number: {mask_phone_number(self.phone_number)} is no connected number (compare what is"
                " masked).",
                numbers,
            )
        if template_matches and number_matches:
            shared = {at for at, _ in template_matches} & {at for at, _ in number_matches}
            if not shared:
                error = "the template and the phone number belong to different WhatsApp accounts."
                raise _refusal(error, [*template_matches, *number_matches])
            template_matches = [(at, template) for at, template in template_matches if at in shared]
            number_matches = [(at, number) for at, number in number_matches if at in shared]
        return {
            **_single("template_id", template_matches, "template_language or "),
            **_single("phone_number_id", number_matches),
        }

    def _is_template(self, template: Template) -> bool:
        if self.template_name is None:
            return str(template.id).lower() == str(self.template_id).lower()
        any_language = self.template_language is None
        return (
            template.name == self.template_name
            and str(template.status).upper() == "APPROVED"
            and (any_language or _plain(template.language) == _plain(self.template_language))
        )

    def _is_number(self, number: PhoneNumber) -> bool:
        if self.phone_number is None:
            return str(number.id).lower() == str(self.phone_number_id).lower()
        return str(number.status).upper() == "CONNECTED" and _digits(number.number) == self.phone_number

    def _template(self) -> str:
        language = f" in {safe_repr(self.template_language)}" if self.template_language else ""
        return f"{safe_repr(self.template_name)}{language}"


def _find(listed: Sequence[Listed], object_id: str) -> Listed | None:
    return next((each for each in listed if str(each.id).lower() == object_id.lower()), None)


def _plain(language: str | None) -> str:
    return str(language).lower().replace("-", "_")


def _digits(number: str | None) -> str | None:
    try:
        return normalize(number)
    except ValueError:
        return None


def _single(field: str, matches: Sequence[tuple[int, Template | PhoneNumber]], or_else: str = "") -> dict[str, str]:
    ids = {str(found.id) for _, found in matches}
    if len(ids) > 1:
        raise _refusal(f"{field}: several match; set {or_else}{field}.", matches)
    return {field: ids.pop()} if ids else {}


def _refusal(error: str, candidates: Sequence[tuple[int, Template | PhoneNumber]]) -> OtpiqValidationError:
    listed = bullet_list(str(each) for _, each in candidates[:_MAX_CANDIDATES]) or " nothing."
    more = f"\n  and {len(candidates) - _MAX_CANDIDATES} more" if len(candidates) > _MAX_CANDIDATES else ""
    return OtpiqValidationError(
        f"Nothing was sent: {error} There is:{listed}{more}",
        errors=[error],
    )
