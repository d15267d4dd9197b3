"""The request of an audience, validated before anything is read."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    field_validator,
)
from pydantic_core import to_json

from airflow_provider_otpiq._audience.staging import DECODE_ERROR_HANDLER
from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import Region, String, is_set
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.text import NULL_VALUES, REPLACEMENT_CHARACTER, UNDECODED, clean, is_blank
from airflow_provider_otpiq._redaction import has_phone_number, safe_repr

Source = tuple[str, ...] | Callable[[], Any]

_ROWS = re.compile(r"""^\s*[\[({]\s*(?:[\[({'"]|\d{9})|\n""")
"""Matches a list or a dict as text, such as a rendered XCom, and never a path."""
_SUFFIX = re.compile(r"\.[a-z]", re.IGNORECASE)
_PARAMETER_KEY = re.compile(r"[\w-]+", re.ASCII)


def _sendable(value: str) -> str:
    if is_blank(value):
        raise ValueError("is blank; a template parameter must have a value")
    if REPLACEMENT_CHARACTER in value:
        raise ValueError(UNDECODED)
    return clean(value)


class Constant(BaseModel):
    """The value of a template parameter that is the same for everyone."""

    value: Annotated[String, AfterValidator(_sendable)]


Parameter: TypeAlias = str | Constant | dict[str, "Parameter"]


def _source(value: object) -> Source:
    if callable(value):
        return value
    values = value if isinstance(value, list | tuple) else [value]
    if values and all(map(is_path, values)):
        return tuple(map(str, values))
    found = "an empty list" if value in ([], ()) else type(value).__name__
    raise ValueError(f"must be a path, a glob, a list of these without blank ones, or a callable; found {found}")


def is_path(value: object) -> bool:
    """Return whether a value may be a path or a glob, and not blank, rows or phone numbers, such as of an XCom."""
    text = str(value) if isinstance(value, str | PathLike) else ""
    is_phone_number = has_phone_number(text) and "/" not in text and not _SUFFIX.search(text)
    return is_set(text.strip()) and not _ROWS.search(text) and not is_phone_number


def _parameter(value: object) -> Parameter:
    """Parse a column, a constant, or nested parameters such as those of a button, ``{"0": {"1": "link"}}``."""
    if isinstance(value, Mapping) and set(value) != {"value"}:
        return _parameters(value)
    if isinstance(value, Mapping) and not isinstance(value["value"], Mapping):
        return Constant(value=value["value"])
    if isinstance(value, str) and is_set(value):
        return value
    raise ValueError(f'must be the name of a column, or {{"value": "…"}}; found {safe_repr(value)}')


def _parameters(values: Mapping[Any, object]) -> dict[str, Parameter]:
    if not values or not all(isinstance(key, str) and _PARAMETER_KEY.fullmatch(key) for key in values):
        raise ValueError('must have keys such as "1": letters, digits, - and _')
    return {key: _parameter(value) for key, value in values.items()}


def _section(value: object) -> dict[str, Parameter]:
    if not isinstance(value, Mapping):
        raise ValueError(f'must be like {{"1": "first_name"}}; found {safe_repr(value)}')
    return _parameters(value) if value else {}


def _leaves(parameters: Mapping[Any, Parameter], path: str) -> Iterator[tuple[str, str | Constant]]:
    """List the columns and constants by the paths of their parameters, such as ``buttons.0.1``."""
    for key, value in parameters.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def fill(parameters: Mapping[Any, Parameter], values: Iterator[str]) -> dict[str, Any]:
    """Replace the columns by values in their order, and the constants by their own."""
    return {key: _filled(parameter, values) for key, parameter in parameters.items()}


def _filled(parameter: Parameter, values: Iterator[str]) -> Any:
    if isinstance(parameter, dict):
        return fill(parameter, values)
    return parameter.value if isinstance(parameter, Constant) else next(values)


def _limit(value: object) -> int | float:
    rule = "must be a count (a whole number such as 100) or a share of the rows (0.0 to 1.0)"
    is_share = isinstance(value, float) or (isinstance(value, str) and "." in value)
    try:
        number = float(str(value)) if is_share else int(str(value))
    except ValueError:
        number = -1
    if not number >= 0 or (is_share and number > 1):
        raise ValueError(f"{rule}; found {value if isinstance(value, int | float) else safe_repr(value)}")
    return number


def _delimiter(value: str) -> str:
    if len(value) == 1 and value not in '"\r\n\0':
        return value
    raise ValueError(f"must be one character, but not a quote or a line break; found {safe_repr(value)}")


def _encoding(value: str) -> str:
    try:
        codec = codecs.lookup(value)
        # Some codecs are for single words, and refuse the error handler.
        is_text = codec._is_text_encoding and bool(codec.decode(b"", DECODE_ERROR_HANDLER))
    except (LookupError, UnicodeError):
        is_text = False
    if not is_text:
        raise ValueError(f"must be an encoding of text files, such as utf-8 or cp1256; found {safe_repr(value)}")
    return value


def _memory_limit(value: str) -> str:
    if re.fullmatch(r"[0-9]+(\.[0-9]+)? ?[KMGT]i?B", value):
        return value
    raise ValueError(f"must be a size such as 256MB or 1GB; found {safe_repr(value)}")


class Columns(RequestModel):
    """The columns of a file that recipients are read from."""

    subject: ClassVar[str] = "The list of recipients"
    required_if_set: ClassVar[dict[str, str]] = {
        "template_parameters": "the recipients would have no parameters",
        "encoding": "names would be read in another encoding",
    }

    phone_number: String
    template_parameters: dict[
        Literal["body", "header", "buttons"],
        Annotated[Any, PlainValidator(_section)],
    ] = Field(default_factory=dict)
    reference: String | None = None
    delimiter: Annotated[String, AfterValidator(_delimiter)] = ","
    encoding: Annotated[String, AfterValidator(_encoding)] = "utf-8"

    @field_validator("template_parameters")
    @classmethod
    def _leave_out_empty_sections(cls, sections: dict[str, Any]) -> dict[str, Any]:
        return {section: parameters for section, parameters in sections.items() if parameters}

    @property
    def parameters(self) -> dict[str, str]:
        """The columns of template parameters, by the parameters' names in errors."""
        leaves = _leaves(self.template_parameters, "templateParameters.")
        return {path: value for path, value in leaves if isinstance(value, str)}

    @property
    def columns(self) -> list[str]:
        """The columns that are read, the phone number first."""
        return [self.phone_number, *([self.reference] if self.reference else []), *self.parameters.values()]


class AudienceRequest(Columns):
    """The audience to prepare."""

    subject: ClassVar[str] = "The audience"
    failure_phrase: ClassVar[str] = "was not prepared"
    required_if_set: ClassVar[dict[str, str]] = Columns.required_if_set | {
        "suppress": "people who opted out would get the message",
        "suppress_phone_number": "another column would decide who opted out",
        "max_rejected": "another limit would apply",
        "default_region": "national numbers would be read as those of another country",
        "null_values": "other strings would mean that a value is missing",
        "group_by": "everybody would be in one audience",
    }

    source_field: ClassVar[str] = "source"
    """The field that the rows are from, for errors."""

    source: Annotated[Any, PlainValidator(_source)]
    suppress: Annotated[Any, PlainValidator(_source)] = None
    suppress_phone_number: String | None = None
    output: Annotated[String, BeforeValidator(lambda value: str(value) if isinstance(value, PathLike) else value)]
    # More is a broken file rather than a few wrong numbers.
    max_rejected: Annotated[int | float, PlainValidator(_limit)] = 0.05
    default_region: Region = DEFAULT_REGION
    file_format: Literal["csv", "jsonl", "parquet"] | None = None
    null_values: tuple[Annotated[String, AfterValidator(clean)], ...] = NULL_VALUES
    memory_limit: Annotated[String, AfterValidator(_memory_limit)] = "256MB"
    group_by: String | None = None

    @property
    def columns(self) -> list[str]:
        """The columns that are read, the phone number first and the group last."""
        return [*super().columns, *([self.group_by] if self.group_by else [])]

    @property
    def checksum(self) -> str | None:
        """Differs if the request does; None for a callable, which cannot be compared."""
        if callable(self.source) or callable(self.suppress):
            return None
        return sha256(to_json(self.model_dump())).hexdigest()

    @property
    def null_values_of_source(self) -> tuple[str, ...]:
        """The strings that mean "no value" in the source; those of ``suppress`` are ``null_values``."""
        return self.null_values

    @property
    def parameter_keys(self) -> dict[str, list[str]]:
        """The keys of all parameters by section, such as ``0.1`` of ``buttons``."""
        return {
            section: [key for key, _ in _leaves(parameters, "")]
            for section, parameters in self.template_parameters.items()
        }
