"""Broken responses, over real sockets: the hook never hangs, and never retries a create on a guess."""

import gzip
import io
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqRedirectError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from dev.running_airflow import wait_until
from tests.fakes import CAMPAIGN_ID, CREATE
from tests.wire import INTERNALS, persistent, reset, send

READ_TIMEOUT = 0.1


def hang_up(connection: socket.socket) -> None:
    pass


def silence(connection: socket.socket) -> None:
    connection.recv(1)


HEAD = b"HTTP/1.1 200 OK\r\n"


def drip(head: bytes, part: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            threading.Event().wait(READ_TIMEOUT / 10)

    return script


GZIP_WITHOUT_END = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"  # its header holds a name that goes on and on


def create_or_update(hook: OtpiqHook, method: str) -> None:
    if method == "POST":
        hook.create_campaign(**CREATE)
    else:
        hook.update_campaign(campaign_id=CAMPAIGN_ID, name="Winter")


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
INCOMPLETE_RESPONSES = {
    "reset": reset,
    "hung up": hang_up,
    "silence": silence,
    "cut short": send(HEAD + b'Content-Length: 99\r\n\r\n{"success": true'),
    "cut short in a chunk": send(CHUNKED + b'63\r\n{"success": true'),
    "a header line without end": send(HEAD + b"X-A: " + b"a" * 70000),
    "damaged gzip": send(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
    "dripping headers": drip(HEAD + b"X-A: ", b"a"),
    "a dripping status line": drip(b"HTTP/1.1 200 O", b"K"),
    "dripping interim responses": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a dripping chunk size": drip(CHUNKED + b"5;", b"a"),
    "dripping gzip": drip(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 99999\r\n\r\n" + GZIP_WITHOUT_END, b"a"),
    "a dripping redirect": drip(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 9999\r\n\r\n", b" "),
    "a dripping body": drip(HEAD + b"Content-Length: 9999\r\n\r\n", b" "),
    "dripping chunks": drip(CHUNKED, b"1\r\n \r\n"),
    "one dripping chunk": drip(CHUNKED + b"ffff\r\n", b" "),
}


@pytest.mark.parametrize(
    ("method", "name"),
    [*(("POST", name) for name in INCOMPLETE_RESPONSES), ("PATCH", "silence"), ("PATCH", "dripping headers")],
)
def test_an_incomplete_response(
    connect: Callable[..., OtpiqHook], wire: Any, sleep_calls: list[float], method: str, name: str
) -> None:
    server = wire(INCOMPLETE_RESPONSES[name])
    host = f"http://127.0.0.1:{server.port}/api"
    hook = connect(host=host, extra={"read_timeout": READ_TIMEOUT, "max_retries": 1})
    began = time.monotonic()
    with pytest.raises(OtpiqConnectionError) as caught:
        create_or_update(hook, method)
    assert caught.value.status_code is None
    assert caught.value.may_have_taken_effect
    assert caught.value.__context__ is None
    assert not INTERNALS.search(str(caught.value))
    took = time.monotonic() - began
    expected = 1 if method == "POST" else 2
    wait_until(lambda: server.requests == expected, 10)  # the hook may give up before the server has read
    assert took < expected * 2 * READ_TIMEOUT + 5


@pytest.mark.parametrize("location", [b"http://[", b"/\xff\xfe", b"https://example.com/", b""])
def test_a_redirect_is_not_parsed(connect: Callable[..., OtpiqHook], wire: Any, location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 19\r\nLocation: " + location
    server = wire(send(head + b'\r\n\r\n{"message":"moved"}'))
    with pytest.raises(OtpiqRedirectError, match="302: moved"):
        connect(host=f"http://127.0.0.1:{server.port}/api").create_campaign(**CREATE)
    assert server.requests == 1


def test_no_proxy_of_the_environment_sees_the_key_on_plain_http(
    sandbox_hook: OtpiqHook, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = wire(hang_up)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert sandbox_hook.create_campaign(**CREATE)
    assert proxy.requests == 0


def test_connecting_takes_nothing_from_the_time_for_the_response(
    connect: Callable[..., OtpiqHook], wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = wire(send(response(b'{"success": true, "data": {"_id": "665f1c2ab3d4e5f601234567"}}')))
    really_connect = socket.socket.connect

    def connect_slowly(self: socket.socket, address: Any) -> None:
        threading.Event().wait(0.9)
        really_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_slowly)
    hook = connect(host=f"http://127.0.0.1:{server.port}/api", extra={"read_timeout": 0.4})
    assert hook.create_campaign(**CREATE)["_id"] == CAMPAIGN_ID


def response(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body])


# What follows then waits in the socket, or in TLS.
EXACTLY_A_BUFFER = io.DEFAULT_BUFFER_SIZE - len(response(b"")) - len("8000") + len("0")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("size", [0, EXACTLY_A_BUFFER], ids=["small", "a buffer"])
@pytest.mark.parametrize(
    ("garbage", "connections"),
    [(b"", 1), (b"\r\n", 2), (response(b'{"projectName": "of another"}'), 2)],
    ids=["nothing", "an empty line", "another response"],
)
def test_garbage_after_a_response_is_not_taken_for_the_next_one(
    connect: Callable[..., OtpiqHook],
    wire: Any,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    size: int,
    garbage: bytes,
    connections: int,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    body = b'{"projectName": "ours"}'.ljust(size)
    server = wire(persistent(response(body) + garbage, certificate if scheme == "https" else None), reads=False)
    hook = connect(host=f"{scheme}://127.0.0.1:{server.port}/api")
    for _ in range(2):
        assert hook.get_project_info()["projectName"] == "ours"
    assert server.connections == connections


@pytest.mark.slow
def test_a_decompression_bomb_is_not_read_into_memory(connect: Callable[..., OtpiqHook], wire: Any) -> None:
    body = gzip.compress(bytes(100 * 1024 * 1024))  # some 100 KB
    server = wire(send(response(body, b"Content-Encoding: gzip")))
    hook = connect(host=f"http://127.0.0.1:{server.port}/api")
    tracemalloc.start()
    with pytest.raises(OtpiqConnectionError, match="more than 8,388,608 bytes"):
        hook.create_campaign(**CREATE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 1024 * 1024
