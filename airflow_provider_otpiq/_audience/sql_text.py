"""The rules of :mod:`._models.text` as SQL of DuckDB, which applies them to many rows at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_otpiq._audience.file_kind import REPLACED, undecodable_reason
from airflow_provider_otpiq._audience.loading import MAX_LENGTH
from airflow_provider_otpiq._audience.staging import UNDECODABLE_CHARACTER
from airflow_provider_otpiq._models.text import MARKS, REPLACEMENT_CHARACTER, SPACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def literal(text: str) -> str:
    """Write a string as SQL."""
    return "'" + text.replace("'", "''") + "'"


def needs_cleaning(column: str) -> str:
    """Write the SQL condition that :func:`.clean` changes a string."""
    return f"regexp_matches({column}, {literal(_UNCLEAN)})"


def cleaned(column: str) -> str:
    """Write the SQL that returns the same as :func:`.clean`."""
    one_space = f"regexp_replace({column}, {literal(_RUN)}, ' ', 'g')"
    stripped = f"regexp_replace({one_space}, {literal(_ENDS)}, '', 'g')"
    return f"CASE WHEN {needs_cleaning(column)} THEN {stripped} ELSE {column} END"


def is_blank(column: str, null_values: Iterable[str]) -> str:
    """Write the condition that a text means "no value"."""
    # Not IN: DuckDB makes a join of a long list, which takes memory for the whole row.
    words = "|".join(map(_escape, null_values))
    return f"regexp_full_match({column}, '{_ANY}*(?:{words})?{_ANY}*')"


def unreadable(columns: Sequence[str], encoding: str) -> str:
    """Write the reason for which a row cannot be read, NULL if there is none."""
    too_long = [f"strlen({column}) > {MAX_LENGTH} AND length({column}) > {MAX_LENGTH}" for column in columns]
    reasons = {
        undecodable_reason(encoding): [f"contains({column}, '{UNDECODABLE_CHARACTER}')" for column in columns],
        REPLACED: [f"contains({column}, '{REPLACEMENT_CHARACTER}')" for column in columns],
        f"has a value of more than {MAX_LENGTH} characters": too_long,
    }
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
