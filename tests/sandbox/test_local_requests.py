"""Requests from web pages in a browser on this machine are rejected."""

import asyncio
import http.client
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.local_requests import LocalRequestsMiddleware
from tests.sandbox.client import created_id

pytestmark = pytest.mark.slow

CALLS = [("GET", "/"), ("GET", "/_sandbox/requests"), ("POST", "/_sandbox/reset"), ("GET", "/api/info")]


def status(sandbox: Sandbox, method: str, path: str, **headers: str) -> int:
    port = urlsplit(sandbox.url).port
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Authorization": f"Bearer {sandbox.api_key}"} | headers).items():
        connection.putheader(name, value.replace("PORT", str(port)))
    connection.endheaders()
    return connection.getresponse().status


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:PORT"},
        {"Host": "evil.example"},
        {"Host": "sandbox:PORT"},
        {"Host": "127.0.0.1.evil.example:PORT"},
        {"Host": "192.0.2.1:PORT"},
        {"Host": ""},
        {"Host": "["},
        {"Host": "evil.example:PORT", "Origin": "http://evil.example:PORT"},
        {"Host": "127.0.0.1:PORT", "Origin": "https://evil.example"},
        {"Host": "127.0.0.1:PORT", "Origin": "http://127.0.0.1"},  # another port of this machine
        {"Host": "127.0.0.1:PORT", "Origin": "http://localhost:PORT"},
        {"Host": "127.0.0.1:PORT", "Origin": "null"},
        {"Host": "127.0.0.1:PORT", "Origin": ""},
    ],
)
def test_a_web_page_is_rejected(sandbox: Sandbox, method: str, path: str, headers: dict[str, str]) -> None:
    campaign = created_id(sandbox)
    assert status(sandbox, method, path, **headers) == 403
    assert [listed["_id"] for listed in sandbox.campaigns] == [campaign]


@pytest.mark.parametrize(("method", "path"), CALLS)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "127.0.0.1:PORT"},
        {"Host": "localhost:PORT"},
        {"Host": "LOCALHOST"},
        {"Host": "127.9.9.9"},
        {"Host": "[::1]:PORT"},
        {"Host": "localhost:PORT", "Origin": "http://localhost:PORT"},
    ],
)
def test_its_own_address_is_served(sandbox: Sandbox, method: str, path: str, headers: dict[str, str]) -> None:
    assert status(sandbox, method, path, **headers) == 200


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("sandbox:8484", 200),
        ("192.0.2.1:8484", 200),
        ("host.docker.internal", 200),
        ("evil.example:8484", 403),
        ("internal.evil.example", 403),
    ],
)
@pytest.mark.parametrize("bound", ["0.0.0.0", "::"])  # noqa: S104
def test_on_all_addresses_a_name_of_public_dns_is_rejected(bound: str, host: str, expected: int) -> None:
    statuses: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    async def receive() -> Any:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    scope = {"type": "http", "headers": [(b"host", host.encode())]}
    asyncio.run(LocalRequestsMiddleware(app, bound)(scope, receive, send))
    assert statuses[0] == expected


def test_a_websocket_is_not_opened(sandbox: Sandbox) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert status(sandbox, "GET", "/_sandbox/requests", Host="evil.example", **upgrade) == 403
