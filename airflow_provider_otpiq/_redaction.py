"""Strings that may be shown: phone numbers masked, keys left out, one line, not too long."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import SecretStr

# Strings from outside may be long and hostile, so none of these patterns takes more than linear time.
# What has the digits of a phone number and is none comes first, so that it is passed over: a date, an id, an address.
_PHONE_NUMBER = re.compile(
    r"(?P<other>\b(?:19|20)\d\d-\d\d-\d\d\b(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)?"
    r"|\b[0-9a-fA-F]{24}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b)"
    r"|(?<!\d)[+(]{0,3}\d(?:[ ()./-]{0,2}\d){8,}"
)
_API_KEY = re.compile(r"sk_[!-~]+", re.IGNORECASE)
_IN_A_PHONE_NUMBER = "+ ()./-0123456789" + "".join(map(chr, range(0x660, 0x66A)))  # Arabic digits too
_URL = re.compile(r"""[^\s"'<>]+""")
_DATE_OR_TIME = re.compile(r"\b(?:19|20)\d\d-\d\d?-\d\d?|\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?")
_PUNCTUATION = re.compile(r"[\s+()./-]")
_QUOTES = "\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d"
_ELLIPSIS = re.compile(r"(\s*(?:…|\.\.\.))")
_LENGTH_OF_A_WORD = 3
_MAX_SEARCHED_LENGTH = 2000
_MAX_TEXT_LENGTH = 500
_MAX_VALUE_LENGTH = 40
_DIGITS_OF_A_PHONE_NUMBER = 9
_LENGTHS_OF_A_PHONE_NUMBER = range(9, 18)
_BEYOND_PHONE_NUMBERS = 10**18


def mask_phone_numbers(text: str) -> str:
    """Mask the phone numbers in a string, leaving enough to recognise one: ``964771•••5678``."""
    return _PHONE_NUMBER.sub(_masked, text)


def hide_values(text: str, values: Iterable[str]) -> str:
    """
    Replace what a request said of people in what the server says of the request.

    Each value, in either case, escaped as in JSON or cut short by an ellipsis, becomes ``•••``. One of one or two
    characters is replaced only in quotes, one of three only as a word of its own: anywhere else it would be a part of
    ordinary words.
    """
    start = " ".join(text.split())
    start = start if len(start) <= _MAX_SEARCHED_LENGTH else f"{start[:_MAX_SEARCHED_LENGTH]}…"
    written = {form.lower() for value in values for form in _written_forms(value)}
    lower = start.lower()
    found = sorted((form for form in written if form in lower), key=len, reverse=True)
    if found:
        start = re.sub("|".join(map(_pattern, found)), "•••", start, flags=re.IGNORECASE)
    return _hide_cut_values(start, sorted(written))


def mask_phone_number(value: object) -> str:
    """
    Show as much of one phone number as helps to recognise it: ``964771•••5678``.

    Of anything shorter or longer only length and kind are shown, such as ``7 digits`` or ``a list``.
    """
    text = str(value) if _is_short_int(value) and value > 0 else value
    digits = "".join(filter(str.isdecimal, text)) if isinstance(text, str) else ""
    return _first_and_last(digits) if len(digits) in _LENGTHS_OF_A_PHONE_NUMBER else _length_and_kind(value)


def sanitize(text: str, api_key: SecretStr | None = None) -> str:
    """Put a string from outside on one short line, without phone numbers, API keys and users of URLs."""
    without_key = text.replace(api_key.get_secret_value(), "•••") if api_key else text
    without_user = _URL.sub(_without_user, _start_of(without_key))
    one_line = " ".join(_API_KEY.sub("•••", without_user).split())
    printable = "".join(character if character.isprintable() else "�" for character in one_line)
    masked = mask_phone_numbers(printable)
    return masked if len(masked) <= _MAX_TEXT_LENGTH else f"{masked[:_MAX_TEXT_LENGTH]}…"


def _start_of(text: str) -> str:
    """Cut a long string, before a phone number or a URL with a user that would be cut too and not be recognized."""
    if len(text) <= _MAX_SEARCHED_LENGTH:
        return text
    start = text[:_MAX_SEARCHED_LENGTH].rstrip(_IN_A_PHONE_NUMBER)
    url = start.find("//", max(start.rfind(space) for space in " \t\n") + 1)
    return f"{start if url < 0 else start[:url]}…"


def _without_user(match: re.Match[str]) -> str:
    """Hide the user of a URL: a password can hold `#` and `/` unescaped, so it is everything up to the last `@`."""
    url = match.group()
    start, end = url.find("//"), url.rfind("@")
    return f"{url[:start]}//•••{url[end:]}" if 0 <= start < end else url


def name_of_callable(function: object) -> str:
    """Name a callable, without what it holds."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def safe_repr(value: object) -> str:
    """Say what was found in a field, without repeating what could be a key or a phone number in the wrong place."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, datetime) else f"a {type(value).__name__}"
    if len(value) > _MAX_VALUE_LENGTH or _is_sensitive(value):
        return f"a string of {len(value)} characters"
    return repr(value)


def _is_sensitive(value: str) -> bool:
    digits = sum(map(str.isdigit, _DATE_OR_TIME.sub("", value)))
    return digits >= _DIGITS_OF_A_PHONE_NUMBER or bool(_API_KEY.search(value))


def _written_forms(value: str) -> set[str]:
    """Write a value as a server may repeat it, on one line: as it is, or as JSON."""
    as_json = {json.dumps(value, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return {" ".join(form.split()) for form in {value, *as_json}} - {""}


def _pattern(form: str) -> str:
    escaped = re.escape(form)
    if len(form) < _LENGTH_OF_A_WORD:
        return rf"(?<=[{_QUOTES}]){escaped}(?=[{_QUOTES}])"
    return rf"(?<!\w){escaped}(?!\w)" if len(form) == _LENGTH_OF_A_WORD else escaped


def _hide_cut_values(text: str, values: list[str]) -> str:
    """Replace the start of a value before an ellipsis."""
    parts = _ELLIPSIS.split(text)  # each ellipsis is a part too
    for at in range(0, len(parts) - 1, 2):
        if length := _length_of_a_start(parts[at], values):
            parts[at] = f"{parts[at][:-length]}•••"
    return "".join(parts)


def _length_of_a_start(text: str, values: list[str]) -> int:
    """Tell how much of a string's end is the start of one of the values, which are sorted."""
    for length in range(min(len(text), _MAX_TEXT_LENGTH), _LENGTH_OF_A_WORD - 1, -1):
        end = text[-length:].lower()
        if "".join(values[(at := bisect_left(values, end)) : at + 1]).startswith(end):
            return length
    return 0


def _length_and_kind(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        visible = _PUNCTUATION.sub("", value)
        return _counted(len(visible), "digit") if visible.isdecimal() else _counted(len(value), "character")
    if _is_short_int(value):
        return f"an int of {_counted(len(str(value).lstrip('-')), 'digit')}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "an int of more than 18 digits"
    return f"a {type(value).__name__}"


def _is_short_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND_PHONE_NUMBERS


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _masked(match: re.Match[str]) -> str:
    if match["other"]:
        return match.group()
    return _first_and_last("".join(filter(str.isdigit, match.group())))


def _first_and_last(digits: str) -> str:
    return f"{digits[: min(6, len(digits) - 7)]}•••{digits[-4:]}"
