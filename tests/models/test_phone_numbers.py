from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._redaction import mask_phone_number

NUMBER = "9647701234567"


@pytest.mark.parametrize(
    "written",
    [
        NUMBER,
        "+9647701234567",
        "+964 770 123 4567",
        "\uff0b964 770 123 4567",
        "(+964) 770-123-4567",
        "+964 (0) 770 123 4567",
        "009647701234567",
        "00964 770 1234567",
        "07701234567",
        "0770 123 4567",
        "0770.123.45.67",
        "0770\u2011123\u20114567",
        "7701234567",  # a spreadsheet has taken the zero
        "964 770 123 4567",
        "٠٧٧٠١٢٣٤٥٦٧",
        "+٩٦٤ ٧٧٠ ١٢٣ ٤٥٦٧",
        "۰۷۷۰۱۲۳۴۵۶۷",
        "\u202a+964 770 123 4567\u202c",
        " 0770\u00a0123\u00a04567\n",
        9647701234567,
    ],
)
def test_a_number_may_be_written_as_people_do(written: Any) -> None:
    assert normalize(written) == NUMBER


@pytest.mark.parametrize(
    ("written", "region", "digits"),
    [
        ("0770 123 4567", "IQ", NUMBER),
        ("0532 123 45 67", "TR", "905321234567"),
        ("(212) 555-2368", "US", "12125552368"),
        ("00964 770 123 4567", "US", NUMBER),
        ("+44 7400 123456", "IQ", "447400123456"),
        ("447400123456", "IQ", "447400123456"),
        ("6581234567", "IQ", "6581234567"),  # ten digits that are an international number
        ("13912345678", "CN", "8613912345678"),  # eleven that are a national one
        ("11987654321", "BR", "5511987654321"),
        ("139 1234 5678", "CN", "8613912345678"),
    ],
)
def test_the_region_is_the_one_of_national_numbers_only(written: str, region: str, digits: str) -> None:
    assert normalize(written, region) == digits


@pytest.mark.parametrize(
    ("written", "region"), [("5321234567", "TR"), ("15123456789", "DE"), ("2035551234", "US"), ("203 555 1234", "US")]
)
def test_digits_that_are_two_peoples_numbers_are_refused(written: str, region: str) -> None:
    with pytest.raises(ValueError, match="may be an international number or one of"):
        normalize(written, region)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "is required, and is not set"),
        ("", "is required, and is not set"),
        (" ", "is required, and is not set"),
        ("None", "is required, and is not set"),
        ("\u200f", "is required, and is not set"),
        (True, "must be a string, and is a bool"),
        (9647701234567.0, "must be a string, and is a float"),
        ([NUMBER], "must be a string, and is a list"),
        (7701234567, "a plus or a zero was lost"),
        (770, "a plus or a zero was lost"),
        (-9647701234567, "a plus or a zero was lost"),
        pytest.param(10**5000, "a plus or a zero was lost", id="endless"),
        ("9.64770123E+12", "holds characters that a phone number does not have"),
        ("0770 123 4567 ext 5", "holds characters"),
        ("0770-ABC-DEFG", "holds characters"),
        ("tel:+9647701234567", "holds characters"),
        ("770+1234567", "holds characters"),
        ("²³", "holds characters"),
        ("+", "is no valid phone number"),
        ("0770", "is no valid phone number, neither an international one nor one of IQ"),
        ("96477012345", "is no valid phone number"),  # two digits are missing
        ("964770123456", "is no valid phone number"),  # one is
        ("00770 123 4567", "is no valid phone number"),
        ("96477012345678", "is no valid phone number"),
        ("0700 123 4567", "is no valid phone number"),
        ("1234567890", "is no valid phone number"),
        ("+99977012345678", "is no valid phone number"),
        ("1" * 16, "is no valid phone number"),
        ("+290 22000", "is no valid phone number"),  # valid, and shorter than the API takes
        ("0770 123 4567 / 0771 123 4567", "is no valid phone number"),
    ],
)
def test_what_is_no_phone_number_is_refused_without_showing_it(value: Any, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        normalize(value)
    assert not any(part in str(caught.value) for part in ("770", "123", "567", "220", "999"))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NUMBER, "964770•••4567"),
        ("+964 770 123 4567", "964770•••4567"),
        (9647701234567, "964770•••4567"),
        ("0770123456", "077•••3456"),
        ("07701234", "8 digits"),
        ("0770-123", "7 digits"),
        ("٠٧٧٠", "4 digits"),
        ("1" * 20, "20 digits"),
        ("7", "1 digit"),
        ("", "0 characters"),
        ("Zaynab", "6 characters"),
        (77012, "an int of 5 digits"),
        (-9647701234567, "an int of 13 digits"),
        pytest.param(10**5000, "an int of more than 18 digits", id="endless"),
        pytest.param(-(10**5000), "an int of more than 18 digits", id="endless and below zero"),
        (None, "not set"),
        (True, "a bool"),
        ([NUMBER], "a list"),
        ({"phoneNumber": NUMBER}, "a dict"),
    ],
)
def test_a_masked_number_can_be_recognised_and_not_dialled(value: Any, shown: str) -> None:
    assert mask_phone_number(value) == shown


def parsed_and_formatted(number: str, region: str | None) -> str | None:
    """What is read of a number without a shortcut."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    digits = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return digits if phonenumbers.is_valid_number(parsed) and len(digits) >= 10 else None


def expected(text: str) -> str | None:
    """What a number of digits with a plus, 00, 0 or none of them is, by phonenumbers alone."""
    if text.startswith(("+", "00")):
        return parsed_and_formatted("+" + text.lstrip("+").removeprefix("00"), None)
    readings = {parsed_and_formatted(text, "IQ")}
    if not text.startswith("0"):
        readings.add(parsed_and_formatted(f"+{text}", None))
    readings.discard(None)
    return readings.pop() if len(readings) == 1 else None


def normalized(text: str) -> str | None:
    try:
        return normalize(text)
    except ValueError:
        return None


def test_the_shortcut_for_iraqi_numbers_gives_what_parsing_does() -> None:
    digits = random.Random(7)  # noqa: S311
    for start in range(10_000):
        national = f"{start:04}{digits.randrange(10**6):06}"
        for text in (f"+964{national}", f"00964{national}", f"0{national}"):
            assert normalized(text) == expected(text), text


@given(st.sampled_from(["+964", "00964", "0", "+"]), st.text("0123456789", min_size=6, max_size=13))
@settings(deadline=None)
def test_any_number_is_what_parsing_gives(prefix: str, digits: str) -> None:
    assert normalized(prefix + digits) == expected(prefix + digits)


@pytest.mark.system
def test_numbers_in_the_apis_form_do_not_load_the_library() -> None:
    code = (
        "import sys; from airflow_provider_otpiq._models.phone_numbers import normalize\n"
        f"normalize('{NUMBER}'); assert 'phonenumbers' not in sys.modules\n"
        "normalize('0770 123 4567'); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
