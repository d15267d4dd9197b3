"""
The download of a report's file, from an address in OTPIQ's response.

The download does not use the API's session, so the API key is not sent. The address must be https and public. The only
exception is the connection's own scheme, host and port, where a sandbox keeps its files.
"""

from __future__ import annotations

import contextlib
import logging
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
from airflow_provider_otpiq._http.retry import with_retries
from airflow_provider_otpiq._http.session import (
    Adapter,
    BodyTooLargeError,
    Connection,
    Session,
    TimedResponse,
    iter_body,
    reset_sent_flag,
)
from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqAuthenticationError,
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

    from airflow_provider_otpiq._http.settings import HttpSettings

MAX_BYTES = 4 * 1024**3
"""The size limit of a report's file; a million rows are about 150 MB."""
MAX_SECONDS = 1800.0
"""The time limit of a complete file. Each part has the read timeout."""
MAX_REDIRECTS = 2
_NEITHER_QUOTE_NOR_LINE_BREAK = bytes(set(range(256)) - set(b'"\n'))


class _FileResponse(TimedResponse):
    total_timeout = MAX_SECONDS


class _FileConnection(Connection):
    response_class = _FileResponse


class _PublicConnection(_FileConnection):
    """A connection that only connects to public addresses."""

    _is_direct = False

    def connect(self) -> None:
        """Connect, and check the address before and after: a name may resolve to another one meanwhile."""
        is_socks = hasattr(self, "_socks_options")
        if self.proxy is None and not is_socks:
            require_public_host(self.host)
            self._is_direct = True
            super().connect()
        else:  # the proxy resolves the name, and may be the only one that can
            with contextlib.suppress(gaierror):
                require_public_host(self.host if is_socks else str(getattr(self, "_tunnel_host", "")))
            super().connect()

    def _new_conn(self) -> socket:
        connected: socket = super()._new_conn()
        if self._is_direct:  # before TLS, whose handshake shows the host name
            try:
                require_public_address(self.host, connected.getpeername()[0])
            except PrivateAddressError:
                connected.close()
                raise
        return connected


class RowCounter:
    """Counts the rows of a CSV file chunk by chunk, without the header. A line break in quotes does not end a row."""

    def __init__(self) -> None:
        self._lines = 0
        self._in_quotes = False
        self._last = b"\n"

    @property
    def rows(self) -> int:
        """The number of rows so far."""
        return max(self._lines + (self._last != b"\n") - 1, 0)

    def add(self, chunk: bytes) -> None:
        """Count the rows in the next chunk, much faster than a CSV reader."""
        self._last = chunk[-1:] or self._last
        # A quoted value without line breaks, with the quotes that escape quotes, leaves nothing.
        left = (b'"' * self._in_quotes + chunk.translate(None, _NEITHER_QUOTE_NOR_LINE_BREAK)).replace(b'""', b"")
        parts = left.split(b'"')
        self._in_quotes = len(parts) % 2 == 0
        self._lines += sum(map(len, parts[::2]))


class Download:
    """
    The download of a report's file.

    ``url`` and ``rows`` come from OTPIQ. ``name`` is the report's name in errors, such as ``report 665f… (connection
    'otpiq_default')``.
    """

    def __init__(self, url: str, rows: int, name: str, settings: HttpSettings) -> None:
        self._url = url
        self._rows = rows
        self._name = name
        self._settings = settings
        self._own_origin = "{0.scheme}://{0.netloc}/".format(urlsplit(settings.host))

    def to_file(self, path: Path) -> None:
        """
        Write the file to an empty one, and check that it is complete.

        :raises OtpiqReportError: if its address is not safe.
        :raises OtpiqDownloadError: if it does not exist, is too large, or has another number of rows.
        :raises OtpiqConfigurationError: if a proxy or a certificate authority of this machine is wrong.
        :raises OtpiqApiError: if its host fails.
        """
        # Some file systems would wait for the disk when a file that was opened with "wb" is closed.
        with _urls_kept_out_of_the_log(), path.open("r+b") as file:
            with_retries(lambda: self._write(file), self._settings.max_retries, is_idempotent=True)

    def _write(self, file: BinaryIO) -> None:
        if file.tell():  # an earlier attempt failed
            file.seek(0)
            file.truncate()
        counter = RowCounter()
        for chunk in self._chunks(self._url):
            counter.add(chunk)
            file.write(chunk)
            if counter.rows > self._rows:
                break
        if counter.rows != self._rows:
            found = "more rows" if counter.rows > self._rows else describe_count(counter.rows, "row")
            raise OtpiqDownloadError(
                f"The file of {self._name} has {found}; OTPIQ reports {self._rows:,} (assumption report-record-count)."
            )

    def _chunks(self, url: str, redirects: int = 0) -> Iterator[bytes]:
        """Read the file, following redirects; every library's exception becomes one of this provider."""
        call = f"The download of {self._name} from {sanitize(_host_of(url))}"
        if wrong := self._wrong_in(url):
            raise OtpiqReportError(f"{call} was refused: its address {wrong} (assumption report-host).")
        reset_sent_flag()
        try:
            with self._session(url) as session, self._get(session, url) as response:
                location = response.headers["Location"] if response.is_redirect else None
                if location is None:
                    self._require_ok(call, response)
                    last = b""
                    for chunk in iter_body(response, MAX_BYTES):
                        last = chunk or last
                        yield chunk
                    if _may_be_cut(response, last):
                        raise IncompleteRead(b"")
                    return
        except OtpiqApiError:
            raise
        except Exception as error:  # noqa: BLE001  # a response can make a library raise anything
            failure = self._failure(call, url, error)
        else:
            if redirects < MAX_REDIRECTS:
                yield from self._chunks(_redirected(url, location), redirects + 1)
                return
            failure = OtpiqReportError(f"{call} was redirected more than {MAX_REDIRECTS} times.")
        # Outside the handler: the error's context would contain the URL.
        raise failure

    def _wrong_in(self, url: str) -> str | None:
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme != "https" and not url.startswith(self._own_origin):
                return f"must be https; found {sanitize(parts.scheme)!r}"
            if parts.hostname and parts.port != 0:
                return None
        return "is not a valid URL"

    def _session(self, url: str) -> Session:
        session = Session(url)
        session.adapters.clear()
        session.mount("https://", Adapter(_PublicConnection))
        session.mount(self._own_origin, Adapter(_FileConnection))
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
        needs_key = isinstance(error, OtpiqAuthenticationError)
        raise OtpiqDownloadError(
            f"{call} returned {response.status_code}: the file does not exist or cannot be downloaded"
            f"{' without the API key (assumption report-download)' if needs_key else ''}.",
            status_code=response.status_code,
        )

    def _failure(self, call: str, url: str, error: Exception) -> Exception:
        if isinstance(error, PrivateAddressError):
            return OtpiqReportError(f"{call} was refused: {error} (assumption report-host).")
        if isinstance(error, BodyTooLargeError):
            return OtpiqDownloadError(f"{call} stopped: the file has more than {MAX_BYTES:,} bytes.")
        # Without path and query: with these, anybody could read the file.
        host = f"{urlsplit(url).scheme}://{sanitize(_host_of(url))}"
        return connection_error(call, error, self._settings.model_copy(update={"host": host}), "the report's address")


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "an invalid URL"


def _redirected(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError:  # refused later
        return location


def _may_be_cut(response: requests.Response, last: bytes) -> bool:
    """Return whether a file ends within a line, and only the end of the connection marks its end."""
    headers = response.headers
    has_end = response.raw.chunked or "Content-Length" in headers or "Content-Encoding" in headers
    return not has_end and not last.endswith(b"\n")


@contextlib.contextmanager
def _urls_kept_out_of_the_log() -> Iterator[None]:
    """Keep urllib3 from logging each request's path and query at level DEBUG."""

    def drop(_record: logging.LogRecord) -> bool:
        return False

    log = logging.getLogger("urllib3.connectionpool")
    log.addFilter(drop)
    try:
        yield
    finally:
        log.removeFilter(drop)
