"""
Why a request was not sent, or its response not read, in words of our own.

A library's text can hold a URL, and with it a proxy's password. It also speaks of the library's objects.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
import zlib
from http.client import HTTPException, IncompleteRead
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import HeaderParsingError, InvalidChunkLength, InvalidHeader, ProtocolError, ProxyError
from urllib3.util import parse_url

from airflow_provider_otpiq._http.session import (
    MAX_RESPONSE_BYTES,
    CertificateAuthoritiesError,
    request_was_sent,
)
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqError,
    OtpiqRateLimitError,
    OtpiqServerError,
    error_class,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq._http.settings import HostSettings

_PROXY = "HTTPS_PROXY (or ALL_PROXY) on the worker"
_CERTIFICATES = "REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) on the worker"
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})")
# What OpenSSL says, by its release, of bytes that are no TLS.
_NO_TLS = {
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}

_Table = tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...]
_CLOSED = "the connection was closed before the response was complete"
_INVALID = "it is not valid HTTP"
# {0} is the connect timeout, {1} the read timeout. The first that fits counts.
_NOT_CONNECTED: _Table = (
    (socket.gaierror, "its host name was not found"),
    (TimeoutError, "connecting timed out after {0:g} s"),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError), "the connection was closed in TLS's handshake"),
    (ConnectionRefusedError, "Connection refused"),
    (ConnectionError, "the connection was closed"),
    (HTTPException, "it does not speak HTTP"),
)
_LOST: _Table = (
    (TimeoutError, "nothing came within the read timeout of {1:g} s, or not all of it in time"),
    ((ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError), _CLOSED),
    (InvalidHeader, "its headers contradict each other"),
    ((InvalidChunkLength, HeaderParsingError), _INVALID),
    (IncompleteRead, _CLOSED),
    (HTTPException, _INVALID),
    (zlib.error, "its compressed body is damaged"),
)


def connection_error(
    call: str, error: Exception, settings: HostSettings, host_field: str = "the connection's host"
) -> OtpiqError:
    """
    Make the error of a request that got no response. ``host_field`` is where a person finds the host.

    It is to be raised outside of the handler: its context would hold the request, and the API key with it.
    """
    if request_was_sent():
        return OtpiqConnectionError(f"{call} got no complete response: {_how_it_was_lost(error, settings)}.")
    if wrong := _in_the_configuration(error, settings, host_field):
        return OtpiqConfigurationError(f"{call} was not sent: {wrong}.")
    peer = "the proxy" if _is_about_the_proxy(error) else settings.host
    return OtpiqConnectionError(
        f"{call} was not sent, as there is no connection to {peer}: {_why_not_connected(error, settings)}.",
        may_have_taken_effect=False,
    )


def too_large(call: str) -> OtpiqConnectionError:
    """Make the error of a response that was not read."""
    return OtpiqConnectionError(f"{call} got a response of more than {MAX_RESPONSE_BYTES} bytes, which was not read.")


def _in_the_configuration(error: Exception, settings: HostSettings, host_field: str) -> str | None:
    if isinstance(error, requests.exceptions.InvalidSchema):
        return f"a SOCKS proxy needs the package PySocks. Install requests[socks], or check {_PROXY}"
    if isinstance(error, ValueError | TypeError):  # requests lets either through
        return _what_cannot_be_parsed(settings, host_field)
    status = _status_of_the_proxy(error)
    if status and error_class(status) not in (OtpiqRateLimitError, OtpiqServerError):
        return f"the proxy refused to connect, with {status}. Check {_PROXY}, for 407 its user and password"
    peer, field = ("proxy", _PROXY) if _is_about_the_proxy(error) else ("server", host_field)
    return next((found for cause in _chain(error) if (found := _in_the_certificates(cause, peer, field))), None)


def _what_cannot_be_parsed(settings: HostSettings, host_field: str) -> str:
    try:
        url = requests.Request("GET", settings.host).prepare().url
        str(parse_url(str(url)).host).encode("idna")
    except ValueError:
        return f"{host_field} holds no valid host name. Fix it"
    return (
        f"no proxy can be read from {_PROXY}. Fix it; in its user and password, # is written %23, / is %2F and @ is %40"
    )


def _in_the_certificates(cause: BaseException, peer: str, field: str) -> str | None:
    match cause:
        case CertificateAuthoritiesError() | ssl.SSLError(library="X509" | "PEM" | "ASN1"):
            return f"{_CERTIFICATES} names no file or folder of certificate authorities. Fix or unset it"
        case ssl.SSLCertVerificationError():
            return (
                f"the {peer}'s certificate is not trusted ({sanitize(cause.verify_message)}). Check {field}; for a"
                f" certificate authority of your own, set {_CERTIFICATES}"
            )
        case ssl.SSLError(reason=reason) if reason in _NO_TLS:
            return f"the {peer} does not speak TLS there. Check scheme and port of {field}"
    return None


def _why_not_connected(error: Exception, settings: HostSettings) -> str:
    if status := _status_of_the_proxy(error):
        return f"it returned {status} to CONNECT"
    return _words_for(error, _NOT_CONNECTED, settings) or _words_of_the_system(error)


def _how_it_was_lost(error: Exception, settings: HostSettings) -> str:
    if words := _words_for(error, _LOST, settings):
        return words
    # What urllib3 raises of a chunked body that ends too early has no cause of its own.
    is_cut = any(isinstance(cause, ProtocolError) for cause in _chain(error))
    return _CLOSED if is_cut else f"reading it failed ({type(error).__name__})"


def _words_for(error: Exception, table: _Table, settings: HostSettings) -> str | None:
    found = (words for cause in _chain(error) for kinds, words in table if isinstance(cause, kinds))
    words = next(found, None)
    return words and words.format(settings.connect_timeout, settings.read_timeout)


def _words_of_the_system(error: Exception) -> str:
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLError):  # whose errno is none of the system's
            return f"TLS's handshake failed ({getattr(cause, 'reason', None)})"
        if isinstance(cause, OSError) and cause.errno:
            return os.strerror(cause.errno)
    return f"connecting failed ({type(error).__name__})"


def _chain(error: BaseException) -> list[BaseException]:
    found = [error]
    for each in found:  # which grows
        found += [cause for cause in (each.__cause__, each.__context__) if cause and cause not in found]
    return found


def _is_about_the_proxy(error: Exception) -> bool:
    # Before a request is sent, nobody but a proxy returns HTTP.
    return any(isinstance(cause, ProxyError | HTTPException) for cause in _chain(error))


def _status_of_the_proxy(error: Exception) -> int | None:
    matches = (_TUNNEL_FAILED.match(str(cause)) for cause in _chain(error) if isinstance(cause, OSError))
    return next((int(match[1]) for match in matches if match), None)
