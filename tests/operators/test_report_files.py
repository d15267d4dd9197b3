"""Which files of reports are accepted, and how each value is written."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import OtpiqReportError
from tests.operators.reports import WINDOW, ReportTask, as_csv, send_file

pytestmark = pytest.mark.slow

NO_COSTS = ["12.5", "free", "1,200", "NaN", "inf", "1e30", "٣", "\ufdd1" * 3]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_text_is_not_changed(report: ReportTask, tmp_path: Path, suffix: str) -> None:
    texts = ['=HYPERLINK("https://x","y")', "الرقم غير صحيح", 'a,"b"\r\nc', "'; DROP TABLE messages; --", "NULL", " "]
    report.send(*({"Error Reason": text, "Message ID": f"m{index}"} for index, text in enumerate(texts)))
    found = report.rows(**WINDOW, destination=str(tmp_path / f"r.{suffix}"))
    assert [row["error_reason"] for row in found] == texts


def test_types(report: ReportTask, tmp_path: Path) -> None:
    report.send(
        {"Phone Number": "+9647700000001", "Message ID": "1", "Cost (IQD)": "12.00", "Refunded": "YES"},
        {"Message ID": "2", "Sent At": "", "Delivery Status": "Pending"},
    )
    first, second = report.rows(**WINDOW, destination=str(tmp_path / "r.parquet"))
    assert (first["phone_number"], first["cost_iqd"], first["refunded"]) == ("9647700000001", 12, True)
    assert first["created_at"] == datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert first["sent_at"] == datetime(2026, 11, 20, 6, 0, 1, 500_000, tzinfo=UTC)
    assert (second["sent_at"], second["error_reason"], second["delivery_status"]) == (None, None, "pending")
    assert (report.counts["pending"], report.counts["refunded"], report.counts["cost_iqd"]) == (1, 1, 12)


def test_times_in_csv_are_utc(report: ReportTask) -> None:
    report.send({})
    assert "2026-11-20T06:00:00.000000Z,2026-11-20T06:00:01.500000Z" in Path(report(**WINDOW)).read_text()


def test_if_a_cost_is_missing_the_sum_is_none(report: ReportTask) -> None:
    costs = {"": None, "12.0": 12, "1e3": 1000, "-5": -5}
    report.send(*({"Cost (IQD)": cost, "Message ID": str(index)} for index, cost in enumerate(costs)))
    assert [row["cost_iqd"] for row in report.rows(**WINDOW)] == list(costs.values())
    assert report.counts["cost_iqd"] is None


def test_undocumented_columns_are_written_too(report: ReportTask) -> None:
    more = {"Campaign Name": "Summer", "Part": "x", "message id": "y", 'odd "one"': "z", "الحملة": "صيف", "": "blank"}
    send_file(report.sandbox, as_csv([{}], **more), 1)
    (row,) = report.rows(**WINDOW)
    assert (row["campaign_name"], row["part_2"], row["message_id_2"], row["odd_one"]) == ("Summer", "x", "y", "z")
    assert (row["الحملة"], row["column"]) == ("صيف", "blank")


def test_columns_in_another_order_and_a_byte_order_mark(report: ReportTask) -> None:
    lines = [",".join(reversed(line.split(","))) for line in as_csv([{}]).splitlines()]
    send_file(report.sandbox, "\ufeff" + "\n".join(lines), 1)
    (row,) = report.rows(**WINDOW)
    assert (row["message_id"], row["cost_iqd"]) == ("m1", 12)


def test_an_undocumented_status_is_kept_and_logged(
    report: ReportTask, caplog: pytest.LogCaptureFixture, snapshot: SnapshotAssertion
) -> None:
    report.send({"Delivery Status": "queued"})
    assert [row["delivery_status"] for row in report.rows(**WINDOW)] == ["queued"]
    assert report.counts["messages"] == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == snapshot


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param(as_csv([{}]).replace("Refunded", "Refund"), 1, id="missing column"),
        pytest.param(as_csv([{}]).replace("Sent At", "Created At"), 1, id="repeated column"),
        pytest.param("", 0, id="empty"),
        pytest.param(as_csv({"Cost (IQD)": cost} for cost in NO_COSTS), len(NO_COSTS), id="cost"),
        pytest.param(as_csv([{"Refunded": "maybe"}]), 1, id="refunded"),
        pytest.param(as_csv([{"Created At": "2026-11-20T06:00:00"}]), 1, id="time without offset"),
        pytest.param(as_csv([{"Sent At": "yesterday"}]), 1, id="not a time"),
        pytest.param(as_csv([{}]) + "one,field\r\n", 2, id="not CSV"),
    ],
)
def test_a_file_that_is_not_as_documented_is_an_error(
    report: ReportTask, tmp_path: Path, text: str, rows: int, snapshot: SnapshotAssertion
) -> None:
    send_file(report.sandbox, text, rows)
    error = report.fail(OtpiqReportError, **WINDOW)
    assert isinstance(error, AirflowFailException)
    assert error.args[0] == snapshot
    assert "9647700000001" not in str(error)
    assert not (tmp_path / "out").exists()
