"""Files of reports as OTPIQ documents them, and report tasks with their results."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from airflow_provider_otpiq.sandbox import Sandbox
from tests.operators.broadcasts import Run

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


@dataclass
class ReportTask(Run):
    """Run an operator, or a poke of a sensor, each time in a separate task, and read its results."""

    sandbox: Sandbox

    def rows(self, **fields: Any) -> list[dict[str, Any]]:
        """Run the operator and read the written file."""
        return read(self(**fields))

    def send(self, *rows: dict[str, str], times: int = 1) -> None:
        """Set the rows of the next reports; each lists its differences from the default row."""
        send_file(self.sandbox, as_csv(rows), len(rows), times)

    @property
    def counts(self) -> dict[str, Any]:
        """The counts that were pushed last."""
        counts: dict[str, Any] = self.pushed["report"]
        return counts

    @property
    def generated(self) -> list[dict[str, Any]]:
        """The bodies of all requests for a report."""
        return generated(self.sandbox)


def as_csv(rows: Iterable[dict[str, str]], **more_columns: str) -> str:
    """Return the content of a report's file; each row lists its differences from the default row."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS | more_columns)
    writer.writeheader()
    writer.writerows(COLUMNS | more_columns | row for row in rows)
    return text.getvalue()


def send_file(sandbox: Sandbox, text: str | bytes, rows: int, times: int = 1) -> None:
    """Set the file of the next reports."""
    url = f"{sandbox.url.removesuffix('/api')}/files/any/file.csv"
    report = {"_id": "665f1c2ab3d4e5f6012345ff", "downloadUrl": url, "recordCount": rows, "status": "available"}
    sandbox.arm("generate", status=201, body=report, times=times)
    sandbox.arm("download", status=200, body=text, times=times)


def read(path: str) -> list[dict[str, Any]]:
    """Read a written report, ordered by phone number and message id."""
    times = ("created_at", "sent_at")
    # As microseconds, because DuckDB needs pytz to make Python's datetimes with a zone.
    replaced = ", ".join(f"epoch_us({name}::TIMESTAMPTZ) AS {name}" for name in times)
    found = duckdb.execute(f"SELECT * REPLACE ({replaced}) FROM '{path}'")  # noqa: S608
    columns = [column[0] for column in found.description or ()]
    rows = [dict(zip(columns, row, strict=True)) for row in found.fetchall()]
    for row in rows:
        row["phone_number"] = str(row["phone_number"])  # DuckDB reads a number from CSV
        for name in times:
            row[name] = None if row[name] is None else datetime.fromtimestamp(row[name] / 1_000_000, UTC)
    return sorted(rows, key=lambda row: (row["phone_number"], row["message_id"]))


def downloads(sandbox: Sandbox) -> list[str]:
    return [request["path"] for request in sandbox.requests if request["path"].startswith("/files/")]


def generated(sandbox: Sandbox) -> list[dict[str, Any]]:
    """List the bodies of the requests for a report."""
    return [request["body"] for request in sandbox.requests if request["path"] == "/api/reports/generate"]
