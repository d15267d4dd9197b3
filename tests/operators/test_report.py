"""The operator that writes a delivery report: what it requests, writes and pushes."""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, ObjectStoragePath
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqDownloadError,
    OtpiqReportError,
)
from tests.broadcast.people import everybody, number, write_audience
from tests.operators.broadcasts import Run, later
from tests.operators.reports import WINDOW, ReportTask, as_csv, send_file

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
def test_each_row_has_the_recipient_and_the_campaign(
    report: ReportTask, broadcast: str, tmp_path: Path, suffix: str
) -> None:
    destination = str(tmp_path / "out" / f"report.{suffix}")
    with later(hours=1):
        rows = report.rows(broadcast=broadcast, destination=destination)
    assert [row["phone_number"] for row in rows] == list(everybody())
    assert [row["reference"] for row in rows] == [f"C-{number(index)[-3:]}" for index in range(9)]
    campaigns = [campaign["_id"] for campaign in report.sandbox.campaigns]
    assert [row["campaign_id"] for row in rows] == [campaigns[index // 3] for index in range(9)]
    assert [int(row["part"]) for row in rows] == [index // 3 for index in range(9)]
    assert {row["ambiguous"] for row in rows} == {False}
    assert {type(row["cost_iqd"]) for row in rows} == {int}
    assert [row["refunded"] for row in rows] == [True] + 8 * [False]
    assert all(row["created_at"].tzinfo and row["sent_at"] > row["created_at"] for row in rows)
    assert [row["delivery_status"] for row in rows[:3]] == ["failed", "delivered", "read"]
    assert [row["error_reason"] is not None for row in rows] == 2 * [True] + 7 * [False]
    assert report.counts == ALL_BUT_ONE_DELIVERED


def test_the_requests_name_the_recipients_and_the_window_of_the_broadcast(report: ReportTask, broadcast: str) -> None:
    with later(hours=1):
        report(broadcast=broadcast)
        now = datetime.now(UTC)
    bodies = report.generated
    assert [body["phoneNumbers"] for body in bodies] == [
        [f"+{number(3 * part + index)}" for index in range(3)] for part in range(3)
    ]
    first = datetime.fromisoformat(report.pushed["broadcast"]["scheduled_for"])
    assert {datetime.fromisoformat(body["startDate"]) for body in bodies} == {first - timedelta(minutes=5)}
    assert now - timedelta(minutes=1) < datetime.fromisoformat(bodies[0]["endDate"]) <= now


def test_messages_to_other_people_are_ignored(report: ReportTask, broadcast: str) -> None:
    rows = [{"Phone Number": f"+{number(index)}", "Message ID": f"m{index}"} for index in range(20)]
    with later(hours=1):
        report.send(*rows, times=3)  # as if OTPIQ ignored the phone numbers
        found = report.rows(broadcast=broadcast)
    assert [row["phone_number"] for row in found] == list(everybody())
    assert report.counts["messages"] == 9


def test_several_messages_of_a_recipient_are_ambiguous(
    report: ReportTask, broadcast: str, caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion
) -> None:
    with later(hours=1):
        report.send(*({"Phone Number": number(0), "Message ID": message_id} for message_id in ("a", "b")))
        rows = report.rows(broadcast=broadcast)
    names = ("ambiguous", "person_messages", "part", "campaign_id", "reference")
    assert [[row[name] for name in names] for row in rows[:2]] == 2 * [[True, 2, None, None, "C-000"]]
    assert (rows[2]["ambiguous"], rows[2]["person_messages"], rows[2]["phone_number"]) == (False, 1, number(3))
    assert (report.counts["messages"], report.counts["unmatched"]) == (8, 2)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == snapshot


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])
def test_the_log_names_twenty_of_those_with_several_messages(
    create: Run, start: Run, report: ReportTask, tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, more: str
) -> None:
    ledger = start(broadcast=create(audience=write_audience(f"{tmp_path}/one", parts=1, part_size=count)))
    with later(hours=1):
        report.send(
            *({"Phone Number": number(at), "Message ID": f"{at}{each}"} for at in range(count) for each in "ab")
        )
        report(broadcast=ledger)
    listed = ", ".join(f"C-{number(at)[-3:]}" for at in range(20))
    assert f"several messages in this period: {count} ({listed}{more})" in caplog.text


def test_a_file_with_other_columns_than_the_one_before_it_is_an_error(
    report: ReportTask, broadcast: str, tmp_path: Path
) -> None:
    send_file(report.sandbox, as_csv([{"Phone Number": number(0)}], Extra="Extra"), 1)
    with later(hours=1):
        report.fail(OtpiqReportError, match="has other columns", broadcast=broadcast)
    assert not list(tmp_path.glob("out/*"))


def test_recipients_without_a_message_are_counted(report: ReportTask, broadcast: str) -> None:
    report.send(times=3)
    assert report.rows(broadcast=broadcast) == []
    assert report.counts == {**dict.fromkeys(ALL_BUT_ONE_DELIVERED, 0), "unmatched": 9}


def test_an_audience_needs_a_window(report: ReportTask, broadcast: str, audience: str) -> None:
    with later(hours=1):
        now = datetime.now(UTC)
        rows = report.rows(audience=audience, start=now - timedelta(hours=2), end=now)
    assert [row["reference"] for row in rows] == [f"C-{number(index)[-3:]}" for index in range(9)]
    assert {row["campaign_id"] for row in rows} == {None}
    assert report.counts == ALL_BUT_ONE_DELIVERED


# Which types of messages


OTHER_TYPES = [
    {"Phone Number": number(0), "Message ID": "otp", "Message Type": "OTP", "Delivery Status": "pending"},
    {"Phone Number": number(1), "Message ID": "custom", "Message Type": "Custom"},
]


def test_only_template_messages_of_a_broadcast_count(
    report: ReportTask, broadcast: str, caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion
) -> None:
    caplog.set_level("INFO", "airflow_provider_otpiq._report")
    own = [
        {"Phone Number": number(index), "Message ID": f"m{index}", "Message Type": " whatsapp template"}
        for index in range(9)
    ]
    with later(hours=1):
        report.send(*OTHER_TYPES, *own, {"Phone Number": number(99), "Message Type": "OTP"})
        report.send(*own, times=2)
        rows = report.rows(broadcast=broadcast)
    assert [row["message_id"] for row in rows] == [f"m{index}" for index in range(9)]
    assert {row["ambiguous"] for row in rows} == {False}
    counts = report.counts
    assert (counts["messages"], counts["delivered"], counts["pending"], counts["cost_iqd"]) == (9, 9, 0, 9 * 12)
    assert [(record.levelname, record.message) for record in caplog.records if "_report" in record.name] == snapshot


def test_if_all_messages_are_of_other_types_the_log_warns(
    report: ReportTask, broadcast: str, caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion
) -> None:
    with later(hours=1):
        report.send(*OTHER_TYPES)
        report.send(times=2)
        assert report.rows(broadcast=broadcast) == []
    assert (report.counts["messages"], report.counts["unmatched"]) == (0, 9)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == snapshot


@pytest.mark.parametrize(
    ("source", "message_types", "ids"),
    [
        ("broadcast", None, ["m"]),
        ("broadcast", ["otp", "{{ 'it\\'s' }}"], ["otp"]),
        ("audience", None, ["custom", "m", "otp"]),
        ("audience", "OTP", ["otp"]),
        ("window", None, ["custom", "m", "otp"]),
        ("window", "OTP", ["otp"]),
    ],
)
def test_which_types_count(
    report: ReportTask, broadcast: str, audience: str, source: str, message_types: Any, ids: list[str]
) -> None:
    report.send(*OTHER_TYPES, {"Phone Number": number(2), "Message ID": "m"})
    report.send(times=2)
    fields = {"broadcast": {"broadcast": broadcast}, "audience": {"audience": audience, **WINDOW}}.get(source, WINDOW)
    rows = report.rows(**fields, message_types=message_types)
    assert sorted(row["message_id"] for row in rows) == ids


# Of a window


def test_a_window_has_everybodys_messages(report: ReportTask, broadcast: str) -> None:
    with later(hours=1):
        now = datetime.now(UTC)
        rows = report.rows(start=now - timedelta(hours=2), end=now, statuses=["failed", "read"])
    assert sorted(row["delivery_status"] for row in rows) == ["failed"] + 4 * ["read"]
    assert list(rows[0]) == [
        "message_id", "phone_number", "sender_id", "cost_iqd", "message_type", "delivery_status", "error_reason",
        "refunded", "created_at", "sent_at",
    ]  # fmt: skip
    (body,) = report.generated
    assert (body["statuses"], "phoneNumbers" in body) == (["read", "failed"], False)
    assert (report.counts["messages"], report.counts["unmatched"]) == (5, 0)


def test_naive_times_are_in_the_dags_timezone_and_one_status_needs_no_list(report: ReportTask) -> None:
    report(start="2026-11-20 00:00", end="{{ '2026-11-21T00:00' }}", statuses="failed")
    (body,) = report.generated
    assert (body["startDate"], body["endDate"]) == ("2026-11-19T21:00:00Z", "2026-11-20T21:00:00Z")
    assert body["statuses"] == ["failed"]


# What fails on the way


def test_a_broadcast_that_was_not_started_has_no_report(report: ReportTask, create: Run) -> None:
    assert [error.partition(":")[0] for error in report.fail(broadcast=create()).errors] == ["broadcast"]
    assert report.generated == []


@pytest.mark.parametrize(
    ("window", "text"),
    [
        ({"end": "2026-01-01T00:00:00Z"}, "the start of the broadcast's first campaign"),
        ({"start": "2099-01-01T00:00:00Z"}, "the current time, because end is not set"),
    ],
)
def test_a_window_of_a_broadcast_must_not_end_before_it_begins(
    report: ReportTask, broadcast: str, window: dict[str, str], text: str
) -> None:
    failure = report.fail(broadcast=broadcast, **window)
    assert [(error.partition(":")[0], text in error) for error in failure.errors] == [("end", True)]
    assert report.generated == []


@pytest.mark.parametrize("path", ["file/report.csv", "folder.csv", "file/deep/report.csv", "nostore://b/report.csv"])
def test_the_destination_is_checked_before_a_report_is_generated(report: ReportTask, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.csv").mkdir()
    report.fail(OtpiqConfigurationError, **WINDOW, destination=path if "://" in path else str(tmp_path / path))
    assert report.sandbox.requests == []


def test_the_destination_may_be_a_path_object(report: ReportTask, tmp_path: Path) -> None:
    for path in (tmp_path / "a.csv", ObjectStoragePath(f"file://{tmp_path}/b.csv")):
        assert report(**WINDOW, destination=path) == str(path)
    assert {file.name for file in tmp_path.iterdir()} == {"a.csv", "b.csv"}


def test_too_little_memory_names_the_limit(report: ReportTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_otpiq._report.collect._MEMORY_LIMIT", "2MB")  # to save time
    report.send(*({"Message ID": f"m{index}"} for index in range(20_000)))
    assert [error.partition(":")[0] for error in report.fail(**WINDOW).errors] == ["memory_limit"]


def test_a_file_that_does_not_exist_is_generated_again_once(report: ReportTask, broadcast: str) -> None:
    report.sandbox.arm("download", status=404)
    with later(hours=1):
        report(broadcast=broadcast)
    assert len(report.generated) == 4
    assert report.counts == ALL_BUT_ONE_DELIVERED
    report.sandbox.arm("download", status=404, times=2)
    assert not isinstance(report.fail(OtpiqDownloadError, **WINDOW), AirflowFailException)


def test_temporary_files_are_removed(
    report: ReportTask, sleep_calls: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "it's here"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    report.send({})
    report(**WINDOW)
    report.sandbox.arm("download", connection="cut", times=9)
    report.fail(OtpiqConnectionError, **WINDOW)
    assert os.listdir(temporary) == []


def test_personal_data_and_the_files_address_are_only_in_the_file(
    report: ReportTask, broadcast: str, logged: Callable[[], str]
) -> None:
    with later(hours=1):
        destination = report(broadcast=broadcast)
    log = logged()
    assert "messages 9" in log
    for text in (log, str(report.pushed)):
        assert "9647700" not in text
        assert "/files/" not in text  # whoever has a file's address can read it
    assert Path(destination).stat().st_mode & 0o027 == 0
