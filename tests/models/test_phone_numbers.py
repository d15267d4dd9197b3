import random
import re
import subprocess
import sys
import time
from decimal import Decimal
from typing import Any

import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.phone_numbers import API_FORM, AmbiguousNumberError, normalize, parse_phone_number
from airflow_provider_otpiq._redaction import mask_phone_number
from tests.phone_numbers import ABROAD, NUMBER, REJECTED, SPELLINGS


@pytest.mark.parametrize("written", SPELLINGS)
def test_a_number_may_be_in_any_spelling(written: Any) -> None:
    assert normalize(written) == NUMBER


def test_the_number_of_nobody_or_of_several_people_is_refused() -> None:
    for written in REJECTED:
        assert reason_of(written)
    for digits, region in (("5321234567", "TR"), ("15123456789", "DE"), ("203 555 1234", "US")):
        assert "write it with a leading +" in reason_of(digits, region)


@pytest.mark.parametrize(
    ("written", "region", "digits"),
    [
        ("0770 123 4567", "IQ", NUMBER),
        ("0532 123 45 67", "TR", "905321234567"),
        ("(212) 555-2368", "US", "12125552368"),
        ("00964 770 123 4567", "US", NUMBER),
        ("+44 7400 123456", "IQ", "447400123456"),
        ("6581234567", "IQ", "6581234567"),  # ten digits that are an international number
        ("13912345678", "CN", "8613912345678"),  # eleven that are a national one
    ],
)
def test_the_region_applies_to_national_numbers_only(written: str, region: str, digits: str) -> None:
    assert normalize(written, region) == digits


@pytest.mark.parametrize(("written", "digits"), ABROAD)
def test_a_number_abroad_is_the_same_in_each_spelling(written: str, digits: str) -> None:
    assert normalize(written) == digits


TAILS = ["0", "1", "99", " (2)", "(2)", "/1", "-2", " 0", " 12", ".1", ".10"]


@pytest.mark.slow
@given(
    st.sampled_from(["", "0", "+964", "964", "00964", "+964(0)"]),
    st.from_regex(r"7[3-9][0-9]{8}", fullmatch=True),
    st.sampled_from(["", *TAILS, ".0", ".00", "."]),
)
@settings(deadline=None)
def test_an_iraqi_number_with_a_tail_is_never_another_persons(prefix: str, national: str, tail: str) -> None:
    found = normalized(f"{prefix}{national}{tail}")
    is_intact = tail.rstrip("0") in ("", ".") and tail != "0"
    assert found in ((f"964{national}",) if not tail else (f"964{national}", None) if is_intact else (None,))


@pytest.mark.parametrize("region", ["TR", "DE", "US"])
@pytest.mark.parametrize("tail", TAILS)
def test_a_mobile_number_of_the_default_region_with_a_tail_is_refused(region: str, tail: str) -> None:
    mobile = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    assert mobile
    assert "remove" in reason_of(f"{mobile.national_number}{tail}", region)


@pytest.mark.slow
@given(st.from_regex(API_FORM, fullmatch=True))
def test_each_number_in_the_apis_form_is_valid(number: str) -> None:
    assert parsed_and_formatted(f"+{number}", None) == number


@given(st.text())
def test_a_parsed_number_is_in_the_apis_form(text: str) -> None:
    assert re.fullmatch("[0-9]{10,15}", normalized(text) or "0" * 10)


def test_the_country_is_known() -> None:
    regions = {number: parse_phone_number(number).region for number in (NUMBER, "+14155552671", "+16135550123")}
    assert regions == {NUMBER: "IQ", "+14155552671": "US", "+16135550123": "CA"}


INVALID: list[Any] = [
    *(None, "", "\u200f", "NULL", float("nan"), Decimal("NaN")),
    *(True, [NUMBER], 770, -9647701234567, 7701234567.5, 9.6477e17, 9.6477e12, "9.64770123E+12", "9,6477E+12"),
    *("0770 123 4567 ext 5", "fax:+9647701234567", "123456789012345@lid"),
    *("9647701234567-1612345678@g.us", "770+1234567", "-7701234567", "²³", "7" * 101),
    *("77012345678", "+4930123456 (2)", "0770 123 4567 / 0771 123 4567"),
    "123456789012345",  # a WhatsApp LID
    "197812345678",  # an identity card
    1756684800000,  # epoch milliseconds
    "9467701234567",  # 964, mistyped
    "964770123456",  # a digit is missing
    *("+", "0770", "00770 123 4567", "96477012345678", "0700 123 4567", "1234567890", "+99977012345678", "1" * 16),
    "+290 22000",  # valid, but shorter than the API accepts
]


def test_an_invalid_number_is_refused_without_showing_it(snapshot: SnapshotAssertion) -> None:
    reasons = {repr(value)[:30]: reason_of(value) for value in INVALID}
    assert reasons == snapshot
    assert reason_of(10**5000) == reasons["-9647701234567"]
    assert not any(part in reason for reason in reasons.values() for part in ("770", "123", "567", "220", "999"))


def reason_of(value: Any, region: str = "IQ") -> str:
    with pytest.raises(ValueError, match=r"^(is|has|ends|must|may) ") as caught:
        normalize(value, region)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NUMBER, "964770•••4567"),
        ("+964 770 123 4567", "964770•••4567"),
        ("0770123456", "077•••3456"),
        ("07701234", "8 digits"),
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
    ],
)
def test_a_masked_number_can_be_recognized_but_not_dialed(value: Any, shown: str) -> None:
    assert mask_phone_number(value) == shown


def parsed_and_formatted(number: str, region: str | None) -> str | None:
    """What phonenumbers makes of a number."""
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return None
    digits = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return digits if phonenumbers.is_valid_number(parsed) and len(digits) >= 10 else None


def expected(text: str) -> str | None:
    """What a number of digits with a plus, 00, 0 or none of them is, by phonenumbers alone."""
    if text.startswith(("+", "00")):
        return parsed_and_formatted(text if text.startswith("+") else f"+{text[2:]}", None)
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


@pytest.mark.slow
def test_the_shortcut_for_iraqi_numbers_equals_parsing() -> None:
    digits = random.Random(7)  # noqa: S311
    for start in range(10_000):
        national = f"{start:04}{digits.randrange(10**6):06}"
        for text in (f"+964{national}", f"00964{national}", f"0{national}"):
            assert normalized(text) == expected(text), text


@given(st.sampled_from(["+964", "00964", "0", "+"]), st.text("0123456789", min_size=6, max_size=13))
@settings(deadline=None)
def test_any_number_equals_parsing(prefix: str, digits: str) -> None:
    assert normalized(prefix + digits) == expected(prefix + digits)


@pytest.mark.system
def test_numbers_in_the_apis_form_do_not_load_the_library() -> None:
    code = (
        "import sys; from airflow_provider_otpiq._models.phone_numbers import normalize\n"
        f"normalize('{NUMBER}'); normalize('0770 123 4567'); assert 'phonenumbers' not in sys.modules\n"
        "normalize('+447400123456'); assert 'phonenumbers' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "written", ["1) 7701234567", "2- 7701234567", "1. 7701234567", "49) 07701234567", "+7701234567 0", "007701234567 2"]
)
def test_a_mobile_number_with_digits_beside_it_is_ambiguous(written: str) -> None:
    with pytest.raises(AmbiguousNumberError):
        normalize(written)


@pytest.mark.parametrize("pattern", ["( ", "1 ", "+", "\u0661("])
def test_a_long_string_is_refused_at_once(pattern: str) -> None:
    began = time.process_time()
    assert reason_of(pattern * 200_000)
    assert time.process_time() - began < 0.5
