"""One recipient: from the row that a DAG has to the form that the API takes, and its name in errors and logs."""

from __future__ import annotations

import math
from itertools import chain
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AllowInfNan, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypeAliasType

from airflow_provider_otpiq._models.phone_numbers import API_FORM, DEFAULT_REGION, normalize
from airflow_provider_otpiq._redaction import mask_phone_number, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

EMPTY = "is empty: at least one recipient is needed"
MAX_RECIPIENTS = 1000
"""What a campaign can hold, and what one request can carry."""
BLANK = frozenset({"", "None", "nan"})
"""Strings that mean "not set": the one of None, and of what pandas has for a missing value."""
NO_JSON = (
    "holds what is no JSON, or half a character; JSON has strings, ints of 64 bits, finite floats, true, false, null,"
    " lists, and dicts with strings for keys"
)

_KEYS = frozenset({"phoneNumber", "templateParameters", "reference"})
_MAX_REFERENCE_LENGTH = 40
_MIN_PHONE_NUMBER_DIGITS = 9
_STRICT = ConfigDict(strict=True, hide_input_in_errors=True)
# JSON's own types, and what derives from them: what pydantic gives back is a copy in JSON's own, and the copy is sent.
_Float = Annotated[float, AllowInfNan(False)]
_Json = TypeAliasType(
    "_Json",
    Annotated["str | int | bool | _Float | list[_Json] | dict[str, _Json] | None", Field(union_mode="left_to_right")],
)
_Parameters = dict[str, dict[str, _Json]]

_numbers = TypeAdapter(list[Annotated[str, StringConstraints(pattern=f"^(?:{API_FORM})$")]], config=_STRICT)
_parameters = TypeAdapter(_Parameters, config=_STRICT)
_reference = TypeAdapter[str | int](str | Annotated[int, Field(ge=-(2**63), lt=2**63)], config=_STRICT)


def all_in_api_form(rows: Sequence[Any], default_region: str) -> bool:
    """
    Tell whether all rows can be sent as they are, in a fraction of the time that :func:`parse_row` takes.

    Each is a dict in the API's form, optionally with a ``reference``, and made of JSON's own types only.
    """
    try:
        return default_region == DEFAULT_REGION and _are_in_api_form(rows)
    except RecursionError:
        return False


def parse_row(row: Mapping[Any, Any], default_region: str) -> tuple[dict[str, Any], list[str]]:
    """Copy one row in the API's form, and list its validation errors; what is invalid is copied as it is."""
    recipient, errors = {"phoneNumber": row.get("phoneNumber")}, []
    try:
        recipient["phoneNumber"] = normalize(recipient["phoneNumber"], default_region)
    except ValueError as error:
        errors.append(f"phoneNumber {error}")
    if (parameters := row.get("templateParameters")) is not None:
        recipient["templateParameters"], wrong = _parse_parameters(parameters)
        errors += wrong
    if not _is_blank(reference := row.get("reference")):
        recipient["reference"], wrong = _checked_reference(reference)
        errors += wrong
    if others := len(row) - sum(key in row for key in _KEYS):
        errors.append(f"has {others} other keys than phoneNumber and templateParameters (and reference)")
    return recipient, errors


def describe_recipient(position: int, recipient: Mapping[str, Any], reference: str | int | None = None) -> str:
    """Name a recipient so that its owner finds it: ``recipients[17] (reference 'C-1042', 964771•••5678)``."""
    number = mask_phone_number(recipient.get("phoneNumber"))
    return f"recipients[{position}] ({_named_reference(reference)}{number})"


def is_missing(value: object) -> bool:
    """Tell whether the value of a required parameter is as good as none."""
    # Asked for a key, a defaultdict makes an empty value up.
    return value in ([], {}) if isinstance(value, list | dict) else _is_blank(value)


# A thousand recipients are looked at field by field, in loops that run in C, and nothing is copied: this measured
# faster than row by row, and than pydantic. Types are exact, as a subclass could show one thing and send another.
def _are_in_api_form(rows: Sequence[Any]) -> bool:
    if not _are_all(dict, rows) or not _KEYS.issuperset(chain.from_iterable(rows)):
        return False
    return (
        _are_numbers([row.get("phoneNumber") for row in rows])
        and _are_plain_sections([row["templateParameters"] for row in rows if "templateParameters" in row])
        and all(map(_is_plain_reference, [row["reference"] for row in rows if "reference" in row]))
    )


def _are_numbers(values: list[Any]) -> bool:
    try:
        return _are_all(str, values) and bool(_numbers.validate_python(values))
    except ValidationError:
        return False


def _are_plain_sections(parameters: list[Any]) -> bool:
    if not _are_all(dict, parameters) or not _are_all(str, chain.from_iterable(parameters)):
        return False
    sections = [section for each in parameters for section in each.values()]
    if not _are_all(dict, sections) or not _are_all(str, chain.from_iterable(sections)):
        return False
    values = list(chain.from_iterable(map(dict.values, sections)))
    return _are_all(str, values) or all(map(_is_plain, values))


def _are_all(kind: type, values: Iterable[Any]) -> bool:
    return {kind}.issuperset(map(type, values))


def _is_plain_reference(value: Any) -> bool:
    return type(value) in (str, int) and _is_plain(value)


def _is_plain(value: Any) -> bool:
    kind = type(value)
    if kind is int:  # beyond 64 bits, readers of JSON disagree about it
        return bool(-(2**63) <= value < 2**63)
    if kind is float:
        return math.isfinite(value)
    if kind is list:
        return all(map(_is_plain, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return kind in (str, bool, NoneType)


def _is_blank(value: object) -> bool:
    if isinstance(value, str):
        return value.strip() in BLANK
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parse_parameters(parameters: Any) -> tuple[Any, list[str]]:
    where: tuple[int | str, ...] = ()
    try:
        if _are_plain_sections([plain := _parameters.validate_python(parameters)]):
            return plain, []
    except ValidationError as error:
        where = error.errors(include_url=False, include_input=False)[0]["loc"]
    if not _are_sections(parameters):
        return parameters, ['templateParameters must be like {"body": {"1": "Ali"}}']
    return parameters, [f"{_place(where)} {NO_JSON}"]


def _are_sections(parameters: object) -> bool:
    return isinstance(parameters, dict) and all(
        isinstance(name, str) and isinstance(section, dict) for name, section in parameters.items()
    )


def _place(where: tuple[int | str, ...]) -> str:
    """Name a parameter by keys that can be nothing else than the API's: others may be a person's data."""
    section, key, *_ = map(str, (*where, "", ""))
    if section not in ("body", "header", "buttons"):
        return "templateParameters"
    return f"templateParameters.{section}" + (f".{key}" if key.isdecimal() and len(key) <= 2 else "")  # noqa: PLR2004


def _checked_reference(reference: object) -> tuple[str | int | None, list[str]]:
    try:
        return _reference.validate_python(reference), []
    except ValidationError:
        return None, ["reference must be a string, or an int of 64 bits"]


def safe_reference(reference: str | int) -> str:
    """Write a reference as it may be shown: one that could be a phone number is masked."""
    text = str(reference)
    digits = "".join(filter(str.isdecimal, text))
    # However it is punctuated, a long number without a letter may be a phone number.
    is_number = len(digits) >= _MIN_PHONE_NUMBER_DIGITS and not any(map(str.isalpha, text))
    text = mask_phone_number(digits) if is_number else sanitize(text)
    return text if len(text) <= _MAX_REFERENCE_LENGTH else f"{text[:_MAX_REFERENCE_LENGTH]}…"


def _named_reference(reference: str | int | None) -> str:
    if reference is None or _is_blank(reference):
        return ""
    text = safe_reference(reference)
    return f"reference {text!r}, " if isinstance(reference, str) else f"reference {text}, "
