"""A server on a real socket that violates HTTP on purpose."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Script = Callable[[socket.socket], object]


INTERNALS = re.compile(r"Pool|object at|0x|\(host=|Error\(|Caused by|HTTPConnection")
"""A library's internals, which no error may show."""


def read_request(connection: socket.socket) -> str:
    """Read a complete request, and return its first line; empty if the client has hung up."""
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
    """A server that runs a script for each connection, after reading a request unless ``reads`` is False."""

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
        """The number of requests that it has read."""
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
        """Stop the server."""
        self._listening.shutdown(socket.SHUT_RDWR)  # wakes `accept`, which would else go on with a reused descriptor
        self._thread.join()
        self._listening.close()


def send(data: bytes) -> Script:
    """Return a script that sends data and hangs up."""
    return lambda connection: connection.sendall(data)


def reset(connection: socket.socket) -> None:
    """Reset the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def full_queue() -> Iterator[int]:
    """Yield the port of a server that accepts no connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        port: int = full.getsockname()[1]
        for _ in range(4):  # more than it queues
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


def persistent(response: bytes, certificate: Path | None = None) -> Script:
    """Return a script, for a server that does not read, that sends the same response to each request."""

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
    """Return a port without a server."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port: int = unused.getsockname()[1]
    return port


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return a response after which the connection is closed; an empty value removes a header."""
    fields = {"Content_Length": str(len(body)), "Connection": "close"} | headers
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body
