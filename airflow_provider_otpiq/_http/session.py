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
from http.client import HTTPResponse, LineTooLong
from typing import TYPE_CHECKING, Any, NoReturn

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection
from urllib3.util.response import assert_header_parsing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer
    from urllib3 import HTTPConnectionPool

MAX_RESPONSE_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024
_MAX_LINE = 64 * 1024
"""The most bytes of a line, as in http.client; urllib3 before 2.8 has no limit for lines of a chunked body."""
_GZIP = ("gzip", "x-gzip")

_handed_over: ContextVar[bool] = ContextVar("otpiq_request_handed_over", default=True)


def reset_sent_flag() -> None:
    """Take note that a request is about to be made, and that none of it was sent yet."""
    _handed_over.set(False)


def request_was_sent() -> bool:
    """Tell whether the last request was handed to a connected socket. False: it provably never left this machine."""
    return _handed_over.get()


class CertificateAuthoritiesError(OSError):
    """There is no file or folder where the trusted certificate authorities should be."""


class BodyTooLargeError(Exception):
    """A body is larger than it may be."""


class _TimedStream(io.RawIOBase):
    """What a socket receives, until the time for the whole of it is over."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket, total_timeout: float | None) -> None:
        self._stream = stream
        self._socket = connected
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
            self._socket.settimeout(left)
        return self._stream.readinto(buffer)

    def close(self) -> None:
        self._stream.close()
        super().close()


class _ResponseReader(io.BufferedReader):
    """A response's reader, after which a connection that has sent more than the response can't be used again."""

    def __init__(self, stream: io.RawIOBase, connected: socket.socket, total_timeout: float | None) -> None:
        self._stream = _TimedStream(stream, connected, total_timeout)
        self._socket = connected
        super().__init__(self._stream)

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line with a limit: the limit of a body does not count its chunks' sizes and its trailers."""
        if size is not None and size >= 0:
            return super().readline(size)
        line = super().readline(_MAX_LINE + 1)
        if len(line) > _MAX_LINE:
            raise LineTooLong("a chunk's size or a trailer")
        return line

    def close(self) -> None:
        if not self.closed and self._holds_more():
            with contextlib.suppress(OSError, AttributeError):  # TLS within TLS has no shutdown
                self._socket.shutdown(socket.SHUT_RDWR)
        super().close()

    def _holds_more(self) -> bool:
        self._stream.is_complete = True
        unread_by_tls = getattr(self._socket, "pending", int)()
        return bool(self.peek(1) or unread_by_tls)


class TimedResponse(HTTPResponse):
    """A response that ends in time."""

    total_timeout: float | None = None
    """Seconds that the whole of it may take; None is twice the read timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        # Everything is read through `fp`: the status line, interim responses, headers, chunk sizes and the body.
        self.fp = _ResponseReader(self.fp.detach(), sock, self.total_timeout)

    def begin(self) -> None:
        """Refuse what follows a malformed header line: urllib3 would log it and take the rest for the body."""
        super().begin()
        assert_header_parsing(self.msg)


class Connection(HTTPConnection):
    """What urllib3's connection classes have in common here: limits of time, and a note of what was sent."""

    response_class = TimedResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        if self.sock is None:
            self.connect()  # a proxy's CONNECT and TLS included
        _handed_over.set(True)
        super().request(*args, **kwargs)


@cache
def _with_own_connections(pool: type[HTTPConnectionPool], own: type[Connection]) -> type[HTTPConnectionPool]:
    if issubclass(pool.ConnectionCls, own):
        return pool
    connection = type(pool.ConnectionCls.__name__, (own, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


class Adapter(HTTPAdapter):
    """An adapter whose connections are of a class of our own."""

    def __init__(self, connection_class: type[Connection] = Connection) -> None:
        self._connection_class = connection_class
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self._use_own_connections(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return self._use_own_connections(super().proxy_manager_for(*args, **kwargs))

    def _use_own_connections(self, manager: Any) -> Any:
        pools = manager.pool_classes_by_scheme.items()  # a SOCKS proxy's manager has pools of its own
        manager.pool_classes_by_scheme = {
            scheme: _with_own_connections(pool, self._connection_class)  # type: ignore[arg-type]
            for scheme, pool in pools
        }
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
        self.mount("https://", Adapter())
        self.mount("http://", Adapter())
        self.headers["Accept-Encoding"] = "gzip"  # what `read_body` can decompress

    def read_environment(self, url: str) -> None:
        """Take the proxy and the certificate authorities for a URL from the environment; requests would do so often."""
        # Over plain http, which is for a sandbox, a proxy of the environment would see the API key.
        if url.startswith("https://"):
            environment = self.merge_environment_settings(url, {}, None, None, None)
            self.proxies, self.verify = environment["proxies"], environment["verify"]

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

    def __reduce__(self) -> NoReturn:
        raise TypeError("the API key cannot be pickled")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put the key into a request, as requests has it."""
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def read_body(response: requests.Response) -> bytes | None:
    """
    Read a response's body; None if it is larger than the limit.

    :raises zlib.error: if its compressed body is damaged.
    """
    try:
        return b"".join(iter_body(response, MAX_RESPONSE_BYTES, _CHUNK))
    except BodyTooLargeError:
        return None


def iter_body(response: requests.Response, max_bytes: int, chunk_size: int) -> Iterator[bytes]:
    """
    Read a response's body in chunks, decompressed up to the limit: urllib3 before 2.6 would decompress without one.

    :raises BodyTooLargeError: if it is larger than the limit, compressed or not.
    :raises zlib.error: if its compressed body is damaged.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    gunzip = _Gunzip(chunk_size) if encoding in _GZIP else None
    received = produced = 0
    for chunk in response.raw.stream(chunk_size, decode_content=False):
        received += len(chunk)
        for piece in gunzip.pieces(chunk) if gunzip else [chunk]:
            produced += len(piece)
            if max(received, produced) > max_bytes:
                raise BodyTooLargeError
            yield piece
    if gunzip and not gunzip.is_intact:
        raise zlib.error("the end is missing")


class _Gunzip:
    """The decompression of a body, which may have several members: one after the other, as gzip has them."""

    def __init__(self, max_piece: int) -> None:
        self._max_piece = max_piece
        self._member = zlib.decompressobj(wbits=31)

    @property
    def is_intact(self) -> bool:
        return self._member.eof

    def pieces(self, compressed: bytes) -> Iterator[bytes]:
        is_full = False
        while compressed or (is_full and not self._member.eof):  # then there may be more inside
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            yield (piece := self._member.decompress(compressed, self._max_piece))
            is_full = len(piece) == self._max_piece
            compressed = self._member.unconsumed_tail or self._member.unused_data
