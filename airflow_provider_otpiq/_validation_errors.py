"""Validation errors for people: by the field's own name, and without the value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_otpiq._redaction import describe_type, safe_repr
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_MAX_ROWS_LISTED = 20

# By pydantic's error types: its own texts are about inputs.
_TEXTS = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "literal_error": "must be {expected}; found {found}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
    "dict_type": "must be a dict; found {type}",
}


def format_errors(error: ValidationError) -> list[str]:
    """List validation errors without their inputs: ``name: must be 3 to 80 characters long; found 2``."""
    return [_line(details) for details in error.errors(include_url=False)]


def refusal(error: str, remedy: str, effect: str = "") -> OtpiqValidationError:
    """Return an error about one problem; its text begins with what the task has done, such as ``created nothing``."""
    subject = f"This task {effect}: " if effect else ""
    return OtpiqValidationError(f"{subject}{error}. {remedy}", errors=[error])


def bullet_list(errors: Iterable[str]) -> str:
    """Return errors as a bullet list, for the end of an error's text."""
    return "".join(f"\n  - {error}" for error in errors)


def list_some(items: Sequence[str], most: int) -> str:
    """Return the first items, separated by commas, and the number of further ones."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def list_rows(rows: Sequence[int]) -> str:
    """Return the numbers of rows, the first 20 of them: ``rows 3, 7``."""
    return f"row{'s' * (len(rows) > 1)} {list_some(list(map(str, rows)), _MAX_ROWS_LISTED)}"


def _line(details: ErrorDetails) -> str:
    location = (str(name) for name in details["loc"] if name != "[key]")  # pydantic's, after the key's own name
    return ": ".join([*location, _text(details)])


def _text(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if own := context.get("error"):  # a rule of this package is a ValueError, whose text pydantic would prefix
        return str(own)
    text = _TEXTS.get(details["type"])
    if text is None:
        return details["msg"]
    value = details["input"]
    return text.format(**context, found=safe_repr(value), type=describe_type(value))
