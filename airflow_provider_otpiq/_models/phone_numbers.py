"""
Parse phone numbers, as people and programs write them, into the form that OTPIQ accepts.

Recipients, audiences, suppression lists, reports and guard rails all use this function.
"""

from __future__ import annotations

import math
import re
import unicodedata
from decimal import Decimal
from functools import cache
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq._models.text import is_blank

if TYPE_CHECKING:
    from collections import Counter

DEFAULT_REGION = "IQ"

API_FORM = "9647[3-9][0-9]{8}"
"""The regular expression of Iraq's mobile numbers in the API's form; every match is valid."""

MISSING = "is required"

_MIN_DIGITS = 10
_MIN_MOBILE_DIGITS = 7
_MAX_LENGTH = 100  # the patterns below are slow on long strings
_BEYOND_PHONE_NUMBERS = 10**15
_ROUNDED = "00000"
_PLUS_SIGNS = frozenset("+\uff0b")
_AS_PEOPLE_WRITE = re.compile(rf"[\s(]*[{''.join(_PLUS_SIGNS)}]?[\d\s()./\-\u2010-\u2015]*")
_USUAL_SPELLING = re.compile(r"(?:\+964|00964|964|0)?(7[3-9][0-9]{8})")
_WHOLE_FLOAT = re.compile(r"(\+?\d+)\.0*")
_SCIENTIFIC = re.compile(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+")
_COUNTER = re.compile(r"\(\s*\d+\s*\)\s*$")
_SCHEMES = frozenset({"p", "tel", "phone", "whatsapp"})  # of exports of Meta's lead ads, vCards and WhatsApp
_SUFFIXES = ("@c.us", "@s.whatsapp.net")  # of a person's WhatsApp id; IDs of groups and LIDs have no phone number


class AmbiguousNumberError(ValueError):
    """The number could be several people's, or has something after it."""


class PhoneNumber(NamedTuple):
    """A valid phone number."""

    digits: str
    """The number in the API's form: ``^[0-9]{10,15}$``, with country code, without a plus."""
    region: str
    """The country's two letters; ``001`` for numbers without a country."""


def normalize(value: object, default_region: str = DEFAULT_REGION) -> str:
    """
    Return a phone number's digits, as :func:`parse_phone_number` parses it.

    :raises ValueError: if it is not a valid phone number.
    """
    return parse_phone_number(value, default_region).digits


def parse_phone_number(value: object, default_region: str = DEFAULT_REGION) -> PhoneNumber:
    """
    Parse a phone number, which must be valid by `phonenumbers <https://github.com/daviddrysdale/python-phonenumbers>`__.

    Digits without a plus are a national number of the default region, or an international one. The number is
    ambiguous if both are valid, or if a mobile number of the default region has further digits after it. A whole
    int, float or Decimal is read as its digits.

    :raises AmbiguousNumberError: if it could be several people's number, or has something after it.
    :raises ValueError: if it is not a valid phone number; the text says why, without the number.
    """
    value = str.__str__(value) if isinstance(value, str) else value  # a subclass could show another number
    if usual := default_region == DEFAULT_REGION and _read_usual_spelling(value):
        return PhoneNumber(usual, DEFAULT_REGION)
    if isinstance(value, str) and len(value) > _MAX_LENGTH:
        raise ValueError(f"has more than {_MAX_LENGTH} characters, so it is not a phone number")
    if is_blank(value):
        raise ValueError(MISSING)
    text = value if isinstance(value, str) else _digits_of_number(value)
    # A number that was copied from right-to-left text has invisible marks around it.
    visible = _unwrap(text if text.isascii() else _without_invisible_marks(text))
    if not _AS_PEOPLE_WRITE.fullmatch(visible) or visible.startswith("-"):
        raise ValueError(_describe_characters(visible))
    if _COUNTER.search(visible):
        raise AmbiguousNumberError("ends with digits in parentheses; remove them if they do not belong to the number")
    _refuse_counters(visible, default_region)
    digits = _ascii_digits(visible)
    has_plus = not _PLUS_SIGNS.isdisjoint(visible)
    valid = {
        number for number in (_valid(*reading) for reading in _readings(digits, has_plus, default_region)) if number
    }
    if len(valid) > 1:
        raise AmbiguousNumberError(
            f"may be an international number or one of {default_region}; write it with a leading +"
        )
    if valid:
        return valid.pop()
    raise ValueError(f"is not a valid phone number, neither an international one nor one of {default_region}")


def describe_regions(regions: Counter[str], default_region: str) -> str:
    """Count the recipients outside the default region, for the log: ``Recipients outside IQ: 3 (2 SA, 1 TR)``."""
    counts = ", ".join(f"{count:,} {region}" for region, count in regions.most_common())
    return f"Recipients outside {default_region}: {regions.total():,} ({counts})"


def _read_usual_spelling(value: object) -> str | None:
    """Parse most numbers of an audience in a twentieth of the time, with the same result."""
    match = isinstance(value, str) and _USUAL_SPELLING.fullmatch(
        value[:1] + value[1:].replace(" ", "").replace("-", "")
    )
    return f"964{match[1]}" if match else None


def _refuse_counters(text: str, default_region: str) -> None:
    """
    Refuse a mobile number of the default region with separate digits before or after it: ``1) 770…``.

    :raises AmbiguousNumberError: if it has some; together they could be a foreign number.
    """
    from phonenumbers import country_code_for_region

    groups = [_ascii_digits(group) for group in re.findall(r"\d+", text)]
    is_mobile = _mobile(default_region).fullmatch
    is_international = not _PLUS_SIGNS.isdisjoint(text) or "".join(groups).startswith("00")
    country_code = str(country_code_for_region(default_region))
    heads = {"0", country_code, f"{country_code}0"}
    for index in range(1, len(groups)):
        head, tail = "".join(groups[:index]), "".join(groups[index:])
        is_counted = head not in heads and not is_international and is_mobile(tail.removeprefix("0"))
        if is_counted or is_mobile(head.removeprefix("00")):
            raise AmbiguousNumberError(
                f"has further digits before or after a number of {default_region}; remove them, or add a leading + if"
                " it is foreign"
            )


def _digits_of_number(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (Integral, float, Decimal)):
        raise ValueError(f"must be a string, not {type(value).__name__}")
    number: Any = value  # an Integral of numpy can be compared, which its type does not say
    whole = math.floor(number) if 0 < number < _BEYOND_PHONE_NUMBERS else -1
    if whole != value:
        raise ValueError("is a number, but not the digits of a phone number; set it as a string")
    return str(whole) if isinstance(value, Integral) else f"{whole}.0"


def _unwrap(text: str) -> str:
    """Remove what programs write around a number, and the fraction of a whole float."""
    bare = text.strip().removeprefix("'")
    scheme, _, rest = bare.partition(":")
    bare = rest if scheme.lower() in _SCHEMES else bare
    for suffix in _SUFFIXES:
        bare = bare.removesuffix(suffix)
    bare = bare.strip()
    whole = _WHOLE_FLOAT.fullmatch(bare)
    if whole and whole[1].endswith(_ROUNDED):  # 9.6477E+12, read by pandas or a native template
        raise ValueError("is a float that ends with zeros, so its last digits may be lost; set it as a string")
    return whole[1] if whole else bare


def _describe_characters(text: str) -> str:
    if _SCIENTIFIC.fullmatch(text):
        return "is in scientific notation, and its last digits are lost; export the column as text"
    return "has characters that a phone number does not have; keep only digits, spaces, ( ) . / - and a leading +"


def _ascii_digits(text: str) -> str:
    digits = "".join(filter(str.isdecimal, text))
    return digits if digits.isascii() else "".join(str(unicodedata.decimal(digit)) for digit in digits)


def _without_invisible_marks(text: str) -> str:
    return "".join(character for character in text if unicodedata.category(character) != "Cf")


def _readings(digits: str, has_plus: bool, default_region: str) -> list[tuple[str, str | None]]:
    """
    List the numbers that the digits could mean.

    :raises AmbiguousNumberError: if a mobile number of the default region has further digits.
    """
    if has_plus:
        return [(f"+{digits}", None)]
    if digits.startswith("00"):
        return [(f"+{digits[2:]}", None)]
    national = (digits, default_region)
    prefixes = [digits[:length] for length in range(_MIN_MOBILE_DIGITS, len(digits))]
    if digits.startswith("0"):
        return [national]
    if any(map(_mobile(default_region).fullmatch, prefixes)) and not _valid(*national):
        raise AmbiguousNumberError(
            f"has further digits after a number of {default_region}; remove them, or add a leading + if it is foreign"
        )
    return [(f"+{digits}", None), national]


@cache
def _mobile(region: str) -> re.Pattern[str]:
    from phonenumbers import PhoneMetadata

    metadata: Any = PhoneMetadata.metadata_for_region(region)
    mobile = metadata and metadata.mobile and metadata.mobile.national_number_pattern
    return re.compile(mobile or "(?!)")


def _valid(number: str, region: str | None) -> PhoneNumber | None:
    import phonenumbers

    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    found = phonenumbers.region_code_for_number(parsed)
    digits: str = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    if found is None or not phonenumbers.is_valid_number_for_region(parsed, found) or len(digits) < _MIN_DIGITS:
        return None
    return PhoneNumber(digits, found)
