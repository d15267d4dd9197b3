"""The middleware that logs requests, checks the API key, and applies faults and deviations."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox.deviations import DEVIATIONS
from airflow_provider_otpiq.sandbox.exchange import Exchange
from airflow_provider_otpiq.sandbox.faults import call_of
from airflow_provider_otpiq.sandbox.responses import Response, call_app, make_response, replay, send_response
from airflow_provider_otpiq.sandbox.service import BadRequestError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_otpiq.sandbox.faults import Call, Fault
    from airflow_provider_otpiq.sandbox.request_log import LoggedRequest
    from airflow_provider_otpiq.sandbox.state import SandboxState

_DOWNLOADS = "/files/"
_CAMPAIGN = re.compile("/api/whatsapp/campaigns/(?P<id>[^/]+)")
_UNAUTHORIZED = {"message": "Unauthorized, please use your project api key"}  # as documented
_UNEXPECTED_KEY = {"error": "Authorization: a download must not have this header; the API key is for OTPIQ's API only"}


class FaultMiddleware:
    """ASGI middleware for the API and the downloads: it logs requests, checks the API key and applies armed faults."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or not scope["path"].startswith(("/api/", _DOWNLOADS)):
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        received = self._state.log_request(scope["method"], scope["path"], body)
        send = _log_status(send, received)
        if refusal := self._refuse(scope):
            await send_response(refusal, None, send, asyncio.Event())
        elif fault := self._state.take_fault(scope["method"], scope["path"]):
            await self._apply(fault, scope, body, receive, send)
        else:
            await self._app(scope, replay(body, receive), send)

    async def _apply(self, fault: Fault, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        response = await self._process(scope, body, fault)
        if fault.delay:
            await asyncio.sleep(fault.delay)
        if response is None:
            self._state.drop_connection(scope["client"])
            return
        disconnected = asyncio.Event()
        watch = asyncio.create_task(_watch_disconnect(receive, disconnected))
        try:
            await send_response(response, fault, send, disconnected)
        finally:
            watch.cancel()

    async def _process(self, scope: Scope, body: bytes, fault: Fault) -> Response | None:
        """Process the request unless a fault prevents it; return None to send no response."""
        processed = await call_app(self._app, scope, body) if fault.is_processed else None
        if fault.connection == "drop":
            return None
        if fault.status is not None:
            return make_response(fault.status, fault.body, fault.headers)
        return processed

    def _refuse(self, scope: Scope) -> Response | None:
        """Return the error of an API request without the key, or of a download with one."""
        if scope["path"].startswith(_DOWNLOADS):
            carries_key = any(name == b"authorization" for name, _ in scope["headers"])
            return make_response(400, _UNEXPECTED_KEY) if carries_key else None
        authorized = (b"authorization", f"Bearer {self._state.api_key}".encode()) in scope["headers"]
        return None if authorized else make_response(401, _UNAUTHORIZED)


class DeviationMiddleware:
    """ASGI middleware that changes requests and responses as the sandbox's deviations do."""

    def __init__(self, app: ASGIApp, state: SandboxState) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        call = call_of(scope["method"], scope["path"]) if self._state.deviations and scope["type"] == "http" else None
        if call is None:
            await self._app(scope, receive, send)
            return
        raw_body = await _read_body(receive)
        exchange = self._exchange(call, scope["path"], raw_body)
        deviations = [DEVIATIONS[name] for name in self._state.deviations if call in DEVIATIONS[name].calls]
        try:
            for deviation in deviations:
                if deviation.before and isinstance(exchange.body, dict):
                    deviation.before(exchange)
        except BadRequestError as error:
            exchange.status, exchange.content = 400, {"error": str(error)}
        else:
            changed = raw_body if exchange.body is None else json.dumps(exchange.body).encode()
            response = await call_app(self._app, scope, changed)
            exchange.status, exchange.content = response.status, _parse(response.body)
            exchange.headers = {"content-type": dict(response.headers)[b"content-type"].decode()}
        for deviation in deviations:
            if deviation.after:
                deviation.after(exchange)
        response = make_response(exchange.status, exchange.content, exchange.headers)
        await send_response(response, None, send, asyncio.Event())

    def _exchange(self, call: Call, path: str, raw_body: bytes) -> Exchange:
        campaigns = self._state.campaigns
        found = _CAMPAIGN.match(path)
        campaign = campaigns.find(found["id"]) if found else None
        body = _parse(raw_body)
        return Exchange(call, body if isinstance(body, dict) else None, campaign, campaigns.names, self._state.now())


def _parse(body: bytes) -> Any:
    """Return a body's JSON, or its text."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _log_status(send: Send, received: LoggedRequest) -> Send:
    async def send_and_log(message: Message) -> None:
        if message["type"] == "http.response.start":
            received.status = message["status"]
        await send(message)

    return send_and_log


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
