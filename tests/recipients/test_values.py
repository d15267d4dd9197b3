"""What is sent of recipients: the values of template parameters, each person once, and only valid numbers."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.requests import RecipientsRequest
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.fakes import CAMPAIGN_ID
from tests.phone_numbers import ABROAD, NUMBER, REJECTED, SPELLINGS
from tests.recipients.recipients import OTHER, PAYLOAD, Enumerated, ali, errors, numbers, valid_recipients

# What means "no value"

NO_VALUES = [
    None, "", "  ", "\u200f", "\x00", "\n", "NULL", "null", r"\N", "#N/A", "#REF!", "#NAME?", "#VALUE!", "#DIV/0!",
    "N/A", "n/a", "NaN", "nan", "<NA>", "NaT", "none", "None", "undefined", " NULL\n", float("nan"), float("inf"),
    Decimal("NaN"), Decimal("-Infinity"),
]  # fmt: skip


@pytest.mark.parametrize("blank", NO_VALUES)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_required_parameter_that_means_no_value_is_missing(blank: Any, as_iterable: Any) -> None:
    (error,) = errors(as_iterable([ali(**{"1": blank})]), PAYLOAD)
    assert error.endswith("templateParameters.body.1 (Body {{1}}) is required, and is not set")


@pytest.mark.parametrize("blank", NO_VALUES)
def test_an_optional_parameter_that_means_no_value_is_not_sent(blank: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert valid_recipients([ali(**{"2": blank}), ali(OTHER)]) == [ali(), ali(OTHER)]
    assert "Left out 1 values of template parameters that are blank or mean no value." in caplog.text


def test_missing_values_of_pandas_are_not_sent() -> None:
    pandas = pytest.importorskip("pandas")
    assert valid_recipients([ali(**{"2": pandas.NA, "3": pandas.NaT})]) == [ali()]


@pytest.mark.parametrize("value", ["Nan", "Nadia", "0", "-5", "NA 1"])
def test_what_resembles_no_value_is_one(value: str) -> None:
    assert valid_recipients([ali(**{"1": value})]) == [ali(**{"1": value})]


@pytest.mark.parametrize("as_iterable", [list, iter])
def test_other_null_values_take_the_place_of_the_default_ones(as_iterable: Any) -> None:
    rows = [ali(**{"1": "NULL", "2": " - ", "3": ""})]
    for null_values, sent in ((["-"], {"1": "NULL"}), ([], {"1": "NULL", "2": "-"}), (NULL_VALUES, {"2": "-"})):
        (recipient,) = RecipientValidator(as_iterable(rows), "IQ", null_values).result(skip_invalid=False)
        assert recipient["templateParameters"]["body"] == sent


@pytest.mark.parametrize("null_values", ["NULL", "['NULL']", 5, [["NULL"]], [None]])
def test_null_values_are_a_list_of_strings(null_values: Any) -> None:
    with pytest.raises(OtpiqValidationError, match="null_values"):
        RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=[ali()], null_values=null_values)


def test_the_default_null_values_are_those_of_an_audience() -> None:
    request = RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=[ali()], null_values=None)
    assert request.null_values == NULL_VALUES


# What WhatsApp accepts


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("Ali\nHassan", "Ali Hassan"),
        ("Ali\r\n\r\nHassan", "Ali Hassan"),
        ("Ali\tHassan", "Ali Hassan"),
        ("Ali      Hassan", "Ali Hassan"),
        ("Ali\u200bHassan", "Ali Hassan"),
        ("\ufeff Ali\u00a0", "Ali"),
        ("\u202bعلي\u202c", "علي"),
        (Enumerated.NOOR, "Noor Al Huda"),
    ],
)
@pytest.mark.parametrize("place", ["body", "header", "buttons"])
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_texts_are_sent_as_whatsapp_accepts_them(
    text: str, sent: str, place: str, as_iterable: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def row(value: str) -> dict[str, Any]:
        level = {"0": {"1": value}} if place == "buttons" else {"1": value}
        return {"phoneNumber": "9647701234567", "templateParameters": {place: level}}

    caplog.set_level("INFO")
    assert valid_recipients(as_iterable([row(text), ali(OTHER)])) == [row(sent), ali(OTHER)]
    assert "Cleaned 1 values of template parameters" in caplog.text


def test_what_is_clean_is_not_counted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    valid_recipients(iter([ali(**{"1": "نوێ\u200cترین", "2": 5})]))
    assert not caplog.text


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Z\ufffdynab", "has bytes that could not be decoded (U+FFFD); fix the encoding in the source"),
        (datetime(2026, 12, 1, tzinfo=UTC), "is a datetime; format it as text in the source"),
        (datetime(2026, 12, 1), "is a datetime; format it as text in the source"),
        (date(2026, 12, 1), "is a date; format it as text in the source"),
        (timedelta(hours=1), "is a timedelta; format it as text in the source"),
        (["Zaynab"], "is a list; format it as text in the source"),
        ({"first": "Zaynab"}, "is a dict; format it as text in the source"),
        (2**63, "is a number of more than 64 bits; format it as text in the source"),
        (1e22, "is a number of more than 64 bits; format it as text in the source"),
        (Decimal("1E+500"), "is a number of more than 64 bits; format it as text in the source"),
    ],
)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_value_that_cannot_be_sent_is_an_error_that_names_the_parameter(
    value: Any, said: str, as_iterable: Any
) -> None:
    (error,) = errors(as_iterable([ali(OTHER), ali(**{"1": value})]), PAYLOAD)
    assert error.startswith("recipients[1] (964770•••4567): templateParameters.body.1 ")
    assert error.endswith(said)
    assert "Z" not in error


@pytest.mark.parametrize(
    ("number", "sent"),
    [
        (250000.0, 250000),
        (-5.0, -5),
        (0.0, 0),
        (12.5, 12.5),
        (Decimal("250000.00"), 250000),
        (Decimal("12.50"), "12.50"),
        (2**53 + 1, 2**53 + 1),
        (True, True),
    ],
)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_whole_number_has_no_fraction(number: Any, sent: Any, as_iterable: Any) -> None:
    validator = RecipientValidator(as_iterable([ali(**{"2": number})]), "IQ")
    assert json.loads(validator.result(skip_invalid=False).body) == {"recipients": [ali(**{"2": sent})]}
    assert b".0" not in validator.result(skip_invalid=False).body


def test_numbers_of_numpy_are_sent() -> None:
    numpy = pytest.importorskip("numpy")
    row = ali(numpy.int64(7701234567), **{"1": numpy.int64(5), "2": numpy.float64(7.0)})
    assert valid_recipients([row]) == [ali(**{"1": 5, "2": 7})]


# Parameters of buttons

BUTTON = {
    "fields": [
        {"required": True, "templateParametersPath": "templateParameters.body.1"},
        {"required": True, "templateParametersPath": "templateParameters.buttons.0.1", "label": "Button {{1}}"},
    ]
}


def with_button(value: Any, number: str = "9647701234567") -> dict[str, Any]:
    row = ali(number)
    row["templateParameters"]["buttons"] = {"0": {"1": value}}
    return row


@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_parameter_of_a_button_is_sent(as_iterable: Any) -> None:
    recipients = RecipientValidator(as_iterable([with_button("A-1042"), with_button("A-1043", OTHER)]), "IQ")
    recipients.require(BUTTON)
    assert list(recipients.result(skip_invalid=False)) == [with_button("A-1042"), with_button("A-1043", OTHER)]


@pytest.mark.parametrize(
    "buttons", [{}, {"0": {}}, {"1": {"1": "A-1042"}}, {"0": {"2": "A-1042"}}, {"0": {"1": "NULL"}}, {"0": {"1": None}}]
)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_required_parameter_of_a_button_is_named(buttons: Any, as_iterable: Any) -> None:
    row = ali()
    row["templateParameters"]["buttons"] = buttons
    (error,) = errors(as_iterable([with_button("A-1042", OTHER), row]), BUTTON)
    assert error == (
        "recipients[1] (964770•••4567): templateParameters.buttons.0.1 (Button {{1}}) is required, and is not set"
    )


@pytest.mark.parametrize("value", [{"url": "A-1042"}, ["A-1042"]])
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_parameter_of_a_button_that_is_nested_too_deeply_is_named(value: Any, as_iterable: Any) -> None:
    (error,) = errors(as_iterable([with_button(value)]), BUTTON)
    assert "templateParameters.buttons.0.1" in error
    assert f"must be a string, a number or a bool, and is a {type(value).__name__}" in error


@pytest.mark.parametrize("empty", [{}, {"1": "NULL"}, {"1": None}])
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_button_that_is_left_empty_is_not_sent(empty: Any, as_iterable: Any) -> None:
    row = with_button("A-1042")
    row["templateParameters"]["buttons"]["1"] = empty
    assert valid_recipients(as_iterable([row])) == [with_button("A-1042")]


@pytest.mark.parametrize("as_iterable", [list, iter])
def test_dicts_are_nested_up_to_ten_levels(as_iterable: Any) -> None:
    def row(levels: int) -> dict[str, Any]:
        value: Any = "x"
        for _ in range(levels):
            value = {"0": value}
        return {"phoneNumber": "9647701234567", "templateParameters": {"buttons": value}}

    assert valid_recipients(as_iterable([row(10)])) == [row(10)]
    (error,) = errors(as_iterable([row(11)]))
    assert "is nested more than 10 levels deep" in error


# The same person twice


@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_person_is_sent_once_in_the_first_row(as_iterable: Any, caplog: pytest.LogCaptureFixture) -> None:
    rows = [ali(**{"1": "first"}), ali(OTHER), ali(**{"1": "second"}) | {"reference": "C-1042"}, ali(**{"1": "third"})]
    valid = RecipientValidator(as_iterable(rows), "IQ").result(skip_invalid=False)
    assert list(valid) == [ali(**{"1": "first"}), ali(OTHER)]
    assert (len(valid), valid.duplicates, valid.skipped) == (2, 2, 0)
    assert "2 of 4 recipients repeat the phone number of an earlier one and are left out: " in caplog.text
    assert "recipients[2] (reference 'C-1042', 964770•••4567) repeats recipients[0], recipients[3]" in caplog.text


def test_all_spellings_of_a_number_are_one_recipient() -> None:
    valid = RecipientValidator(SPELLINGS, "IQ").result(skip_invalid=False)
    assert [recipient["phoneNumber"] for recipient in valid] == [NUMBER]
    assert valid.duplicates == len(SPELLINGS) - 1


def test_an_invalid_row_does_not_take_the_place_of_a_valid_one() -> None:
    recipients = RecipientValidator([ali(**{"1": ""}), ali(), ali()], "IQ")
    recipients.require(PAYLOAD)
    valid = recipients.result(skip_invalid=True)
    assert (list(valid), valid.skipped, valid.duplicates) == ([ali()], 1, 1)


def test_the_limit_counts_people() -> None:
    assert len(valid_recipients([*numbers(1000), *numbers(500)])) == 1000
    with pytest.raises(OtpiqValidationError, match="are 1001, and a campaign can hold 1000"):
        valid_recipients([*numbers(1001), *numbers(500)])


def test_the_log_lists_a_hundred_duplicates_at_most(caplog: pytest.LogCaptureFixture) -> None:
    valid_recipients(["9647701234567"] * 151)
    assert "recipients[100] (964770•••4567) repeats recipients[0], and 50 more." in caplog.text
    assert "recipients[101]" not in caplog.text


# Numbers


def test_the_log_says_how_many_are_abroad(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    assert [each["phoneNumber"] for each in valid_recipients([written for written, _ in ABROAD])] == list(
        dict.fromkeys(digits for _, digits in ABROAD)
    )
    assert "8 recipients are outside IQ: 1 US, 1 DE, 1 KZ, 1 SA, 1 AE, 1 TR, 1 JO, 1 EG." in caplog.text


def test_nothing_is_logged_of_recipients_in_the_default_region(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    valid_recipients(["0770 123 4567"])
    assert not caplog.text


@pytest.mark.parametrize("written", REJECTED)
@pytest.mark.parametrize("as_row", [lambda number: number, ali])
def test_what_is_nobodys_number_is_never_sent(written: Any, as_row: Any) -> None:
    assert valid_recipients([OTHER, as_row(written)], skip_invalid=True) == [{"phoneNumber": OTHER}]
