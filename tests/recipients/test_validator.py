"""Which recipients are valid, how the others are named, and what is logged."""

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.phone_numbers import ABROAD, REJECTED
from tests.recipients.recipients import (
    MISSING,
    NUMBER,
    OTHER,
    PAYLOAD,
    ali,
    error_of,
    errors,
    numbers,
    sent,
    validated,
    with_parameters,
)

# What is accepted


def test_dicts_in_the_apis_shape_and_plain_numbers_are_valid() -> None:
    assert sent([ali("0770 123 4567"), "+964 771 234 5678", 9647801234567]) == [
        ali(),
        {"phoneNumber": "9647712345678"},
        {"phoneNumber": OTHER},
    ]


def test_any_iterable_is_accepted() -> None:
    class Lazy:
        def __iter__(self) -> Iterator[str]:
            yield from numbers(3)

    for rows in (tuple(numbers(3)), iter(numbers(3)), Lazy(), dict.fromkeys(numbers(3)).keys()):
        valid = RecipientValidator(rows, "IQ").result(skip_invalid=False)
        assert [recipient["phoneNumber"] for recipient in valid] == numbers(3)


def test_a_dict_that_a_generator_reuses_is_copied() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"templateParameters": {"body": {}}}
        for row["phoneNumber"], row["templateParameters"]["body"]["1"] in ((NUMBER, "Ali"), (OTHER, "Sara")):
            yield row

    assert list(RecipientValidator(rows(), "IQ").result(skip_invalid=False)) == [ali(), ali(OTHER, **{"1": "Sara"})]


def test_the_rows_are_not_changed_and_later_changes_are_not_sent() -> None:
    rows = [ali("0770 123 4567") | {"reference": 7}]
    valid = validated(rows)
    assert rows == [ali("0770 123 4567") | {"reference": 7}]
    rows[0]["phoneNumber"] = next(iter(valid))["phoneNumber"] = OTHER
    assert list(valid) == [ali()]


@pytest.mark.parametrize("written", REJECTED)
def test_an_invalid_phone_number_is_never_sent(written: Any) -> None:
    assert sent([OTHER, written, ali(written)], skip_invalid=True) == [{"phoneNumber": OTHER}]


# How many


def test_one_to_a_thousand_are_accepted(snapshot: SnapshotAssertion) -> None:
    assert str(error_of(iter(()))) == snapshot
    for count in (1, 1000):
        assert len(validated(numbers(count))) == len(validated(list(map(ali, numbers(count))), PAYLOAD)) == count


def test_more_people_than_a_campaign_can_hold_are_refused(snapshot: SnapshotAssertion) -> None:
    assert str(error_of(numbers(1001))) == snapshot
    with pytest.raises(OtpiqValidationError):
        validated(["nobody", *numbers(1001)], skip_invalid=True)
    error = error_of(["nobody"] * 1500)
    assert len(error.errors) == 1000
    assert str(error).endswith("\n  and 500 more\nCorrect these recipients in the source.")
    assert len(validated([*numbers(1000), *numbers(500)])) == 1000


def test_skipping_reads_on_to_the_last_valid_recipient() -> None:
    assert len(validated([*numbers(500), *["nobody"] * 3000, *numbers(1000)[500:]], skip_invalid=True)) == 1000
    lacking = [ali(number) if at % 4 else number for at, number in enumerate(numbers(1200))]
    assert len(validated(lacking, PAYLOAD, skip_invalid=True)) == 900


@pytest.mark.slow
@pytest.mark.parametrize("row", ["nobody", NUMBER])
def test_an_endless_iterator_is_refused(row: str, snapshot: SnapshotAssertion) -> None:
    assert str(error_of(repeat(row))) == snapshot
    assert len(RecipientValidator(repeat(row, 100_000), "IQ").valid) == (100_000 if row == NUMBER else 0)


# What is wrong


def test_exactly_the_invalid_recipients_are_listed(snapshot: SnapshotAssertion) -> None:
    rows: list[Any] = list(map(ali, numbers(1000)))
    wrong = {at * 57 + 3: row for at, row in enumerate([ali("0770"), ali(None), NUMBER, [7701234567], None])}
    for position, row in wrong.items():
        rows[position] = row
    found = errors(rows, PAYLOAD)
    assert [int(error[len("recipients[") : error.index("]")]) for error in found] == list(wrong)
    assert found[2] == f"recipients[117] (964770•••4567): {MISSING}"
    assert not any(NUMBER in error for error in found)
    assert str(error_of(rows, PAYLOAD)) == snapshot


@pytest.mark.parametrize(
    "row",
    [
        ali() | {"templateParameters": "Ali Hassan"},
        with_parameters({"body": ["Ali Hassan"]}),
        ali() | {"Ali Hassan": 1},
        {"phone": NUMBER},
        [NUMBER],
        None,
    ],
    ids=str,
)
def test_an_invalid_row_is_described_without_personal_data(row: Any, snapshot: SnapshotAssertion) -> None:
    (error,) = errors([row])
    assert error == snapshot
    assert not any(secret in error for secret in ("Hassan", NUMBER))


def test_skipping_is_logged(caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion) -> None:
    rows = [NUMBER, {"phoneNumber": "0770", "reference": "C-1042"}, "0771", None, OTHER]
    valid = RecipientValidator(rows, "IQ").result(skip_invalid=True)
    assert (list(valid), valid.skipped) == ([{"phoneNumber": NUMBER}, {"phoneNumber": OTHER}], 3)
    assert caplog.messages == snapshot
    with pytest.raises(OtpiqValidationError) as caught:
        validated(["0770", None], skip_invalid=True)
    assert len(caught.value.errors) == 2


def test_the_log_lists_a_hundred_at_most(caplog: pytest.LogCaptureFixture) -> None:
    RecipientValidator([*[NUMBER] * 152, *["nobody"] * 151], "IQ").result(skip_invalid=True)
    skipped, repeated = caplog.messages
    assert skipped.endswith("recipients[251] (6 characters) and 51 more.")
    assert repeated.endswith("recipients[100] (964770•••4567) repeats recipients[0] and 51 more.")


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.integers(), st.none(), st.dictionaries(st.text(), st.text())), min_size=1))
def test_each_row_is_valid_or_listed(rows: list[Any]) -> None:
    recipients = RecipientValidator(rows, "IQ")
    recipients.require(PAYLOAD)
    if wrong := len(rows) - len(recipients.valid):
        assert len(error_of(rows, PAYLOAD).errors) == wrong
    else:
        valid = recipients.result(skip_invalid=False)
        assert len(valid) + valid.duplicates == len(rows)


# How a recipient is named


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"phoneNumber": "0770123"}, "recipients[0] (7 digits)"),
        ({}, "recipients[0] (not set)"),
        ({"phoneNumber": "0770123", "reference": "C-1042"}, "recipients[0] (reference 'C-1042', 7 digits)"),
        ({"phoneNumber": "0770123", "reference": 1042}, "recipients[0] (reference 1042, 7 digits)"),
        ({"phoneNumber": "0770123", "reference": " "}, "recipients[0] (7 digits)"),
        ({"reference": "x" * 50}, f"recipients[0] (reference '{'x' * 40}…', not set)"),
        ({"reference": "a\nb"}, "recipients[0] (reference 'a b', not set)"),
        ({"reference": "C-9647701234567"}, "recipients[0] (reference 'C-964770•••4567', not set)"),
    ],
)
def test_an_invalid_recipient_can_be_found(row: dict[str, Any], name: str) -> None:
    (error,) = errors([row])
    assert error.startswith(f"{name}: ")


@pytest.mark.parametrize("reference", [1.5, True, ["C-1042"], 2**63, 10**5000], ids=lambda value: type(value).__name__)
def test_a_reference_is_a_string_or_an_int(reference: Any) -> None:
    rows = [ali(), ali(OTHER) | {"reference": reference}]
    assert errors(rows) == ("recipients[1] (964780•••4567): reference must be a string, or an int of 64 bits",)


@pytest.mark.parametrize("reference", ["C-1042", 1042, None])
def test_a_reference_is_not_sent(reference: Any) -> None:
    assert sent([ali() | {"reference": reference}, ali(OTHER)]) == [ali(), ali(OTHER)]


# The same person twice


def test_a_person_is_sent_once_in_the_first_row(caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion) -> None:
    rows = [ali(**{"1": "first"}), ali(OTHER), ali(**{"1": "second"}) | {"reference": "C-1042"}, ali(**{"1": "third"})]
    valid = validated(rows)
    assert list(valid) == [ali(**{"1": "first"}), ali(OTHER)]
    assert (len(valid), valid.duplicates, valid.skipped) == (2, 2, 0)
    assert caplog.messages[0] == snapshot


def test_an_invalid_row_does_not_replace_a_valid_one() -> None:
    valid = validated([ali(**{"1": ""}), ali(), ali()], PAYLOAD, skip_invalid=True)
    assert (list(valid), valid.skipped, valid.duplicates) == ([ali()], 1, 1)


# Numbers of other countries


def test_the_log_counts_the_numbers_abroad(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    valid = RecipientValidator([NUMBER, *(written for written, _ in ABROAD)], "IQ").result(skip_invalid=False)
    assert [each["phoneNumber"] for each in valid] == [NUMBER, *dict.fromkeys(digits for _, digits in ABROAD)]
    assert "Recipients outside IQ: 8 (1 US, 1 DE, 1 KZ, 1 SA, 1 AE, 1 TR, 1 JO, 1 EG)." in caplog.messages


@pytest.mark.parametrize(("region", "abroad"), [("IQ", []), ("TR", ["Recipients outside TR: 1 (1 IQ)."])])
def test_a_number_is_abroad_outside_the_default_region(
    caplog: pytest.LogCaptureFixture, region: str, abroad: list[str]
) -> None:
    caplog.set_level("INFO")
    RecipientValidator([ali()], region).result(skip_invalid=False)
    assert caplog.messages == abroad


# Guard rails


def test_recipients_that_are_not_allowed_are_listed(snapshot: SnapshotAssertion) -> None:
    recipients = RecipientValidator([NUMBER, "nobody", {"phoneNumber": OTHER, "reference": "C-1042"}], "IQ")
    with pytest.raises(OtpiqValidationError) as caught:
        recipients.require_allowed(NUMBER.__eq__)
    assert caught.value.errors == ("recipients[2] (reference 'C-1042', 964780•••4567)",)
    assert str(caught.value) == snapshot
    recipients.require_allowed((NUMBER, OTHER).__contains__)
