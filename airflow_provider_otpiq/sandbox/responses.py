"""Responses: taken from an application or created, and sent complete or with a fault."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_otpiq.sandbox.faults import Fault


@dataclass
class Response:
    """A response, before it is sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


async def call_app(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """Return an application's response to a request, without sending it."""
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, replay(body, never), send)
    start, *rest = sent
    return Response(start["status"], start["headers"], b"".join(part.get("body", b"") for part in rest))


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that first returns a body that has already been read."""
    unread = [body]

    async def replayed() -> Message:
        return {"type": "http.request", "body": unread.pop()} if unread else await receive()

    return replayed


def make_response(status: int, body: Any, headers: dict[str, str] | None = None) -> Response:
    """Create a response: a string is sent as HTML, anything else as JSON; headers may replace the default ones."""
    is_html = isinstance(body, str)
    content = body.encode(errors="replace") if is_html else json.dumps(body).encode()
    default = {"content-type": "text/html" if is_html else "application/json", "content-length": str(len(content))}
    own = {name.lower(): value for name, value in (headers or {}).items()}
    return Response(status, [(name.encode(), value.encode()) for name, value in (default | own).items()], content)


async def send_response(response: Response, fault: Fault | None, send: Send, disconnected: asyncio.Event) -> None:
    """Send a response, complete or with a fault, until ``disconnected`` is set."""
    connection = fault.connection if fault else "keep"
    headers, parts = response.headers, iter([response.body])
    if connection == "cut":
        parts = iter([response.body[: len(response.body) // 2]])
    if connection == "endless":
        headers = [pair for pair in headers if pair[0].lower() != b"content-length"]
        parts = repeat(b" " * 65536)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await _send_parts(parts, send, disconnected)
    # If the end of the body is missing, the server closes the connection.
    if connection != "cut":
        await send({"type": "http.response.body"})


async def _send_parts(parts: Iterable[bytes], send: Send, disconnected: asyncio.Event) -> None:
    for part in parts:
        if disconnected.is_set():
            return
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0)
