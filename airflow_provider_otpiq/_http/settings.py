"""What the client needs to know of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import SecretStr


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
