"""Compare the download of a report of a million rows with a bare download, and measure its memory."""

from __future__ import annotations

import csv
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from dev.bench_harness import CONTEXT, connect, in_turns, isolated, peak_megabytes, served, show
from dev.bench_server import REPORT_ROWS, report

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 15
FAILED = 30
"""One in this many messages has failed; its reason is in quotes."""
REASON = "131026: Message undeliverable, the number may not be on WhatsApp"
MIN_SPEED, MAX_MEGABYTES = 0.7, 300  # 0.8, and a tenth for the noise of a busy machine
COLUMNS = [
    "Message ID", "Phone Number", "Sender ID", "Cost (IQD)", "Message Type", "Delivery Status", "Error Reason",
    "Refunded", "Created At", "Sent At",
]  # fmt: skip


def reporting() -> Iterator[str]:
    """Print the time and memory of a report, and yield each exceeded budget."""
    with tempfile.TemporaryDirectory(prefix="bench-report-") as folder:
        _write_report(Path(folder, "report.csv"))
        with served("dev.bench_server", "https", folder) as url:
            os.environ["REQUESTS_CA_BUNDLE"] = f"{folder}/authority.pem"
            connect(f"{url}/api")
            bare, own = isolated(speeds, url, folder)
            (download_mb,), (report_mb,) = isolated(download, url, folder), isolated(operator, folder)
    show(
        [f"a report of {REPORT_ROWS:,} rows over https", "s", "speed", "peak MB"],
        ["`requests` and `shutil.copyfileobj`, no check at all", f"{bare:.2f}", "1.00", ""],
        ["`OtpiqHook.download_report`", f"{own:.2f}", f"{bare / own:.2f}", f"{download_mb:.0f}"],
        ["`DeliveryReportOperator`, to Parquet", "", "", f"{report_mb:.0f}"],
    )
    if bare / own < MIN_SPEED:
        yield f"a report is downloaded at {bare / own:.2f} of the speed of a bare download"
    if max(download_mb, report_mb) > MAX_MEGABYTES:
        yield f"a report takes {max(download_mb, report_mb):.0f} MB"


def _write_report(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in range(REPORT_ROWS):
            status, reason = ("delivered", "") if row % FAILED else ("failed", REASON)
            message = [f"665f1c2ab3d4e5f6{row:08}", f"96477{row:08}", "Sandbox shop", 12, "WhatsApp Template"]
            writer.writerow([*message, status, reason, "No", "2026-11-20T09:00:00.000Z", "2026-11-20T09:00:01.250Z"])


def speeds(url: str, folder: str) -> tuple[float, ...]:
    """Return the fastest seconds of each download, because noise only adds."""
    calls = {"bare": lambda: _bare(url, folder), "own": lambda: download(url, folder)}
    in_turns(calls, rounds=1)  # imports modules
    return tuple(map(min, in_turns(calls, ROUNDS)))


def _bare(url: str, folder: str) -> None:
    import requests

    target = Path(folder, "bare.csv")
    with requests.get(f"{url}/report.csv", stream=True, timeout=60) as response, target.open("wb") as file:
        shutil.copyfileobj(response.raw, file)
    target.unlink()


def download(url: str, folder: str) -> tuple[float]:
    """Download by the hook; return the megabytes."""
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    target = Path(folder, "downloaded.csv")
    OtpiqHook().download_report(report=report(url), destination=target)
    target.unlink()
    return (peak_megabytes(),)


def operator(folder: str) -> tuple[float]:
    """Write a report by the operator; return the megabytes."""
    from airflow_provider_otpiq.operators.report import DeliveryReportOperator

    DeliveryReportOperator(
        task_id="report",
        start="2026-11-20T00:00:00Z",
        end="2026-11-21T00:00:00Z",
        destination=f"{folder}/report.parquet",
        do_xcom_push=False,
    ).execute(CONTEXT)
    return (peak_megabytes(),)


if __name__ == "__main__":
    sys.exit("; ".join(reporting()) or None)
