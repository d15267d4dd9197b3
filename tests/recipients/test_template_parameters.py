"""What is sent of the values of template parameters."""

import json
from collections import OrderedDict, defaultdict
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.template_parameters import ParameterParser
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.recipients.recipients import (
    MISSING,
    NUMBER,
    OTHER,
    PAYLOAD,
    Enumerated,
    ali,
    errors,
    sent,
    validated,
    with_parameters,
)

# What means "no value"

NO_VALUES = [
    *(None, "", "  ", "\u200f", "\x00", "NULL", " NULL\n", float("nan"), float("inf"), Decimal("-Infinity")),
]


@pytest.mark.parametrize("blank", NO_VALUES)
def test_a_value_that_means_no_value_is_missing(blank: Any) -> None:
    assert errors([ali(**{"1": blank})], PAYLOAD) == (f"recipients[0] (964770•••4567): {MISSING}",)
    assert sent([ali(OTHER, **{"2": "x"}), ali(**{"2": blank})]) == [ali(OTHER, **{"2": "x"}), ali()]
    assert not ParameterParser(["NULL"]).changes_none([""])


def test_other_null_values_replace_the_default_ones() -> None:
    rows = [ali(**{"1": "NULL", "2": " - ", "3": ""}), ali(OTHER, **{"2": "-", "3": "x"})]
    for null_values, first in ((["-"], {"1": "NULL"}), ([], {"1": "NULL", "2": "-"}), (NULL_VALUES, {"2": "-"})):
        recipients = sent(rows, null_values=null_values)
        assert recipients[0]["templateParameters"]["body"] == first
        assert ("2" in recipients[1]["templateParameters"]["body"]) is ("-" not in null_values)


@pytest.mark.parametrize("value", [0, 0.0, False, "Nan"])
def test_zero_and_similar_texts_are_values(value: Any) -> None:
    assert sent([ali(**{"1": value})], PAYLOAD) == [ali(**{"1": value})]


# What WhatsApp accepts


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Ali\r\n\tHassan", "Ali Hassan"),
        ("Ali ", "Ali"),
        ("\u202bعلي\u202c", "علي"),
        (Enumerated.NOOR, "Noor Al Huda"),
    ],
)
@pytest.mark.parametrize("place", [lambda text: {"header": {"1": text}}, lambda text: {"buttons": {"0": {"1": text}}}])
def test_texts_are_sent_as_whatsapp_accepts_them(text: str, cleaned: str, place: Any) -> None:
    others = with_parameters(place("Sara"), OTHER)
    assert sent([others, with_parameters(place(text))]) == [others, with_parameters(place(cleaned))]


def test_changes_are_logged(caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion) -> None:
    caplog.set_level("INFO")
    clean = ali(**{"1": "نوێ\u200cترین", "2": 5})
    RecipientValidator(iter([clean]), "IQ")
    assert not caplog.messages
    RecipientValidator([clean, ali(**{"1": " Ali", "2": "Ali\n", "3": "", "4": None, "5": "NULL"})], "IQ")
    assert caplog.messages == snapshot


# What cannot be sent


@pytest.mark.parametrize(
    "value",
    [
        "Z\ufffdynab",
        "Zaynab\ud800",
        datetime(2026, 12, 1, tzinfo=UTC),
        b"Zaynab",
        ["Zaynab"],
        {"Zaynab"},
        {"first": "Zaynab"},
        object(),
        -(2**63) - 1,
        10**5000,
        1e22,
        Decimal("1E+500"),
    ],
    ids=lambda value: f"{type(value).__name__} {str(value)[:3] if isinstance(value, str | float) else ''}",
)
def test_a_value_that_cannot_be_sent_is_an_error(value: Any) -> None:
    rows = [ali(OTHER), ali(**{"1": value})]
    (error,) = errors(rows, PAYLOAD)
    assert error.startswith("recipients[1] (964770•••4567): templateParameters.body.1 ")
    assert "Z" not in error
    assert sent(rows, skip_invalid=True) == [ali(OTHER)]


def test_the_error_names_the_parameter_and_the_fix(snapshot: SnapshotAssertion) -> None:
    values = ["Z\ufffd", "Z\ud800", date(2026, 12, 1), 2**63]
    assert errors([ali(**{"1": value}) for value in values]) == snapshot


@pytest.mark.parametrize(
    "body",
    [{"1\ud800": "Ali"}, {1: "Ali"}, {1: "Ali", "1": "Sara"}, {"1": {None: "Ali"}}],
    ids=["half a surrogate pair", "an int", "an int and its string", "None"],
)
def test_a_key_is_a_valid_string(body: Any) -> None:
    (error,) = errors([ali(OTHER), with_parameters({"body": body})])
    assert error.startswith("recipients[1] (964770•••4567): templateParameters.body")
    assert "Ali" not in error


@pytest.mark.parametrize(
    ("number", "as_sent"),
    [
        (250000.0, 250000),
        (0.0, 0),
        (12.5, 12.5),
        (Decimal("250000.00"), 250000),
        (Decimal("12.50"), "12.50"),
        (2**53 + 1, 2**53 + 1),
        (-(2**63), -(2**63)),
        (True, True),
    ],
)
def test_a_whole_number_has_no_fraction(number: Any, as_sent: Any) -> None:
    body = validated([ali(OTHER, **{"2": 7}), ali(**{"2": number})]).body
    assert json.loads(body)["recipients"][1] == ali(**{"2": as_sent})
    assert b".0" not in body


def test_numbers_of_numpy_are_sent_and_missing_values_of_pandas_are_not() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    row = ali(
        numpy.int64(7701234567), **{"1": numpy.int64(5), "2": numpy.float64(7.0), "3": pandas.NA, "4": pandas.NaT}
    )
    assert sent([row]) == [ali(**{"1": 5, "2": 7})]


def test_an_invalid_parameter_is_named_by_the_apis_own_keys_only() -> None:
    for parameters, place in (
        ({"body": {"12": {1}}}, "templateParameters.body.12 must be"),
        ({"body": {"Zaynab": {1}}}, "templateParameters.body must be"),
        ({"Zaynab": {"1": {1}}}, "templateParameters must be"),
        ({"buttons": {"0": {"1": {1}}}}, "templateParameters.buttons.0.1 must be"),
        ({"buttons": {"0": {"Zaynab": {"1": {1}}}}}, "templateParameters.buttons.0 must be"),
        ({"body": {7701234567: "Ali"}}, "templateParameters.body has a key"),
    ):
        (error,) = errors([with_parameters(parameters)])
        assert error.startswith(f"recipients[0] (964770•••4567): {place}")


# Nested parameters, and those that a template requires

BUTTON = {
    "fields": [
        {"required": True, "templateParametersPath": "templateParameters.body.1", "label": "Body {{1}}"},
        {"required": True, "templateParametersPath": "templateParameters.buttons.0.1", "label": "Button {{1}}"},
    ]
}


def with_buttons(buttons: Any, number: str = NUMBER) -> dict[str, Any]:
    return with_parameters({"body": {"1": "Ali"}, "buttons": buttons}, number)


def test_a_parameter_of_a_button_is_sent() -> None:
    rows = [with_buttons({"0": {"1": "A-1042"}}), with_buttons({"0": {"1": "A-1043"}}, OTHER)]
    assert sent(rows, BUTTON) == rows


WITHOUT_BUTTON: list[Any] = [{}, {"0": {}}, {"1": {"1": "A"}}, {"0": {"1": "NULL"}}]
WITHOUT_BODY: list[Any] = [{}, {"body": {}}, {"header": {"1": "Ali"}}, {"body": {"2": "Ali"}}]


@pytest.mark.parametrize(
    ("parameters", "missing"),
    [
        *(({"body": {"1": "Ali"}, "buttons": buttons}, "buttons.0.1 (Button {{1}})") for buttons in WITHOUT_BUTTON),
        *((rest | {"buttons": {"0": {"1": "A"}}}, "body.1 (Body {{1}})") for rest in WITHOUT_BODY),
        ({"body": defaultdict(dict), "buttons": {"0": {"1": "A"}}}, "body.1 (Body {{1}})"),
    ],
)
def test_a_required_parameter_that_is_missing_is_named(parameters: dict[str, Any], missing: str) -> None:
    rows = [with_parameters(parameters), with_buttons({"0": {"1": "A-1042"}}, OTHER)]
    error = f"recipients[0] (964770•••4567): templateParameters.{missing} is required"
    assert errors(rows, BUTTON) == (error,)


def test_a_required_parameter_that_is_nested_too_deeply_is_named(snapshot: SnapshotAssertion) -> None:
    assert errors([with_buttons({"0": {"1": {"url": "A-1042"}}})], BUTTON) == snapshot


@pytest.mark.parametrize("empty", [{}, {"1": "NULL"}, {"1": None}])
def test_an_empty_button_is_not_sent(empty: Any) -> None:
    filled = {"0": {"1": "A-1042"}}
    assert sent([with_buttons(filled | {"1": empty})]) == [with_buttons(filled)]


def test_dicts_are_nested_up_to_ten_levels(snapshot: SnapshotAssertion) -> None:
    def row(levels: int) -> dict[str, Any]:
        value: Any = "x"
        for _ in range(levels):
            value = {"0": value}
        return with_parameters({"buttons": value})

    assert sent([row(10)]) == [row(10)]
    assert errors([row(11)]) == snapshot


# What is checked is what is sent


class Shown(dict[str, Any]):
    """It shows one thing once, and another each time after."""

    def items(self) -> Any:
        shown = self.copy().items()
        self["1"] = {"a set"}
        return shown


class Lying(dict[str, Any]):
    """It returns another value than it has."""

    def __getitem__(self, key: str) -> str:
        return "Ali"


class Misleading(str):
    """A key that is equal to another string."""

    def __eq__(self, other: object) -> bool:
        return other == "1"

    __hash__ = lambda self: hash("1")  # noqa: E731


@pytest.mark.parametrize(
    ("body", "as_sent"),
    [
        (lambda: OrderedDict({"1": "Ali"}), {"1": "Ali"}),
        (lambda: defaultdict(str, {"1": "Ali"}), {"1": "Ali"}),
        (lambda: {"1": Enumerated.ALI}, {"1": "Ali"}),
        (lambda: {"1": 0, "2": -1.5, "3": False, "4": None}, {"1": 0, "2": -1.5, "3": False}),
        (lambda: Shown({"1": "Ali"}), {"1": "Ali"}),
        (lambda: Lying({"1": "Ali\n"}), {"1": "Ali"}),
    ],
)
@pytest.mark.parametrize("as_iterable", [list, iter])
@pytest.mark.parametrize("others", [[], [ali(OTHER)]])
def test_subclasses_are_sent_as_plain_values(body: Any, as_sent: Any, as_iterable: Any, others: list[Any]) -> None:
    rows = as_iterable([*others, with_parameters({"body": body()})])
    valid = RecipientValidator(rows, "IQ").result(skip_invalid=False)
    assert json.loads(valid.body) == {"recipients": [*others, with_parameters({"body": as_sent})]}


def test_a_key_that_equals_a_required_one_does_not_replace_it() -> None:
    assert errors([ali(OTHER), with_parameters({"body": {Misleading("2"): "Ali"}})], PAYLOAD)


NUMBERS = st.one_of(
    st.just(NUMBER),
    st.from_regex(r"(?:964)?[0-9]{9,13}", fullmatch=True),
    st.sampled_from(["0770 123 4567", f"{NUMBER}\n", f"{NUMBER}\n{OTHER}", "", None, int(NUMBER)]),
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
        st.builds(lambda text: ali(OTHER, **{"1": text}), st.text(st.sampled_from("a \u200c\u200f\n\ufffd\ud800"))),
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
def test_rows_are_held_to_the_same_rules_at_once_and_one_by_one(rows: list[Any]) -> None:
    assert outcome(rows) == outcome(iter(rows))


def outcome(rows: Any) -> bytes | tuple[str, ...]:
    recipients = RecipientValidator(rows, "IQ")
    recipients.require(PAYLOAD)
    try:
        return recipients.result(skip_invalid=False).body
    except OtpiqValidationError as error:
        return error.errors
