"""Operators that accept recipients: what the field may be, what Airflow shows of it, what is pushed."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task
from jinja2 import UndefinedError

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.operators._redacted import RedactedRecipients
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from tests.fakes import CREATE, execute
from tests.operators.broadcasts import Run
from tests.sandbox.client import generate
from tests.sandbox.client import rows as report_rows

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

PEOPLE = ["0770 123 4567", "+964 780 123 4567", 9647501234567]
DIGITS = ["9647701234567", "9647801234567", "9647501234567"]
REQUIRES_PARAMETERS = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
WITH_PARAMETERS = pytest.mark.parametrize("campaign_id", [REQUIRES_PARAMETERS], indirect=True)


@pytest.fixture
def campaign_id(request: pytest.FixtureRequest, sandbox_hook: OtpiqHook) -> str:
    return str(sandbox_hook.create_campaign(**(CREATE | getattr(request, "param", {})))["_id"])


@pytest.fixture
def attach(context: dict[str, Any], campaign_id: str) -> Run:
    return Run(AttachRecipientsOperator, context, {"campaign_id": campaign_id})


def attached(sandbox: Sandbox) -> list[str]:
    return [recipient["phoneNumber"] for recipient in sandbox.requests[-1]["body"]["recipients"]]


def as_airflow_stores_it(operator: Any) -> Any:
    from airflow.serialization.helpers import serialize_template_field

    return serialize_template_field(operator.recipients, "recipients")


# What it may be


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


class Reader:
    def __call__(self) -> Iterator[Any]:
        return people()


WAYS: list[Any] = [PEOPLE, tuple(PEOPLE), people, Reader(), lambda: PEOPLE, partial(list, PEOPLE)]


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


@pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])
@pytest.mark.parametrize("given_as", ["list", "tuple", "callable", "file", "xcom", "nested xcom", "mapped", "partial"])
@pytest.mark.parametrize("native", [True, False])
def test_strings_inside_recipients_are_never_templates(
    context: dict[str, Any], sandbox: Sandbox, campaign_id: str, tmp_path: Path, native: bool, given_as: str, kind: Any
) -> None:
    dag = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context |= {"dag": dag, "conn": {"otpiq_default": {"password": "sk_live_secret"}}}
    rows, path = of_a_person(KEY), tmp_path / "recipients.json"
    path.write_text(json.dumps(rows))
    fields = {"task_id": "reach", "dag": dag, "campaign_id": campaign_id, "validate_parameters": False}
    if given_as in ("mapped", "partial"):
        fields |= {"recipients": rows} if given_as == "partial" else {}
        expanded = {"recipients": [rows]} if given_as == "mapped" else {"otpiq_conn_id": ["otpiq_default"]}
        operator = kind.partial(**fields).expand(**expanded).unmap({name: value[0] for name, value in expanded.items()})
        operator._do_render_template_fields(operator, operator.template_fields, context, dag.get_template_env(), set())
        operator.execute(context)
    else:
        ways = {"list": rows, "tuple": tuple(rows), "callable": lambda: rows, "file": str(path)}
        ways |= {"xcom": XCom(rows), "nested xcom": [XCom(rows[0])]}
        execute(kind(**fields, recipients=ways[given_as]), context)
    body = sandbox.requests[-1]["body"]
    assert body["recipients"][0]["templateParameters"]["body"] == {"1": KEY, "2": KEY}


class XCom(ResolveMixin):
    """What a task has returned."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Iterator[Any]:
        return iter(())

    def resolve(self, context: Any, **_: Any) -> Any:  # Airflow 2 has one more argument
        return self.value


def test_xcoms_in_a_list_are_resolved(attach: Run, sandbox: Sandbox) -> None:
    first, *others = PEOPLE
    attach(recipients=[{"phoneNumber": XCom(first)}, *map(XCom, others)])
    assert attached(sandbox) == DIGITS


def test_native_rendering_makes_a_list(attach: Run, context: dict[str, Any], sandbox: Sandbox) -> None:
    context |= {"dag": DAG("native", schedule=None, render_template_as_native_obj=True), "people": PEOPLE}
    operator = attach.make(recipients="{{ people }}")
    execute(operator, context)
    assert attached(sandbox) == DIGITS
    assert as_airflow_stores_it(operator) == "3 recipients"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A part of a prepared audience."""
    part = tmp_path / "parts" / "00000.json"
    part.parent.mkdir()
    recipients = [{"phoneNumber": number, "templateParameters": {}, "reference": "C-1042"} for number in DIGITS]
    part.write_text(json.dumps(recipients))
    return part


@pytest.mark.parametrize(
    "named",
    [str, Path.as_uri, ObjectStoragePath, lambda part: ObjectStoragePath(part.as_uri())],
    ids=["path", "url", "object storage path", "object storage url"],
)
@pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])
def test_recipients_are_the_ones_in_a_file(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, part: Path, kind: Any, named: Any
) -> None:
    operator = kind(task_id="file", dag=dag, campaign_id=campaign_id, recipients=named(part))
    operator.render_template_fields(context)
    shown = as_airflow_stores_it(operator)
    assert shown == f"the recipients in {named(part)}"
    operator.execute(context)
    assert attached(sandbox) == DIGITS
    assert as_airflow_stores_it(operator) == shown


def test_the_path_of_a_file_may_be_a_template_and_the_file_come_later(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, part: Path
) -> None:
    operator = attach.make(recipients=f"{part.parent}/{{{{ params.name }}}}.json")
    operator.render_template_fields(context)
    part.rename(part.parent / "Autumn.json")
    operator.execute(context)
    assert attached(sandbox) == DIGITS


@pytest.mark.parametrize("content", ["missing", "folder", b"", b"[", b"{}", b'"9647701234567"', b'["\xff"]', b"[]"])
def test_a_file_without_recipients_is_an_error_that_sends_nothing(
    attach: Run, sandbox: Sandbox, part: Path, content: Any
) -> None:
    part.unlink()
    if content == "folder":
        part.mkdir()
    elif content != "missing":
        part.write_bytes(content)
    error = attach.fail(recipients=str(part))
    assert error.errors[0].startswith("recipients: ")
    assert "9647701234567" not in str(error)
    with pytest.raises(OtpiqConfigurationError):
        attach(recipients="nowhere://x/a.json")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    ("recipients", "suffix"),
    [
        ("/data/customers.jsonl", ".jsonl"),
        ("s3://crm/part.parquet", ".parquet"),
        ("/data/customers.XLSX", ".xlsx"),
        ("/data/00000.json.gz", ".json.gz"),
        ("/data/customers.csv.zip", None),
        (ObjectStoragePath("file:///data/customers.tsv"), ".tsv"),
        *(
            (path, None)
            for path in (
                "{{ ['9647701234567'] }}",
                "parts/00000",
                "s3://audience/parts/",
                ".json",
                ".csv",
                "\n.json",
                "0770 123 4567",
            )
        ),
    ],
)
def test_another_string_is_not_read(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, recipients: Any, suffix: str | None
) -> None:
    operator = attach.make(recipients=recipients)
    with pytest.raises(OtpiqValidationError) as caught:
        execute(operator, context)
    assert DIGITS[0] not in str(caught.value)
    assert (f"a {suffix} file cannot be read" in str(caught.value)) is (suffix is not None)
    assert as_airflow_stores_it(operator) == f"recipients as a {type(recipients).__name__}"
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("recipients", [None, "", [], lambda: None, lambda: [], lambda: iter(())])
def test_an_empty_value_is_an_error_that_sends_nothing(attach: Run, sandbox: Sandbox, recipients: Any) -> None:
    assert attach.fail(recipients=recipients).errors[0].startswith("recipients: ")
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("error", [FileNotFoundError("no file"), ValueError("row 5"), UnicodeError("half a byte")])
def test_an_error_of_the_callable_is_its_own(attach: Run, error: Exception) -> None:
    def people() -> Iterator[str]:
        yield DIGITS[0]
        raise error

    with pytest.raises(type(error)) as caught:
        attach(recipients=people)
    assert caught.value is error


def test_the_arguments_of_a_partial_are_not_replaced_by_the_context(attach: Run, sandbox: Sandbox) -> None:
    def members_of(params: list[Any]) -> list[Any]:
        return params

    attach(recipients=partial(members_of, params=PEOPLE))
    assert attached(sandbox) == DIGITS


def test_a_task_that_was_not_called_is_not_a_list(attach: Run) -> None:
    other = attach.make(recipients=PEOPLE)
    assert "not PlainXComArg" in attach.fail(recipients=lambda: other.output).errors[0]


# What Airflow shows


@pytest.mark.parametrize(
    ("recipients", "before", "after"),
    [
        (PEOPLE, "3 recipients", "3 recipients"),
        (tuple(PEOPLE), "3 recipients", "3 recipients"),
        (people, "the recipients of people", "3 recipients"),
        (Reader(), "the recipients of Reader", "3 recipients"),
    ],
)
def test_the_rendered_field_is_a_count(
    attach: Run, context: dict[str, Any], recipients: Any, before: str, after: str
) -> None:
    operator = attach.make(recipients=recipients)
    operator.render_template_fields(context)
    assert as_airflow_stores_it(operator) == before
    operator.execute(context)
    assert as_airflow_stores_it(operator) == after


@pytest.mark.parametrize("recipients", [iter(PEOPLE), "0770 123 4567", b"0770", object()])
def test_only_the_type_of_anything_else_is_shown(recipients: Any) -> None:
    shown = str(RedactedRecipients(recipients))
    assert shown == f"recipients as a {type(recipients).__name__}"


def test_no_personal_data_is_logged_pushed_or_raised(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    attach(recipients=people)
    attach(recipients=people)  # all of them are attached already
    response = {"success": True, "data": {"_id": campaign_id, "name": "x", "recipients": DIGITS}}
    sandbox.arm("attach", status=200, body=response, times=1)
    attach(recipients=people)
    sandbox.arm("attach", status=400, body={"error": f"{DIGITS[0]} has opted out"})
    error = attach.fail(OtpiqRequestError, recipients=people)
    logged = capsys.readouterr()
    seen = f"{logged.out}{logged.err}{json.dumps(context['ti'].pushed)}{error}"
    for number in (*DIGITS, *map(str, PEOPLE)):
        assert number not in seen


@pytest.mark.parametrize(
    "broken", [{"otpiq_conn_id": "{{ nothing.at.all }}"}, {"recipients": "{{ nothing.at[9647501234567] }}"}]
)
def test_no_personal_data_is_shown_if_a_field_cannot_be_rendered(
    attach: Run, context: dict[str, Any], broken: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    operator = attach.make(**({"recipients": PEOPLE} | broken))
    with pytest.raises(UndefinedError):
        operator.render_template_fields(context)
    assert re.fullmatch(r"\d recipients|recipients as a str", as_airflow_stores_it(operator))
    logged = capfd.readouterr()
    assert not any(number in logged.out + logged.err for number in map(str, PEOPLE))


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
    assert sandbox.campaigns[0]["totalRecipients"] == 0


def test_rendering_twice_is_rendering_once(attach: Run, context: dict[str, Any], sandbox: Sandbox) -> None:
    operator = attach.make(recipients=PEOPLE)
    operator.render_template_fields(context)
    execute(operator, context)
    assert attached(sandbox) == DIGITS


# Checks


@WITH_PARAMETERS
def test_the_options_decide_what_is_valid(attach: Run, sandbox: Sandbox) -> None:
    rows = [{"phoneNumber": "0532 123 45 67", "templateParameters": {"body": {"1": "NULL"}}}, "0770"]
    for fields, errors in (
        ({"default_region": "TR"}, 2),
        ({"default_region": "TR", "null_values": ["-"]}, 1),
        ({"on_invalid": "ignore", "default_region": "Iraq"}, 2),
    ):
        assert len(attach.fail(recipients=rows, **fields).errors) == errors
    with pytest.raises(OtpiqRequestError):  # not checked here, but by OTPIQ
        attach(recipients=DIGITS, validate_parameters=False)
    assert [request["method"] for request in sandbox.requests] == ["POST", "GET", "GET", "POST"]
    options: dict[str, Any] = {"default_region": "TR", "null_values": ["-"], "on_invalid": "skip"}
    attach(recipients=rows, **options)
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


@WITH_PARAMETERS
def test_a_message_with_cleaned_values_is_delivered(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    row = {"phoneNumber": "9647701234561", "templateParameters": {"body": {"1": "Ali	Hassan", "2": ""}}}
    execute(SendSampleOperator(task_id="sample", dag=dag, campaign_id=campaign_id, recipients=[row]), context)
    sandbox.move_clock(hours=1)
    (message,) = report_rows(generate(sandbox, startDate="2026-01-01T00:00:00Z").json()["downloadUrl"])
    assert (message["Delivery Status"], message["Error Reason"]) == ("delivered", "")


# What is pushed, and what is idempotent


@pytest.mark.parametrize("on_invalid", ["fail", "skip"])
def test_an_attach_pushes_the_campaign_and_the_known_counts(
    attach: Run, context: dict[str, Any], campaign_id: str, on_invalid: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = [{"phoneNumber": "0770", "reference": "C-1042"}] if on_invalid == "skip" else []
    rows = [*PEOPLE, DIGITS[0], *wrong]
    attach(recipients=rows, on_invalid=on_invalid)
    assert context["ti"].pushed["campaign"]["_id"] == campaign_id
    assert context["ti"].pushed["campaign"]["totalRecipients"] == 3
    left_out = {"skipped": len(wrong), "duplicates": 1}
    assert context["ti"].pushed["recipients"] == {"attached": None, "already_attached": None, **left_out}
    attach(recipients=rows, on_invalid=on_invalid)
    assert context["ti"].pushed["campaign"] == {"_id": campaign_id}
    assert context["ti"].pushed["recipients"] == {"attached": 0, "already_attached": 3, **left_out}
    logged = capsys.readouterr().out
    assert logged.count(f"Attached 3 recipients to campaign {campaign_id}, which now has 3.") == 1
    assert logged.count(f"Campaign {campaign_id} already had all of these recipients: 3.") == 1


def test_nothing_is_pushed_without_do_xcom_push(attach: Run, context: dict[str, Any]) -> None:
    attach(recipients=PEOPLE, do_xcom_push=False)
    assert not context["ti"].pushed


def test_a_sample_pushes_the_sample_campaign(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str
) -> None:
    parent = sandbox.campaigns[0]
    operator = SendSampleOperator(task_id="sample", dag=dag, campaign_id=campaign_id, recipients=people)
    sample_id = execute(operator, context)
    assert sandbox.campaigns[0] == parent
    assert sandbox.campaigns[1]["_id"] == sample_id != campaign_id
    pushed = context["ti"].pushed["campaign"]
    assert (pushed["_id"], pushed["sampleOfCampaign"]) == (sample_id, campaign_id)
    assert as_airflow_stores_it(operator) == "3 recipients"
