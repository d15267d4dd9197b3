"""Requests that are not sent, over real sockets: no outcome is unknown, and no secret is shown."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from traceback import TracebackException
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqError,
    OtpiqOutcomeUnknownError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from tests.conftest import API_KEY
from tests.fakes import CAMPAIGN_ID
from tests.wire import INTERNALS, full_queue, persistent, refusing_port, reset, send

SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "requests_ca_bundle", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def start(
    connect: Callable[..., OtpiqHook],
    sleep_calls: list[float],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., OtpiqError]:
    """Start a campaign over a connection that fails, and give the error, in which no secret was found."""

    def start(host: str | None = None, **extra: float) -> OtpiqError:
        caplog.set_level(logging.DEBUG)
        with pytest.raises(OtpiqError) as caught:
            connect(host=host, extra=extra).start_campaign(campaign_id=CAMPAIGN_ID)
        told = "".join([*TracebackException.from_exception(caught.value).format(), caplog.text, *capfd.readouterr()])
        assert SECRET not in told
        assert API_KEY not in told
        assert not INTERNALS.search(str(caught.value))
        assert not caught.value.may_have_taken_effect
        retried = isinstance(caught.value, OtpiqConnectionError)
        assert sleep_calls == ([1, 2] if retried else [])
        return caught.value

    return start


def status(code: int) -> Callable[[Any], object]:
    return send(b"HTTP/1.1 %d Whatever\r\nContent-Length: 0\r\n\r\n" % code)


def greet(data: bytes) -> Callable[[Any], None]:
    def script(connection: Any) -> None:
        connection.recv(65536)  # TLS's client hello
        connection.sendall(data)

    return script


def reset_tls(connection: Any) -> None:
    connection.recv(1)
    reset(connection)


def silence(connection: Any) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (status(407), OtpiqConfigurationError, "407. Check HTTPS_PROXY"),
        (status(403), OtpiqConfigurationError, "403. Check HTTPS_PROXY"),
        (status(502), OtpiqConnectionError, "502 to CONNECT"),
        (status(429), OtpiqConnectionError, "429 to CONNECT"),
        (send(b"220 smtp ESMTP\r\n"), OtpiqConnectionError, "the proxy failed: http.client.BadStatusLine"),
        (send(b""), OtpiqConnectionError, "the proxy failed: http.client.RemoteDisconnected"),
        (reset, OtpiqConnectionError, "Connection reset by peer"),
    ],
    ids=["407", "403", "502", "429", "smtp", "hung up", "reset"],
)
def test_a_proxy_that_opens_no_tunnel(
    start: Callable[..., OtpiqError],
    wire: Any,
    monkeypatch: pytest.MonkeyPatch,
    script: Any,
    error: type[OtpiqError],
    said: str,
) -> None:
    proxy = wire(script)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
    raised = start()
    assert type(raised) is error
    assert said in str(raised)
    assert len(proxy.first_lines) == (3 if error is OtpiqConnectionError else 1)
    assert all(line.startswith("CONNECT api.otpiq.com:443 ") for line in proxy.first_lines)


MALFORMED = "HTTPS_PROXY (or ALL_PROXY) on the worker is not a valid URL"


@pytest.mark.parametrize(
    ("url", "error", "said"),
    [
        ("http://user:{secret}#more@127.0.0.1:3128", OtpiqConfigurationError, MALFORMED),
        ("http://user:{secret}/more@127.0.0.1:3128", OtpiqConfigurationError, MALFORMED),
        ("http://user:{secret}@127.0.0.1:port", OtpiqConfigurationError, MALFORMED),
        ("http://user:{secret}@[::1", OtpiqConfigurationError, MALFORMED),
        ("http://user:{secret}@a..com:3128", OtpiqConfigurationError, MALFORMED),
        ("http://user:{secret}@", OtpiqConfigurationError, MALFORMED),
        ("ftp://user:{secret}@127.0.0.1:3128", OtpiqConfigurationError, MALFORMED),
        ("socks5://user:{secret}@127.0.0.1:{refusing}", OtpiqConfigurationError, "PySocks"),
        ("http://user:{secret}@127.0.0.1:{refusing}", OtpiqConnectionError, "the proxy failed: Connection refused"),
        ("https://user:{secret}@127.0.0.1:{plain}", OtpiqConfigurationError, "the proxy does not speak TLS"),
    ],
)
def test_a_proxy_that_cannot_be_used(
    start: Callable[..., OtpiqError],
    wire: Any,
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    error: type[OtpiqError],
    said: str,
) -> None:
    plain = wire(greet(b"HTTP/1.1 400 Bad Request\r\n\r\n"), reads=False).port
    variable = "all_proxy" if url.startswith("ftp") else "HTTPS_PROXY"
    monkeypatch.setenv(variable, url.format(secret=SECRET, refusing=refusing_port(), plain=plain))
    raised = start()
    assert type(raised) is error
    assert said in str(raised)
    assert "more" not in str(raised)


@pytest.mark.parametrize(("variable", "content"), [("REQUESTS_CA_BUNDLE", None), ("CURL_CA_BUNDLE", "no certificate")])
def test_certificate_authorities_that_cannot_be_read(
    start: Callable[..., OtpiqError],
    wire: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    content: str | None,
) -> None:
    if content:
        (tmp_path / "ca.pem").write_text(content)
    monkeypatch.setenv(variable, str(tmp_path / "ca.pem"))
    server = wire(greet(b""), reads=False)
    raised = start(f"https://127.0.0.1:{server.port}/api")
    assert type(raised) is OtpiqConfigurationError
    assert "REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) on the worker must be a file" in str(raised)


@pytest.mark.parametrize("host", ["a..com", f"{'a' * 64}.com", "*.otpiq.com", "a\u2024.com"])
def test_a_host_that_cannot_be_one(sandbox_hook: OtpiqHook, start: Callable[..., OtpiqError], host: str) -> None:
    sandbox_hook.get_project_info()  # that this was sent says nothing of the next request
    raised = start(f"https://{host}/api")
    assert type(raised) is OtpiqConfigurationError
    assert "the connection's host does not have a valid host name" in str(raised)


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1:{}/api", "https://127.0.0.1:{}/api", "https://api.otpiq.invalid/api"]
)
def test_no_connection(start: Callable[..., OtpiqError], host: str) -> None:
    raised = start(host.format(refusing_port()))
    assert type(raised) is OtpiqConnectionError
    assert ("https://api.otpiq.invalid/api failed: " if "invalid" in host else "Connection refused") in str(raised)


def test_no_connection_in_time(start: Callable[..., OtpiqError]) -> None:
    with full_queue() as port:
        raised = start(f"https://127.0.0.1:{port}/api", connect_timeout=0.2, read_timeout=0.1)
    assert type(raised) is OtpiqConnectionError
    assert "timed out (connect_timeout is 0.2 s)" in str(raised)


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (greet(b"HTTP/1.1 400 Bad Request\r\n\r\n"), OtpiqConfigurationError, "does not speak TLS at this address"),
        (greet(b"220 smtp.example.com ESMTP\r\n"), OtpiqConfigurationError, "does not speak TLS at this address"),
        (greet(b"\x15\x03\x03\x00\x02\x02\x28"), OtpiqConnectionError, "TLS failed ("),
        (greet(b""), OtpiqConnectionError, "TLS failed ("),
        (reset_tls, OtpiqConnectionError, "Connection reset by peer"),
        (silence, OtpiqConnectionError, "timed out (connect_timeout is 0.1 s)"),
        (None, OtpiqConfigurationError, "is not trusted (self-signed certificate in certificate chain)"),
    ],
    ids=["http", "smtp", "alert", "closed", "reset", "silence", "not trusted"],
)
def test_no_tls(
    start: Callable[..., OtpiqError], wire: Any, certificate: Path, script: Any, error: type[OtpiqError], said: str
) -> None:
    server = wire(script or persistent(b"", certificate), reads=False)
    timeout = 0.1 if script is silence else 5  # nobody waits for the others, however busy the machine is
    raised = start(f"https://127.0.0.1:{server.port}/api", connect_timeout=timeout)
    assert type(raised) is error
    assert said in str(raised)
    assert server.connections == (3 if error is OtpiqConnectionError else 1)


@contextlib.contextmanager
def execution_timeout(seconds: float) -> Iterator[None]:
    """Airflow's own way to end a task: a signal, whose handler raises."""

    def raise_timeout(*_: object) -> None:
        raise AirflowTaskTimeout("Timeout, PID: 1")

    before = signal.signal(signal.SIGALRM, raise_timeout)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # urllib3 leaves its socket open
def test_an_execution_timeout_while_connecting_is_not_an_unknown_outcome(
    connect: Callable[..., OtpiqHook], scheme: str
) -> None:
    with full_queue() as port, pytest.raises(AirflowTaskTimeout), execution_timeout(0.1):
        connect(host=f"{scheme}://127.0.0.1:{port}/api").start_campaign(campaign_id=CAMPAIGN_ID)


def test_an_execution_timeout_after_the_request_was_sent_is_one(connect: Callable[..., OtpiqHook], wire: Any) -> None:
    def time_out(connection: Any) -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)
        silence(connection)

    server = wire(time_out)
    host = f"http://127.0.0.1:{server.port}/api"
    with pytest.raises(OtpiqOutcomeUnknownError, match="AirflowTaskTimeout"), execution_timeout(60):
        connect(host=host).start_campaign(campaign_id=CAMPAIGN_ID)
    assert server.first_lines == [f"POST /api/whatsapp/campaigns/{CAMPAIGN_ID}/start HTTP/1.1"]


def test_a_response_over_a_tunnel_that_is_lost_leaves_the_outcome_unknown(
    connect: Callable[..., OtpiqHook], wire: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = send(b"HTTP/1.1 200 OK\r\n\r\n")
    lost = persistent(b"", certificate)

    def tunnel(connection: Any) -> None:
        accept(connection)
        lost(connection)

    proxy = wire(tunnel)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    hook = connect(host="https://127.0.0.1:1/api", extra={"read_timeout": 0.3})
    with pytest.raises(OtpiqOutcomeUnknownError, match=r"timed out \(read_timeout is 0\.3 s\)") as caught:
        hook.start_campaign(campaign_id=CAMPAIGN_ID)
    assert SECRET not in str(caught.value)
    assert proxy.requests == 1
