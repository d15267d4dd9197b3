"""The download of a report's file: complete or not at all, from a public address, and without the API key."""

import gzip
import socket
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from requests_mock import Mocker

from airflow_provider_otpiq._http import download
from airflow_provider_otpiq._http.download import RowCounter
from airflow_provider_otpiq._http.public_address import is_public
from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqDownloadError,
    OtpiqReportError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from tests.conftest import API_KEY
from tests.wire import Wire, response, send

REPORT_ID = "665f1c2ab3d4e5f6012345ff"
CSV = b'Phone Number,Error Reason\r\n9647701234567,\r\n9647701234568,"a ""line""\nbreak"\r\n'
CDN = "https://cdn.otpiq.example/file.csv?signature=secret"


def report(url: str, rows: int = 2, **more: Any) -> dict[str, Any]:
    return {"_id": REPORT_ID, "downloadUrl": url, "recordCount": rows, "status": "available", **more}


@pytest.fixture
def download_from(wire: Callable[..., Wire], connect: Callable[..., OtpiqHook], tmp_path: Path) -> Callable[..., bytes]:
    """Download from a server on the connection's own host and port; it sends one script after the other."""

    def run(*scripts: Any, rows: int = 2, **extra: Any) -> bytes:
        remaining = list(scripts)

        def script(connection: socket.socket) -> None:
            (remaining.pop(0) if len(remaining) > 1 else remaining[0])(connection)

        server = wire(script)
        hook = connect(host=f"http://127.0.0.1:{server.port}/api", extra={"max_retries": 0, "read_timeout": 2, **extra})
        target = tmp_path / "folder" / "report.csv"
        try:
            hook.download_report(report=report(f"http://127.0.0.1:{server.port}/files/a.csv", rows), destination=target)
        finally:
            left = [path.name for path in tmp_path.rglob("*") if path.is_file()]
            assert left in ([], ["report.csv"])
        return target.read_bytes()

    return run


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", 0),
        ("a,b", 0),
        ("a,b\n", 0),
        ("a,b\n1,2", 1),
        ("a,b\r\n1,2\r\n", 1),
        ('a,b\n1,"x\ny"\n2,"""\n"""\n', 2),
        ('"a\nb",c\n1,2\n', 1),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_rows_are_counted_wherever_the_chunks_end(text: str, rows: int, size: int) -> None:
    counter = RowCounter()
    for at in range(0, len(text), size):
        counter.add(text[at : at + size].encode())
    assert counter.rows == rows


@pytest.mark.parametrize("rows", [0, 1, 3, 1000])
def test_other_rows_than_the_report_says_are_an_error_and_no_file(
    download_from: Callable[..., Any], tmp_path: Path, rows: int
) -> None:
    with pytest.raises(OtpiqDownloadError, match=f"OTPIQ reports {rows:,}"):
        download_from(send(response(CSV)), rows=rows)
    assert list((tmp_path / "folder").iterdir()) == []
    assert download_from(send(response(CSV))) == CSV
    with pytest.raises(OtpiqDownloadError):
        download_from(send(response(CSV)), rows=rows)
    assert (tmp_path / "folder" / "report.csv").read_bytes() == CSV


@pytest.mark.parametrize("body", [CSV[:-30], CSV[:20]])
def test_a_cut_file_is_an_error_and_is_fetched_again(
    download_from: Callable[..., Any], body: bytes, sleep_calls: Any
) -> None:
    cut = send(response(body, Content_Length=str(len(CSV))))
    with pytest.raises(OtpiqConnectionError, match="IncompleteRead"):
        download_from(cut)
    assert download_from(cut, send(response(CSV)), max_retries=1) == CSV


def test_a_compressed_file_is_decompressed(download_from: Callable[..., Any]) -> None:
    assert download_from(send(response(gzip.compress(CSV), Content_Encoding="gzip"))) == CSV
    many = CSV + b"1,2\n" * 200_000
    assert download_from(send(response(gzip.compress(many), Content_Encoding="gzip")), rows=200_002) == many


def test_a_file_has_a_size_limit(download_from: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 2_000_000)  # to save time
    bomb = gzip.compress(b" " * 50_000_000)
    with pytest.raises(OtpiqDownloadError, match="more than 2,000,000 bytes"):
        download_from(send(response(bomb, Content_Encoding="gzip")))
    with pytest.raises(OtpiqDownloadError, match="more than 2,000,000 bytes"):
        download_from(send(response(b" " * 2_000_001)))


def test_a_file_has_a_time_limit(download_from: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download._FileResponse, "total_timeout", 0.3)  # to save time

    def drip(connection: socket.socket) -> None:
        connection.sendall(response(b"", Content_Length="1000000"))
        while True:
            connection.sendall(b"x")
            connection.recv(0)

    with pytest.raises(OtpiqConnectionError, match="timed out"):
        download_from(drip)


# Where it may be


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1",
        "2001::1", "2001:db8::1", "fe80::1", "fe80::1%1", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "100::1",
    ],
)  # fmt: skip
def test_what_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_what_is_public(address: str) -> None:
    assert is_public(address)


def refused(hook: OtpiqHook, url: str, tmp_path: Path) -> str:
    with pytest.raises(OtpiqReportError) as caught:
        hook.download_report(report=report(url), destination=tmp_path / "report.csv")
    assert not (tmp_path / "report.csv").exists()
    assert "secret" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0", "127.1", "localhost."),
    ],
)
def test_an_address_within_the_network_is_refused(
    hook: OtpiqHook, wire: Callable[..., Wire], tmp_path: Path, host: str
) -> None:
    server = wire(send(response(CSV)), reads=False)
    refused(hook, f"https://{host}:{server.port}/file.csv?signature=secret", tmp_path)
    assert server.connections == 0


@pytest.mark.parametrize("addresses", [["10.0.0.7"], ["1.1.1.1", "10.0.0.7"], ["::ffff:10.0.0.7"]])
def test_a_name_that_resolves_to_a_private_address_is_refused(
    hook: OtpiqHook, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, addresses: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (each, 443)) for each in addresses])
    assert "cdn.otpiq.example resolves to" in refused(hook, CDN, tmp_path)


def test_nothing_is_sent_to_a_name_that_resolves_to_a_private_address_a_moment_later(
    hook: OtpiqHook, wire: Callable[..., Wire], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: SimpleQueue[bytes] = SimpleQueue()
    server = wire(lambda connection: received.put(connection.recv(100)), reads=False)
    addresses = ["127.0.0.1", "1.1.1.1"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", (addresses.pop(), server.port))])
    url = f"https://cdn.otpiq.example:{server.port}/file.csv"
    assert "resolves to 127.0.0.1, which is not a public address" in refused(hook, url, tmp_path)
    assert received.get(timeout=5) == b""
    assert (server.connections, addresses) == (1, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://cdn.otpiq.example/file.csv", "ftp://cdn.otpiq.example/file.csv", "file:///etc/passwd", "//cdn/x", "x",
        "data:text/csv,a", "http://127.0.0.1:80/file.csv", "http://127.0.0.1:8@10.0.0.7/x", "http://127.0.0.1:8.example/x",
    ],
)  # fmt: skip
def test_anything_but_https_and_the_connections_own_host_is_refused(
    connect: Callable[..., OtpiqHook], tmp_path: Path, url: str
) -> None:
    assert "its address must be https" in refused(connect(host="http://127.0.0.1:8/api"), url, tmp_path)


def redirect(url: str) -> bytes:
    return response(b"", "302 Found", Location=url)


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254/latest/meta-data", "https://localhost/x", "http://localhost/x", "file:///etc/passwd",
        "//localhost/x", "https://2130706433/",
    ],
)  # fmt: skip
def test_a_redirect_to_elsewhere_is_refused(download_from: Callable[..., Any], url: str) -> None:
    with pytest.raises(OtpiqReportError, match="was refused"):
        download_from(send(redirect(url)))


def test_two_redirects_are_followed_and_a_third_is_not(download_from: Callable[..., Any]) -> None:
    there = send(redirect("/elsewhere"))
    assert download_from(there, there, send(response(CSV))) == CSV
    with pytest.raises(OtpiqReportError, match="redirected more than 2 times"):
        download_from(there, there, there, send(response(CSV)))


def test_the_api_key_goes_nowhere(wire: Callable[..., Wire], connect: Callable[..., OtpiqHook], tmp_path: Path) -> None:
    heads: list[bytes] = []

    def script(connection: socket.socket) -> None:
        heads.append(connection.recv(65536))
        connection.sendall(redirect("/b.csv") if len(heads) == 1 else response(CSV))

    server = wire(script, reads=False)
    hook = connect(host=f"http://127.0.0.1:{server.port}/api")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    hook.download_report(report=report(f"http://127.0.0.1:{server.port}/a.csv"), destination=tmp_path / "report.csv")
    assert len(heads) == 2
    for head in heads:
        assert API_KEY.encode() not in head
        assert b"authorization" not in head.lower()
        assert b"airflow" not in head.lower()


def test_an_https_file_of_a_public_host(hook: OtpiqHook, requests_mock: Mocker, tmp_path: Path) -> None:
    requests_mock.get(CDN, content=CSV)
    assert hook.download_report(report=report(CDN), destination=str(tmp_path / "report.csv")) == str(
        tmp_path / "report.csv"
    )
    (request,) = requests_mock.request_history
    assert "Authorization" not in request.headers
    assert (tmp_path / "report.csv").read_bytes() == CSV


def test_a_host_that_is_not_there_is_told_without_the_url(
    hook: OtpiqHook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sleep_calls: list[float]
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(OtpiqConnectionError, match="Name or service not known") as caught:
        hook.download_report(report=report(CDN), destination=tmp_path / "report.csv")
    assert "secret" not in str(caught.value)
    assert len(sleep_calls) == 2


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"status": "expired"}, "must be available; found 'expired'"),
        ({"recordCount": None}, "must be a report as generate_report or list_reports returns it"),
        ({"downloadUrl": ""}, "must be a report"),
    ],
)
def test_a_report_that_cannot_be_downloaded(hook: OtpiqHook, tmp_path: Path, wrong: dict[str, Any], text: str) -> None:
    with pytest.raises(OtpiqValidationError, match=text):
        hook.download_report(report=report(CDN) | wrong, destination=tmp_path / "report.csv")


@pytest.mark.parametrize("destination", ["", None, "folder/"])
def test_a_destination_is_a_file(hook: OtpiqHook, destination: Any) -> None:
    with pytest.raises(OtpiqValidationError, match="destination: "):
        hook.download_report(report=report(CDN), destination=destination)
