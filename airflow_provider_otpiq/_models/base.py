"""The base classes of requests and responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from airflow_provider_otpiq._models.fields import is_empty, is_set
from airflow_provider_otpiq._validation_errors import bullet_list, format_errors
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ResponseModel(BaseModel):
    """A response, or a part of one. Its errors do not show what was returned."""

    assumption: ClassVar[str | None] = None
    """The id of the assumption about its shape; None if nothing is assumed."""

    model_config = ConfigDict(hide_input_in_errors=True)


class RequestModel(BaseModel):
    """A valid request: parsing the fields validates them."""

    subject: ClassVar[str]
    """The request's name, with which its errors begin."""

    failure_phrase: ClassVar[str] = "was not sent"
    """What errors state about it."""

    required_if_set: ClassVar[dict[str, str]] = {}
    """
    Fields that are an error if they render to an empty value; only Python's None means "not set".

    The value is the consequence of an empty field, as it follows "so" in the error.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        alias_generator=AliasGenerator(serialization_alias=to_camel),
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_out_unset_fields(cls, fields: dict[str, object]) -> dict[str, object]:
        return {
            name: value
            for name, value in fields.items()
            if is_set(value)
            or (name in cls.required_if_set and value is not None)
            or name not in cls.model_fields  # which is an error, even if it is not set
        }

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_empty_value(cls, value: object, info: ValidationInfo) -> object:
        name = info.field_name or ""
        if value is None or name not in cls.required_if_set or not is_empty(value):
            return value
        if name == "null_values" and isinstance(value, list | tuple):
            return value  # an empty list is a value: only blank text is missing
        raise ValueError(
            f"is set and rendered to an empty value, so {cls.required_if_set[name]}; make it render to a value, or"
            f" remove {name}"
        )

    @classmethod
    def parse(cls, **fields: object) -> Self:
        """
        Validate the fields.

        :raises OtpiqValidationError: if any field breaks a rule; the text lists every validation error.
        """
        errors = cls._cross_field_errors(fields)
        try:
            request = cls(**fields)
        except ValidationError as error:
            errors = [*format_errors(error), *errors]
        if not errors:
            return request
        raise cls.refusal(errors)

    @classmethod
    def refusal(cls, errors: Sequence[str], remedy: str = "") -> OtpiqValidationError:
        """Return the error that lists why the request was refused, and the fix."""
        text = f"{cls.subject} {cls.failure_phrase}:{bullet_list(errors)}\n{remedy}"
        return OtpiqValidationError(text.rstrip(), errors=errors)

    @classmethod
    def _cross_field_errors(cls, fields: Mapping[str, object]) -> list[str]:
        """Return the errors of the fields together."""
        return []

    @classmethod
    def api_names(cls) -> set[str]:
        """Return the body's fields by the API's names."""
        return {str(field.serialization_alias) for field in cls.model_fields.values() if not field.exclude}

    def body(self) -> dict[str, Any]:
        """Return the fields that are set, by the API's names."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
