"""The middleware before the sandbox's API: it logs each request, checks the API key, and applies a fault."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow_provider_otpiq.sandbox.responses import Response, call_app, make_response, send_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from airflow_provider_otpiq.sandbox.faults import Fault
    from airflow_provider_otpiq.sandbox.state import SandboxState

_UNAUTHORIZED = {"message": "Unauthorized, please use your project api key"}  # as documented


class FaultMiddleware:
    """
    ASGI middleware that logs requests to the API, checks the API key, and applies armed faults.

    :param app: the application that it wraps.
    :param state: the sandbox's state.
    """

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith("/api/"):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        received = self._state.log_request(scope["method"], scope["path"], body)
        if not self._is_authorized(scope):
            received.status = 401
            await send_response(make_response(401, _UNAUTHORIZED), None, send, asyncio.Event())
            return
        fault = self._state.take_fault(scope["method"], scope["path"])
        response = await self._process(scope, body, fault)
        if fault and fault.delay:
            await asyncio.sleep(fault.delay)
        if response is None:
            self._state.drop_connection(scope["client"])
            return
        received.status = response.status
        disconnected = asyncio.Event()
        watch = asyncio.create_task(_watch_disconnect(receive, disconnected))
        try:
            await send_response(response, fault, send, disconnected)
        finally:
            watch.cancel()

    async def _process(self, scope: Scope, body: bytes, fault: Fault | None) -> Response | None:
        """Process the request unless a fault prevents it; return None if no response is to be sent."""
        processed = await call_app(self._app, scope, body) if fault is None or fault.is_processed else None
        if fault and fault.connection == "drop":
            return None
        if fault and fault.status is not None:
            return make_response(fault.status, fault.body, fault.headers)
        return processed

    def _is_authorized(self, scope: Scope) -> bool:
        return (b"authorization", f"Bearer {self._state.api_key}".encode()) in scope["headers"]


async def _read_body(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _watch_disconnect(receive: Receive, disconnected: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    disconnected.set()
