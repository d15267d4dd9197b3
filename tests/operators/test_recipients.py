"""Operators that accept recipients: what the field may be, what Airflow shows of it, what is pushed."""

import csv
import gzip
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath, task
from jinja2 import UndefinedError
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import TEMPLATE
from tests.operators.broadcasts import Run

try:
    from airflow.sdk.definitions._internal.mixins import ResolveMixin
except ImportError:  # Airflow 2
    from airflow.utils.mixins import ResolveMixin  # type: ignore[import-not-found,no-redef]


PEOPLE = ["0770 123 4567", "+964 780 123 4567", 9647501234567]
DIGITS = ["9647701234567", "9647801234567", "9647501234567"]
WITH_PARAMETERS = pytest.mark.parametrize("campaign_id", [TEMPLATE], indirect=True)
BOTH = pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])


@pytest.fixture
def campaign_id(request: pytest.FixtureRequest, sandbox_hook: OtpiqHook) -> str:
    without_parameters = {"template_id": "6" * 24, "phone_number_id": "7" * 24}
    return str(sandbox_hook.create_campaign(name="Summer", **getattr(request, "param", without_parameters))["_id"])


@pytest.fixture
def attach(context: dict[str, Any], campaign_id: str) -> Run:
    return Run(AttachRecipientsOperator, context, {"campaign_id": campaign_id})


def attached(sandbox: Sandbox) -> list[str]:
    return [recipient["phoneNumber"] for recipient in sandbox.requests[-1]["body"]["recipients"]]


def nothing_was_sent(sandbox: Sandbox) -> bool:
    return {request["path"] for request in sandbox.requests if request["method"] == "POST"} == {
        "/api/whatsapp/campaigns"
    }


def as_airflow_stores_it(operator: Any) -> Any:
    from airflow.serialization.helpers import serialize_template_field

    return serialize_template_field(operator.recipients, "recipients")


class XCom(ResolveMixin):
    """What a task has returned."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def iter_references(self) -> Iterator[Any]:
        return iter(())

    def resolve(self, context: Any, **_: Any) -> Any:  # Airflow 2 has one more argument
        return self.value


def unmapped(operator: Any, name: str, context: dict[str, Any], **fields: Any) -> Any:
    """Return the rendered task of an operator that is mapped over one value of a field."""
    value = fields.pop(name)
    mapped = operator.partial(task_id="mapped", dag=context["dag"], **fields).expand(**{name: [value]})
    task = mapped.unmap({name: value})
    task._do_render_template_fields(task, task.template_fields, context, context["dag"].get_template_env(), set())
    return task


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


# Files


class File(NamedTuple):
    """A file of recipients, which is not written yet, and the fields that describe it."""

    path: Path
    content: bytes
    fields: dict[str, Any]


CSV = 'id,phone,name\nC-1,0770 123 4567,Zaynab\n,,\nC-2,+964 780 123 4567," Al\nHassan"\n'
COLUMNS: dict[str, Any] = {"phone_number": "phone", "template_parameters": {"body": {"1": "name", "2": {"value": "x"}}}}
SENT = [
    {"phoneNumber": "9647701234567", "templateParameters": {"body": {"1": "Zaynab", "2": "x"}}},
    {"phoneNumber": "9647801234567", "templateParameters": {"body": {"1": "Al Hassan", "2": "x"}}},
]
PART = json.dumps([row | {"reference": "C-1042"} for row in SENT]).encode()
ANOTHER_DIALECT = {"delimiter": ";", "encoding": "utf-16"}
FILES = {
    "part.json": (PART, {}),
    "team.csv": (CSV.encode(), COLUMNS),
    "team.CSV.gz": (gzip.compress(CSV.replace(",", ";").encode("utf-16")), COLUMNS | ANOTHER_DIALECT),
}


@pytest.fixture
def file(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    return File(tmp_path / request.param, *FILES[request.param])


@pytest.fixture
def team(tmp_path: Path) -> Path:
    team = tmp_path / "team.csv"
    team.write_text(CSV)
    return team


NAMES: dict[str, Any] = {
    "string": str,
    "path": Path,
    "url": Path.as_uri,
    "object storage path": ObjectStoragePath,
    "object storage url": lambda path: ObjectStoragePath(path.as_uri()),
    "xcom": lambda path: XCom(str(path)),
    "template": lambda path: f"{path.parent}/{{{{ '{path.name}' }}}}",
    "relative": lambda path: path.name,
}


@BOTH
@WITH_PARAMETERS
@pytest.mark.parametrize("file", FILES, indirect=True)
@pytest.mark.parametrize("named", NAMES)
def test_recipients_are_those_in_a_file_and_are_not_shown(
    context: dict[str, Any],
    sandbox: Sandbox,
    campaign_id: str,
    file: File,
    kind: Any,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], str],
) -> None:
    monkeypatch.chdir(file.path.parent)
    recipients = NAMES[named](file.path)
    operator = Run(kind, context, file.fields).make(campaign_id=campaign_id, recipients=recipients)
    operator.render_template_fields(context)
    shown = file.path if named in ("xcom", "template") else recipients
    assert as_airflow_stores_it(operator) == f"the recipients in {shown}"
    file.path.write_bytes(file.content)  # a file may appear after the fields are rendered
    operator.execute(context)
    assert sandbox.requests[-1]["body"]["recipients"] == SENT
    assert as_airflow_stores_it(operator) == f"the recipients in {shown}"
    seen = f"{logged()}{json.dumps(context['ti'].pushed)}"
    assert not any(secret in seen for secret in ("Zaynab", "Hassan", "7701234567", "0770 123"))


@BOTH
@WITH_PARAMETERS
@pytest.mark.parametrize("mapped", ["recipients", "phone_number", "otpiq_conn_id"])
def test_a_mapped_task_reads_its_csv_file(
    context: dict[str, Any], sandbox: Sandbox, campaign_id: str, team: Path, kind: Any, mapped: str
) -> None:
    fields = COLUMNS | {"campaign_id": campaign_id, "recipients": str(team), "otpiq_conn_id": "otpiq_default"}
    operator = unmapped(kind, mapped, context, **fields)
    assert as_airflow_stores_it(operator) == f"the recipients in {team}"
    operator.execute(context)
    assert sandbox.requests[-1]["body"]["recipients"] == SENT


@WITH_PARAMETERS
@pytest.mark.parametrize("native", [True, False])
def test_the_columns_may_be_templates(
    attach: Run, context: dict[str, Any], sandbox: Sandbox, team: Path, native: bool
) -> None:
    context["dag"] = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context["params"] |= {"phone": "phone", "name": "name"}
    parameters: Any = {"body": {"1": "{{ params.name }}", "2": {"value": "{{ 'x' }}"}}}
    for columns in (parameters, XCom(COLUMNS["template_parameters"])):
        attach(recipients=str(team), phone_number="{{ params.phone }}", template_parameters=columns)
        assert sandbox.requests[-1]["body"]["recipients"] == SENT


@pytest.mark.parametrize("content", ["missing", "folder", b"", b"[", b"{}", b'"9647701234567"', b'["\xff"]', b"[]"])
def test_a_file_without_recipients_is_an_error_that_sends_nothing(
    attach: Run, sandbox: Sandbox, tmp_path: Path, content: Any
) -> None:
    part = tmp_path / "00000.json"
    if content == "folder":
        part.mkdir()
    elif content != "missing":
        part.write_bytes(content)
    error = attach.fail(recipients=str(part))
    assert error.errors[0].startswith("recipients: ")
    assert "9647701234567" not in str(error)
    attach.fail(OtpiqConfigurationError, recipients="nowhere://x/a.json")
    assert nothing_was_sent(sandbox)


@pytest.mark.parametrize(
    ("recipients", "suffix"),
    [
        ("/data/customers.jsonl", ".jsonl"),
        ("s3://crm/part.parquet", ".parquet"),
        ("/data/customers.XLSX", ".xlsx"),
        ("/data/00000.json.gz", ".json.gz"),
        ("/data/customers.csv.zip", None),
        (ObjectStoragePath("file:///data/customers.tsv"), ".tsv"),
        ("{{ ['9647701234567'] }}", None),
        ("parts/00000", None),
        ("s3://audience/parts/", None),
        (".json", None),
        (".csv", None),
        ("\n.json", None),
        ("0770 123 4567", None),
        (b"0770 123 4567", None),
    ],
)
def test_another_string_is_not_read(attach: Run, sandbox: Sandbox, recipients: Any, suffix: str | None) -> None:
    error = attach.fail(recipients=recipients)
    assert DIGITS[0] not in str(error)
    assert (f"a {suffix} file cannot be read" in str(error)) is (suffix is not None)
    assert as_airflow_stores_it(attach.task) == f"recipients as a {type(recipients).__name__}"
    assert nothing_was_sent(sandbox)


def test_without_the_package_of_zstandard_the_error_names_the_extra(
    attach: Run, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("backports", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    compressed = tmp_path / "team.csv.zst"
    compressed.write_bytes(b"\x28\xb5\x2f\xfd")
    error = attach.fail(OtpiqConfigurationError, recipients=str(compressed), **COLUMNS)
    assert "airflow-provider-otpiq[audience]" in str(error)
    assert nothing_was_sent(sandbox)


@WITH_PARAMETERS
def test_rows_are_held_to_the_rules_of_all_recipients(attach: Run, sandbox: Sandbox, team: Path) -> None:
    team.write_text("id,phone,name\nC-1,0770 123 4567,\nC-2,0780,Ali\nC-3,0750 123 4567,Sara\n")
    assert [error.partition(":")[0] for error in attach.fail(recipients=team, reference="id", **COLUMNS).errors] == [
        "recipients[0] (reference 'C-1', 964770•••4567)",
        "recipients[1] (reference 'C-2', 4 digits)",
    ]
    assert nothing_was_sent(sandbox)
    attach(recipients=team, on_invalid="skip", **COLUMNS)
    assert attached(sandbox) == ["9647501234567"]


@pytest.mark.parametrize("field", ["phone_number", "reference"])
def test_a_phone_number_as_a_column_is_masked_in_the_error(attach: Run, team: Path, field: str) -> None:
    error = attach.fail(recipients=team, **COLUMNS | {field: "9647701234567"})
    assert "no column '964770•••4567'" in str(error)
    assert "7701234567" not in str(error)


def test_a_phone_number_that_is_a_constant_is_shown(attach: Run, sandbox: Sandbox, team: Path) -> None:
    constant = {"body": {"1": {"value": "0770 000 0000"}}}
    attach(recipients=team, phone_number="phone", template_parameters=constant)
    assert attach.task.template_parameters == constant
    sent = sandbox.requests[-1]["body"]["recipients"]
    assert sent[0]["templateParameters"] == {"body": {"1": "0770 000 0000"}}


@BOTH
def test_a_task_that_is_killed_while_it_reads_leaves_no_copy_of_the_file(
    attach: Run, sandbox: Sandbox, team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    attach.task_class, read = kind, csv.reader

    def killed(*args: Any, **kwargs: Any) -> Any:
        assert list(copies.glob("*/*"))
        attach.task.on_kill()
        return read(*args, **kwargs)

    monkeypatch.setattr(csv, "reader", killed)
    assert attach.fail(SystemExit, recipients=team, **COLUMNS).code == 143
    assert list(copies.iterdir()) == []
    assert nothing_was_sent(sandbox)
    attach.task.on_kill()  # which does not end a request that is sent


def test_columns_without_a_csv_file_are_an_error_that_sends_nothing(
    attach: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    for recipients in (["9647701234567"], lambda: ["9647701234567"], "parts/00000.json"):
        error = attach.fail(recipients=recipients, delimiter="", reference="id", **COLUMNS)
        assert [each.partition(":")[0] for each in error.errors] == [*COLUMNS, "reference"]
        assert str(error) == snapshot(name="columns")
    assert nothing_was_sent(sandbox)


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
