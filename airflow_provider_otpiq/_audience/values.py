"""
The text of a value: in Python, and as SQL with which DuckDB handles many rows at once.

The SQL follows the rules of :mod:`._models.text`.
"""

from __future__ import annotations

import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow_provider_otpiq._audience.file_kind import undecodable_reason
from airflow_provider_otpiq._audience.staging import UNDECODABLE_CHARACTER
from airflow_provider_otpiq._duckdb import literal
from airflow_provider_otpiq._models.text import MARKS, REPLACEMENT_CHARACTER, SPACES, UNDECODED, is_blank
from airflow_provider_otpiq._redaction import describe_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_LENGTH = 131_072
"""The most characters of a value: the limit of Python's CSV reader."""
TOO_LONG = f"has a value of more than {MAX_LENGTH:,} characters"

_SCIENTIFIC = "\ufdd2"
"""Replaces a float that is written in scientific notation, which nobody could read in a message."""
_WHOLE_BELOW = 1e15
"""Floats from here on are not exact to the last digit before the point."""
_NUMPY_KINDS = frozenset("biuf")


def as_text(value: Any) -> str:
    """Write a value as people read it, or raise a ValueError that does not show it."""
    if getattr(getattr(value, "dtype", None), "kind", "") in _NUMPY_KINDS and not getattr(value, "shape", ()):
        value = value.item()
    if isinstance(value, str):
        return _require_characters(value)
    if is_blank(value, ()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_as_text(value)
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        raise ValueError("is a time with a timezone; write it as a string, as it should be sent")
    if isinstance(value, int | Decimal | date | time | UUID):
        return _require_characters(str(value))
    raise ValueError(f"is {describe_type(value)}; expected a string, a number or a date")


def _float_as_text(value: float) -> str:
    text = str(int(value) if abs(value) < _WHOLE_BELOW and value == math.trunc(value) else value)
    return _SCIENTIFIC if "e" in text else text


def float_as_text(column: str) -> str:
    """Write the SQL that returns the text of a float."""
    whole = f"WHEN abs({column}) < {_WHOLE_BELOW:.0f} AND {column} = trunc({column}) THEN {column}::BIGINT::VARCHAR"
    scientific = f"WHEN contains({column}::VARCHAR, 'e') THEN {literal(_SCIENTIFIC)}"
    return f"CASE WHEN isfinite({column}) THEN CASE {whole} {scientific} ELSE {column}::VARCHAR END ELSE '' END"


def _require_characters(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise ValueError(TOO_LONG)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("has half of a surrogate pair, which is not a character")
    return text


def unreadable_characters(encoding: str) -> dict[str, str]:
    """Return the characters that stand for something that cannot be read, each with the reason to reject the row."""
    return {
        UNDECODABLE_CHARACTER: undecodable_reason(encoding),
        REPLACEMENT_CHARACTER: UNDECODED,
        _SCIENTIFIC: "has a float that is too large or too small for plain digits; write it as a string",
    }


def needs_cleaning(column: str) -> str:
    """Write the SQL condition that :func:`.clean` changes a string."""
    return f"regexp_matches({column}, {literal(_UNCLEAN)})"


def cleaned(column: str) -> str:
    """Write the SQL that returns the same as :func:`.clean`."""
    one_space = f"regexp_replace({column}, {literal(_RUN)}, ' ', 'g')"
    stripped = f"regexp_replace({one_space}, {literal(_ENDS)}, '', 'g')"
    return f"CASE WHEN {needs_cleaning(column)} THEN {stripped} ELSE {column} END"


def is_blank_sql(column: str, null_values: Iterable[str]) -> str:
    """Write the SQL condition that a string means "no value"."""
    # Not IN: DuckDB makes a join of a long list, which takes memory for the whole row.
    words = "|".join(map(_escape, null_values))
    return f"regexp_full_match({column}, '{_ANY}*(?:{words})?{_ANY}*')"


def unreadable(columns: Sequence[str], encoding: str) -> str:
    """Write the SQL that returns why a row cannot be read, or NULL."""
    reasons = {
        reason: [f"contains({column}, '{character}')" for column in columns]
        for character, reason in unreadable_characters(encoding).items()
    } | {TOO_LONG: [f"strlen({column}) > {MAX_LENGTH} AND length({column}) > {MAX_LENGTH}" for column in columns]}
    cases = (f"WHEN {' OR '.join(found)} THEN {literal(reason)}" for reason, found in reasons.items())
    return f"CASE {' '.join(cases)} END"


def _escape(characters: str) -> str:
    return "".join(f"\\x{{{ord(character):x}}}" for character in characters)


_ANY = f"[{_escape(SPACES + MARKS)}]"
_SPACE = f"[{_escape(SPACES)}]"
_OTHER_SPACE = f"[{_escape(SPACES.replace(' ', ''))}]"
_MARK = f"[{_escape(MARKS)}]"
_UNCLEAN = f"^{_ANY}|{_ANY}$|{_OTHER_SPACE}|{_SPACE}{_ANY}|{_MARK}{_SPACE}"
_RUN = f"{_MARK}*{_SPACE}{_ANY}*"
_ENDS = f"^{_ANY}+|{_ANY}+$"
