import time
from collections.abc import Callable
from datetime import datetime

import pytest
from pydantic import SecretStr

from airflow_provider_otpiq._redaction import (
    mask_phone_number,
    mask_phone_numbers,
    repeats_value,
    safe_repr,
    sanitize,
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("to +964 771 234 5678.", "to 964771•••5678."),
        ("'+964-771-234-5678'", "'964771•••5678'"),
        ("07712345678", "0771•••5678"),
        ("9647712345678,9647712345679", "964771•••5678,964771•••5679"),
        ("00964 771 234 5678", "009647•••5678"),
        ("964.771.234.5678", "964771•••5678"),
        ("(0771) 234 5678", "0771•••5678"),
        ("+(964) 771 234 5678", "964771•••5678"),
        ("%2B9647712345678", "%2B964771•••5678"),
        ("phone9647712345678x", "phone964771•••5678x"),
        ("2026-12-01 9647712345678", "2026-12-01 964771•••5678"),
        ("٩٦٤٧٧١٢٣٤٥٦٧٨", "٩٦٤٧٧١•••٥٦٧٨"),
    ],
)
def test_phone_numbers_are_masked(text: str, masked: str) -> None:
    assert mask_phone_numbers(text) == masked


@pytest.mark.parametrize(
    "text", ["665f1c2ab3d4e5f601234567", "123456789012345678901234", "2026-12-01 09:00:00", "15000"]
)
def test_ids_times_and_amounts_stay_readable(text: str) -> None:
    assert mask_phone_numbers(text) == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("x" * 40, f"'{'x' * 40}'"),
        ("x" * 41, "a string of 41 characters"),
        ("770 123 45", "'770 123 45'"),
        ("770 123 456", "a string of 11 characters"),
        ("2026-12-01 09:00", "'2026-12-01 09:00'"),
        ("sk_live_Ab1", "a string of 11 characters"),
        (9647701234567, "an int"),
        (datetime(2026, 12, 1, 9), "2026-12-01 09:00:00"),
    ],
)
def test_what_may_be_a_key_or_a_phone_number_is_not_shown(value: object, shown: str) -> None:
    assert safe_repr(value) == shown


def test_a_string_from_outside_becomes_one_short_line() -> None:
    assert sanitize("a\nb\x1b[31m  c sk_live_Ab1") == "a b�[31m c •••"
    assert len(sanitize("x" * 10_000)) == 501


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Failed to parse: http://user:se#cret@proxy:3128", "Failed to parse: http://•••@proxy:3128"),
        ("'http://user:se/cret@proxy' and 'a@b.example'", "'http://•••@proxy' and 'a@b.example'"),
        ('see "https://user:p@ss@host/path?q=1"', 'see "https://•••@host/path?q=1"'),
        ("https://example.com/path, by a@b.example", "https://example.com/path, by a@b.example"),
    ],
)
def test_the_user_of_a_url_is_not_shown(text: str, shown: str) -> None:
    assert sanitize(text) == shown


@pytest.mark.parametrize("key", ["sk_live-0123.secret", "SK_LIVE_abcdef", "topsecret123", "a$b"])
def test_the_key_of_the_call_is_never_shown_whatever_it_looks_like(key: str) -> None:
    assert key not in sanitize(f"Unauthorized key {key}.", SecretStr(key))


@pytest.mark.parametrize(
    ("text", "values", "repeats"),
    [
        ("body.1 'Zaynab Al-Rashid' is bad", ["Zaynab Al-Rashid"], True),
        ("ZAYNAB AL-RASHID is bad", ["Zaynab Al-Rashid"], True),
        ("'Zaynab\n  Al-Rashid' is bad", ["Zaynab\nAl-Rashid"], True),
        (r"'Zaynab\nAl' is bad", ["Zaynab\nAl"], True),
        (r"'\u0632\u064a\u0646\u0628' is bad", ["زينب"], True),
        ("'زينب' is bad", ["زينب"], True),
        ("وزينب is bad", ["زينب"], True),
        ("body_1_Zaynab is bad", ["Zaynab"], True),
        ("A valid alias", ["Ali"], False),
        ("body.1 is '1'", ["1"], True),
        ("body.1 is bad", ["1"], False),
        ("body.1 is \u201cعم\u201d", ["عم"], True),
        ("All 1000 recipients", ["1000"], False),
        ("25000 is bad", ["25000"], True),
        ("'Zayn…' is too long", ["Zaynab Al-Rashid"], True),
        ("'zaynab al ...' is too long", ["zaynab al-rashid"], True),
        ("wait … please", ["Zaynab"], False),
        ("it is bad", ["Zaynab", "", "!"], False),
        ("x" * 1990 + " Zaynab Al-Rashid", ["Zaynab Al-Rashid"], True),
    ],
)
def test_a_text_that_repeats_a_value_is_found(text: str, values: list[str], repeats: bool) -> None:
    assert repeats_value(text, values) is repeats


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern", ["//", "(", "+", "+(", "1 ", "1-", "1", "sk_", "://@", "2026-01-01T", "\u0661(", "x"]
)
@pytest.mark.parametrize("end", ["", "@", "0"])
@pytest.mark.parametrize("function", [sanitize, mask_phone_numbers, safe_repr, mask_phone_number])
def test_a_string_that_is_eight_times_as_long_takes_about_eight_times_as_long(
    function: Callable[[str], str], pattern: str, end: str
) -> None:
    def seconds(length: int) -> float:
        text = pattern * (length // len(pattern)) + end
        began = time.process_time()
        function(text)
        return time.process_time() - began

    short = max(min(seconds(50_000) for _ in range(3)), 0.005)
    assert seconds(400_000) < 24 * short  # quadratic: 64


@pytest.mark.parametrize(
    "text",
    [
        f"{'x ' * 100}https://user:{'secret/' * 400}@proxy",
        f"https://user:{'secret/' * 400}@proxy",
        f"{'sk_live_' * 249}9647701234567",  # so that little is left before the cut
        f"{'sk_live_' * 240} {'x' * 70} 0770 123 4567",
        f"a@b.example {'y' * 1970}https://user:secret@proxy",
    ],
)
def test_a_secret_that_is_cut_is_not_shown(text: str) -> None:
    shown = sanitize(text)
    assert not any(part in shown for part in ("secret", "user", "9647", "0770"))
    assert len(shown) <= 501


@pytest.mark.slow
def test_finding_values_takes_no_time_however_long_the_text_is() -> None:
    values = [f"Person {number} of Baghdad" for number in range(10_000)]
    began = time.process_time()
    repeats_value("Somebody 1… " * 1_000_000, values)
    assert time.process_time() - began < 2
