"""Reports whose response or file is not what OTPIQ documents: an error that tells so, or the data as it came."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import tempfile
import time
import tracemalloc
import zlib
from hashlib import sha256
from itertools import count
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import duckdb
import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqReportError,
    OtpiqResponseError,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.broadcast.people import number, write_audience
from tests.fakes import TaskInstance, execute

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from tests.wire import Wire

ROW = {
    "Message ID": "m1",
    "Phone Number": number(0),
    "Sender ID": "System",
    "Cost (IQD)": "12",
    "Message Type": "OTP",
    "Delivery Status": "delivered",
    "Error Reason": "",
    "Refunded": "No",
    "Created At": "2026-11-26T10:00:00Z",
    "Sent At": "2026-11-26T10:00:01Z",
}
WINDOW = {"start": "2026-11-26T00:00:00Z", "end": "2026-11-27T00:00:00Z"}
REPORT = {"_id": "665f1c2ab3d4e5f6012345ff", "recordCount": 1, "status": "available"}
_task_numbers = count()


def csv_of(*rows: dict[str, str]) -> bytes:
    lines = [",".join(ROW), *(",".join({**ROW, **row}.values()) for row in rows)]
    return "".join(f"{line}\r\n" for line in lines).encode()


def response(body: bytes, **headers: str) -> bytes:
    fields = {"Content_Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 200 OK\r\n{head}\r\n".encode() + body


class Otpiq:
    """An OTPIQ whose reports have one and the same file."""

    def __init__(self, wire: Callable[..., Wire], connect: Callable[..., OtpiqHook]) -> None:
        self.file: bytes | Callable[[socket.socket], object] = response(csv_of({}))
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


@pytest.mark.parametrize("cost", ["abc", "12 IQD", '"1,200"', "NaN", "inf", "1e30", "true", "٣", "12.5", "\ufdd1" * 3])
def test_a_cost_that_is_no_whole_number_is_an_error(otpiq: Otpiq, tmp_path: Path, cost: str) -> None:
    otpiq.file = response(csv_of({"Cost (IQD)": cost}))
    with pytest.raises(OtpiqReportError, match=r"Cost \(IQD\): 1 values are not a whole number"):
        write_report(tmp_path)
    assert not (tmp_path / "report.csv").exists()


@pytest.mark.parametrize(("cost", "read"), [("12", 12), ("12.0", 12), ("1e3", 1000), ("-5", -5), ("", None)])
def test_a_cost(otpiq: Otpiq, tmp_path: Path, cost: str, read: int | None) -> None:
    otpiq.file = response(csv_of({"Cost (IQD)": cost}))
    assert write_report(tmp_path)["cost_iqd"] == read


@pytest.mark.parametrize("rows", ["1", "1.0", True, 1.5, None, -1, "many"])
def test_a_record_count_that_is_no_whole_number_is_an_error(otpiq: Otpiq, tmp_path: Path, rows: Any) -> None:
    otpiq.report = {"recordCount": rows}
    with pytest.raises(OtpiqResponseError, match="recordCount"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    "url",
    ["https://[::1/x", "https://[secret]/x", "https://user:secret@host\u2100/x", "https://", "https:///x",
     "https://x:99999/x", "https://x:secret/x"],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_an_error_of_the_report(otpiq: Otpiq, tmp_path: Path, url: str) -> None:
    otpiq.file = f"HTTP/1.1 302 Found\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n".encode()
    for first in (url, f"{otpiq.url}/file.csv") if url.isascii() else (url,):
        with pytest.raises(OtpiqReportError, match="its address cannot be read") as caught:
            download(otpiq, tmp_path, downloadUrl=first)
        assert "secret" not in f"{caught.value!r}{caught.value.__context__!r}{caught.value.__cause__!r}"


def test_nothing_is_sent_to_a_name_that_resolves_to_a_private_address_a_moment_later(
    hook: OtpiqHook, wire: Callable[..., Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: SimpleQueue[bytes] = SimpleQueue()
    server = wire(lambda connection: received.put(connection.recv(100)), reads=False)
    addresses = ["127.0.0.1", "1.1.1.1"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (addresses.pop(), server.port))])
    url = f"https://cdn.otpiq.example:{server.port}/file.csv"
    with pytest.raises(OtpiqReportError, match=r"resolves to 127\.0\.0\.1, which is no public address"):
        hook.download_report(report={**REPORT, "downloadUrl": url}, destination=tmp_path / "downloaded.csv")
    assert received.get(timeout=5) == b""
    assert (server.connections, addresses) == (1, [])


def test_the_address_is_in_no_log(otpiq: Otpiq, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        download(otpiq, tmp_path, downloadUrl=f"{otpiq.url}/file.csv?signature=secret")
        assert "secret" not in caplog.text
        otpiq.hook.generate_report(**WINDOW)
    assert "/reports/generate" in caplog.text


def test_an_address_without_a_scheme_is_not_told(otpiq: Otpiq, tmp_path: Path) -> None:
    with pytest.raises(OtpiqReportError, match="without a scheme") as caught:
        download(otpiq, tmp_path, downloadUrl="cdn.example/file.csv?signature=secret")
    assert "secret" not in str(caught.value)


def test_a_compressed_file_may_have_several_members(otpiq: Otpiq, tmp_path: Path) -> None:
    members = gzip.compress(csv_of()) + gzip.compress(csv_of({}).removeprefix(csv_of()))
    otpiq.file = response(members, Content_Encoding="gzip")
    assert download(otpiq, tmp_path) == csv_of({})


@pytest.mark.parametrize("encoding", ["x-gzip", " GZIP "])
def test_gzip_has_several_names(otpiq: Otpiq, tmp_path: Path, encoding: str) -> None:
    otpiq.file = response(gzip.compress(csv_of({})), Content_Encoding=encoding)
    assert download(otpiq, tmp_path) == csv_of({})


def test_what_follows_a_compressed_file_is_an_error_and_takes_no_memory(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(gzip.compress(csv_of({})) + bytes(50_000_000), Content_Encoding="gzip")
    download_one = response(gzip.compress(csv_of({})), Content_Encoding="gzip")
    otpiq.file, large = download_one, otpiq.file
    download(otpiq, tmp_path)
    (tmp_path / "downloaded.csv").unlink()
    otpiq.file = large
    tracemalloc.start()
    try:
        with pytest.raises(OtpiqConnectionError, match="its compressed body is damaged"):
            download(otpiq, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_a_file_of_no_stated_length_that_ends_within_a_line_is_an_error(otpiq: Otpiq, tmp_path: Path) -> None:
    whole = csv_of({})
    otpiq.file = response(whole, Content_Length="")
    assert download(otpiq, tmp_path) == whole
    (tmp_path / "downloaded.csv").unlink()
    otpiq.file = response(whole[: whole.rindex(b",") + 1], Content_Length="")
    with pytest.raises(OtpiqConnectionError, match="closed before the response was complete"):
        download(otpiq, tmp_path)


@pytest.mark.parametrize("name", ["x", "Cost (IQD)", "long" * 20])
def test_a_header_of_many_columns_is_an_error_at_once(otpiq: Otpiq, tmp_path: Path, name: str) -> None:
    otpiq.file = response(",".join([*ROW, *2_000 * [name]]).encode() + b"\r\n")
    otpiq.report = {"recordCount": 0}
    began = time.process_time()
    with pytest.raises(OtpiqReportError, match=r"columns; at most 100 are allowed. It has 'Message ID',") as caught:
        write_report(tmp_path)
    assert time.process_time() - began < 2  # 25 s as it was
    columns, more = re.findall(r"has ([0-9,]+) columns|and (\d+) more", str(caught.value))
    assert int(columns[0].replace(",", "")) - int(more[1]) == 20


def test_a_hundred_columns_are_read(otpiq: Otpiq, tmp_path: Path) -> None:
    extra = 90 * ["x"]
    otpiq.file = response("".join(f"{','.join([*row, *extra])}\r\n" for row in (ROW, ROW.values())).encode())
    assert write_report(tmp_path)["messages"] == 1
    header = (tmp_path / "report.csv").read_text().splitlines()[0]
    assert header.endswith(",x,x_2,x_3," + ",".join(f"x_{each}" for each in range(4, 91)))


@pytest.mark.slow
def test_an_endless_header_is_an_error_and_takes_no_memory(otpiq: Otpiq, tmp_path: Path) -> None:
    def bomb() -> bytes:
        compressor = zlib.compressobj(wbits=31)
        return (
            b"".join(compressor.compress(bytes(1_000_000).replace(b"\0", b"x")) for _ in range(100))
            + compressor.flush()
        )

    otpiq.file, otpiq.report = response(bomb(), Content_Encoding="gzip"), {"recordCount": 0}
    tracemalloc.start()
    try:
        with pytest.raises(OtpiqReportError, match="does not have the columns that OTPIQ documents"):
            write_report(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_row_without_end_is_an_error(otpiq: Otpiq, tmp_path: Path) -> None:
    otpiq.file = response(csv_of({"Error Reason": "x" * 50_000_000}))
    with pytest.raises(OtpiqReportError, match="holds a row that is no CSV"):
        write_report(tmp_path)


ENDLESS = {"a chunk's size": b"", "a trailer": b"0\r\n", "a chunk's extension": b"1;"}


@pytest.mark.parametrize("begin", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("of", ["the report", "its file"])
def test_a_line_without_end_takes_no_memory(
    wire: Callable[..., Wire], connect: Callable[..., OtpiqHook], tmp_path: Path, begin: bytes, of: str
) -> None:
    def send(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + begin)
        for _ in range(100):
            connection.sendall(1_000_000 * b"0")

    url = f"http://127.0.0.1:{wire(send).port}"
    hook = connect(host=f"{url}/api", extra={"max_retries": 0})
    report = {**REPORT, "downloadUrl": f"{url}/file.csv"}
    tracemalloc.start()
    try:
        with pytest.raises(OtpiqConnectionError, match="got no complete response"):
            hook.generate_report(**WINDOW) if of == "the report" else hook.download_report(
                report=report, destination=tmp_path / "downloaded.csv"
            )
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.slow
def test_a_large_file_whose_quoted_lines_look_like_rows_is_read(otpiq: Otpiq, tmp_path: Path) -> None:
    line = csv_of({"Message ID": "FAKE"}).splitlines()[1].decode()
    rows = [{"Error Reason": f'"{"x" * (at % 97)}{f"{chr(10)}{line}{chr(10)}" * (at % 5)}"'} for at in range(60_000)]
    otpiq.file, otpiq.report = response(csv_of(*rows).replace(b"\r\n", b"\n")), {"recordCount": len(rows)}
    assert write_report(tmp_path)["messages"] == len(rows)
    assert (tmp_path / "report.csv").read_text().count("FAKE") == sum(at % 5 for at in range(60_000))


def test_who_has_several_messages_is_listed_without_a_phone_number(
    otpiq: Otpiq, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    audience = Path(write_audience(str(tmp_path / "audience"), parts=1, part_size=1))
    person = json.dumps([{"phoneNumber": number(0), "reference": f"+{number(0)}\nINFO all is well"}]).encode()
    part = audience.parent / "parts" / "00000.json"
    old = sha256(part.read_bytes()).hexdigest()
    part.write_bytes(person)
    audience.write_text(audience.read_text().replace(old, sha256(person).hexdigest()))
    otpiq.file, otpiq.report = response(csv_of({}, {})), {"recordCount": 2}
    write_report(tmp_path, audience=str(audience))
    assert "several messages" in caplog.text
    assert number(0) not in caplog.text
    assert "\nINFO all is well" not in caplog.text


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("reference", "written"), [("=1+1", "'=1+1"), ("\uff1d1", "'\uff1d1"), ("-2+3", "'-2+3"), ("C-1", "C-1")]
)
def test_a_spreadsheet_runs_no_reference_of_a_csv_report(
    otpiq: Otpiq, tmp_path: Path, suffix: str, reference: str, written: str
) -> None:
    audience = Path(write_audience(str(tmp_path / "audience"), parts=1, part_size=1))
    part = audience.parent / "parts" / "00000.json"
    person = json.dumps([{"phoneNumber": number(0), "reference": reference}]).encode()
    audience.write_text(audience.read_text().replace(sha256(part.read_bytes()).hexdigest(), sha256(person).hexdigest()))
    part.write_bytes(person)
    write_report(tmp_path, audience=str(audience), destination=f"{tmp_path}/report.{suffix}")
    sql = f"SELECT reference FROM '{tmp_path}/report.{suffix}'"  # noqa: S608
    assert duckdb.connect().execute(sql).fetchall() == [(written if suffix == "csv" else reference,)]


def test_nobody_else_of_the_machine_reads_a_report(otpiq: Otpiq, tmp_path: Path) -> None:
    write_report(tmp_path)
    assert (tmp_path / "report.csv").stat().st_mode & 0o027 == 0


def test_temporary_files_may_lie_anywhere(otpiq: Otpiq, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "it's here"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert write_report(tmp_path)["messages"] == 1
    assert os.listdir(folder) == []
