"""What the client needs to know of a connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pydantic import SecretStr


class HttpSettings(Protocol):
    """The settings of a client."""

    @property
    def host(self) -> str:
        """The base URL of every request, without a slash at its end."""

    @property
    def password(self) -> SecretStr:
        """The API key."""

    @property
    def connect_timeout(self) -> float:
        """Seconds to wait for a connection."""

    @property
    def read_timeout(self) -> float:
        """Seconds to wait for each part of a response; the complete one has twice as long."""

    @property
    def max_retries(self) -> int:
        """How many HTTP retries one call may make."""
