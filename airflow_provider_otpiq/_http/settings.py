"""What the client needs to know of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr

_UNTIMED_SECONDS = 60.0
"""Seconds beyond the timeouts that name lookup, several addresses and TLS may take."""


@dataclass(frozen=True)
class HttpSettings:
    """The host, the API key and the limits of a client."""

    host: str
    """The base URL of every request, without a trailing slash; for a file, only scheme and host name."""
    password: SecretStr
    """The API key."""
    connect_timeout: float
    """Seconds to wait for a connection."""
    read_timeout: float
    """Seconds to wait for each part of a response; the complete response may take twice as long."""
    max_retries: int
    """The maximum number of HTTP retries in one call."""

    @property
    def max_seconds_in_flight(self) -> float:
        """The seconds after which an attempt has ended, with or without a response."""
        return _UNTIMED_SECONDS + self.connect_timeout + 2 * self.read_timeout
