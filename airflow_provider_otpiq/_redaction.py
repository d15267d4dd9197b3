"""Makes strings safe to show: masked phone numbers, no keys, one short line."""

from __future__ import annotations

import re
from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pydantic import SecretStr

# External strings may be long and hostile, so each of these patterns takes linear time.
# `other` are digits that are not a phone number and stay as they are: a date, an id, an IP address.
_PHONE_NUMBER = re.compile(
    r"(?P<other>\b(?:19|20)\d\d-\d\d-\d\d\b(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)?"
    r"|\b[0-9a-fA-F]{24}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b)"
    r"|(?<!\d)[+(]{0,3}\d(?:[ ()./-]{0,2}\d){8,}"
)
_API_KEY = re.compile(r"sk_[!-~]+", re.IGNORECASE)
_IN_A_PHONE_NUMBER = "+ ()./-0123456789" + "".join(map(chr, range(0x660, 0x66A)))  # Arabic digits too
_URL = re.compile(r"""[^\s"'<>]+""")
_PASSWORD = re.compile(r"(?<=://)([^/:@]*):(?!\d+/).*@")  # not a port, nor the user alone, as in s3://conn_id@bucket
_DATE_OR_TIME = re.compile(r"\b(?:19|20)\d\d-\d\d?-\d\d?|\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?")
_PUNCTUATION = re.compile(r"[\s+()./-]")
_QUOTES = "\"'`\u00ab\u00bb\u2018\u2019\u201c\u201d"
_IN_QUOTES = re.compile(rf"[{_QUOTES}](.{{1,4}}?)(?=[{_QUOTES}])")
_JSON_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|.)")
_WORD = re.compile(r"[^\W_]+")
_ELLIPSIS = re.compile(r"…|\.\.\.")
_LENGTH_OF_A_WORD = 3
_MAX_WORDS_OF_A_CUT_VALUE = 10
_MAX_DIGITS_OF_A_COUNT = 4
_MAX_SEARCHED_LENGTH = 2000
_MAX_TEXT_LENGTH = 500
_MAX_VALUE_LENGTH = 40
_DIGITS_OF_A_PHONE_NUMBER = 9
_LENGTHS_OF_A_PHONE_NUMBER = range(9, 18)
_BEYOND_PHONE_NUMBERS = 10**18


def mask_phone_numbers(text: str) -> str:
    """Mask the phone numbers in a string, so that one can still be recognized: ``964771•••5678``."""
    return _PHONE_NUMBER.sub(_masked, text)


def repeats_value(text: str, values: Iterable[str]) -> bool:
    """
    Return whether a server's text repeats one of the values: in any case, escaped as in JSON or cut by an ellipsis.

    A value of one or two characters, or a number of up to four digits, counts only in quotes: elsewhere it may be
    ordinary text, such as a count.
    """
    start = text if len(text) <= _MAX_SEARCHED_LENGTH else f"{text[:_MAX_SEARCHED_LENGTH]}…"
    plain = _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else " ", start)
    in_quotes = {_words(quoted) for quoted in _IN_QUOTES.findall(plain)}
    words = sorted({_words(value) for value in values} - {""})
    if not in_quotes.isdisjoint(words):
        return True
    told = f" {_words(plain)} "
    long = [value for value in words if not _is_short(value)]
    return any(value in told if len(value) > _LENGTH_OF_A_WORD else f" {value} " in told for value in long) or any(
        _ends_with_a_start(part, long) for part in _ELLIPSIS.split(plain)[:-1]
    )


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))


def _is_short(value: str) -> bool:
    return len(value) < _LENGTH_OF_A_WORD or (value.isdecimal() and len(value) <= _MAX_DIGITS_OF_A_COUNT)


def _ends_with_a_start(text: str, values: Sequence[str]) -> bool:
    """Return whether the last words of a text are the start of one of the values, which are sorted."""
    last = _words(text[-_MAX_TEXT_LENGTH:]).split()[-_MAX_WORDS_OF_A_CUT_VALUE:]
    ends = (" ".join(last[index:]) for index in range(len(last)))
    return any(
        len(end) >= _LENGTH_OF_A_WORD and "".join(values[(at := bisect_left(values, end)) : at + 1]).startswith(end)
        for end in ends
    )


def has_phone_number(text: str) -> bool:
    """Return whether a string has enough digits for a phone number."""
    return sum(map(str.isdecimal, text)) >= _DIGITS_OF_A_PHONE_NUMBER


def may_be_phone_number(text: str) -> bool:
    """Return whether a string may be a phone number: however it is punctuated, enough digits without a letter."""
    return has_phone_number(text) and not any(map(str.isalpha, text))


def mask_phone_number(value: object) -> str:
    """
    Mask one phone number, so that it can still be recognized: ``964771•••5678``.

    Anything shorter or longer becomes its length and type, such as ``7 digits`` or ``a list``.
    """
    text = str(value) if _is_short_int(value) and value > 0 else value
    digits = "".join(filter(str.isdecimal, text)) if isinstance(text, str) else ""
    return _first_and_last(digits) if len(digits) in _LENGTHS_OF_A_PHONE_NUMBER else _length_and_kind(value)


def sanitize(text: str, api_key: SecretStr | None = None) -> str:
    """Return an external string as one short line without phone numbers, API keys and URLs' users."""
    without_key = text.replace(api_key.get_secret_value(), "•••") if api_key else text
    without_user = _URL.sub(_without_user, _start_of(without_key))
    one_line = " ".join(_API_KEY.sub("•••", without_user).split())
    printable = "".join(character if character.isprintable() else "�" for character in one_line)
    masked = mask_phone_numbers(printable)
    return masked if len(masked) <= _MAX_TEXT_LENGTH else f"{masked[:_MAX_TEXT_LENGTH]}…"


def _start_of(text: str) -> str:
    """Cut a long string before a phone number or URL that would be cut too, and not be recognized."""
    if len(text) <= _MAX_SEARCHED_LENGTH:
        return text
    start = text[:_MAX_SEARCHED_LENGTH].rstrip(_IN_A_PHONE_NUMBER)
    url = start.find("//", max(start.rfind(space) for space in " \t\n") + 1)
    return f"{start if url < 0 else start[:url]}…"


def _without_user(match: re.Match[str]) -> str:
    """Hide a URL's user, up to the last `@`: a password can contain unescaped `#` and `/`."""
    url = match.group()
    start, end = url.find("//"), url.rfind("@")
    return f"{url[:start]}//•••{url[end:]}" if 0 <= start < end else url


def hide_password(location: str) -> str:
    """Hide the password of a URL: ``https://user:•••@host``."""
    return _PASSWORD.sub(r"\1:•••@", location)


def name_of_callable(function: object) -> str:
    """Return a callable's name, without its arguments."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def describe_type(value: object) -> str:
    """Return the name of a value's type with its article: ``an int``."""
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def describe_count(count: int, unit: str) -> str:
    """Return a number of units, in the singular or the plural: ``1 digit``."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def safe_repr(value: object) -> str:
    """Describe a field's value, without showing what could be a key or a phone number in the wrong field."""
    if not isinstance(value, str):
        return str(value) if isinstance(value, datetime) else describe_type(value)
    if len(value) > _MAX_VALUE_LENGTH or _is_sensitive(value):
        return f"a string of {describe_count(len(value), 'character')}"
    return repr(value)


def _is_sensitive(value: str) -> bool:
    digits = sum(map(str.isdigit, _DATE_OR_TIME.sub("", value)))
    return digits >= _DIGITS_OF_A_PHONE_NUMBER or bool(_API_KEY.search(value))


def _length_and_kind(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, str):
        visible = _PUNCTUATION.sub("", value)
        is_number = visible.isdecimal()
        return describe_count(len(visible), "digit") if is_number else describe_count(len(value), "character")
    if _is_short_int(value):
        return f"an int of {describe_count(len(str(value).lstrip('-')), 'digit')}"
    if isinstance(value, int) and not isinstance(value, bool):
        return "an int of more than 18 digits"
    return describe_type(value)


def _is_short_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND_PHONE_NUMBERS


def _masked(match: re.Match[str]) -> str:
    if match["other"]:
        return match.group()
    return _first_and_last("".join(filter(str.isdigit, match.group())))


def _first_and_last(digits: str) -> str:
    return f"{digits[: min(6, len(digits) - 7)]}•••{digits[-4:]}"
