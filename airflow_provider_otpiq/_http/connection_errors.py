"""
The errors of a request that was not sent, or whose response could not be read.

A library's own text is not shown: it can contain a URL with a proxy's password, or bytes of the response.
"""

from __future__ import annotations

import re
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING

import requests
from urllib3.exceptions import ProxyError
from urllib3.util import parse_url

from airflow_provider_otpiq._http.session import (
    MAX_RESPONSE_BYTES,
    BodyTooLargeError,
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
    from airflow_provider_otpiq._http.settings import HttpSettings

_PROXY = "HTTPS_PROXY (or ALL_PROXY) on the worker"
_CERTIFICATES = "REQUESTS_CA_BUNDLE (or CURL_CA_BUNDLE) on the worker"
_TUNNEL_FAILED = re.compile(r"Tunnel connection failed: (\d{3})")
# OpenSSL's reasons, by its release, for bytes that are not TLS.
_NOT_TLS = {
    "HTTP_REQUEST",
    "HTTPS_PROXY_REQUEST",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
    "UNKNOWN_PROTOCOL",
    "WRONG_VERSION_NUMBER",
}


def connection_error(
    call: str, error: Exception, settings: HttpSettings, host_field: str = "the connection's host"
) -> OtpiqError:
    """
    Return the error of a request without a response. ``host_field`` is where a person finds the host.

    Raise it outside the handler: its context would contain the request, with the API key.
    """
    if isinstance(error, BodyTooLargeError):
        return OtpiqConnectionError(
            f"{call} got a response of more than {MAX_RESPONSE_BYTES:,} bytes, which was not read."
        )
    if request_was_sent():
        reason = _reason(error, f"timed out (read_timeout is {settings.read_timeout:g} s)")
        return OtpiqConnectionError(f"{call} got no complete response: {reason}.")
    if wrong := _in_the_configuration(error, settings, host_field):
        return OtpiqConfigurationError(f"{call} was not sent: {wrong}.")
    peer = "the proxy" if _is_about_the_proxy(error) else settings.host
    reason = _reason(error, f"timed out (connect_timeout is {settings.connect_timeout:g} s)")
    return OtpiqConnectionError(
        f"{call} was not sent: connecting to {peer} failed: {reason}.", may_have_taken_effect=False
    )


def _reason(error: Exception, timed_out: str) -> str:
    """Return the system's text for a cause, or else the class of the innermost one."""
    if status := _status_of_the_proxy(error):
        return f"it returned {status} to CONNECT"
    chain = _chain(error)
    for cause in chain:
        if isinstance(cause, TimeoutError):
            return timed_out
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed ({cause.reason or type(cause).__name__})"
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return cause.strerror
    named = next(kind for kind in map(type, reversed(chain)) if kind.__module__ != "builtins" or kind is type(error))
    return f"{named.__module__}.{named.__qualname__}"


def _in_the_configuration(error: Exception, settings: HttpSettings, host_field: str) -> str | None:
    if isinstance(error, requests.exceptions.InvalidSchema):
        return f"a SOCKS proxy needs the package PySocks. Install requests[socks], or check {_PROXY}"
    if isinstance(error, ValueError | TypeError):  # requests lets either through
        return _what_cannot_be_parsed(settings, host_field)
    status = _status_of_the_proxy(error)
    if status and error_class(status) not in (OtpiqRateLimitError, OtpiqServerError):
        return f"the proxy refused the connection with {status}. Check {_PROXY}; after a 407, its user and password"
    peer, field = ("proxy", _PROXY) if _is_about_the_proxy(error) else ("server", host_field)
    return next((found for cause in _chain(error) if (found := _in_the_certificates(cause, peer, field))), None)


def _what_cannot_be_parsed(settings: HttpSettings, host_field: str) -> str:
    try:
        url = requests.Request("GET", settings.host).prepare().url
        str(parse_url(str(url)).host).encode("idna")
    except ValueError:
        return f"{host_field} does not have a valid host name. Fix it"
    return f"{_PROXY} is not a valid URL. Fix it; in its user and password, write %23 for #, %2F for / and %40 for @"


def _in_the_certificates(cause: BaseException, peer: str, field: str) -> str | None:
    match cause:
        case CertificateAuthoritiesError() | ssl.SSLError(library="X509" | "PEM" | "ASN1"):
            return f"{_CERTIFICATES} must be a file or folder of certificate authorities. Fix or unset it"
        case ssl.SSLCertVerificationError():
            return (
                f"the {peer}'s certificate is not trusted ({sanitize(cause.verify_message)}). Check {field}; for your"
                f" own certificate authority, set {_CERTIFICATES}"
            )
        case ssl.SSLError(reason=reason) if reason in _NOT_TLS:
            return f"the {peer} does not speak TLS at this address. Check the scheme and the port of {field}"
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """List an error and its causes, the innermost last."""
    found = [error]
    for one in found:  # which grows
        found += [cause for cause in (one.__cause__, one.__context__) if cause and cause not in found]
    return found


def _is_about_the_proxy(error: Exception) -> bool:
    # Before a request is sent, only a proxy returns HTTP.
    return any(isinstance(cause, ProxyError | HTTPException) for cause in _chain(error))


def _status_of_the_proxy(error: Exception) -> int | None:
    matches = (_TUNNEL_FAILED.match(str(cause)) for cause in _chain(error) if isinstance(cause, OSError))
    return next((int(match[1]) for match in matches if match), None)
