"""The middleware that rejects requests from web pages in a browser on this machine."""

from __future__ import annotations

import asyncio
import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_otpiq.sandbox.responses import make_response, send_response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_PRIVATE_DOMAINS = (".internal", ".local", ".localhost", ".test")
"""Domains that public DNS does not have."""


class LocalRequestsMiddleware:
    """
    ASGI middleware that rejects requests from web pages, also if the page's own domain resolves to this machine.

    The ``Host`` of a request must be loopback or an address in ``bound``, on which the sandbox listens. If it listens
    on all addresses, as in a container, the ``Host`` may be any address, or a name that public DNS cannot have. An
    ``Origin``, which browsers add, must be the sandbox's own.
    """

    def __init__(self, app: ASGIApp, *bound: str) -> None:
        self._app = app
        self._bound = {name.lower() for name in bound}
        self._is_everywhere = any(_is_address(name) and ipaddress.ip_address(name).is_unspecified for name in bound)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope.get("headers", ())}
        if error := self._error(headers.get("host", ""), headers.get("origin")):
            await send_response(make_response(403, {"message": error}), None, send, asyncio.Event())
        else:
            await self._app(scope, receive, send)

    def _error(self, host: str, origin: str | None) -> str | None:
        if not self._is_own(host):
            return "Host: not an address of the sandbox; use the address that it listens on"
        if origin is not None and origin.partition("://")[2].lower() != host.lower():
            return "Origin: not the sandbox's; web pages of other origins have no access"
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._bound or name == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback):
            return True
        is_private = "." not in name or name.endswith(_PRIVATE_DOMAINS)
        return self._is_everywhere and bool(name) and (_is_address(name) or is_private)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
