"""Text that may be shown: phone numbers masked, keys left out, one line, not too long."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

# What has the digits of a phone number and is none comes first, so that it is passed over: a date, an id, an address.
_PHONE_NUMBER = re.compile(
    r"(?P<other>\b(?:19|20)\d\d-\d\d-\d\d\b(?:[T ]\d\d:\d\d(?::\d\d)?(?:\.\d+)?)?"
    r"|\b[0-9a-fA-F]{24}\b"
    r"|\b\d{1,3}(?:\.\d{1,3}){3}\b)"
    r"|(?<!\d)[+(]*\d(?:[ ()./-]{0,2}\d){8,}"
)
_API_KEY = re.compile(r"sk_[!-~]+", re.IGNORECASE)
# A password can hold `#` and `/` unescaped, so everything up to the last `@` is taken for it.
_USER_IN_URL = re.compile(r"""//[^\s"'<>]*@""")
_DATE_OR_TIME = re.compile(r"\b(?:19|20)\d\d-\d\d?-\d\d?|\d\d?:\d\d(?::\d\d)?(?:[.,]\d+)?")
_LONGEST_TEXT = 500
_LONGEST_VALUE = 40
_DIGITS_OF_A_PHONE_NUMBER = 9
_LENGTHS_OF_A_PHONE_NUMBER = range(9, 18)
_BEYOND_PHONE_NUMBERS = 10**18


def mask_phone_numbers(text: str) -> str:
    """
    Mask the phone numbers in a text, leaving enough to recognise one: ``964771•••5678``.

    :param text: any text.
    :return: the text with the middle of each phone number replaced.
    """
    return _PHONE_NUMBER.sub(_masked, text)


def masked_number(value: object) -> str:
    """
    Show as much of one phone number as helps to recognise it.

    :param value: what was given as a phone number.
    :return: such as ``964771•••5678``; of anything shorter or longer than a phone number not a digit.
    """
    if isinstance(value, int):
        value = str(value) if 0 < value < _BEYOND_PHONE_NUMBERS else ""
    digits = "".join(filter(str.isdecimal, value)) if isinstance(value, str) else ""
    return _first_and_last(digits) if len(digits) in _LENGTHS_OF_A_PHONE_NUMBER else "no phone number"


def presentable(text: str, api_key: SecretStr | None = None) -> str:
    """
    Make a foreign text fit for an error or a log line.

    :param text: any text, such as a message from a server.
    :param api_key: a key that must not be in it, whatever it looks like.
    :return: the text on one line of at most 500 characters, without phone numbers, API keys and users of URLs.
    """
    without_key = text.replace(api_key.get_secret_value(), "•••") if api_key else text
    without_user = _USER_IN_URL.sub("//•••@", without_key)
    one_line = " ".join(_API_KEY.sub("•••", without_user).split())
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
    if match["other"]:
        return match.group()
    return _first_and_last("".join(filter(str.isdigit, match.group())))


def _first_and_last(digits: str) -> str:
    return f"{digits[: min(6, len(digits) - 7)]}•••{digits[-4:]}"
