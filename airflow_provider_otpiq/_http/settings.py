"""What the client needs to know of a connection."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from airflow_provider_otpiq._redaction import sanitize

Seconds = Annotated[float, Field(ge=0.1, allow_inf_nan=False)]

_UNTIMED_SECONDS = 60.0
"""Seconds beyond the timeouts that name lookup, several addresses and TLS may take."""


def _api_key(value: Any) -> str:
    key = str(value or "").strip()
    if not key:
        raise ValueError("is empty; set the project's API key (sk_live… or sk_dev…)")
    # The text of requests' InvalidHeader error would contain such a key, and Airflow does not mask it there.
    if not all("!" <= character <= "~" for character in key):
        raise ValueError("has whitespace or characters that an API key cannot have; copy the key again")
    return key


class HttpSettings(BaseModel):
    """The host, the API key and the limits of a client."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    connect_timeout: Annotated[Seconds, Field(le=60)] = 5.0
    """Seconds to wait for a connection."""
    read_timeout: Annotated[Seconds, Field(le=600)] = 30.0
    """Seconds to wait for each part of a response; the complete response may take twice as long."""
    max_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How many HTTP retries one call may make; only idempotent or provably unprocessed requests are retried."""
    allow_insecure_http: bool = False
    """Whether the API key may be sent over plain http to another machine."""
    password: Annotated[SecretStr, BeforeValidator(_api_key)]
    """The API key."""
    host: str
    """The base URL of every request, without a trailing slash; for a file, only scheme and host name."""

    @property
    def max_seconds_in_flight(self) -> float:
        """The seconds after which an attempt has ended, with or without a response."""
        return _UNTIMED_SECONDS + self.connect_timeout + 2 * self.read_timeout

    @field_validator("host")
    @classmethod
    def _require_encryption(cls, host: str, info: ValidationInfo) -> str:
        url = urlsplit(host)
        if url.scheme == "http" and not is_loopback(url.hostname) and not info.data.get("allow_insecure_http"):
            raise ValueError(
                f"{sanitize(host)} would send the API key unencrypted; use https, or set the extra"
                " allow_insecure_http for a sandbox in your own network"
            )
        return host

    def __reduce__(self) -> NoReturn:
        raise TypeError("the settings of a connection contain its API key and cannot be pickled")


def is_loopback(hostname: str | None) -> bool:
    """Return whether a host is this machine."""
    if hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(hostname or "").is_loopback
    except ValueError:
        return False
