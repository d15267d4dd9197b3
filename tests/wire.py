"""A server on a real socket that does what no HTTP server would do."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Script = Callable[[socket.socket], object]


INTERNALS = re.compile(r"Pool|object at|0x|\(host=|Error\(|Caused by|HTTPConnection")
"""What a library would say of its objects, and nobody wants to read."""


def read_request(connection: socket.socket) -> str:
    """
    Read a request whole.

    :param connection: where it comes from.
    :return: its first line; nothing if the other side has hung up.
    """
    with connection.makefile("rb") as stream:
        first, length = stream.readline(), 0
        for line in iter(stream.readline, b"\r\n"):
            if not line:
                return ""
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        stream.read(length)
    return first.decode().strip()


class Wire:
    """
    A server that does what a script says instead of returning a response.

    :param script: what it does with each connection.
    :param reads: whether it reads a request first.
    :param host: the address that it listens on.
    """

    def __init__(self, script: Script, *, reads: bool = True, host: str = "127.0.0.1") -> None:
        self.connections = 0
        self.first_lines: list[str] = []
        self._script = script
        self._reads = reads
        self._listening = socket.create_server((host, 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def requests(self) -> int:
        """How many requests it has read."""
        return len(self.first_lines)

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._listening.accept()
            except OSError:  # closed
                return
            self.connections += 1
            if self._reads:
                self.first_lines.append(read_request(connection))
            threading.Thread(target=self._play, args=[connection], daemon=True).start()

    def _play(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # the hook hung up
            self._script(connection)

    def close(self) -> None:
        """Serve no longer."""
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which would else go on with a reused descriptor
        self._thread.join()
        self._listening.close()


def send(data: bytes) -> Script:
    """
    Make a script that sends something and hangs up.

    :param data: what it sends.
    :return: the script.
    """
    return lambda connection: connection.sendall(data)


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def full_queue() -> Iterator[int]:
    """Give a port at which a server listens that accepts no connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        port: int = full.getsockname()[1]
        for _ in range(4):  # more than it queues
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def persistent(response: bytes, certificate: Path | None = None) -> Script:
    """
    Make a script that returns the same to each request of a connection.

    :param response: what it sends, head and body.
    :param certificate: a certificate with its key, to speak TLS.
    :return: the script, for a server that does not read.
    """

    def script(connection: socket.socket) -> None:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            connection = context.wrap_socket(connection, server_side=True)
        with connection:
            while read_request(connection):
                connection.sendall(response)

    return script


def refusing_port() -> int:
    """
    Find a port at which nobody listens.

    :return: the port.
    """
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port
