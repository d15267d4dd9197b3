"""
The template parameters of recipients: what is sent of a DAG's values, and which ones a template requires.

Sections (``body``, ``header``, ``buttons``) hold values by their keys, and those of buttons are nested once more:
``{"buttons": {"0": {"1": "A-1042"}}}``. Outside of the body, dicts may be nested up to a limit.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cached_property
from itertools import takewhile
from numbers import Integral
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from airflow_provider_otpiq._models.base import ResponseModel
from airflow_provider_otpiq._models.text import REPLACEMENT_CHARACTER, UNDECODED, clean, is_blank
from airflow_provider_otpiq._redaction import sanitize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

MAX_DEPTH = 10

_SCALAR = "must be a string, a number or a bool"
_SECTIONS = ("body", "header", "buttons")
_MAX_KEY_LENGTH = 2
_MAX_INT = 2**63
_MISSING = object()
_SURROGATE = re.compile("[\ud800-\udfff]")


class ParameterParser:
    """
    Parse recipients' template parameters, and count what was changed.

    :param null_values: the strings that mean "no value".
    """

    def __init__(self, null_values: Collection[str]) -> None:
        self._null_values = frozenset(null_values)
        self.cleaned = 0
        """The number of strings with characters that WhatsApp refuses, or spaces at their ends."""
        self.missing = 0
        """The number of values that were left out, because they mean "no value"."""

    def parse(self, parameters: Any) -> tuple[Any, list[str]]:
        """Return a recipient's parameters as they are sent, and their errors."""
        # The methods of dict: those of a subclass could return different values in two calls.
        if not isinstance(parameters, dict) or not all(map(_is_section, dict.items(parameters))):
            return parameters, ['templateParameters must be like {"body": {"1": "Ali"}}']
        errors: list[str] = []
        parsed = {
            str.__str__(name): self._parse_level(level, (name,), errors) for name, level in dict.items(parameters)
        }
        return parsed, errors

    def changes_none(self, values: Sequence[Any]) -> bool:
        """
        Return whether each value is sent as it is.

        Strings are checked all at once: joined by spaces, they are clean exactly if each of them is.

        :raises ValueError: if one cannot be sent.
        """
        if not are_all(str, values):
            return all(self._parse_scalar(value) is value for value in values)
        joined = f"- {' '.join(values)} -"
        return self._null_values.isdisjoint(values) and self._parse_string(joined) == joined

    def _parse_level(self, level: dict[Any, Any], path: tuple[str, ...], errors: list[str]) -> dict[str, Any]:
        parsed = {}
        for key, value in dict.items(level):
            if not isinstance(key, str) or not _is_unicode(key):
                errors.append(f"{_name(path)} has a key that is not a valid string")
                continue
            try:
                result = self._parse_value(value, (*path, key), errors)
            except ValueError as error:
                errors.append(f"{_name((*path, key))} {error}")
                result = ""  # not missing: one error is enough
            if result is not _MISSING:
                parsed[str.__str__(key)] = result
        return parsed

    def _parse_value(self, value: Any, path: tuple[str, ...], errors: list[str]) -> Any:
        if not isinstance(value, dict) or path[0] == "body":
            return self._parse_scalar(value)
        if len(path) > MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} levels deep")
        return self._parse_level(value, path, errors) or _MISSING

    def _parse_scalar(self, value: Any) -> Any:
        if is_blank(value, self._null_values):
            self.missing += 1
            return _MISSING
        return self._parse_string(str.__str__(value)) if isinstance(value, str) else _parse_number(value)

    def _parse_string(self, value: str) -> str:
        if not _is_unicode(value):
            raise ValueError("has half of a surrogate pair, which is not a character")
        if REPLACEMENT_CHARACTER in value:
            raise ValueError(UNDECODED)
        cleaned = clean(value)
        self.cleaned += cleaned != value
        return cleaned


def are_all(kind: type, values: Iterable[Any]) -> bool:
    """Return whether all values are of exactly this type, not of a subclass."""
    return {kind}.issuperset(map(type, values))


def _is_section(item: tuple[Any, Any]) -> bool:
    name, level = item
    return isinstance(name, str) and _is_unicode(name) and isinstance(level, dict)


def _is_unicode(text: str) -> bool:
    return text.isprintable() or not _SURROGATE.search(text)


def _parse_number(value: Any) -> bool | int | float | str:
    if isinstance(value, bool):
        return value
    if not isinstance(value, Integral | float | Decimal):
        raise ValueError(f"{_SCALAR}, not {type(value).__name__}; format it as text in the source")
    number: Any = value  # an Integral of numpy can be compared, which its type does not say
    if not -_MAX_INT <= number < _MAX_INT:  # beyond, readers of JSON disagree
        raise ValueError("is a number of more than 64 bits; format it as text in the source")
    if (whole := int(number)) == value:
        return whole  # 250000.0 of pandas is 250000
    return float(value) if isinstance(value, float) else format(value, "f")


def _name(path: tuple[str, ...]) -> str:
    """Name a parameter by the API's keys only: other keys may be personal data."""
    section, *keys = path
    if section not in _SECTIONS:
        return "templateParameters"
    known = takewhile(lambda key: key.isdecimal() and len(key) <= _MAX_KEY_LENGTH, keys)
    return ".".join(("templateParameters", section, *known))


class PayloadField(ResponseModel):
    """A parameter that each recipient may, or must, carry."""

    required: bool = False
    path: Annotated[str, Field(alias="templateParametersPath")]
    label: str | None = None

    @cached_property
    def name(self) -> str:
        """Its name in errors."""
        return sanitize(f"{self.path} ({self.label})" if self.label else self.path)

    def error(self, recipient: Mapping[Any, Any]) -> str | None:
        """Return what is wrong if a recipient lacks it; blank values were removed before."""
        value: Any = recipient
        try:
            for key in self.path.split("."):
                value = value[key]
        except (KeyError, TypeError):
            return f"{self.name} is required"
        return f"{self.name} {_SCALAR}, not dict" if isinstance(value, dict) else None


class Payload(ResponseModel):
    """What each recipient must carry for a template."""

    fields: list[PayloadField]


class PayloadResponse(ResponseModel):
    """The response to ``GET /whatsapp/campaigns/recipient-payload``."""

    data: Payload


def required_parameters(payload: Mapping[str, Any]) -> list[PayloadField]:
    """Return the parameters that a template requires."""
    return [field for field in Payload.model_validate(payload).fields if field.required]
