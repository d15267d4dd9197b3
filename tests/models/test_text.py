import re
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_otpiq._models.text import MARKS, NULL_VALUES, SPACES, clean, is_blank


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ali\r\n\r\n\tHassan", "Ali Hassan"),
        ("Ali            Hassan", "Ali Hassan"),
        ("  Noor ", "Noor"),
        ("Ali\u00a0Hassan", "Ali Hassan"),
        ("Ali\u200bHassan", "Ali Hassan"),
        ("\ufeffAli", "Ali"),
        ("Ali \u200f Hassan", "Ali Hassan"),
        ("\u202bعلي\u202c", "علي"),
        ("Ali\x00", "Ali"),
        ("a\x00b", "a b"),
        (" \t\u200e\n", ""),
        ("نوێ\u200cترین", "نوێ\u200cترین"),  # joiners belong to words of Kurdish and Persian
        ("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469"),  # and to emojis
    ],
)
def test_text_is_cleaned_to_what_whatsapp_accepts(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(st.text(st.sampled_from("ab\u0639 \n\t\u00a0\u200b\u200c\u200f\u202a\x00\ufeff|")))
def test_clean_text_is_stable_and_whatsapp_accepts_it(text: str) -> None:
    cleaned = clean(text)
    assert clean(cleaned) == cleaned
    assert not re.search(r"[\n\t\r\x00]|  |^ | $", cleaned)
    kept = str.maketrans("", "", SPACES + MARKS)
    assert cleaned.translate(kept) == text.translate(kept)


@pytest.mark.parametrize(
    "value",
    [
        None, "", " ", "\u200f", "\x00", r"\N", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "NaT", "none", "undefined",
        " NULL\n", float("nan"), float("inf"), Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"),
    ],
)  # fmt: skip
def test_some_values_mean_no_value(value: Any) -> None:
    assert is_blank(value)


@pytest.mark.parametrize("value", ["Nan", "Nadia", "0", "-5", "Null", 0, -5, 0.0, False, "NULL 1", [], {}])
def test_other_values_do_not(value: Any) -> None:
    assert not is_blank(value)


def test_the_null_values_include_those_of_pandas() -> None:
    import pandas
    from pandas._libs import parsers

    assert set(NULL_VALUES) | {""} >= parsers.STR_NA_VALUES
    assert is_blank(pandas.NA, ())
    assert is_blank(pandas.NaT, ())


@pytest.mark.parametrize("text", [MARKS[0] * 50_000, " " * 50_000 + "x", ("x" + "\u200f" * 30 + " ") * 2_000])
def test_cleaning_takes_linear_time(text: str) -> None:
    def seconds(cleaned: str) -> float:
        began = time.perf_counter()
        clean(cleaned)
        return time.perf_counter() - began

    short = min(seconds(text[: len(text) // 10]) for _ in range(3))
    assert min(seconds(text) for _ in range(3)) < 50 * short
