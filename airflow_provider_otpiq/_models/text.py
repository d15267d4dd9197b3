"""
Strings of template parameters: which ones WhatsApp accepts, and which ones mean "no value".

WhatsApp refuses a parameter that is empty, or has a line break, a tab or more than four spaces in a row. It does so
when the message is sent, so only the delivery report would show it.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def _characters(*codes: int | range) -> str:
    ranges = (code if isinstance(code, range) else [code] for code in codes)
    return "".join(map(chr, chain.from_iterable(ranges)))


SPACES = _characters(
    range(0x21), range(0x7F, 0xA1), 0x1680, range(0x2000, 0x200C), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF
)
"""Whitespace, control characters and zero-width spaces."""

MARKS = _characters(
    0xAD, 0x61C, 0x180E, range(0x200C, 0x2010), range(0x202A, 0x202F), range(0x2060, 0x2065), range(0x2066, 0x2070)
)
"""
Invisible marks: direction, joiners, soft hyphens.

They are kept inside a word, where Kurdish and Persian need them, and removed beside whitespace and at the ends.
"""

NULL_VALUES = (
    # Missing values of pandas.read_csv by default.
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null",
    # Databases, pandas' times, JavaScript and other languages.
    "\\N", "NaT", "none", "undefined", "inf", "-inf", "(null)", "<null>", "[object Object]", "Invalid Date",
    # Errors of spreadsheets.
    "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!", "#SPILL!", "#CALC!", "#ERROR!",
    # Characters that are displayed as blank.
    "\u2800", "\u3164",
)  # fmt: skip
"""Strings that mean "no value", compared with the whole cleaned text, case-sensitively."""

REPLACEMENT_CHARACTER = "\ufffd"
"""The character that a decoder writes instead of bytes that it cannot decode."""

UNDECODED = "has U+FFFD instead of bytes that could not be decoded; fix the encoding in the source"
"""What is wrong with a string that has it."""

_NO_VALUES_OF_PANDAS = ("NAType", "NaTType")
_RUN = re.compile(f"[{re.escape(SPACES + MARKS)}]+")
_SPACE = re.compile(f"[{re.escape(SPACES)}]")


def clean(text: str) -> str:
    """Return the text as WhatsApp accepts it: each run of whitespace is one space, and the ends are stripped."""
    if text.isprintable() and "  " not in f" {text} ":  # also at an end, or if it is empty
        return text
    return _RUN.sub(lambda run: " " if _SPACE.search(run[0]) else run[0], text.strip(SPACES + MARKS))


def is_blank(value: object, null_values: Collection[str] = NULL_VALUES) -> bool:
    """Return whether a value means "no value": None, NaN of any type, blank text or one of the null values."""
    if isinstance(value, str):
        text = clean(value)
        return not text or text in null_values
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, Decimal):
        return not value.is_finite()
    return value is None or type(value).__name__ in _NO_VALUES_OF_PANDAS
