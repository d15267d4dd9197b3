"""Responses and files of reports that are malformed, huge or malicious."""

import gzip
import json
import re
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import OtpiqConnectionError, OtpiqReportError, OtpiqResponseError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.broadcast.people import number, write_audience
from tests.fakes import TaskInstance, execute
from tests.operators.reports import COLUMNS, WINDOW, as_csv
from tests.wire import Wire, response

pytestmark = pytest.mark.slow

REPORT = {"_id": "665f1c2ab3d4e5f6012345ff", "recordCount": 1, "status": "available"}
ROW = {"Phone Number": number(0)}
CSV = as_csv([ROW]).encode()
_task_numbers = count()


class Otpiq:
    """An OTPIQ whose reports all have the same file."""

    def __init__(self, wire: Callable[..., Wire], connect: Callable[..., OtpiqHook]) -> None:
        self.file: bytes | Callable[[socket.socket], object] = response(CSV)
        self.report: dict[str, Any] = {}
        self._server = wire(self._respond)
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.hook = connect(host=f"{self.url}/api", extra={"max_retries": 0, "read_timeout": 2})

    def _respond(self, connection: socket.socket) -> None:
        if self._server.first_lines[-1].startswith("POST"):
            report = {**REPORT, "downloadUrl": f"{self.url}/file.csv", **self.report}
            connection.sendall(response(json.dumps(report).encode()))
        elif callable(self.file):
            self.file(connection)
        else:
            connection.sendall(self.file)


@pytest.fixture
def otpiq(wire: Callable[..., Wire], connect: Callable[..., OtpiqHook]) -> Otpiq:
    return Otpiq(wire, connect)


def download(otpiq: Otpiq, folder: Path, **report: Any) -> bytes:
    path = folder / "downloaded.csv"
    path.unlink(missing_ok=True)
    try:
        otpiq.hook.download_report(
            report={**REPORT, "downloadUrl": f"{otpiq.url}/file.csv", **report}, destination=path
        )
    except BaseException:
        assert not path.exists()
        raise
    return path.read_bytes()


def write_report(folder: Path, **fields: Any) -> dict[str, Any]:
    dag = DAG("dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"))
    context: dict[str, Any] = {"ti": TaskInstance(), "dag": dag, "params": {}}
    fields = {"destination": str(folder / "report.csv"), **WINDOW, **fields}
    execute(DeliveryReportOperator(task_id=f"report_{next(_task_numbers)}", dag=dag, **fields), context)
    report: dict[str, Any] = context["ti"].pushed["report"]
    return report


@contextmanager
def peak_below(limit: int) -> Iterator[None]:
    """Check the most memory that Python allocates meanwhile, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < limit
    finally:
        tracemalloc.stop()


# Values


@pytest.mark.parametrize("rows", ["1", True, 1.5, None, -1])
def test_a_record_count_that_is_not_a_whole_number_is_an_error(otpiq: Otpiq, tmp_path: Path, rows: Any) -> None:
    otpiq.report = {"recordCount": rows}
    with pytest.raises(OtpiqResponseError, match="recordCount"):
        write_report(tmp_path)


def audience_of(folder: Path, reference: str) -> str:
    """Write an audience of one recipient with this reference."""
    manifest = Path(write_audience(str(folder / "audience"), parts=1, part_size=1))
    part = manifest.parent / "parts" / "00000.json"
    recipients = json.dumps([{"phoneNumber": number(0), "reference": reference}]).encode()
    before, after = (sha256(content).hexdigest() for content in (part.read_bytes(), recipients))
    manifest.write_text(manifest.read_text().replace(before, after))
    part.write_bytes(recipients)
    return str(manifest)


def test_a_reference_in_the_log_shows_no_phone_number_and_makes_no_line(
    otpiq: Otpiq, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    otpiq.file, otpiq.report = response(as_csv([ROW, ROW]).encode()), {"recordCount": 2}
    write_report(tmp_path, audience=audience_of(tmp_path, f"+{number(0)}\nINFO all is well"))
    assert "several messages" in caplog.text
    assert number(0) not in caplog.text
    assert "\nINFO all is well" not in caplog.text


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(("reference", "written"), [("=1+1", "'=1+1"), ("C-1", "C-1")])
def test_a_reference_in_csv_is_not_a_formula(
    otpiq: Otpiq, tmp_path: Path, suffix: str, reference: str, written: str
) -> None:
    destination = f"{tmp_path}/report.{suffix}"
    write_report(tmp_path, audience=audience_of(tmp_path, reference), destination=destination)
    found = duckdb.connect().execute(f"SELECT reference FROM '{destination}'").fetchall()  # noqa: S608
    assert found == [(written if suffix == "csv" else reference,)]


# Addresses


@pytest.mark.parametrize(
    "url",
    ["https://[::1/x", "https://[secret]/x", "https://user:secret@host\u2100/x", "https://", "https:///x",
     "https://x:99999/x", "https://x:secret/x", "cdn.example/file.csv?signature=secret"],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_an_error_of_the_report(otpiq: Otpiq, tmp_path: Path, url: str) -> None:
    otpiq.file = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
    for first in (url, f"{otpiq.url}/file.csv") if url.isascii() and "://" in url else (url,):
        with pytest.raises(OtpiqReportError) as caught:
            download(otpiq, tmp_path, downloadUrl=first)
        assert "secret" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"


def test_the_address_is_not_logged(otpiq: Otpiq, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        download(otpiq, tmp_path, downloadUrl=f"{otpiq.url}/file.csv?signature=secret")
        assert "secret" not in caplog.text
        otpiq.hook.generate_report(**WINDOW)
    assert "/reports/generate" in caplog.text


# Bodies


def test_a_compressed_file_may_have_several_members(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(gzip.compress(CSV[:50]) + gzip.compress(CSV[50:]), Content_Encoding=" X-GZIP ")
    assert download(otpiq, tmp_path) == CSV


def test_bytes_after_a_compressed_file_are_an_error_and_need_no_memory(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(gzip.compress(CSV), Content_Encoding="gzip")
    download(otpiq, tmp_path)  # imports what a download needs
    otpiq.file = response(gzip.compress(CSV) + bytes(50_000_000), Content_Encoding="gzip")
    with peak_below(20_000_000), pytest.raises(OtpiqConnectionError):
        download(otpiq, tmp_path)


def test_a_file_without_a_length_must_end_with_a_line(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(CSV, Content_Length="")
    assert download(otpiq, tmp_path) == CSV
    otpiq.file = response(CSV[: CSV.rindex(b",") + 1], Content_Length="")
    with pytest.raises(OtpiqConnectionError):
        download(otpiq, tmp_path)


@pytest.mark.parametrize("name", ["Cost (IQD)", "long" * 20])
def test_a_header_of_too_many_columns_is_an_error_at_once(otpiq: Otpiq, tmp_path: Path, name: str) -> None:
    otpiq.file = response(",".join([*COLUMNS, *2_000 * [name]]).encode() + b"\r\n")
    otpiq.report = {"recordCount": 0}
    began = time.process_time()
    with pytest.raises(OtpiqReportError, match=r"columns; expected at most 100") as caught:
        write_report(tmp_path)
    assert time.process_time() - began < 2
    columns, more = re.findall(r"has ([0-9,]+) columns|and (\d+) more", str(caught.value))
    assert int(columns[0].replace(",", "")) - int(more[1]) == 20


def test_a_hundred_columns_are_read(otpiq: Otpiq, tmp_path: Path) -> None:
    extra = 90 * ["x"]
    otpiq.file = response("".join(f"{','.join([*row, *extra])}\r\n" for row in (COLUMNS, COLUMNS.values())).encode())
    assert write_report(tmp_path)["messages"] == 1
    header = (tmp_path / "report.csv").read_text().splitlines()[0]
    assert header.endswith(",x,x_2,x_3," + ",".join(f"x_{index}" for index in range(4, 91)))


def test_an_endless_header_is_an_error_and_needs_no_memory(otpiq: Otpiq, tmp_path: Path) -> None:
    compressor = zlib.compressobj(wbits=31)
    bomb = b"".join(compressor.compress(1_000_000 * b"x") for _ in range(50)) + compressor.flush()
    otpiq.file, otpiq.report = response(bomb, Content_Encoding="gzip"), {"recordCount": 0}
    with peak_below(20_000_000), pytest.raises(OtpiqReportError):
        write_report(tmp_path)


def test_an_endless_row_is_an_error(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(as_csv([{"Error Reason": "x" * 10_000_000}]).encode())
    with pytest.raises(OtpiqReportError, match="a row that is not valid CSV"):
        write_report(tmp_path)


ENDLESS = {"a chunk's size": b"", "a trailer": b"0\r\n", "a chunk's extension": b"1;"}


@pytest.mark.parametrize("begin", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("of", ["the report", "its file"])
def test_an_endless_line_needs_no_memory(
    wire: Callable[..., Wire], connect: Callable[..., OtpiqHook], tmp_path: Path, begin: bytes, of: str
) -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin)
        for _ in range(100):
            connection.sendall(1_000_000 * b"0")

    url = f"http://127.0.0.1:{wire(send).port}"
    hook = connect(host=f"{url}/api", extra={"max_retries": 0})
    report = {**REPORT, "downloadUrl": f"{url}/file.csv"}
    with peak_below(5_000_000), pytest.raises(OtpiqConnectionError):
        hook.generate_report(**WINDOW) if of == "the report" else hook.download_report(
            report=report, destination=tmp_path / "downloaded.csv"
        )


def test_lines_within_quotes_that_look_like_rows_are_no_rows(otpiq: Otpiq, tmp_path: Path) -> None:
    line = as_csv([{"Message ID": "FAKE"}]).splitlines()[1]
    reasons = [f"{'x' * (index % 97)}{f'{chr(10)}{line}{chr(10)}' * (index % 5)}" for index in range(60_000)]
    text = as_csv({"Error Reason": reason} for reason in reasons)
    otpiq.file, otpiq.report = response(text.encode().replace(b"\r\n", b"\n")), {"recordCount": len(reasons)}
    assert write_report(tmp_path)["messages"] == len(reasons)
    assert (tmp_path / "report.csv").read_text().count("FAKE") == text.count("FAKE")
