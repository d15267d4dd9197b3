from __future__ import annotations

import pytest
from pydantic import SecretStr

from airflow_provider_otpiq._redaction import mask_phone_numbers, presentable


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("9647712345678", "964771•••5678"),
        ("to +964 771 234 5678.", "to 964771•••5678."),
        ("'+964-771-234-5678'", "'964771•••5678'"),
        ("0771 234 5678", "0771•••5678"),
        ("07712345678", "0771•••5678"),
        ("9647712345678,9647712345679", "964771•••5678,964771•••5679"),
        ("00964 771 234 5678", "009647•••5678"),
        ("964.771.234.5678", "964771•••5678"),
        ("(0771) 234 5678", "0771•••5678"),
        ("0771-234-56-78", "0771•••5678"),
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


def test_a_foreign_text_becomes_one_short_harmless_line() -> None:
    assert presentable("a\nb\x1b[31m  c sk_live_Ab1") == "a b�[31m c •••"
    assert len(presentable("x" * 10_000)) == 501


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
    assert presentable(text) == shown


@pytest.mark.parametrize("key", ["sk_live-0123.secret", "SK_LIVE_abcdef", "topsecret123", "a$b"])
def test_the_key_of_the_call_is_never_shown_whatever_it_looks_like(key: str) -> None:
    assert key not in presentable(f"Unauthorized key {key}.", SecretStr(key))
