"""Text that may be shown: phone numbers masked, keys left out, one line, not too long."""

from __future__ import annotations

import re
from datetime import datetime

# A plus sign or a local leading zero allows separators; a bare run of digits must be long enough to be a
# phone number and must not be part of a word, so that dates and 24-digit ids stay readable.
_PHONE_NUMBER = re.compile(r"\+\d[\d ().-]{6,}\d|\b0\d{2,3}[ -]\d{3}[ -]\d{4}\b|(?<!\w)\d{9,15}(?!\w)")
_API_KEY = re.compile(r"sk_[A-Za-z]+\w*")
_DATE_OR_TIME = re.compile(r"\b(?:19|20)\d\d-\d\d?-\d\d?|\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?")
_LONGEST_TEXT = 500
_LONGEST_VALUE = 40
_DIGITS_OF_A_PHONE_NUMBER = 9


def mask_phone_numbers(text: str) -> str:
    """
    Mask the phone numbers in a text, leaving enough to recognise one: ``964771•••5678``.

    :param text: any text.
    :return: the text with the middle of each phone number replaced.
    """
    return _PHONE_NUMBER.sub(_masked, text)


def presentable(text: str) -> str:
    """
    Make a foreign text fit for an error or a log line.

    :param text: any text, such as a message from a server.
    :return: the text on one line of at most 500 characters, without phone numbers and API keys.
    """
    one_line = " ".join(_API_KEY.sub("•••", text).split())
    printable = "".join(character if character.isprintable() else "�" for character in one_line)
    masked = mask_phone_numbers(printable)
    return masked if len(masked) <= _LONGEST_TEXT else f"{masked[:_LONGEST_TEXT]}…"


def shown(value: object) -> str:
    """
    Say what was found in a field, without repeating what could be a key or a phone number in the wrong place.

    :param value: any value of a template field.
    :return: a short harmless text in quotes; of anything else only its type or length.
    """
    if not isinstance(value, str):
        return str(value) if isinstance(value, datetime) else f"a {type(value).__name__}"
    digits = sum(map(str.isdigit, _DATE_OR_TIME.sub("", value)))
    if len(value) > _LONGEST_VALUE or digits >= _DIGITS_OF_A_PHONE_NUMBER or _API_KEY.search(value):
        return f"a text of {len(value)} characters"
    return repr(value)


def _masked(match: re.Match[str]) -> str:
    digits = "".join(filter(str.isdigit, match.group()))
    shown_first = min(6, len(digits) - 7)
    return f"{digits[:shown_first]}•••{digits[-4:]}"
