"""
The download of a report's file, from an address that a response of OTPIQ's names.

Nothing of the API's session goes there, above all not the key. The address must be https and public. Only one on the
connection's own scheme, host and port is taken as it is: there a sandbox has its files.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from http import HTTPStatus
from http.client import IncompleteRead
from socket import gaierror, socket
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from airflow_provider_otpiq._http.connection_errors import connection_error
from airflow_provider_otpiq._http.public_address import (
    PrivateAddressError,
    require_public_address,
    require_public_host,
)
from airflow_provider_otpiq._http.responses import RawResponse, error_from_response
from airflow_provider_otpiq._http.retry import RetryState, with_retries
from airflow_provider_otpiq._http.session import (
    Adapter,
    BodyTooLargeError,
    Connection,
    Session,
    TimedResponse,
    iter_body,
    reset_sent_flag,
)
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqDownloadError,
    OtpiqRateLimitError,
    OtpiqReportError,
    OtpiqServerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    import requests

    from airflow_provider_otpiq._http.retry import Log
    from airflow_provider_otpiq._http.settings import HttpSettings

MAX_BYTES = 4 * 1024**3
"""Of a report's file; a million rows are some 150 MB."""
MAX_SECONDS = 1800.0
"""For the whole of a file. Each part of it has the read timeout."""
MAX_REDIRECTS = 2
_CHUNK = 256 * 1024
_SAMPLE = 4096  # bytes
_NEITHER_QUOTE_NOR_LINE_BREAK = bytes(set(range(256)) - set(b'"\n'))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class _FileResponse(TimedResponse):
    total_timeout = MAX_SECONDS


class _FileConnection(Connection):
    response_class = _FileResponse


class _PublicConnection(_FileConnection):
    """A connection that is refused unless it goes to a public address."""

    _is_direct = False

    def connect(self) -> None:
        """Connect, and look at the address before and after it: a name may resolve to another one meanwhile."""
        is_socks = hasattr(self, "_socks_options")  # whose address the socket then has
        if self.proxy is None and not is_socks:
            require_public_host(self.host)
            self._is_direct = True
            super().connect()
        else:  # it resolves the name and connects, and may be the only one that can
            with contextlib.suppress(gaierror):
                require_public_host(self.host if is_socks else str(getattr(self, "_tunnel_host", "")))
            super().connect()

    def _new_conn(self) -> socket:
        connected: socket = super()._new_conn()
        if self._is_direct:  # and before TLS, of whose handshake the other side would see the name
            try:
                require_public_address(self.host, connected.getpeername()[0])
            except PrivateAddressError:
                connected.close()
                raise
        return connected


class RowCounter:
    """What counts the rows of a CSV file as it passes. A line break within quotes is not the end of one."""

    def __init__(self) -> None:
        self._lines = 0
        self._in_quotes = False
        self._last = b"\n"

    @property
    def rows(self) -> int:
        """How many there were, without the header."""
        return max(self._lines + (self._last != b"\n") - 1, 0)

    def add(self, chunk: bytes) -> None:
        """Count what is in the next chunk, in a small part of the time that a CSV reader takes."""
        self._last = chunk[-1:] or self._last
        has_many_quotes = chunk.count(b'"', 0, _SAMPLE) > _SAMPLE // 100
        count = self._between_many_quotes if has_many_quotes else self._between_few_quotes
        self._lines += count(chunk)

    def _between_few_quotes(self, chunk: bytes) -> int:
        lines = len(chunk) - len(chunk.replace(b"\n", b""))  # faster than to count them
        chunk = b'"' * self._in_quotes + chunk
        opening = chunk.find(b'"')
        while opening >= 0:
            closing = chunk.find(b'"', opening + 1)
            self._in_quotes = closing < 0
            if self._in_quotes:
                return lines - chunk.count(b"\n", opening)
            lines -= chunk.count(b"\n", opening, closing)
            opening = chunk.find(b'"', closing + 1)
        return lines

    def _between_many_quotes(self, chunk: bytes) -> int:
        # Of a quoted value without line breaks, the quotes that escape one included, nothing is left.
        left = (b'"' * self._in_quotes + chunk.translate(None, _NEITHER_QUOTE_NOR_LINE_BREAK)).replace(b'""', b"")
        unquoted = left.split(b'"')
        self._in_quotes = len(unquoted) % 2 == 0
        return sum(map(len, unquoted[::2]))


@dataclass(frozen=True)
class _FileHost:
    """Where a file is, for errors: without its path and query, which are all that somebody else needs to read it."""

    host: str
    connect_timeout: float
    read_timeout: float


class Download:
    """
    The download of a report's file.

    :param url: where it is, as OTPIQ says.
    :param rows: how many rows it has, as OTPIQ says.
    :param name: what errors call it, such as ``report 665f… (connection 'otpiq_default')``.
    """

    def __init__(self, url: str, rows: int, name: str, settings: HttpSettings) -> None:
        self._url = url
        self._rows = rows
        self._name = name
        self._settings = settings
        self._own_origin = "{0.scheme}://{0.netloc}/".format(urlsplit(settings.host))

    def to_file(self, path: Path, log: Log) -> None:
        """
        Write to an empty file, and make sure that it is whole.

        :raises OtpiqReportError: if its address is not safe.
        :raises OtpiqDownloadError: if it is gone, too large, or has more or fewer rows.
        :raises OtpiqConfigurationError: if a proxy or a certificate authority of this machine is wrong.
        :raises OtpiqApiError: if its host fails.
        """
        retry = RetryState(self._settings.max_retries, is_idempotent=True)
        # Opened to be written anew, some file systems would wait for the disk when it is closed.
        with _urls_kept_out_of_the_log(), path.open("r+b") as file:
            with_retries(lambda: self._write(file), retry, log)

    def _write(self, file: BinaryIO) -> None:
        if file.tell():  # an attempt before this one failed
            file.seek(0)
            file.truncate()
        counter = RowCounter()
        for chunk in self._chunks(self._url):
            counter.add(chunk)
            file.write(chunk)
            if counter.rows > self._rows:
                break
        if counter.rows != self._rows:
            found = "more" if counter.rows > self._rows else f"{counter.rows:,}"
            raise OtpiqDownloadError(f"The file of {self._name} has {found} rows, and OTPIQ says {self._rows:,}.")

    def _chunks(self, url: str, redirects: int = 0) -> Iterator[bytes]:
        """Read the file, following redirects; what a library raises becomes an error of ours."""
        call = f"The download of {self._name} from {sanitize(_host_of(url))}"
        self._require_safe(call, url)
        reset_sent_flag()
        try:
            with self._session(url) as session, self._get(session, url) as response:
                location = _location(response)
                if location is None:
                    self._require_ok(call, response)
                    last = b""
                    for chunk in iter_body(response, MAX_BYTES, _CHUNK):
                        last = chunk or last
                        yield chunk
                    if _may_be_cut(response, last):
                        raise IncompleteRead(b"")
                    return
        except OtpiqApiError:
            raise
        except Exception as error:  # noqa: BLE001  # what a response holds can make a library raise anything
            failure = self._failure(call, url, error)
        else:
            if redirects < MAX_REDIRECTS:
                yield from self._chunks(_redirected(url, location), redirects + 1)
                return
            failure = OtpiqReportError(f"{call} was redirected more than {MAX_REDIRECTS} times.")
        # Outside of the handler: the error's context would hold the URL.
        raise failure

    def _require_safe(self, call: str, url: str) -> None:
        if wrong := self._wrong_in(url):
            raise OtpiqReportError(f"{call} was refused: its address {wrong}.")

    def _wrong_in(self, url: str) -> str | None:
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme != "https" and not url.startswith(self._own_origin):
                return f"must be https, and is {sanitize(parts.scheme) or 'without a scheme'}"
            if parts.hostname and parts.port != 0:
                return None
        return "cannot be read"

    def _session(self, url: str) -> Session:
        session = Session()
        session.adapters.clear()
        session.mount("https://", Adapter(_PublicConnection))
        session.mount(self._own_origin, Adapter(_FileConnection))
        session.read_environment(url)
        session.trust_env = False  # it was read, and .netrc is for others
        return session

    def _get(self, session: Session, url: str) -> requests.Response:
        timeout = (self._settings.connect_timeout, self._settings.read_timeout)
        return session.get(url, timeout=timeout, stream=True, allow_redirects=False)

    def _require_ok(self, call: str, response: requests.Response) -> None:
        if response.status_code == HTTPStatus.OK:
            return
        raw = RawResponse(call, "", response.status_code, response.headers, b"", self._settings.password)
        error = error_from_response(raw)
        if isinstance(error, OtpiqServerError | OtpiqRateLimitError):
            raise error
        raise OtpiqDownloadError(
            f"{call} returned {response.status_code}: the file is gone, or not to be had.",
            status_code=response.status_code,
        )

    def _failure(self, call: str, url: str, error: Exception) -> Exception:
        if isinstance(error, PrivateAddressError):
            return OtpiqReportError(f"{call} was refused: {error}.")
        if isinstance(error, BodyTooLargeError):
            return OtpiqDownloadError(f"{call} was ended, as the file has more than {MAX_BYTES:,} bytes.")
        host = f"{urlsplit(url).scheme}://{sanitize(_host_of(url))}"
        file_host = _FileHost(host, self._settings.connect_timeout, self._settings.read_timeout)
        return connection_error(call, error, file_host, "the report's address")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or "nowhere"
    except ValueError:
        return "an address that cannot be read"


def _location(response: requests.Response) -> str | None:
    """Return where a redirect leads; None if it is none."""
    return response.headers.get("Location") if response.status_code in _REDIRECTS else None


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # nor can it be read as an address
        return location


def _may_be_cut(response: requests.Response, last: bytes) -> bool:
    """Tell whether a file ends within a line, and nothing but the end of the connection says that it ends there."""
    headers = response.headers
    has_end = response.raw.chunked or "Content-Length" in headers or "Content-Encoding" in headers
    return not has_end and not last.endswith(b"\n")


@contextlib.contextmanager
def _urls_kept_out_of_the_log() -> Iterator[None]:
    """Keep urllib3 from logging the path and query of each request, as it does where the level is DEBUG."""

    def drop(_record: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger("urllib3.connectionpool")
    log.addFilter(drop)
    try:
        yield
    finally:
        log.removeFilter(drop)
