"""The operator that reports on messages: what it asks for, what it writes, and what it pushes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, ObjectStoragePath

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqDownloadError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.broadcast.people import everybody, number
from tests.fakes import execute
from tests.operators.broadcasts import later, pushed
from tests.operators.reports import WINDOW, as_csv, downloads, generated, read, send_file

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox

ALL_BUT_ONE_DELIVERED = {
    "messages": 9,
    "pending": 0,
    "sent": 0,
    "delivered": 4,
    "read": 4,
    "failed": 1,
    "refunded": 1,
    "cost_iqd": 8 * 12,
    "unmatched": 0,
}


# Of a broadcast


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_each_message_of_a_broadcast_with_who_got_it_and_by_which_campaign(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any], tmp_path: Path, suffix: str
) -> None:
    destination = str(tmp_path / "out" / f"report.{suffix}")
    with later(hours=1):
        assert report(broadcast=broadcast, destination=destination) == destination
    rows = read(destination)
    assert [row["phone_number"] for row in rows] == list(everybody())
    assert [row["reference"] for row in rows] == [f"C-{number(each)[-3:]}" for each in range(9)]
    campaigns = [campaign["_id"] for campaign in sandbox.campaigns]
    assert [row["campaign_id"] for row in rows] == [campaigns[each // 3] for each in range(9)]
    assert [int(row["part"]) for row in rows] == [each // 3 for each in range(9)]
    assert {row["ambiguous"] for row in rows} == {False}
    assert {type(row["cost_iqd"]) for row in rows} == {int}
    assert [row["refunded"] for row in rows] == [True] + 8 * [False]
    assert all(row["created_at"].tzinfo and row["sent_at"] > row["created_at"] for row in rows)
    assert [row["delivery_status"] for row in rows[:3]] == ["failed", "delivered", "read"]
    assert [row["error_reason"] is not None for row in rows] == 2 * [True] + 7 * [False]
    assert pushed(context)["report"] == ALL_BUT_ONE_DELIVERED


def test_otpiq_is_asked_for_the_broadcasts_own_people_only(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox
) -> None:
    with later(hours=1):
        report(broadcast=broadcast)
    asked = [body["phoneNumbers"] for body in generated(sandbox)]
    assert asked == [[f"+{number(3 * part + each)}" for each in range(3)] for part in range(3)]


def test_a_broadcasts_window_begins_a_little_before_its_start_and_ends_now(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    with later(hours=1):
        report(broadcast=broadcast)
        now = datetime.now(UTC)
    first = datetime.fromisoformat(pushed(context)["broadcast"]["scheduled_for"])
    body = generated(sandbox)[0]
    assert datetime.fromisoformat(body["startDate"]) == first - timedelta(minutes=5)
    assert now - timedelta(minutes=1) < datetime.fromisoformat(body["endDate"]) <= now


def test_messages_to_others_and_before_the_broadcast_are_left_out(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    with later(hours=1):
        rows = [{"Phone Number": f"+{number(each)}", "Message ID": f"m{each}"} for each in range(20)]
        send_file(sandbox, as_csv(rows), 20, times=3)  # OTPIQ does not look at the phone numbers
        found = read(report(broadcast=broadcast))
    assert [row["phone_number"] for row in found] == list(everybody())
    assert pushed(context)["report"]["messages"] == 9


def test_who_has_several_messages_is_told_and_counted_as_often(
    report: Callable[..., str],
    broadcast: str,
    sandbox: Sandbox,
    context: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with later(hours=1):
        twice = [{"Phone Number": number(0), "Message ID": each} for each in ("a", "b")]
        send_file(sandbox, as_csv(twice), 2)
        rows = read(report(broadcast=broadcast))
    first, second, third = rows[:3]
    for each in (first, second):
        assert (each["ambiguous"], each["part"], each["campaign_id"], each["reference"]) == (True, None, None, "C-000")
    assert (third["ambiguous"], third["phone_number"]) == (False, number(3))
    counts = pushed(context)["report"]
    assert (counts["messages"], counts["unmatched"]) == (8, 2)
    assert "1 people have several messages" in caplog.text
    assert "C-000" in caplog.text


def test_people_without_a_message_are_counted(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    send_file(sandbox, as_csv([]), 0, times=3)
    assert read(report(broadcast=broadcast)) == []
    assert pushed(context)["report"] == {
        **dict.fromkeys(ALL_BUT_ONE_DELIVERED, 0),
        "unmatched": 9,
    }


def test_a_broadcast_that_was_not_started_has_no_report(
    report: Callable[..., str], create: Callable[..., str], sandbox: Sandbox
) -> None:
    with pytest.raises(OtpiqValidationError, match=r"nothing of .* was scheduled.*Run the task that starts it first"):
        report(broadcast=create())
    assert generated(sandbox) == []


def test_an_audience_is_reported_on_in_a_window(
    report: Callable[..., str], broadcast: str, audience: str, context: dict[str, Any]
) -> None:
    with later(hours=1):
        now = datetime.now(UTC)
        rows = read(report(audience=audience, start=now - timedelta(hours=2), end=now))
    assert [row["reference"] for row in rows] == [f"C-{number(each)[-3:]}" for each in range(9)]
    assert {row["campaign_id"] for row in rows} == {None}
    assert pushed(context)["report"] == ALL_BUT_ONE_DELIVERED


# Which types of messages


OTHER_TYPES = [
    {"Phone Number": number(0), "Message ID": "otp", "Message Type": "OTP", "Delivery Status": "pending"},
    {"Phone Number": number(1), "Message ID": "custom", "Message Type": "Custom"},
]


def _template_messages() -> list[dict[str, str]]:
    return [{"Phone Number": number(each), "Message ID": f"m{each}"} for each in range(9)]


def test_otps_to_the_people_of_a_broadcast_are_not_its_messages(
    report: Callable[..., str],
    broadcast: str,
    sandbox: Sandbox,
    context: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    mine = [{**row, "Message Type": " whatsapp template"} for row in _template_messages()]
    with later(hours=1):
        send_file(sandbox, as_csv([*OTHER_TYPES, *mine, {"Phone Number": number(99), "Message Type": "OTP"}]), 12)
        send_file(sandbox, as_csv(mine), 9, times=2)
        rows = read(report(broadcast=broadcast))
    assert [row["message_id"] for row in rows] == [f"m{each}" for each in range(9)]
    assert {row["ambiguous"] for row in rows} == {False}
    counts = pushed(context)["report"]
    assert (counts["messages"], counts["delivered"], counts["pending"], counts["cost_iqd"]) == (9, 9, 0, 9 * 12)
    assert "Left out 2 messages whose type is not 'WhatsApp Template': 'Custom' 1, 'OTP' 1." in caplog.text
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


def test_other_messages_only_are_a_warning_that_the_type_may_be_wrong(
    report: Callable[..., str],
    broadcast: str,
    sandbox: Sandbox,
    context: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    with later(hours=1):
        send_file(sandbox, as_csv(OTHER_TYPES), 2)
        send_file(sandbox, as_csv([]), 0, times=2)
        assert read(report(broadcast=broadcast)) == []
    assert (pushed(context)["report"]["messages"], pushed(context)["report"]["unmatched"]) == (0, 9)
    assert "No message is of type 'WhatsApp Template'" in caplog.text
    assert "is an assumption and may be wrong" in caplog.text


def test_a_broadcasts_types_can_be_set(report: Callable[..., str], broadcast: str, sandbox: Sandbox) -> None:
    with later(hours=1):
        send_file(sandbox, as_csv([*OTHER_TYPES, *_template_messages()]), 11)
        send_file(sandbox, as_csv([]), 0, times=2)
        rows = read(report(broadcast=broadcast, message_types=["otp", "{{ 'it\\'s' }}"]))
    assert [row["message_id"] for row in rows] == ["otp"]


@pytest.mark.parametrize(("message_types", "ids"), [(None, ["custom", "m", "otp"]), ("OTP", ["otp"])])
def test_a_window_and_an_audience_have_all_types_unless_set(
    report: Callable[..., str], audience: str, sandbox: Sandbox, message_types: str | None, ids: list[str]
) -> None:
    messages = as_csv([*OTHER_TYPES, {"Phone Number": number(2), "Message ID": "m"}])
    send_file(sandbox, messages, 3, times=2)
    send_file(sandbox, as_csv([]), 0, times=2)
    for people in ({}, {"audience": audience}):
        rows = read(report(**WINDOW, **people, message_types=message_types))
        assert sorted(row["message_id"] for row in rows) == ids


# Of a window


def test_all_messages_of_a_window(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    with later(hours=1):
        now = datetime.now(UTC)
        rows = read(report(start=now - timedelta(hours=2), end=now, statuses=["failed", "read"]))
    assert [row["delivery_status"] for row in rows].count("read") == 4
    assert len(rows) == 5
    assert list(rows[0]) == [
        "message_id", "phone_number", "sender_id", "cost_iqd", "message_type", "delivery_status", "error_reason",
        "refunded", "created_at", "sent_at",
    ]  # fmt: skip
    assert generated(sandbox)[0]["statuses"] == ["read", "failed"]
    assert "phoneNumbers" not in generated(sandbox)[0]
    assert (pushed(context)["report"]["messages"], pushed(context)["report"]["unmatched"]) == (5, 0)


def test_naive_times_are_the_dags(report: Callable[..., str], sandbox: Sandbox) -> None:
    report(start="2026-11-20 00:00", end="{{ '2026-11-21T00:00' }}")
    body = generated(sandbox)[0]
    assert (body["startDate"], body["endDate"]) == ("2026-11-19T21:00:00Z", "2026-11-20T21:00:00Z")


def test_naive_times_of_a_dag_without_timezone_are_warned_of(
    context: dict[str, Any], sandbox: Sandbox, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dag = DAG("utc", schedule=None)
    operator = DeliveryReportOperator(
        task_id="report", dag=dag, destination=tmp_path / "x.csv", start="2026-11-20 00:00", end="2026-11-21T00:00"
    )
    execute(operator, context | {"dag": dag})
    logged = capfd.readouterr().out
    for field, time in (("start", "2026-11-20T00:00:00Z"), ("end", "2026-11-21T00:00:00Z")):
        assert f"{field} has no offset, and the DAG's timezone is UTC, so it is {time}" in logged


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"start": "2026-11-20T00:00Z", "end": "2026-11-20T00:00Z"}, "end: must be after start, 2026-11-20T00:00:00Z"),
        ({"start": "2026-11-20T00:00Z", "end": "2026-11-19T00:00Z"}, "end: must be after start"),
        ({"start": "2026-11-20T00:00Z"}, "end: is required"),
        ({"start": "None", "end": ""}, "start: is required"),
        ({**WINDOW, "statuses": ["deliverd"]}, "statuses: must be among pending, sent, delivered, read, failed; found"),
        ({**WINDOW, "statuses": []}, "statuses: is set and rendered to an empty value"),
        ({**WINDOW, "message_types": []}, "message_types: is set and rendered to an empty value"),
        ({**WINDOW, "message_types": ["OTP", " "]}, "message_types: is set and rendered to an empty value"),
        ({**WINDOW, "message_types": ["{{ none }}"]}, "message_types: is set and rendered to an empty value"),
        ({**WINDOW, "message_types": 5}, "message_types: must be a list of types of messages, such as"),
        ({**WINDOW, "destination": "/nowhere/report.xlsx"}, "destination: must end in .parquet or .csv"),
        ({**WINDOW, "destination": "None"}, "destination: "),
        ({**WINDOW, "broadcast": "/a", "audience": "/b"}, "audience: is set, and so is broadcast"),
        ({"audience": "/b"}, "start: is required"),
        ({"broadcast": "/nowhere/ledger"}, "broadcast: /nowhere/ledger has no broadcast"),
        ({**WINDOW, "audience": "/nowhere/manifest.json"}, "there is no such audience"),
    ],
)
def test_what_cannot_be_asked_for(
    report: Callable[..., str], sandbox: Sandbox, fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(OtpiqValidationError, match=text) as caught:
        report(**fields)
    assert isinstance(caught.value, AirflowFailException)
    assert sandbox.requests == []


@pytest.mark.parametrize("field", ["broadcast", "audience", "statuses", "message_types"])
@pytest.mark.parametrize("lost", ["", "None", "{{ ti.xcom_pull(task_ids='strat') }}", "{{ none }}"])
@pytest.mark.parametrize("native", [False, True])
def test_a_field_that_is_lost_is_not_a_report_on_other_messages(
    report: Callable[..., str],
    sandbox: Sandbox,
    dag: DAG,
    context: dict[str, Any],
    field: str,
    lost: str,
    *,
    native: bool,
) -> None:
    context["ti"].xcom_pull = lambda **_: None
    dag.render_template_as_native_obj = native  # then the field becomes Python's None, as by an XCom
    with pytest.raises(OtpiqValidationError, match=f"{field}: is set and rendered to an empty value"):
        report(**WINDOW, **{field: lost})
    assert sandbox.requests == []


def test_one_status_may_stand_alone(report: Callable[..., str], sandbox: Sandbox) -> None:
    report(**WINDOW, statuses="failed")
    assert generated(sandbox)[0]["statuses"] == ["failed"]


# Where it is written, and what fails on the way


@pytest.mark.parametrize("destination", ["file/report.csv", "folder.csv", "file/deep/report.csv"])
def test_a_destination_that_cannot_be_written_is_told_before_a_report_is_made(
    report: Callable[..., str], sandbox: Sandbox, tmp_path: Path, destination: str
) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(OtpiqConfigurationError, match=r"Set another path, or fix its rights"):
        report(**WINDOW, destination=str(tmp_path / destination))
    assert sandbox.requests == []


def test_a_destination_may_be_a_path(report: Callable[..., str], tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", ObjectStoragePath(f"file://{tmp_path}/b.csv")):
        assert report(**WINDOW, destination=path) == str(path)
    assert {file.name for file in tmp_path.iterdir()} == {"a.csv", "b.csv"}


def test_a_store_that_nothing_reaches_is_told_before_a_report_is_made(
    report: Callable[..., str], sandbox: Sandbox
) -> None:
    with pytest.raises(OtpiqConfigurationError, match="Install the Airflow provider of that store"):
        report(**WINDOW, destination="nostore://bucket/report.csv")
    assert sandbox.requests == []


def test_a_window_that_a_broadcast_does_not_have(report: Callable[..., str], broadcast: str, sandbox: Sandbox) -> None:
    before = len(sandbox.requests)
    with pytest.raises(OtpiqValidationError, match="after the start of the broadcast's first campaign, 2"):
        report(broadcast=broadcast, end="2026-01-01T00:00:00Z")
    with pytest.raises(OtpiqValidationError, match=r"end: must be after start, 2099.*which is now, as it is not set"):
        report(broadcast=broadcast, start="2099-01-01T00:00:00Z")
    assert len(sandbox.requests) == before


def test_too_little_memory_is_told_as_that(
    report: Callable[..., str], sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_provider_otpiq._report.collect._MEMORY_LIMIT", "2MB")  # to save time
    send_file(sandbox, as_csv({"Message ID": f"m{each}"} for each in range(20_000)), 20_000)
    with pytest.raises(OtpiqValidationError, match="memory_limit: 2MB is too little"):
        report(**WINDOW)


def test_a_report_that_is_gone_is_made_once_more(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, context: dict[str, Any]
) -> None:
    sandbox.arm("download", status=404)
    with later(hours=1):
        report(broadcast=broadcast)
    assert len(generated(sandbox)) == 4
    assert pushed(context)["report"] == ALL_BUT_ONE_DELIVERED
    sandbox.arm("download", status=404, times=2)
    with pytest.raises(OtpiqDownloadError) as caught:
        report(**WINDOW)
    assert not isinstance(caught.value, AirflowFailException)


def test_nothing_of_people_stays_in_a_temporary_folder(
    report: Callable[..., str], broadcast: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with later(hours=1):
        report(broadcast=broadcast)
        sandbox.arm("download", connection="cut", times=9)
        with pytest.raises(OtpiqConnectionError, match="got no complete response"):
            report(broadcast=broadcast)
    assert os.listdir(temporary) == []


def test_no_person_is_in_the_log_and_in_xcom(
    report: Callable[..., str],
    broadcast: str,
    context: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("INFO")
    with later(hours=1):
        report(broadcast=broadcast)
    printed = "".join(capfd.readouterr())  # on Airflow 3, what an operator logs reaches no handler
    assert "messages 9" in printed + caplog.text
    for text in (printed, caplog.text, str(pushed(context))):
        assert "9647700" not in text
        assert "/files/" not in text  # whoever has a file's address can read it


def test_the_key_does_not_go_to_the_files_host(report: Callable[..., str], broadcast: str, sandbox: Sandbox) -> None:
    with later(hours=1):
        report(broadcast=broadcast)
    assert len(downloads(sandbox)) == 3
    statuses = {request["status"] for request in sandbox.requests if request["path"].startswith("/files/")}
    assert statuses == {200}  # the sandbox refuses one that carries a key
