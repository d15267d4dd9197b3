"""Recipients in a CSV file, which the operators read by the names of its columns."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, ObjectStoragePath

from airflow_provider_otpiq._audience.request import Columns
from airflow_provider_otpiq._recipients.requests import RecipientsRequest
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, SendSampleOperator
from tests.fakes import execute
from tests.operators.broadcasts import Run
from tests.operators.test_recipients import XCom, as_airflow_stores_it

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.assertion import SnapshotAssertion

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

    Reach = Callable[..., Any]

CSV = 'id,phone,name\nC-1,0770 123 4567,Zaynab\n,,\nC-2,+964 780 123 4567," Al\nHassan"\n'
COLUMNS: dict[str, Any] = {"phone_number": "phone", "template_parameters": {"body": {"1": "name", "2": {"value": "x"}}}}
SENT = [
    {"phoneNumber": "9647701234567", "templateParameters": {"body": {"1": "Zaynab", "2": "x"}}},
    {"phoneNumber": "9647801234567", "templateParameters": {"body": {"1": "Al Hassan", "2": "x"}}},
]
BOTH = pytest.mark.parametrize("kind", [AttachRecipientsOperator, SendSampleOperator])


@pytest.fixture
def campaign_id(sandbox_hook: OtpiqHook) -> str:
    template = {"template_name": "summer_promo", "template_language": "ar", "phone_number": "+964 770 123 4567"}
    return str(sandbox_hook.create_campaign(name="Summer", **template)["_id"])


@pytest.fixture
def team(tmp_path: Path) -> Path:
    team = tmp_path / "team.csv"
    team.write_text(CSV)
    return team


@pytest.fixture
def reach(context: dict[str, Any], campaign_id: str) -> Reach:
    """Attach recipients, or send them a sample, and return the operator."""

    def reach(
        recipients: Any,
        kind: Any = AttachRecipientsOperator,
        started: Callable[[Any], object] = lambda _: None,
        **fields: Any,
    ) -> Any:
        fields = COLUMNS | fields | {"campaign_id": campaign_id, "recipients": recipients}
        operator = Run(kind, context, fields).make()
        started(operator)
        execute(operator, context)
        return operator

    return reach


def sent(sandbox: Sandbox) -> Any:
    return sandbox.requests[-1]["body"]["recipients"]


def nothing_was_sent(sandbox: Sandbox) -> bool:
    return [campaign["totalRecipients"] for campaign in sandbox.campaigns] == [0]


@BOTH
@pytest.mark.parametrize(
    "as_recipients",
    [
        str,
        Path,
        Path.as_uri,
        ObjectStoragePath,
        lambda path: XCom(str(path)),
        lambda path: f"{path.parent}/{{{{ 'team' }}}}.csv",
    ],
    ids=["string", "path", "URL", "ObjectStoragePath", "XComArg", "template"],
)
def test_the_rows_of_a_csv_file_are_sent_and_not_shown(
    reach: Reach,
    sandbox: Sandbox,
    team: Path,
    kind: Any,
    as_recipients: Any,
    context: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    recipients = as_recipients(team)
    operator = reach(recipients, kind)
    assert sent(sandbox) == SENT
    path = recipients if isinstance(recipients, ObjectStoragePath) or "://" in str(recipients) else team
    assert as_airflow_stores_it(operator) == f"the recipients in {path}"
    logged = capfd.readouterr()
    seen = f"{logged.out}{logged.err}{json.dumps(context['ti'].pushed)}"
    assert not any(secret in seen for secret in ("Zaynab", "Hassan", "7701234567", "0770 123"))


def test_without_the_package_of_zstandard_it_says_what_to_install(
    reach: Reach, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("backports", "compression"):
        monkeypatch.setitem(sys.modules, module, None)
    compressed = tmp_path / "team.csv.zst"
    compressed.write_bytes(b"\x28\xb5\x2f\xfd")
    with pytest.raises(OtpiqConfigurationError, match=r"airflow-provider-otpiq\[audience\]"):
        reach(str(compressed))
    assert nothing_was_sent(sandbox)


@pytest.mark.parametrize("native", [True, False])
def test_the_columns_may_be_templates(
    reach: Reach, context: dict[str, Any], sandbox: Sandbox, team: Path, native: bool
) -> None:
    context["dag"] = DAG("dag", schedule=None, render_template_as_native_obj=native)
    context["params"] |= {"phone": "phone", "name": "name"}
    parameters: Any = {"body": {"1": "{{ params.name }}", "2": {"value": "{{ 'x' }}"}}}
    for columns in (parameters, XCom(COLUMNS["template_parameters"])):
        reach(str(team), phone_number="{{ params.phone }}", template_parameters=columns)
        assert sent(sandbox) == SENT


@BOTH
@pytest.mark.parametrize("mapped", ["recipients", "phone_number", "otpiq_conn_id"])
def test_a_mapped_task_reads_its_csv_file(
    dag: DAG, context: dict[str, Any], sandbox: Sandbox, campaign_id: str, team: Path, kind: Any, mapped: str
) -> None:
    fields = COLUMNS | {"campaign_id": campaign_id, "recipients": str(team), "otpiq_conn_id": "otpiq_default"}
    expanded = {mapped: [fields.pop(mapped)]}
    operator = kind.partial(task_id="mapped", dag=dag, **fields).expand(**expanded)
    operator = operator.unmap({mapped: expanded[mapped][0]})
    operator._do_render_template_fields(operator, operator.template_fields, context, dag.get_template_env(), set())
    assert as_airflow_stores_it(operator) == f"the recipients in {team}"
    operator.execute(context)
    assert sent(sandbox) == SENT


def test_a_compressed_file_and_other_dialects_are_read(reach: Reach, sandbox: Sandbox, tmp_path: Path) -> None:
    packed, other = tmp_path / "team.CSV.gz", tmp_path / "excel.csv"
    packed.write_bytes(gzip.compress(CSV.encode()))
    other.write_bytes("phone;name\n0770 123 4567;زينب\n".encode("cp1256"))
    reach(str(packed))
    assert sent(sandbox) == SENT
    reach(str(other), delimiter=";", encoding="cp1256")
    assert sent(sandbox)[0]["templateParameters"]["body"]["1"] == "زينب"


def test_a_relative_path_is_relative_to_the_workers_folder(
    reach: Reach, sandbox: Sandbox, team: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(team.parent)
    assert as_airflow_stores_it(reach("team.csv")) == "the recipients in team.csv"
    assert sent(sandbox) == SENT


def test_rows_are_held_to_the_rules_of_all_recipients(reach: Reach, sandbox: Sandbox, team: Path) -> None:
    team.write_text("id,phone,name\nC-1,0770 123 4567,\nC-2,0780,Ali\nC-3,0750 123 4567,Sara\n")
    with pytest.raises(OtpiqValidationError) as caught:
        reach(str(team), reference="id")
    assert [error.partition(":")[0] for error in caught.value.errors] == [
        "recipients[0] (reference 'C-1', 964770•••4567)",
        "recipients[1] (reference 'C-2', 4 digits)",
    ]
    assert nothing_was_sent(sandbox)
    reach(str(team), on_invalid="skip")
    assert [recipient["phoneNumber"] for recipient in sent(sandbox)] == ["9647501234567"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"null_values": XCom(None)}, "null_values"),
        ({"null_values": "{{ none }}"}, "null_values"),
        ({"null_values": ""}, "null_values"),
        ({"default_region": ""}, "default_region"),
    ],
)
def test_an_invalid_field_is_an_error_that_sends_nothing(
    reach: Reach, sandbox: Sandbox, team: Path, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        reach(str(team), **fields)
    assert caught.value.errors[0].startswith(field)
    assert nothing_was_sent(sandbox)


@pytest.mark.parametrize("field", ["phone_number", "reference"])
def test_a_phone_number_as_a_column_is_masked_in_the_error(reach: Reach, team: Path, field: str) -> None:
    with pytest.raises(OtpiqValidationError, match="no column '964770•••4567'") as caught:
        reach(str(team), **{field: "9647701234567"})
    assert "7701234567" not in str(caught.value)


def test_a_phone_number_that_is_a_constant_is_shown(reach: Reach, sandbox: Sandbox, team: Path) -> None:
    constant = {"body": {"1": {"value": "0770 000 0000"}}}
    assert reach(str(team), template_parameters=constant).template_parameters == constant
    assert sent(sandbox)[0]["templateParameters"] == {"body": {"1": "0770 000 0000"}}


@BOTH
def test_a_task_that_is_killed_while_it_reads_leaves_no_copy_of_the_file(
    reach: Reach, sandbox: Sandbox, team: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    operators: list[Any] = []
    read = csv.reader

    def killed(*args: Any, **kwargs: Any) -> Any:
        assert list(copies.glob("*/*"))
        operators[0].on_kill()
        return read(*args, **kwargs)

    monkeypatch.setattr(csv, "reader", killed)
    with pytest.raises(SystemExit, match="143"):
        reach(str(team), kind, started=operators.append)
    assert list(copies.iterdir()) == []
    assert nothing_was_sent(sandbox)
    operators[0].on_kill()  # which does not end a request that is sent


def test_columns_without_a_csv_file_are_an_error_that_sends_nothing(
    reach: Reach, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    for recipients in (["9647701234567"], lambda: ["9647701234567"], "parts/00000.json"):
        with pytest.raises(OtpiqValidationError) as caught:
            reach(recipients, delimiter="", reference="id")
        assert [error.partition(":")[0] for error in caught.value.errors] == [*COLUMNS, "reference"]
    assert nothing_was_sent(sandbox)
    assert str(caught.value) == snapshot


def test_the_fields_are_those_of_the_file() -> None:
    for kind in (AttachRecipientsOperator, SendSampleOperator):
        assert set(Columns.model_fields) < set(kind.template_fields)
        assert set(kind.required_if_set) == {*Columns.required_if_set, *RecipientsRequest.required_if_set}
