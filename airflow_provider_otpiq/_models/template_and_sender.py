"""A request's template and sending number: by id, or by name and looked up in ``GET /whatsapp/resources``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import ObjectId, String
from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._models.resources import PhoneNumber, Resources, Template, doubt_status, has_id
from airflow_provider_otpiq._redaction import mask_phone_number, safe_repr
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Candidates = Sequence[tuple[int, Template | PhoneNumber]]
    """Templates or numbers, each with the index of its WhatsApp account."""

_MAX_CANDIDATES = 30


class TemplateAndSender(RequestModel):
    """A request that names its template and its sending number by id or by name."""

    requires_template_and_sender: ClassVar[bool]

    template_name: Annotated[String | None, Field(exclude=True)] = None
    template_language: Annotated[String | None, Field(exclude=True)] = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)
    phone_number: Annotated[str | None, BeforeValidator(normalize), Field(exclude=True)] = None
    phone_number_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_language")
    @classmethod
    def _needs_its_name(cls, language: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("template_name", "invalid") is None:
            raise ValueError("is set without `template_name`; set both, or remove it")
        return language

    @field_validator("template_id", "phone_number_id")
    @classmethod
    def _by_id_or_by_name(cls, object_id: str | None, info: ValidationInfo) -> str | None:
        by_name = "template_name" if info.field_name == "template_id" else "phone_number"
        if by_name not in info.data:  # it is invalid, and listed
            return object_id
        has_name = info.data[by_name] is not None
        if has_name and object_id is not None:
            raise ValueError(f"cannot be combined with `{by_name}`; set only one of them")
        if cls.requires_template_and_sender and not has_name and object_id is None:
            raise ValueError(f"is required: set it or `{by_name}`")
        return object_id

    @property
    def has_names(self) -> bool:
        """Whether an id must be looked up."""
        return self.template_name is not None or self.phone_number is not None

    def resolve_ids(self, resources: Mapping[str, Any]) -> Self:
        """
        Look up the ids of an approved template and a connected number, both of one WhatsApp account.

        An id that is set but not listed stays as it is: OTPIQ decides.

        :raises OtpiqValidationError: if nothing matches, if several match, or if template and number belong to
            different accounts. The text lists the candidates.
        """
        accounts = list(enumerate(Resources.model_validate(resources).accounts))
        templates = [(at, template) for at, account in accounts for template in account.templates if template.id]
        numbers = [(at, number) for at, account in accounts for number in account.numbers if number.id]
        matches = [(at, template) for at, template in templates if self._is_template(template)]
        number_matches = [(at, number) for at, number in numbers if self._is_number(number)]
        if self.template_name is not None and not matches:
            language = f" in {safe_repr(self.template_language)}" if self.template_language else ""
            raise _refusal(
                f"template_name: {safe_repr(self.template_name)}{language} is not an approved template.", templates
            )
        if self.phone_number is not None and not number_matches:
            raise _refusal(
                f"phone_number: {mask_phone_number(self.phone_number)} is not a connected number (numbers are masked).",
                numbers,
            )
        if matches and number_matches:
            shared = {at for at, _ in matches} & {at for at, _ in number_matches}
            if not shared:
                error = "the template and the phone number belong to different WhatsApp accounts."
                raise _refusal(error, [*matches, *number_matches])
            matches = [(at, template) for at, template in matches if at in shared]
            number_matches = [(at, number) for at, number in number_matches if at in shared]
        found = _single("template_id", matches, "template_language or ") | _single("phone_number_id", number_matches)
        return self.model_copy(update=found)

    def _is_template(self, template: Template) -> bool:
        if self.template_name is None:
            return has_id(template, self.template_id)
        return (
            template.name == self.template_name
            and str(template.status).upper() == "APPROVED"
            and (self.template_language is None or _plain(template.language) == _plain(self.template_language))
        )

    def _is_number(self, number: PhoneNumber) -> bool:
        if self.phone_number is None:
            return has_id(number, self.phone_number_id)
        return str(number.status).upper() == "CONNECTED" and _digits(number.number) == self.phone_number


def _plain(language: str | None) -> str:
    return str(language).lower().replace("-", "_")


def _digits(number: str | None) -> str | None:
    try:
        return normalize(number)
    except ValueError:
        return None


def _single(field: str, matches: Candidates, or_else: str = "") -> dict[str, str]:
    ids = {str(found.id) for _, found in matches}
    if len(ids) > 1:
        raise _refusal(f"{field}: several match; set {or_else}{field}.", matches)
    return {field: ids.pop()} if ids else {}


def _refusal(error: str, candidates: Candidates) -> OtpiqValidationError:
    error += next(filter(None, (doubt_status(candidate) for _, candidate in candidates)), "")
    listed = bullet_list(str(candidate) for _, candidate in candidates[:_MAX_CANDIDATES]) or " none."
    more = f"\n  and {len(candidates) - _MAX_CANDIDATES} more" if len(candidates) > _MAX_CANDIDATES else ""
    return OtpiqValidationError(f"Nothing was sent: {error} Available:{listed}{more}", errors=[error])
