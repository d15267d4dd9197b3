"""One recipient: from a row of a DAG to the API's form, and its name in errors and logs."""

from __future__ import annotations

import re
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq._models.phone_numbers import API_FORM, parse_phone_number
from airflow_provider_otpiq._models.text import is_blank
from airflow_provider_otpiq._recipients.template_parameters import ParameterParser, are_all
from airflow_provider_otpiq._redaction import mask_phone_number, may_be_phone_number, sanitize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

BEGINS_A_FORMULA = "^[=+@\t\r\uff1d\uff0b\uff0d\uff20-]"
SIGNED_NUMBER = "[+-][0-9]+([.][0-9]+)?"
"""Regular expressions of Python and DuckDB: a spreadsheet runs a value of the first as a formula, except the second."""

_KEYS = ("phoneNumber", "templateParameters", "reference")
_LINES_IN_API_FORM = re.compile(f"(?:{API_FORM}\n)*")
_MAX_INT = 2**63
_MAX_REFERENCE_LENGTH = 40


class ParsedRow(NamedTuple):
    """A row in the API's form; invalid values in it are unchanged."""

    recipient: dict[str, Any]
    errors: list[str]
    region: str | None
    """The country of its number; None if the number is not valid."""


class RowParser:
    """
    Parse recipients row by row: what is valid is decided here.

    :param default_region: the country of national phone numbers.
    :param null_values: the strings that mean "no value".
    """

    def __init__(self, default_region: str, null_values: Collection[str]) -> None:
        self._default_region = default_region
        self.parameters = ParameterParser(null_values)

    def parse(self, row: Mapping[Any, Any]) -> ParsedRow:
        """Copy one row in the API's form, and list its validation errors."""
        recipient, errors, region = {"phoneNumber": row.get("phoneNumber")}, [], None
        try:
            recipient["phoneNumber"], region = parse_phone_number(recipient["phoneNumber"], self._default_region)
        except ValueError as error:
            errors.append(f"phoneNumber {error}")
        if (parameters := row.get("templateParameters")) is not None:
            recipient["templateParameters"], found = self.parameters.parse(parameters)
            errors += found
        if not is_blank(reference := row.get("reference")):
            try:
                recipient["reference"] = _parse_reference(reference)
            except ValueError as error:
                errors.append(f"reference {error}")
        if others := len(row) - sum(key in row for key in _KEYS):
            errors.append(
                f"has unknown keys ({others}); only phoneNumber, templateParameters and reference are allowed"
            )
        return ParsedRow(recipient, errors, region)

    def changes_none(self, rows: Sequence[Any]) -> bool:
        """
        Return whether all rows are in the API's form, in a fraction of the time that parsing them takes.

        The first row is parsed. The others must have the same keys, and the parser's rules are applied to the values
        of each key at once. Rows whose keys differ are not recognized.
        """
        if not (rows and are_all(dict, rows)):
            return False
        first = self.parse(rows[0])
        first.recipient.pop("reference", None)
        references = [row["reference"] for row in rows if "reference" in row]
        try:
            numbers, *values = _columns(rows, first.recipient, others=len(references))
            return (
                not first.errors
                and first.region == self._default_region
                and _are_in_api_form(numbers)
                and all(map(self.parameters.changes_none, values))
                and all(_parse_reference(reference) is reference for reference in references)
            )
        except (LookupError, ValueError):
            return False


def describe_recipient(position: int, recipient: Mapping[str, Any], reference: str | int | None = None) -> str:
    """Name a recipient so that its owner finds it: ``recipients[17] (reference 'C-1042', 964771•••5678)``."""
    number = mask_phone_number(recipient.get("phoneNumber"))
    if reference is None or is_blank(reference):
        return f"recipients[{position}] ({number})"
    shown = safe_reference(reference)
    return f"recipients[{position}] (reference {repr(shown) if isinstance(reference, str) else shown}, {number})"


def safe_reference(reference: str | int) -> str:
    """Return a reference as it may be shown: one that could be a phone number is masked."""
    text = str(reference)
    is_number = may_be_phone_number(text)
    text = mask_phone_number("".join(filter(str.isdecimal, text))) if is_number else sanitize(text)
    return text if len(text) <= _MAX_REFERENCE_LENGTH else f"{text[:_MAX_REFERENCE_LENGTH]}…"


def _columns(dicts: Sequence[Any], shape: dict[str, Any], others: int = 0) -> Iterator[list[Any]]:
    """
    Yield the values of each key of ``shape``, and of the keys of its dicts.

    :raises LookupError: if a dict lacks one, or they have more or fewer than ``others`` further keys.
    """
    if not (
        are_all(dict, dicts)
        and are_all(str, chain.from_iterable(dicts))
        and sum(map(len, dicts)) == len(shape) * len(dicts) + others
    ):
        raise LookupError
    for key, inner in shape.items():
        values = list(map(itemgetter(key), dicts))
        if isinstance(inner, dict):
            yield from _columns(values, inner)
        else:
            yield values


def _are_in_api_form(numbers: list[Any]) -> bool:
    if not are_all(str, numbers):
        return False
    lines = "\n".join([*numbers, ""])
    return bool(_LINES_IN_API_FORM.fullmatch(lines)) and lines.count("\n") == len(numbers)


def _parse_reference(reference: object) -> str | int:
    if isinstance(reference, str):
        return str.__str__(reference)
    if isinstance(reference, int) and not isinstance(reference, bool) and -_MAX_INT <= reference < _MAX_INT:
        return int(reference)
    raise ValueError("must be a string, or an int of 64 bits")
