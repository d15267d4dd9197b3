"""
A requests session whose responses end in time, whatever the other side sends, and that knows what it has sent.

requests' own read timeout applies to each read, so a response that comes byte by byte would hold a worker for ever, in
its headers as much as in its body. Here a whole response has twice the read timeout, counted from when the request was
sent. What comes before (name lookup, connecting, TLS's handshake) has requests' connect timeout only.

Whether a request was sent can't be told from what a library raises: a proxy's refusal, a missing certificate file and
a lost response come as the same classes. The connection knows, as it hands the request to a connected socket or not.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
import zlib
from contextvars import ContextVar
from functools import cache
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    from typing_extensions import Buffer
    from urllib3 import HTTPConnectionPool

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024

_handed_over: ContextVar[bool] = ContextVar("otpiq_request_handed_over", default=True)


def expect_request() -> None:
    """Take note that a request is about to be made, and that none of it was sent yet."""
    _handed_over.set(False)


def was_handed_over() -> bool:
    """Tell whether the last request was handed to a connected socket. False: it provably never left this machine."""
    return _handed_over.get()


class CertificateAuthoritiesError(OSError):
    """There is no file or folder where the trusted certificate authorities should be."""


class _TimedStream(io.RawIOBase):
    """What a socket receives, until the time for the whole of it is over."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket) -> None:
        self._stream = stream
        self._socket = connected
        self._read_timeout = connected.gettimeout() or float("inf")
        self._over_at = time.monotonic() + 2 * self._read_timeout
        self.is_complete = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        if self.is_complete:
            return None
        left = self._over_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if left < self._read_timeout:
            self._socket.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _ResponseReader(io.BufferedReader):
    """A response's reader, after which a connection that has sent more than the response can't be used again."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket) -> None:
        self._stream = _TimedStream(stream, connected)
        self._socket = connected
        super().__init__(self._stream)

    def close(self) -> None:
        if not self.closed and self._holds_more():
            with contextlib.suppress(OSError, AttributeError):  # TLS within TLS has no shutdown
                self._socket.shutdown(socket.SHUT_RDWR)
        super().close()

    def _holds_more(self) -> bool:
        self._stream.is_complete = True
        unread_by_tls = getattr(self._socket, "pending", int)()
        return bool(self.peek(1) or unread_by_tls)


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Everything is read through `fp`: the status line, interim responses, headers, chunk sizes and the body.
        self.fp = _ResponseReader(self.fp.detach(), sock)

    def begin(self) -> None:
        """Refuse what follows a malformed header line: urllib3 would log it and take the rest for the body."""
        super().begin()
        assert_header_parsing(self.msg)


class _Connection(HTTPConnection):
    """What urllib3's connection classes have in common here: limits of time, and a note of what was sent."""

    response_class = _Response

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # a proxy's CONNECT and TLS included
        _handed_over.set(True)
        super().request(*args, **kwargs)


@cache
def _with_own_connections(pool: type[HTTPConnectionPool]) -> type[HTTPConnectionPool]:
    if issubclass(pool.ConnectionCls, _Connection):
        return pool
    connection = type(pool.ConnectionCls.__name__, (_Connection, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._use_own_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return self._use_own_connections(super().proxy_manager_for(*args, **kwargs))

    @staticmethod
    def _use_own_connections(manager: Any) -> Any:
        pools = manager.pool_classes_by_scheme.items()  # a SOCKS proxy's manager has pools of its own
        manager.pool_classes_by_scheme = {scheme: _with_own_connections(pool) for scheme, pool in pools}
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        _handed_over.set(False)  # until one of our own connections takes it
        return super().send(*args, **kwargs)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Say by a class of its own that there are no certificates: requests raises a plain OSError."""
        try:
            super().cert_verify(*args, **kwargs)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise CertificateAuthoritiesError from error


class Session(requests.Session):
    """A session whose responses end in time, and which never follows a redirect: that would take the key along."""

    def __init__(self) -> None:
        super().__init__()
        self.mount("https://", _Adapter())
        self.mount("http://", _Adapter())
        self.headers["Accept-Encoding"] = "gzip"  # what `read_body` can decompress

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request."""
        _handed_over.set(True)  # another adapter, such as a test's, does not tell what it has sent
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Find no target: even with ``allow_redirects=False``, requests would read and parse it without limits."""
        return


class BearerAuth(AuthBase):
    """The API key as an auth object: without one, requests would put a key from ``.netrc`` in its place."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into a request, as requests has it."""
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def read_body(response: requests.Response) -> bytes | None:
    """
    Read a response's body, and decompress it up to the limit: urllib3 before 2.6 would decompress without one.

    :raises zlib.error: if its compressed body is damaged.
    """
    gunzip = zlib.decompressobj(wbits=31) if response.headers.get("Content-Encoding", "").lower() == "gzip" else None
    received, content = 0, bytearray()
    for chunk in response.raw.stream(_CHUNK, decode_content=False):
        received += len(chunk)
        content += gunzip.decompress(chunk, MAX_RESPONSE_BYTES + 1 - len(content)) if gunzip else chunk
        if max(received, len(content)) > MAX_RESPONSE_BYTES:
            return None
    if gunzip and not gunzip.eof:
        raise zlib.error("the end is missing")
    return bytes(content)
