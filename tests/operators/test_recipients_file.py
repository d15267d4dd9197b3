"""Operators that accept recipients: those in a file."""

import csv
import gzip
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
)
from airflow_provider_otpiq.sandbox import Sandbox
from tests.operators.broadcasts import Run
from tests.operators.recipients import (
    BOTH,
    DIGITS,
    WITH_PARAMETERS,
    XCom,
    as_airflow_stores_it,
    attached,
    nothing_was_sent,
    unmapped,
)


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
