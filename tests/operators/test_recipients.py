"""Operators that accept recipients: what the field may be, what Airflow shows of it, what is pushed."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task
from jinja2 import UndefinedError

from airflow_provider_otpiq.exceptions import (
    OtpiqRequestError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.operators.campaign import SendSampleOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.operators.broadcasts import Run
from tests.operators.recipients import (
    BOTH,
    DIGITS,
    PEOPLE,
    WITH_PARAMETERS,
    XCom,
    as_airflow_stores_it,
    attached,
    nothing_was_sent,
    unmapped,
)

# Lists and callables


def people() -> Iterator[Any]:
    yield from PEOPLE


def of_the_context(ti: Any, params: dict[str, Any]) -> list[Any]:
    assert ti.try_number == 1
    assert params["name"] == "Autumn"
    return PEOPLE


def as_airflow_calls_it(context: Any, jinja_env: Any) -> list[Any]:
    assert context["ti"]
    assert jinja_env.from_string("{{ 1 }}").render() == "1"
    return PEOPLE


def of_all(**context: Any) -> list[Any]:
    assert context["params"]
    return PEOPLE


def of_a_partial(params: list[Any]) -> list[Any]:
    return params  # not those of the context


class Reader:
    def __call__(self) -> Iterator[Any]:
        return people()


WAYS: list[Any] = [PEOPLE, tuple(PEOPLE), people, Reader(), lambda: PEOPLE, partial(of_a_partial, params=PEOPLE)]


@pytest.mark.parametrize("recipients", [*WAYS, of_the_context, as_airflow_calls_it, of_all])
def test_recipients_are_a_list_or_a_callable(attach: Run, sandbox: Sandbox, campaign_id: str, recipients: Any) -> None:
    assert attach(recipients=recipients) == campaign_id
    assert attached(sandbox) == DIGITS


def test_an_xcom_arg_makes_the_dependency(attach: Run, dag: DAG) -> None:
    with dag:

        @task
        def read() -> list[str]:
            return []

        operator = attach.make(recipients=read())
    assert operator.upstream_task_ids == {"read"}


KEY = "{{ conn.otpiq_default.password }}"


def of_a_person(name: str) -> list[dict[str, Any]]:
    return [{"phoneNumber": "0770 123 4567", "templateParameters": {"body": {"1": name, "2": name}}}]


@BOTH
@pytest.mark.parametrize("given_as", ["list", "tuple", "callable", "file", "xcom", "nested xcom", "mapped", "partial"])
@pytest.mark.parametrize("native", [True, False])
def test_strings_inside_recipients_are_never_templates(
    context: dict[str, Any], sandbox: Sandbox, campaign_id: str, tmp_path: Path, native: bool, given_as: str, kind: Any
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context |= {"dag": dag, "conn": {"otpiq_default": {"password": "sk_live_secret"}}}
    rows, path = of_a_person(KEY), tmp_path / "recipients.json"
    path.write_text(json.dumps(rows))
    ways = {"tuple": tuple(rows), "callable": lambda: rows, "file": str(path)}
    ways |= {"xcom": XCom(rows), "nested xcom": [XCom(rows[0])]}
    fields = {"campaign_id": campaign_id, "validate_parameters": False, "recipients": ways.get(given_as, rows)}
    if given_as in ("mapped", "partial"):
        name = "recipients" if given_as == "mapped" else "otpiq_conn_id"
        unmapped(kind, name, context, otpiq_conn_id="otpiq_default", **fields).execute(context)
    else:
        Run(kind, context, fields)()
    body = sandbox.requests[-1]["body"]
    assert body["recipients"][0]["templateParameters"]["body"] == {"1": KEY, "2": KEY}


def test_xcoms_in_a_list_are_resolved(attach: Run, sandbox: Sandbox) -> None:
    first, *others = PEOPLE
    attach(recipients=[{"phoneNumber": XCom(first)}, *map(XCom, others)])
    assert attached(sandbox) == DIGITS


def test_native_rendering_makes_a_list(attach: Run, context: dict[str, Any], sandbox: Sandbox) -> None:
    context |= {"dag": DAG("native", schedule=None, render_template_as_native_obj=True), "people": PEOPLE}
    attach(recipients="{{ people }}")
    assert attached(sandbox) == DIGITS
    assert as_airflow_stores_it(attach.task) == "3 recipients"


@pytest.mark.parametrize("recipients", [None, "", lambda: None, lambda: [], lambda: iter(())])
def test_an_empty_value_is_an_error_that_sends_nothing(attach: Run, sandbox: Sandbox, recipients: Any) -> None:
    assert attach.fail(recipients=recipients).errors[0].startswith("recipients: ")
    assert nothing_was_sent(sandbox)


@pytest.mark.parametrize("error", [FileNotFoundError("no file"), ValueError("row 5"), UnicodeError("half a byte")])
def test_an_error_of_the_callable_is_its_own(attach: Run, error: Exception) -> None:
    def people() -> Iterator[str]:
        yield DIGITS[0]
        raise error

    assert attach.fail(type(error), recipients=people) is error


def test_a_task_that_was_not_called_is_not_a_list(attach: Run) -> None:
    other = attach.make(recipients=PEOPLE)
    assert "not PlainXComArg" in attach.fail(recipients=lambda: other.output).errors[0]


# What Airflow shows


@pytest.mark.parametrize(
    ("recipients", "before"),
    [
        (PEOPLE, "3 recipients"),
        (tuple(PEOPLE), "3 recipients"),
        (people, "the recipients of people"),
        (Reader(), "the recipients of Reader"),
    ],
)
def test_the_rendered_field_is_a_count(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, recipients: Any, before: str
) -> None:
    operator = attach.make(recipients=recipients)
    for _ in range(2):  # rendering twice is rendering once
        operator.render_template_fields(context)
        assert as_airflow_stores_it(operator) == before
    operator.execute(context)
    assert as_airflow_stores_it(operator) == "3 recipients"
    assert attached(sandbox) == DIGITS


def test_no_personal_data_is_logged_pushed_or_raised(
    attach: Run, sandbox: Sandbox, campaign_id: str, logged: Callable[[], str]
) -> None:
    attach(recipients=people)
    attach(recipients=people)  # all of them are attached already
    response = {"success": True, "data": {"_id": campaign_id, "name": "x", "recipients": DIGITS}}
    sandbox.arm("attach", status=200, body=response, times=1)
    attach(recipients=people)
    sandbox.arm("attach", status=400, body={"error": f"{DIGITS[0]} has opted out"})
    error = attach.fail(OtpiqRequestError, recipients=people)
    seen = f"{logged()}{json.dumps(attach.pushed)}{error}"
    for number in (*DIGITS, *map(str, PEOPLE)):
        assert number not in seen


@pytest.mark.parametrize(
    "broken", [{"otpiq_conn_id": "{{ nothing.at.all }}"}, {"recipients": "{{ nothing.at[9647501234567] }}"}]
)
def test_no_personal_data_is_shown_if_a_field_cannot_be_rendered(
    attach: Run, broken: dict[str, Any], logged: Callable[[], str]
) -> None:
    attach.fail(UndefinedError, **({"recipients": PEOPLE} | broken))
    assert re.fullmatch(r"\d recipients|recipients as a str", as_airflow_stores_it(attach.task))
    seen = logged()
    assert not any(number in seen for number in map(str, PEOPLE))


@pytest.mark.parametrize(
    "field",
    ["campaign_id", "null_values", "phone_number", "reference", "template_parameters", "delimiter", "encoding"],
)
@pytest.mark.parametrize("misplaced", [PEOPLE, of_a_person("Zaynab")[0], XCom(PEOPLE), DIGITS[0]])
def test_recipients_in_another_field_are_an_error_and_not_shown(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, field: str, misplaced: Any
) -> None:
    operator = attach.make(**({"recipients": ["0770"]} | {field: misplaced}))
    operator.render_template_fields(context)
    assert re.fullmatch(r"\d recipients|recipients as a str", str(getattr(operator, field)))
    with pytest.raises(OtpiqValidationError) as caught:
        operator.execute(context)
    assert not any(secret in str(caught.value) for secret in ("Zaynab", *map(str, PEOPLE), *DIGITS))
    assert nothing_was_sent(sandbox)


# Options


@WITH_PARAMETERS
def test_the_options_decide_what_is_valid(attach: Run, sandbox: Sandbox) -> None:
    rows = [{"phoneNumber": "0532 123 45 67", "templateParameters": {"body": {"1": "NULL"}}}, "0770"]
    for fields, errors in (
        ({"default_region": "TR"}, 2),
        ({"default_region": "TR", "null_values": ["-"]}, 1),
        ({"on_invalid": "ignore", "default_region": "Iraq"}, 2),
    ):
        assert len(attach.fail(recipients=rows, **fields).errors) == errors
    # Not checked here, but by OTPIQ.
    attach.fail(OtpiqRequestError, recipients=DIGITS, validate_parameters=False)
    attach(recipients=rows, default_region="TR", null_values=["-"], on_invalid="skip")
    assert attached(sandbox) == ["905321234567"]


@WITH_PARAMETERS
@pytest.mark.parametrize("null_values", [("-",), "{{ ['-'] }}"])
def test_null_values_may_be_a_native_template(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, null_values: Any
) -> None:
    context["dag"] = DAG("native", schedule=None, render_template_as_native_obj=True)
    row = {"phoneNumber": DIGITS[0], "templateParameters": {"body": {"1": "NULL", "2": " - "}}}
    attach(recipients=[row], null_values=null_values)
    assert sandbox.requests[-1]["body"]["recipients"][0]["templateParameters"] == {"body": {"1": "NULL"}}


# What is pushed


@pytest.mark.parametrize("on_invalid", ["fail", "skip"])
def test_an_attach_pushes_the_campaign_and_the_known_counts(
    attach: Run, campaign_id: str, on_invalid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{"phoneNumber": "0770", "reference": "C-1042"}] if on_invalid == "skip" else []
    rows = [*PEOPLE, DIGITS[0], *wrong]
    attach(recipients=rows, on_invalid=on_invalid)
    assert attach.pushed["campaign"]["_id"] == campaign_id
    assert attach.pushed["campaign"]["totalRecipients"] == 3
    left_out = {"skipped": len(wrong), "duplicates": 1}
    assert attach.pushed["recipients"] == {"attached": None, "already_attached": None, **left_out}
    attach(recipients=rows, on_invalid=on_invalid)
    assert attach.pushed["campaign"] == {"_id": campaign_id}
    assert attach.pushed["recipients"] == {"attached": 0, "already_attached": 3, **left_out}
    logged = capsys.readouterr().out
    assert logged.count(f"Attached 3 recipients to campaign {campaign_id}, which now has 3.") == 1
    assert logged.count(f"Campaign {campaign_id} already had all of these recipients: 3.") == 1
    attach.pushed.clear()
    attach(recipients=rows, on_invalid=on_invalid, do_xcom_push=False)
    assert attach.pushed == {}


def test_a_sample_pushes_the_sample_campaign(attach: Run, sandbox: Sandbox, campaign_id: str) -> None:
    parent = sandbox.campaigns[0]
    attach.task_class = SendSampleOperator
    sample_id = attach(recipients=people)
    assert sandbox.campaigns[0] == parent
    assert sandbox.campaigns[1]["_id"] == sample_id != campaign_id
    pushed = attach.pushed["campaign"]
    assert (pushed["_id"], pushed["sampleOfCampaign"]) == (sample_id, campaign_id)
    assert as_airflow_stores_it(attach.task) == "3 recipients"
