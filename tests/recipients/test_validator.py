from __future__ import annotations

import json
import re
from collections import OrderedDict, defaultdict
from itertools import repeat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_otpiq._recipients.attach_response import all_already_attached
from airflow_provider_otpiq._recipients.requests import RecipientsRequest
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqRequestError, OtpiqValidationError
from tests.fakes import CAMPAIGN_ID
from tests.recipients.recipients import PAYLOAD, Enumerated, ali, errors, numbers, valid_recipients

if TYPE_CHECKING:
    from collections.abc import Iterator


class DataFrame:
    """What going through pandas' own would give: the names of its columns."""

    def iterrows(self) -> None: ...

    def __iter__(self) -> Iterator[str]:
        return iter(["9647701234567"])


# What is accepted


def test_dicts_in_the_apis_shape_and_plain_numbers_are_valid() -> None:
    assert valid_recipients([ali("0770 123 4567"), "+964 771 234 5678", 9647801234567]) == [
        ali("9647701234567"),
        {"phoneNumber": "9647712345678"},
        {"phoneNumber": "9647801234567"},
    ]


def test_none_for_the_parameters_is_not_set() -> None:
    assert valid_recipients([{"phoneNumber": "9647701234567", "templateParameters": None}]) == [
        {"phoneNumber": "9647701234567"}
    ]


def test_any_iterable_is_accepted() -> None:
    def generated() -> Iterator[str]:
        yield from numbers(3)

    class Lazy:
        def __iter__(self) -> Iterator[str]:
            return generated()

    for as_iterable in (tuple(numbers(3)), generated(), Lazy(), dict.fromkeys(numbers(3)).keys()):
        assert [recipient["phoneNumber"] for recipient in valid_recipients(as_iterable)] == numbers(3)


def test_the_rows_are_not_changed() -> None:
    row = ali("0770 123 4567")
    valid_recipients([row])
    assert row == ali("0770 123 4567")


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_one_to_a_thousand(count: int) -> None:
    assert len(valid_recipients(numbers(count))) == count


def test_more_than_a_thousand_are_refused() -> None:
    with pytest.raises(OtpiqValidationError, match="are 1001, and a campaign can hold 1000"):
        valid_recipients(numbers(1001))
    with pytest.raises(OtpiqValidationError, match="are 1001, and a campaign can hold 1000"):
        valid_recipients(["nobody", *numbers(1001)], skip_invalid=True)


def test_skipping_reads_on_to_the_last_valid_recipient() -> None:
    assert len(valid_recipients([*numbers(500), *["nobody"] * 3000, *numbers(1000)[500:]], skip_invalid=True)) == 1000
    recipients = RecipientValidator(
        [ali(number) if at % 4 else number for at, number in enumerate(numbers(1200))], "IQ"
    )
    recipients.require(PAYLOAD)
    assert len(recipients.result(skip_invalid=True)) == 900


@pytest.mark.slow
@pytest.mark.parametrize("row", ["nobody", "9647701234567"])
def test_what_never_ends_is_refused(row: str) -> None:
    with pytest.raises(OtpiqValidationError, match="are more than 100000, which is more than is read"):
        RecipientValidator(repeat(row), "IQ")


@pytest.mark.slow
def test_a_hundred_thousand_rows_are_read() -> None:
    assert len(RecipientValidator(repeat("9647701234567", 100_000), "IQ")) == 100_000


def test_a_dict_that_a_generator_uses_again_keeps_what_it_had() -> None:
    def rows() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {"templateParameters": {"body": {}}}
        for number, name in (("9647701234567", "Ali"), ("9647801234567", "Sara")):
            row["phoneNumber"] = number
            row["templateParameters"]["body"]["1"] = name
            yield row

    assert [each["templateParameters"]["body"]["1"] for each in valid_recipients(rows())] == ["Ali", "Sara"]


def test_many_invalid_recipients_are_not_all_listed() -> None:
    with pytest.raises(OtpiqValidationError, match="and 500 more") as caught:
        valid_recipients(["nobody"] * 1500, skip_invalid=True)
    assert len(caught.value.errors) == 1000


@pytest.mark.parametrize(
    ("nothing", "said"),
    [
        (DataFrame(), "found a DataFrame"),
        ("9647701234567", "found a string of 13 characters"),
        ("['9647701234567']", "render_template_as_native_obj"),
        (b"9647701234567", "found a string"),
        (ali(), "must be a list of recipients; found a dict"),
        (5, "must be a list of recipients; found a int"),
        (object(), "must be a list of recipients; found a object"),
        ([], "is empty"),
    ],
)
def test_what_is_no_list_of_recipients_is_refused(nothing: Any, said: str) -> None:
    with pytest.raises(OtpiqValidationError, match=said) as caught:
        RecipientsRequest.parse(campaign_id=CAMPAIGN_ID, recipients=nothing)
    assert "9647701234567" not in str(caught.value)


def test_an_iterator_without_any_is_refused() -> None:
    with pytest.raises(OtpiqValidationError, match="recipients: is empty"):
        RecipientValidator(iter(()), "IQ")


# What is wrong


def test_exactly_the_invalid_recipients_are_listed_by_position_with_their_numbers_masked() -> None:
    rows: list[Any] = [ali(number) for number in numbers(1000)]
    wrong = {
        at * 57 + 3: row for at, row in enumerate([ali("0770"), ali(None), "9647701234567", [7701234567], None] * 4)
    }
    wrong.popitem(), wrong.popitem(), wrong.popitem()
    for position, row in wrong.items():
        rows[position] = row
    found = errors(rows, PAYLOAD)
    assert len(found) == 17
    assert [int(error.split("]")[0].removeprefix("recipients[")) for error in found] == sorted(wrong)
    assert "recipients[3] (4 digits): phoneNumber is not a valid phone number" in found[0]
    missing = "templateParameters.body.1 (Body {{1}}) is required, and is not set"
    assert found[2] == f"recipients[117] (964770•••4567): {missing}"
    assert found[3].startswith("recipients[174] (a list): phoneNumber must be a string, and is a list")
    assert found[3].endswith(f"; {missing}")
    assert not any("9647701234567" in error for error in found)


@pytest.mark.parametrize("parameters", [{}, {"body": {}}, {"header": {"1": "Ali"}}, {"body": {"2": "Ali"}}])
def test_a_required_parameter_has_its_place(parameters: dict[str, Any]) -> None:
    assert errors([{"phoneNumber": "9647701234567", "templateParameters": parameters}], PAYLOAD)


def test_what_a_defaultdict_makes_up_was_not_set() -> None:
    for empty in (list, dict, str):
        (error,) = errors(
            [{"phoneNumber": "9647701234567", "templateParameters": {"body": defaultdict(empty)}}], PAYLOAD
        )
        assert error.endswith("is required, and is not set")


@pytest.mark.parametrize("zero", [0, 0.0, False, "0"])
def test_zero_is_a_value(zero: Any) -> None:
    recipients = RecipientValidator([ali(**{"1": zero})], "IQ")
    recipients.require(PAYLOAD)
    assert len(recipients.result(skip_invalid=False)) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ali() | {"templateParameters": "Ali"}, "templateParameters must be like"),
        (ali() | {"templateParameters": {"body": ["Ali"]}}, "templateParameters must be like"),
        (ali() | {"templateParameters": {"body": None}}, "templateParameters must be like"),
        (ali() | {"Ali Hassan": 1}, "has 1 other keys than phoneNumber and templateParameters"),
        ({"phone": "9647701234567"}, "phoneNumber is required, and is not set; has 1 other keys"),
        (ali(**{"2": object()}), "must be a string, a number or a bool, and is a object"),
        (ali(**{"2": "\ud800"}), "half of a surrogate pair"),
        (["9647701234567"], "phoneNumber must be a string, and is a list"),
    ],
)
def test_an_invalid_row_says_why_and_nothing_of_the_person(row: Any, said: str) -> None:
    (error,) = errors([row])
    assert said in error
    assert "Ali Hassan" not in error
    assert "9647701234567" not in error


def test_skipping_takes_the_others_and_logs_counts_and_reasons(caplog: pytest.LogCaptureFixture) -> None:
    assert valid_recipients(["9647701234567", "0770", "0771", None, "9647701234568"], skip_invalid=True) == [
        {"phoneNumber": "9647701234567"},
        {"phoneNumber": "9647701234568"},
    ]
    assert "3 of 5 recipients are skipped" in caplog.text
    assert "2x phoneNumber is not a valid phone number" in caplog.text
    assert "1x phoneNumber is required" in caplog.text


def test_skipping_all_of_them_is_an_error() -> None:
    with pytest.raises(OtpiqValidationError, match="2 of 2 recipients are wrong"):
        valid_recipients(["0770", None], skip_invalid=True)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.integers(), st.none(), st.dictionaries(st.text(), st.text())), min_size=1))
def test_whatever_the_rows_are_each_is_valid_or_listed(rows: list[Any]) -> None:
    recipients = RecipientValidator(rows, "IQ")
    recipients.require(PAYLOAD)
    wrong = len(rows) - len(recipients.valid)
    if not wrong:
        valid = recipients.result(skip_invalid=False)
        assert len(valid) + valid.duplicates == len(rows)
        return
    with pytest.raises(OtpiqValidationError) as caught:
        recipients.result(skip_invalid=False)
    assert len(caught.value.errors) == wrong


# How a recipient is named


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"phoneNumber": "0770123"}, "recipients[0] (7 digits)"),
        ({"phoneNumber": ""}, "recipients[0] (0 characters)"),
        ({"phoneNumber": 77012}, "recipients[0] (an int of 5 digits)"),
        ({"phoneNumber": ["9647701234567"]}, "recipients[0] (a list)"),
        ({}, "recipients[0] (not set)"),
        ({"phoneNumber": "0770123", "reference": "C-1042"}, "recipients[0] (reference 'C-1042', 7 digits)"),
        ({"phoneNumber": "0770123", "reference": 1042}, "recipients[0] (reference 1042, 7 digits)"),
        ({"phoneNumber": "0770123", "reference": " "}, "recipients[0] (7 digits)"),
        ({"phoneNumber": "0770123", "reference": float("nan")}, "recipients[0] (7 digits)"),
        ({"reference": "x" * 50}, f"recipients[0] (reference '{'x' * 40}…', not set)"),
        ({"reference": "a\nb"}, "recipients[0] (reference 'a b', not set)"),
        ({"reference": 9647701234567}, "recipients[0] (reference 964770•••4567, not set)"),
        ({"reference": "C-9647701234567"}, "recipients[0] (reference 'C-964770•••4567', not set)"),
    ],
)
def test_an_invalid_recipient_can_be_found(row: dict[str, Any], name: str) -> None:
    (error,) = errors([row])
    assert error.startswith(f"{name}: ")


@pytest.mark.parametrize("reference", [1.5, True, ["C-1042"], 2**63, 10**5000], ids=lambda value: type(value).__name__)
def test_a_reference_is_a_string_or_an_int(reference: Any) -> None:
    (error,) = errors([ali() | {"reference": reference}])
    assert error == "recipients[0] (964770•••4567): reference must be a string, or an int of 64 bits"


@pytest.mark.parametrize("reference", ["C-1042", 1042, "", None])
def test_a_reference_is_not_sent(reference: Any) -> None:
    row = ali() | {"reference": reference}
    assert valid_recipients([row]) == valid_recipients(iter([row])) == [ali()]
    assert row["reference"] == reference


def test_a_reference_names_the_row_where_a_parameter_is_missing() -> None:
    (error,) = errors([ali() | {"reference": "C-1041"}, ali(**{"1": ""}) | {"reference": "C-1042"}], PAYLOAD)
    assert error.startswith("recipients[1] (reference 'C-1042', 964770•••4567): ")


def test_skipping_logs_which_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    valid = [ali(number) for number in numbers(3)]
    recipients = RecipientValidator([*valid, {"phoneNumber": "0770", "reference": "C-1042"}, None], "IQ")
    assert recipients.result(skip_invalid=True).skipped == 2
    assert "Left out, by position from 0: recipients[3] (reference 'C-1042', 4 digits), recipients[4] (not set)." in (
        caplog.text
    )


def test_skipping_logs_a_hundred_at_most(caplog: pytest.LogCaptureFixture) -> None:
    valid_recipients([*numbers(1), *["nobody"] * 150], skip_invalid=True)
    assert "recipients[100] (6 characters), and 50 more." in caplog.text
    assert "recipients[101]" not in caplog.text


# What is checked is what is sent


class Shown(dict[str, Any]):
    """It shows one thing once, and another each time after."""

    def items(self) -> Any:
        shown = self.copy().items()
        self["1"] = {"a set"}
        return shown


def with_body(body: Any) -> dict[str, Any]:
    return {"phoneNumber": "9647701234567", "templateParameters": {"body": body}}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: {"1": (part for part in "Ali")}, id="a generator"),
        pytest.param(lambda: {"1": {"Ali"}}, id="a set"),
        pytest.param(lambda: {"1": ("Ali",)}, id="a tuple"),
        pytest.param(lambda: {"1": b"Ali"}, id="bytes"),
        pytest.param(lambda: {"1": [float("inf")]}, id="a list"),
        pytest.param(lambda: {"1": 2**63}, id="65 bits"),
        pytest.param(lambda: {"1": 10**5000}, id="an endless int"),
        pytest.param(lambda: {"1": "Ali\ud800"}, id="half a character"),
        pytest.param(lambda: {"1\ud800": "Ali"}, id="half a character in a key"),
        pytest.param(lambda: {1: "Ali"}, id="an int for a key"),
        pytest.param(lambda: {1: "Ali", "1": "Sara"}, id="a key twice"),
        pytest.param(lambda: {"1": {None: "Ali"}}, id="None for a key"),
        *(pytest.param(lambda depth=depth: {"1": nested(depth)}, id=f"{depth} deep") for depth in (251, 300, 5000)),
        pytest.param(lambda: {"1": endless()}, id="endless"),
    ],
)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_only_strings_numbers_and_bools_are_valid(body: Any, as_iterable: Any) -> None:
    rows = [ali(), with_body(body()), ali()]
    (error,) = errors(as_iterable(rows))
    assert error.startswith("recipients[1] (964770•••4567): templateParameters")
    assert "Ali" not in error
    assert valid_recipients(as_iterable(rows), skip_invalid=True) == [ali()]


def test_an_invalid_parameter_is_named_by_the_apis_own_keys_alone() -> None:
    for parameters, place in (
        ({"body": {"12": {1}}}, "templateParameters.body.12"),
        ({"body": {"Zaynab": {1}}}, "templateParameters.body"),
        ({"Zaynab": {"1": {1}}}, "templateParameters"),
        ({"buttons": {"0": {"1": {1}}}}, "templateParameters.buttons.0.1"),
        ({"buttons": {"0": {"Zaynab": {"1": {1}}}}}, "templateParameters.buttons.0"),
        ({"body": {7701234567: "Ali"}}, "templateParameters.body"),
    ):
        (error,) = errors([{"phoneNumber": "9647701234567", "templateParameters": parameters}])
        assert re.search(f": {re.escape(place)} (must be|has a key)", error)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (OrderedDict({"1": "Ali"}), {"1": "Ali"}),
        (defaultdict(str, {"1": "Ali"}), {"1": "Ali"}),
        ({"1": Enumerated.ALI}, {"1": "Ali"}),
        ({"1": 0, "2": -1.5, "3": False, "4": None}, {"1": 0, "2": -1.5, "3": False}),
    ],
)
@pytest.mark.parametrize("as_iterable", [list, iter])
def test_dicts_and_strings_of_other_kinds_are_sent_as_plain_ones(body: Any, sent: Any, as_iterable: Any) -> None:
    valid = RecipientValidator(as_iterable([with_body(body)]), "IQ").result(skip_invalid=False)
    assert json.loads(valid.body) == {"recipients": [with_body(sent)]}


@pytest.mark.parametrize("as_iterable", [list, iter])
def test_a_dict_that_shows_two_things_is_sent_as_it_was_checked(as_iterable: Any) -> None:
    assert valid_recipients(as_iterable([with_body(Shown({"1": "Ali"}))])) == [ali()]


def test_what_happens_after_the_check_changes_nothing() -> None:
    rows = [ali()]
    valid = RecipientValidator(rows, "IQ").result(skip_invalid=False)
    rows[0]["phoneNumber"] = "9647809999999"
    next(iter(valid))["phoneNumber"] = "9647809999999"
    assert list(valid) == json.loads(valid.body)["recipients"] == [ali()]


NUMBERS = st.one_of(
    st.just("9647701234567"),
    st.from_regex(r"(?:964)?[0-9]{9,13}", fullmatch=True),
    st.sampled_from(["0770 123 4567", "9647701234567\n", "", None, 9647701234567]),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.characters(), st.binary()),
    lambda values: st.one_of(
        st.lists(values, max_size=3),
        st.dictionaries(st.one_of(st.text(max_size=2), st.integers()), values, max_size=3),
        st.tuples(values),
    ),
    max_leaves=4,
)
ROWS = st.lists(
    st.one_of(
        st.just(ali()),
        st.fixed_dictionaries(
            {"phoneNumber": NUMBERS},
            optional={
                "templateParameters": st.one_of(
                    st.dictionaries(st.sampled_from(["body", "header", 1]), st.dictionaries(st.text(max_size=2), JSON)),
                    JSON,
                ),
                "reference": JSON,
                "x": st.none(),
            },
        ),
    ),
    min_size=1,
    max_size=3,
)


@settings(deadline=None)
@given(ROWS)
def test_a_list_at_once_and_row_by_row_are_held_to_the_same_rules(rows: list[Any]) -> None:
    assert outcome(rows) == outcome(iter(rows))


def outcome(rows: Any) -> bytes | tuple[str, ...]:
    recipients = RecipientValidator(rows, "IQ")
    recipients.require(PAYLOAD)
    try:
        return recipients.result(skip_invalid=False).body
    except OtpiqValidationError as error:
        return error.errors


# The one 400 that is a success


@pytest.mark.parametrize(
    "words",
    [
        "All of these recipients are already on this campaign",
        "All recipients already exist in this campaign",
        "every phone number is already on the campaign",
        "All numbers have already been added",
    ],
)
def test_an_attach_of_what_is_attached_is_recognised(words: str) -> None:
    assert all_already_attached(OtpiqRequestError("no", status_code=400, server_message=words))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, None),
        (400, ""),
        (400, "Campaign has already started"),
        (400, "No new recipients can be added to this campaign"),
        (400, "No new recipients can be added: the campaign was already sent"),
        (400, "All recipients are already unsubscribed"),
        (400, "All numbers are already blocked"),
        (400, "Each recipient has already received a message today"),
        (400, "All recipients were already messaged in a previous campaign"),
        (400, "All phone numbers already exist in another campaign"),
        (400, "Campaign already archived, all recipients are in it"),
        (400, "All recipients must be added before the campaign is already running"),
        (400, "Campaign already has 1000 recipients"),
        (400, "A campaign can hold at most 1000 recipients; all of its places are already valid_recipients (limit)"),
        (400, "No such campaign"),
        (400, "Insufficient credit for all recipients"),
        (400, "Invalid phone number"),
        (422, "All recipients already exist in this campaign"),
    ],
)
def test_no_other_refusal_passes_for_it(status: int, words: str | None) -> None:
    assert not all_already_attached(OtpiqRequestError("no", status_code=status, server_message=words))
