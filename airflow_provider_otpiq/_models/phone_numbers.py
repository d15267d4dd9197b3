"""Phone numbers, however people write them, in the form that OTPIQ takes: digits, with the country's code first."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import Any

DEFAULT_REGION = "IQ"

# Only for Iraq, whose own numbers have ten digits without the zero that a spreadsheet takes: these are looked at twice.
# The length of its mobile numbers is known here, so that most mistyped ones are noticed. "9647 and nine digits, or no
# 964" is written out, as pydantic's regular expressions, which are quicker, cannot look ahead.
API_FORM = "[1-8][0-9]{10,14}|9[0-57-9][0-9]{9,13}|96[0-35-9][0-9]{8,12}|9647[0-9]{9}"
"""A regular expression for what is taken as it stands, where the default region is Iraq."""

_IN_API_FORM = re.compile(API_FORM)
_MIN_DIGITS = 10
_BEYOND_PHONE_NUMBERS = 10**15
_PLUS_SIGNS = frozenset("+\uff0b")
_KINDS = (
    "fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost", "personal_number", "voip", "pager", "uan",
    "voicemail",
)  # fmt: skip
_IRAQI = re.compile(r"\+964([1-9][0-9]{9})")
_IRAQI_AT_HOME = re.compile(r"0?((?!964)[1-9][0-9]{9})")
_AS_PEOPLE_WRITE = re.compile(rf"[\s(]*[{''.join(_PLUS_SIGNS)}]?[\d\s()./\-\u2010-\u2015]*")


def is_in_api_form(number: str) -> bool:
    """Tell whether it is taken as it stands, where the default region is Iraq."""
    return bool(_IN_API_FORM.fullmatch(number))


def normalize(value: object, default_region: str = DEFAULT_REGION) -> str:
    """
    Write a phone number as OTPIQ takes it (``^[0-9]{10,15}$``, no plus).

    In the default region, a string of 11 to 15 digits that does not begin with 0 is in that form already, and taken as
    it stands. Anything else must be a valid number by
    `phonenumbers <https://github.com/daviddrysdale/python-phonenumbers>`__; digits without a plus may be an
    international number or a national one, and if both are valid they are refused.

    :raises ValueError: if it is no phone number; the text tells why, and does not hold the number.
    """
    if isinstance(value, str):
        fits = default_region == DEFAULT_REGION and is_in_api_form(value)
        return value if fits else _of_text(value, default_region)
    if value is None:
        raise ValueError("is required, and is not set")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a string, and is a {type(value).__name__}")
    if 0 < value < _BEYOND_PHONE_NUMBERS and (valid := _valid(f"+{value}", None)):
        return valid
    raise ValueError("is an int and no valid international number: a plus or a zero was lost, set it as a string")


def _of_text(text: str, default_region: str) -> str:
    # Copied from text that runs from right to left, a number has invisible marks around it.
    visible = text if text.isascii() else _without_invisible_marks(text)
    if visible.strip() in ("", "None"):
        raise ValueError("is required, and is not set")
    if not _AS_PEOPLE_WRITE.fullmatch(visible):
        raise ValueError("holds characters that a phone number does not have")
    digits = "".join(filter(str.isdecimal, visible))
    digits = digits if digits.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in digits)
    readings = _readings(digits, not _PLUS_SIGNS.isdisjoint(visible), default_region)
    valid = {number for number in (_valid(*reading) for reading in readings) if number}
    if len(valid) > 1:
        raise ValueError(f"may be an international number or one of {default_region}: write it with a plus")
    if valid:
        return valid.pop()
    raise ValueError(f"is no valid phone number, neither an international one nor one of {default_region}")


def _without_invisible_marks(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


def _readings(digits: str, has_plus: bool, default_region: str) -> list[tuple[str, str | None]]:
    """List what the digits may mean."""
    if has_plus:
        return [(f"+{digits}", None)]
    if digits.startswith("00"):
        return [(f"+{digits[2:]}", None)]
    national = (digits, default_region)
    return [national] if digits.startswith("0") else [(f"+{digits}", None), national]


def _valid(number: str, region: str | None) -> str | None:
    import phonenumbers

    if ten_digits := _ten_iraqi_digits(number, region):
        return f"964{ten_digits}" if all(kind.fullmatch(ten_digits) for kind in _valid_in_iraq()) else None
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    digits: str = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return digits if phonenumbers.is_valid_number(parsed) and len(digits) >= _MIN_DIGITS else None


@cache
def _valid_in_iraq() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Read what phonenumbers asks of a valid number: to match the pattern of all, and that of some kind."""
    from phonenumbers import PhoneMetadata

    iraq: Any = PhoneMetadata.metadata_for_region(DEFAULT_REGION)
    kinds = [getattr(iraq, name, None) for name in _KINDS]
    patterns = [kind.national_number_pattern for kind in kinds if kind and kind.national_number_pattern]
    return re.compile(iraq.general_desc.national_number_pattern), re.compile("|".join(patterns))


def _ten_iraqi_digits(number: str, region: str | None) -> str | None:
    """Read most numbers of an audience in a tenth of the time: parsing and formatting would only give them back."""
    looks_like_one = _IRAQI if region is None else _IRAQI_AT_HOME if region == DEFAULT_REGION else None
    match = looks_like_one and looks_like_one.fullmatch(number)
    return match[1] if match else None
