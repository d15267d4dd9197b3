"""
A requests session whose answers end in time, whatever the other side sends.

requests' own read timeout applies to each read, so an answer that comes byte by byte would hold a worker for ever, in
its headers as much as in its body. Here a whole answer has twice the read timeout, counted from when the request was
sent. What comes before (name lookup, connecting, TLS's greeting) has requests' connect timeout only.
"""

from __future__ import annotations

import io
import time
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    import socket

    from typing_extensions import Buffer

LARGEST_ANSWER = 8 * 1024 * 1024
_PART = 64 * 1024


class _TimedStream(io.RawIOBase):
    """What a socket receives, until the time for the whole of it is over."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket) -> None:
        self._stream = stream
        self._socket = connected
        self._read_timeout = connected.gettimeout() or float("inf")
        self._over_at = time.monotonic() + 2 * self._read_timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        left = self._over_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer was not whole after twice the read timeout")
        if left < self._read_timeout:
            self._socket.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Everything is read through `fp`: the status line, interim answers, headers, chunk sizes and the body.
        self.fp = io.BufferedReader(_TimedStream(self.fp.detach(), sock))


class _HTTPConnection(HTTPConnection):
    response_class = _TimedResponse


class _HTTPSConnection(HTTPSConnection):
    response_class = _TimedResponse


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _timed(manager: Any) -> Any:
    # A SOCKS proxy's manager has pools of its own; its answers have requests' read timeout only.
    if manager.pool_classes_by_scheme["https"] is urllib3.HTTPSConnectionPool:
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _timed(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _timed(super().proxy_manager_for(*args, **kwargs))


class Session(requests.Session):
    """A session whose answers end in time, and which never follows a redirect: that would take the key along."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())

    def get_redirect_target(self, resp: requests.Response) -> None:
        """
        Find no target: even with ``allow_redirects=False``, requests would read and parse it without limits.

        :param resp: any answer.
        :return: None.
        """
        return


class BearerAuth(AuthBase):
    """The API key as an auth object: without one, requests would put a key from ``.netrc`` in its place."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into a request, as requests has it."""
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def read_whole(response: requests.Response) -> bytes | None:
    """
    Read an answer.

    :param response: an answer whose body was not read yet.
    :return: its body; None if it is far too large.
    """
    content = bytearray()
    for part in response.iter_content(_PART):
        content += part
        if len(content) > LARGEST_ANSWER:
            return None
    return bytes(content)
