"""A report of a million rows: its download beside a bare one that checks nothing, and the memory that it takes."""

from __future__ import annotations

import contextlib
import csv
import http.server
import json
import os
import resource
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from dev.certificate import self_signed_certificate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 1_000_000
ROUNDS = 15
FAILED = 30
"""One message of so many has failed, and so a reason, which is in quotes."""
REASON = "131026: Message undeliverable, the number may not be on WhatsApp"
MIN_SPEED, MAX_MEGABYTES = 0.7, 300  # 0.8, and a tenth for the noise of a busy machine
COLUMNS = [
    "Message ID", "Phone Number", "Sender ID", "Cost (IQD)", "Message Type", "Delivery Status", "Error Reason",
    "Refunded", "Created At", "Sent At",
]  # fmt: skip
WINDOW = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}


def reporting() -> Iterator[str]:
    """Print what a report costs, and yield where it is over budget."""
    with tempfile.TemporaryDirectory(prefix="bench-report-") as name, _server(Path(name)) as url:
        os.environ["AIRFLOW_CONN_OTPIQ_DEFAULT"] = json.dumps(
            {"conn_type": "otpiq", "host": f"{url}/api", "password": "sk_dev_bench"}
        )
        bare, own = _run("speed", url, name)
        (download_mb,), (report_mb,) = _run("download", url, name), _run("operator", url, name)
    print(f"| a report of {ROWS:,} rows over https | s | speed | peak MB |")
    print("| --- | --- | --- | --- |")
    print(f"| `requests` and `shutil.copyfileobj`, no check at all | {bare:.2f} | 1.00 | |")
    print(f"| `OtpiqHook.download_report` | {own:.2f} | {bare / own:.2f} | {download_mb:.0f} |")
    print(f"| `DeliveryReportOperator`, to Parquet | | | {report_mb:.0f} |\n", flush=True)
    if bare / own < MIN_SPEED:
        yield f"a report is downloaded at {bare / own:.2f} of the speed of a bare download"
    if max(download_mb, report_mb) > MAX_MEGABYTES:
        yield f"a report takes {max(download_mb, report_mb):.0f} MB"


def _run(what: str, url: str, folder: str) -> list[float]:
    """Do it in a process of its own, and return what it prints."""
    command = [sys.executable, "-W", "ignore", "-m", "dev.bench_report", what, url, folder]
    return list(
        map(
            float,
            subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1].split(),
        )
    )


def _speed(url: str, folder: str) -> tuple[float, float]:
    """Download in turns, so that a busy machine slows both, and take the fastest of each, as noise only adds."""
    runs: dict[Callable[[str, Path], None], list[float]] = {_bare: [], _download: []}
    for _ in range(ROUNDS + 1):  # the first one imports what it needs
        for download, seconds in runs.items():
            target = Path(folder, "downloaded.csv")
            began = time.perf_counter()
            download(url, target)
            seconds.append(time.perf_counter() - began)
            target.unlink()
    bare, own = (min(seconds[1:]) for seconds in runs.values())
    return bare, own


def _bare(url: str, target: Path) -> None:
    import requests

    with requests.get(f"{url}/report.csv", stream=True, timeout=60) as response, target.open("wb") as file:
        shutil.copyfileobj(response.raw, file)


def _download(url: str, target: Path) -> None:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    OtpiqHook().download_report(report=_report(url), destination=target)


def _operator(folder: str) -> None:
    from airflow_provider_otpiq.operators.report import DeliveryReportOperator

    operator = DeliveryReportOperator(
        task_id="report", **WINDOW, destination=f"{folder}/report.parquet", do_xcom_push=False
    )
    operator.execute({"ti": SimpleNamespace(map_index=-1)})  # type: ignore[typeddict-item]


def _report(url: str) -> dict[str, Any]:
    return {"_id": "1", "downloadUrl": f"{url}/report.csv", "recordCount": ROWS, "status": "available"}


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    """Serve a report, in a process of its own, and yield its URL."""
    _write_report(folder / "report.csv")
    (folder / "certificate.pem").write_bytes(self_signed_certificate())
    os.environ["REQUESTS_CA_BUNDLE"] = str(folder / "certificate.pem")
    command = [sys.executable, "-m", "dev.bench_report", "serve", "", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def _write_report(path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for at in range(ROWS):
            status, reason = ("delivered", "") if at % FAILED else ("failed", REASON)
            message = [f"665f1c2ab3d4e5f6{at:08}", f"96477{at:08}", "Sandbox shop", 12, "WhatsApp Template"]
            writer.writerow([*message, status, reason, "No", "2026-11-20T09:00:00.000Z", "2026-11-20T09:00:01.250Z"])


def _serve(folder: str) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            file = Path(folder, "report.csv")
            self.send_response(200)
            self.send_header("Content-Length", str(file.stat().st_size))
            self.end_headers()
            with file.open("rb") as content:
                shutil.copyfileobj(content, self.wfile, 1024 * 1024)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(_report(url)).encode()
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(folder, "certificate.pem"))
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_address[1]}"
    print(url, flush=True)
    server.serve_forever()


def main() -> None:
    """Measure, or do what is measured."""
    match sys.argv[1:]:
        case ["serve", _, folder]:
            _serve(folder)
        case ["speed", url, folder]:
            print(*_speed(url, folder))
        case ["download", url, folder]:
            _download(url, Path(folder, "downloaded.csv"))
            print(_peak())
        case ["operator", _, folder]:
            _operator(folder)
            print(_peak())
        case _:
            if broken := list(reporting()):
                sys.exit("Over budget: " + "; ".join(broken))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
