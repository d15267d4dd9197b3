"""
A requests session that limits the time of a whole response, and knows whether a request was sent.

requests' own read timeout applies to each read, so a response that arrives byte by byte, in its headers or its body,
would block a worker forever. Here a complete response has twice the read timeout, from when the request was sent. Name
lookup, connecting and TLS's handshake have requests' connect timeout only.

A library's exception does not show whether a request was sent: a proxy's refusal, a missing certificate file and a lost
response raise the same classes. The connection knows: it passes the request to a connected socket, or not.
"""

from __future__ import annotations

import contextlib
import io
import socket
import time
import zlib
from contextvars import ContextVar
from functools import cache
from http.client import HTTPResponse, LineTooLong
from typing import TYPE_CHECKING, Any, NoReturn

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer
    from urllib3 import HTTPConnectionPool

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_CHUNK = 256 * 1024
_MAX_LINE = 64 * 1024
"""The length limit of a line in bytes, as in http.client; urllib3 before 2.8 has none in a chunked body."""

_was_sent: ContextVar[bool] = ContextVar("otpiq_request_was_sent", default=True)


def reset_sent_flag() -> None:
    """Note that the next request was not sent yet."""
    _was_sent.set(False)


def request_was_sent() -> bool:
    """Return whether the last request was passed to a connected socket. If not, it provably was not sent."""
    return _was_sent.get()


class CertificateAuthoritiesError(OSError):
    """The file or folder of the trusted certificate authorities does not exist."""


class BodyTooLargeError(Exception):
    """A body exceeds the size limit."""


class _TimedStream(io.RawIOBase):
    """A socket's stream with a time limit for the complete response."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket, total_timeout: float | None) -> None:
        self._stream = stream
        self.socket = connected
        self._read_timeout = connected.gettimeout() or float("inf")
        self._over_at = time.monotonic() + (total_timeout or 2 * self._read_timeout)
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
            self.socket.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _ResponseReader(io.BufferedReader):
    """A response's reader. If the server sent more than the response, the connection is not used again."""

    raw: _TimedStream

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line with a limit: the body's limit does not count chunk sizes and trailers."""
        if size is not None and size >= 0:
            return super().readline(size)
        line = super().readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise LineTooLong("a chunk's size or a trailer")
        return line

    def close(self) -> None:
        if not self.closed and self._holds_more():
            with contextlib.suppress(OSError, AttributeError):  # TLS within TLS has no shutdown
                self.raw.socket.shutdown(socket.SHUT_RDWR)
        super().close()

    def _holds_more(self) -> bool:
        self.raw.is_complete = True
        unread_by_tls = getattr(self.raw.socket, "pending", int)()
        return bool(self.peek(1) or unread_by_tls)


class TimedResponse(HTTPResponse):
    """A response with a time limit."""

    total_timeout: float | None = None
    """The limit in seconds; None is twice the read timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Everything is read through `fp`: the status line, interim responses, headers, chunk sizes and the body.
        self.fp = _ResponseReader(_TimedStream(self.fp.detach(), sock, self.total_timeout))

    def begin(self) -> None:
        """Refuse a malformed header line: urllib3 would log it, and read the rest as the body."""
        super().begin()
        assert_header_parsing(self.msg)


class Connection(HTTPConnection):
    """The mixin of urllib3's connection classes: a time limit, and a flag for whether the request was sent."""

    response_class = TimedResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # a proxy's CONNECT and TLS included
        _was_sent.set(True)
        super().request(*args, **kwargs)


@cache
def _with_own_connections(pool: type[HTTPConnectionPool], own: type[Connection]) -> type[HTTPConnectionPool]:
    if issubclass(pool.ConnectionCls, own):
        return pool
    connection = type(pool.ConnectionCls.__name__, (own, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class Adapter(HTTPAdapter):
    """An adapter with this module's connections."""

    def __init__(self, connection_class: type[Connection] = Connection) -> None:
        self._connection_class = connection_class
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._use_own_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return self._use_own_connections(super().proxy_manager_for(*args, **kwargs))

    def _use_own_connections(self, manager: Any) -> Any:
        pools = manager.pool_classes_by_scheme.items()  # a SOCKS proxy's manager has its own pools
        manager.pool_classes_by_scheme = {
            scheme: _with_own_connections(pool, self._connection_class)  # type: ignore[arg-type]
            for scheme, pool in pools
        }
        return manager

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        _was_sent.set(False)  # until a connection takes it
        return super().send(*args, **kwargs)

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """Raise a separate class for missing certificates: requests raises a plain OSError."""
        try:
            super().cert_verify(*args, **kwargs)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise CertificateAuthoritiesError from error


class Session(requests.Session):
    """A session whose responses have a time limit, and which never follows a redirect: it would send the key too."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.mount("https://", Adapter())
        self.mount("http://", Adapter())
        self.headers["Accept-Encoding"] = "gzip"  # which `iter_body` decompresses
        # Over plain http, which is for a sandbox, the environment's proxy would see the API key.
        if url.startswith("https://"):
            environment = self.merge_environment_settings(url, {}, None, None, None)
            self.proxies, self.verify = environment["proxies"], environment["verify"]
        self.trust_env = False  # it was read, once and not at each request

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        _was_sent.set(True)  # another adapter, such as a test's, does not set the flag
        return super().send(request, **kwargs)

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: even with ``allow_redirects=False``, requests would read and parse the target without limits."""
        return


class BearerAuth(AuthBase):
    """The API key as an auth object: without one, requests would replace it by one from ``.netrc``."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __reduce__(self) -> NoReturn:
        raise TypeError("the API key cannot be pickled")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the key to a request."""
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def iter_body(response: requests.Response, max_bytes: int) -> Iterator[bytes]:
    """
    Yield a response's body in chunks, decompressed up to the limit; urllib3 before 2.6 has no limit.

    :raises BodyTooLargeError: if it exceeds the limit, compressed or not.
    :raises zlib.error: if the compressed body is damaged.
    """
    received = _limited(response.raw.stream(_CHUNK, decode_content=False), max_bytes)
    is_compressed = response.headers.get("Content-Encoding", "").strip().lower() in ("gzip", "x-gzip")
    return _limited(_gunzip(received), max_bytes) if is_compressed else received


def _limited(chunks: Iterable[bytes], max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > max_bytes:
            raise BodyTooLargeError
        yield chunk


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress a body, which may consist of several gzip members."""
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        left, is_full = chunk, False
        while left or (is_full and not member.eof):  # a full piece may not be the last
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            yield (piece := member.decompress(left, _CHUNK))
            is_full = len(piece) == _CHUNK
            left = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise zlib.error("the end is missing")
