"""What a network does to an answer, over real sockets: the hook never hangs, and never repeats a create on a guess."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqError,
    OtpiqRedirectError,
)
from dev.running_airflow import wait_until
from tests.contract import CAMPAIGN_ID, CREATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

READ_TIMEOUT = 0.25


def read_request(connection: socket.socket) -> None:
    with connection.makefile("rb") as stream:
        length = 0
        for line in iter(stream.readline, b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        stream.read(length)


class Wire:
    """A server that reads each request whole and then does what a script says, instead of answering."""

    def __init__(self, script: Callable[[socket.socket], object]) -> None:
        self.requests = 0
        self._script = script
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listening.accept()
            except OSError:  # closed
                return
            read_request(connection)
            self.requests += 1
            threading.Thread(target=self._play, args=[connection], daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the hook hung up
            self._script(connection)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which would else go on with a reused descriptor
        self._thread.join()
        self._listening.close()


@pytest.fixture
def wire() -> Iterator[Callable[[Callable[[socket.socket], object]], Wire]]:
    wires: list[Wire] = []

    def start(script: Callable[[socket.socket], object]) -> Wire:
        wires.append(Wire(script))
        return wires[-1]

    yield start
    for each in wires:
        each.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket) -> None:
    pass


def silence(connection: socket.socket) -> None:
    connection.recv(1)


def cut_short(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"success": true')


def cut_short_in_a_chunk(connection: socket.socket) -> None:
    connection.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n{"success": true')


def no_http(connection: socket.socket) -> None:
    connection.sendall(b"220 smtp.example.com ESMTP\r\n")


def drip(head: bytes, part: bytes) -> Callable[[socket.socket], None]:
    def script(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(part)
            threading.Event().wait(READ_TIMEOUT / 10)

    return script


GZIP_WITHOUT_END = b"\x1f\x8b\x08\x08\0\0\0\0\0\x03"  # its header holds a name that goes on and on

drip_headers = drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a")
drip_a_status_line = drip(b"HTTP/1.1 200 O", b"K")
drip_interim_answers = drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n")
drip_a_chunk_size = drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"a")
drip_gzip = drip(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99999\r\n\r\n" + GZIP_WITHOUT_END, b"a")
drip_a_redirect = drip(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 9999\r\n\r\n", b" ")
drip_a_body = drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" ")
drip_chunks = drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")
drip_one_chunk = drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", b" ")


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def endless_redirect(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def create_or_update(hook: OtpiqHook, method: str) -> None:
    if method == "POST":
        hook.create_campaign(**CREATE)
    else:
        hook.update_campaign(campaign_id=CAMPAIGN_ID, name="Winter")


NO_WHOLE_ANSWER = [
    reset,
    hang_up,
    silence,
    cut_short,
    cut_short_in_a_chunk,
    no_http,
    drip_a_body,
    drip_chunks,
    drip_one_chunk,
    drip_headers,
    drip_a_status_line,
    drip_interim_answers,
    drip_a_chunk_size,
    drip_gzip,
    drip_a_redirect,
    endless,
    endless_redirect,
]


@pytest.mark.parametrize(
    ("method", "script"),
    [("POST", script) for script in NO_WHOLE_ANSWER] + [("PATCH", script) for script in (reset, silence, drip_headers)],
)
def test_no_whole_answer(
    connect: Callable[..., OtpiqHook], wire: Any, slept: list[float], method: str, script: Any
) -> None:
    server = wire(script)
    host = f"http://127.0.0.1:{server.port}/api"
    hook = connect(host=host, extra={"read_timeout": READ_TIMEOUT, "max_retries": 1})
    began = time.monotonic()
    with pytest.raises(OtpiqConnectionError) as caught:
        create_or_update(hook, method)
    assert caught.value.status_code is None
    assert not caught.value.never_processed
    assert caught.value.__context__ is None
    took = time.monotonic() - began
    expected = 1 if method == "POST" else 2
    wait_until(lambda: server.requests == expected, 10)  # the hook may give up before the server has read
    assert took < expected * 2 * READ_TIMEOUT + 5


def test_a_refused_connection_is_tried_again_even_for_a_create(
    connect: Callable[..., OtpiqHook], slept: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(OtpiqConnectionError, match="Connection refused") as caught:
        connect(host=f"http://127.0.0.1:{port}/api").create_campaign(**CREATE)
    assert caught.value.never_processed
    assert slept == [1, 2]


@pytest.mark.parametrize("location", [b"http://[", b"/\xff\xfe", b"https://example.com/", b""])
def test_a_redirect_is_not_even_looked_at(connect: Callable[..., OtpiqHook], wire: Any, location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 19\r\nLocation: " + location
    server = wire(lambda connection: connection.sendall(head + b'\r\n\r\n{"message":"moved"}'))
    with pytest.raises(OtpiqRedirectError, match="302: moved"):
        connect(host=f"http://127.0.0.1:{server.port}/api").create_campaign(**CREATE)
    assert server.requests == 1


def test_no_proxy_of_the_environment_sees_the_key_on_plain_http(
    connect: Callable[..., OtpiqHook], sandbox: Sandbox, wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = wire(hang_up)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert connect(host=sandbox.url, password=sandbox.api_key).create_campaign(**CREATE)
    assert proxy.requests == 0


def test_connecting_takes_nothing_from_the_time_for_the_answer(
    connect: Callable[..., OtpiqHook], wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"success": true, "data": {"_id": "665f1c2ab3d4e5f601234567"}}'
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + str(len(body)).encode() + b"\r\n\r\n"
    server = wire(lambda connection: connection.sendall(head + body))
    really_connect = socket.socket.connect

    def connect_slowly(self: socket.socket, address: Any) -> None:
        threading.Event().wait(2.2)
        really_connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_slowly)
    hook = connect(host=f"http://127.0.0.1:{server.port}/api", extra={"read_timeout": 1})
    assert hook.create_campaign(**CREATE)["_id"] == CAMPAIGN_ID


def test_no_connection_in_time_is_tried_again_even_for_a_create(
    connect: Callable[..., OtpiqHook], slept: list[float]
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        port = full.getsockname()[1]
        for _ in range(4):  # more than it queues
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        extra = {"connect_timeout": 0.3, "read_timeout": 0.1}
        hook = connect(host=f"http://127.0.0.1:{port}/api", extra=extra)
        with pytest.raises(OtpiqConnectionError, match="timed out") as caught:
            hook.create_campaign(**CREATE)
    assert caught.value.never_processed
    assert " at 0x" not in str(caught.value)
    assert slept == [1, 2]


def test_a_certificate_that_is_not_to_be_trusted_is_a_matter_of_the_connection(
    connect: Callable[..., OtpiqHook], certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def greet() -> None:
            with contextlib.suppress(OSError), context.wrap_socket(listening.accept()[0], server_side=True):
                pass

        thread = threading.Thread(target=greet, daemon=True)
        thread.start()
        port = listening.getsockname()[1]
        with pytest.raises(OtpiqConfigurationError, match="REQUESTS_CA_BUNDLE"):
            connect(host=f"https://127.0.0.1:{port}/api").create_campaign(**CREATE)
        thread.join()


def test_a_socks_proxy_is_left_to_urllib3(connect: Callable[..., OtpiqHook], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    with pytest.raises(OtpiqError, match="SOCKS"):
        connect().create_campaign(**CREATE)
