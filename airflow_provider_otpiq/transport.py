"""
A requests session whose exchanges end in time, whatever the other side sends.

requests' own read timeout applies to each read, so an answer that comes byte by byte would hold a worker for ever, in
its headers as much as in its body. Only the socket can end that, and urllib3 shows it to nobody but the connection.

The time counts from when the request is sent. What comes before (name lookup, connecting, a proxy's and TLS's
greetings) has requests' connect timeout only.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

if TYPE_CHECKING:
    from types import TracebackType


class Deadline:
    """
    A ``with`` block in which a connection is cut when its answer takes too long.

    :param seconds: how long the answer may take, from when the request is sent.
    """

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def watch(self, connected: socket.socket) -> None:
        """
        Begin to count.

        :param connected: the socket that the answer will come from.
        """
        self._socket = getattr(connected, "socket", connected)  # below urllib3's TLS within TLS
        self._timer.start()

    def _cut(self) -> None:
        self.passed = True
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                # Not the method of a TLS socket, which would go on in clear text in the thread that reads.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._outer = _deadline.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._timer.cancel()
        _deadline.reset(self._outer)


_deadline: ContextVar[Deadline | None] = ContextVar("deadline of the exchange under way", default=None)


class _Watched:
    sock: socket.socket

    def getresponse(self) -> Any:
        if deadline := _deadline.get():
            deadline.watch(self.sock)
        return super().getresponse()  # type: ignore[misc]


class _HTTPConnection(_Watched, HTTPConnection):
    pass


class _HTTPSConnection(_Watched, HTTPSConnection):
    pass


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


def _watched(manager: Any) -> Any:
    # A SOCKS proxy's manager has pools of its own; its answers have requests' read timeout only.
    if manager.pool_classes_by_scheme["https"] is urllib3.HTTPSConnectionPool:
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
    return manager


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _watched(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return _watched(super().proxy_manager_for(*args, **kwargs))


class Session(requests.Session):
    """A session that keeps to a :class:`Deadline` and never follows a redirect, which would take the key along."""

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
