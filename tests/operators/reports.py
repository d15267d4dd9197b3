"""Files of reports as OTPIQ documents them, and what the tests read of a written one."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_otpiq.sandbox import Sandbox

COLUMNS = {
    "Message ID": "m1",
    "Phone Number": "9647700000001",
    "Sender ID": "System",
    "Cost (IQD)": "12",
    "Message Type": "WhatsApp Template",
    "Delivery Status": "delivered",
    "Error Reason": "",
    "Refunded": "No",
    "Created At": "2026-11-20T06:00:00.000Z",
    "Sent At": "2026-11-20T09:00:01.500+03:00",
}
WINDOW = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}


def as_csv(rows: Iterable[dict[str, str]], **more_columns: str) -> str:
    """Write a report's file; each row names what differs from an ordinary one."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS | more_columns)
    writer.writeheader()
    writer.writerows(COLUMNS | more_columns | row for row in rows)
    return text.getvalue()


def send_file(sandbox: Sandbox, text: str | bytes, rows: int, times: int = 1) -> None:
    """Let the next reports be of another file."""
    url = f"{sandbox.url.removesuffix('/api')}/files/any/file.csv"
    report = {"_id": "665f1c2ab3d4e5f6012345ff", "downloadUrl": url, "recordCount": rows, "status": "available"}
    sandbox.arm("generate", status=201, body=report, times=times)
    sandbox.arm("download", status=200, body=text, times=times)


def read(path: str) -> list[dict[str, Any]]:
    """Read a written report, in the order of its message ids and numbers."""
    with duckdb.connect() as database:
        # As microseconds, because DuckDB needs pytz to make Python's datetimes with a zone.
        times = ", ".join(f"epoch_us({name}::TIMESTAMPTZ) AS {name}" for name in ("created_at", "sent_at"))
        found = database.execute(f"SELECT * REPLACE ({times}) FROM '{path}'")  # noqa: S608
        columns = [column[0] for column in found.description or ()]
        rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
        for row in rows:
            for name in ("created_at", "sent_at"):
                row[name] = None if row[name] is None else datetime.fromtimestamp(row[name] / 1_000_000, UTC)
        return sorted(
            # In CSV nothing tells that a phone number is none to calculate with.
            (row | {"phone_number": str(row["phone_number"])} for row in rows),
            key=lambda row: (row["phone_number"], row["message_id"]),
        )


def downloads(sandbox: Sandbox) -> list[str]:
    return [request["path"] for request in sandbox.requests if request["path"].startswith("/files/")]


def generated(sandbox: Sandbox) -> list[dict[str, Any]]:
    """List what was asked for."""
    return [request["body"] for request in sandbox.requests if request["path"] == "/api/reports/generate"]
