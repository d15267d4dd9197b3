"""What the client needs to know of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import SecretStr


class HostSettings(Protocol):
    """Who is connected to, and how long that may take."""

    @property
    def host(self) -> str:
        """The URL of the host, or the base URL of every request, without a slash at its end."""

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection."""

    @property
    def read_timeout(self) -> float:
        """Seconds to wait for each part of a response; the complete one has twice as long."""


class HttpSettings(HostSettings, Protocol):
    """The settings of a client."""

    @property
    def password(self) -> SecretStr:
        """The API key."""

    @property
    def max_retries(self) -> int:
        """How many HTTP retries one call may make."""
