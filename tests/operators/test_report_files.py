"""What a report's file may hold, and what of it is written; the operator's own tests are in test_report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_otpiq.exceptions import OtpiqReportError
from tests.operators.broadcasts import pushed
from tests.operators.reports import WINDOW, as_csv, read, send_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.sandbox import Sandbox


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_text_is_carried_as_data(report: Callable[..., str], sandbox: Sandbox, tmp_path: Path, suffix: str) -> None:
    texts = ['=HYPERLINK("https://x","y")', "الرقم غير صحيح", 'a,"b"\r\nc', "'; DROP TABLE messages; --", "NULL", " "]
    rows = [{"Error Reason": text, "Message ID": f"m{at}"} for at, text in enumerate(texts)]
    send_file(sandbox, as_csv(rows), len(rows))
    found = read(report(**WINDOW, destination=str(tmp_path / f"r.{suffix}")))
    assert [row["error_reason"] for row in found] == texts


def test_types(report: Callable[..., str], sandbox: Sandbox, context: dict[str, Any], tmp_path: Path) -> None:
    rows = [
        {"Phone Number": "+9647700000001", "Message ID": "1", "Cost (IQD)": "12.00", "Refunded": "YES"},
        {"Message ID": "2", "Sent At": "", "Delivery Status": "Pending"},
    ]
    send_file(sandbox, as_csv(rows), 2)
    first, second = read(report(**WINDOW, destination=str(tmp_path / "r.parquet")))
    assert (first["phone_number"], first["cost_iqd"], first["refunded"]) == ("9647700000001", 12, True)
    assert first["created_at"] == datetime(2026, 11, 20, 6, tzinfo=UTC)
    assert first["sent_at"] == datetime(2026, 11, 20, 6, 0, 1, 500_000, tzinfo=UTC)
    assert (second["sent_at"], second["error_reason"], second["delivery_status"]) == (None, None, "pending")
    counts = pushed(context)["report"]
    assert (counts["pending"], counts["refunded"], counts["cost_iqd"]) == (1, 1, 12)


def test_times_in_csv_are_utc(report: Callable[..., str], sandbox: Sandbox) -> None:
    send_file(sandbox, as_csv([{}]), 1)
    assert "2026-11-20T06:00:00.000000Z,2026-11-20T06:00:01.500000Z" in Path(report(**WINDOW)).read_text()


def test_a_cost_that_otpiq_does_not_tell_is_no_zero(
    report: Callable[..., str], sandbox: Sandbox, context: dict[str, Any]
) -> None:
    send_file(sandbox, as_csv([{"Cost (IQD)": ""}, {}]), 2)
    assert {row["cost_iqd"] for row in read(report(**WINDOW))} == {None, 12}
    assert pushed(context)["report"]["cost_iqd"] is None


def test_further_columns_pass_through(report: Callable[..., str], sandbox: Sandbox) -> None:
    more = {"Campaign Name": "Summer", "Part": "x", "message id": "y", 'odd "one"': "z", "الحملة": "صيف", "": "blank"}
    send_file(sandbox, as_csv([{}], **more), 1)
    (row,) = read(report(**WINDOW))
    assert (row["campaign_name"], row["part_2"], row["message_id_2"], row["odd_one"]) == ("Summer", "x", "y", "z")
    assert (row["الحملة"], row["column"]) == ("صيف", "blank")


def test_columns_in_another_order_and_a_byte_order_mark(report: Callable[..., str], sandbox: Sandbox) -> None:
    lines = [",".join(reversed(line.split(","))) for line in as_csv([{}]).splitlines()]
    send_file(sandbox, "\ufeff" + "\n".join(lines), 1)
    (row,) = read(report(**WINDOW))
    assert (row["message_id"], row["cost_iqd"]) == ("m1", 12)


def test_an_unknown_status_is_told_and_kept(
    report: Callable[..., str], sandbox: Sandbox, context: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    send_file(sandbox, as_csv([{"Delivery Status": "queued"}]), 1)
    assert [row["delivery_status"] for row in read(report(**WINDOW))] == ["queued"]
    assert pushed(context)["report"]["messages"] == 1
    assert "1 messages have a status that OTPIQ does not document" in caplog.text


@pytest.mark.parametrize(
    ("text", "rows", "error"),
    [
        (as_csv([{}]).replace("Refunded", "Refund"), 1, "Refunded is not there once. It has 'Message ID'"),
        (as_csv([{}]).replace("Sent At", "Created At"), 1, "Created At, Sent At are not there once"),
        ("", 0, "is not there once|are not there once"),
        (as_csv([{"Cost (IQD)": "12.5"}, {"Cost (IQD)": "free"}]), 2, r"Cost \(IQD\): 2 values are not a whole number"),
        (as_csv([{"Refunded": "maybe"}]), 1, "Refunded: 1 values are not Yes or No"),
        (as_csv([{"Created At": "2026-11-20T06:00:00"}]), 1, "Created At: 1 values are not a time with an offset"),
        (as_csv([{"Sent At": "yesterday"}]), 1, "Sent At: 1 values are not a time"),
        (as_csv([{}]) + "one,field\r\n", 2, "a row that is no CSV"),
    ],
)
def test_a_file_that_is_not_as_documented_is_an_error(
    report: Callable[..., str], sandbox: Sandbox, tmp_path: Path, text: str, rows: int, error: str
) -> None:
    send_file(sandbox, text, rows)
    with pytest.raises(OtpiqReportError, match=error) as caught:
        report(**WINDOW)
    assert isinstance(caught.value, AirflowFailException)
    assert "9647700000001" not in str(caught.value)
    assert not (tmp_path / "out").exists()
