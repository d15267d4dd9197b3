"""A request to the sandbox's API and its response, and how deviations change them."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox.service import BadRequestError

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox.campaigns import Campaign
    from airflow_provider_otpiq.sandbox.faults import Call


@dataclass
class Exchange:
    """A request to the API and its response, which deviations change."""

    call: Call
    body: Any
    """The request's JSON body."""
    campaign: Campaign | None
    """The campaign in the request's path, before the request."""
    names: set[str]
    """The names of all campaigns before the request."""
    now: datetime
    status: int = 0
    content: Any = None
    """The response's JSON body, or the text of a report's file."""
    headers: dict[str, str] = field(default_factory=dict)
    """Further headers of the response."""

    @property
    def data(self) -> dict[str, Any]:
        """The response's ``data``; an empty dict if it has none."""
        data = self.content.get("data") if isinstance(self.content, dict) else None
        return data if isinstance(data, dict) else {}

    @property
    def error(self) -> str:
        """The text of a 400; empty for another response."""
        return str(self.content["error"]) if self.status == 400 and "error" in self.content else ""  # noqa: PLR2004

    @property
    def time(self) -> datetime | None:
        """The request's ``scheduledFor``; None if it has no valid one."""
        with suppress(ValueError):
            time = datetime.fromisoformat(str(self.body.get("scheduledFor")))
            return time if time.tzinfo else None
        return None


Change = Callable[[Exchange], None]
"""Changes a request before it is processed, or its response."""


def set_status(status: int) -> Change:
    """Return another status for success."""

    def change(exchange: Exchange) -> None:
        if exchange.status < 300:  # noqa: PLR2004
            exchange.status = status

    return change


def set_fields(**fields: Any) -> Change:
    """Set fields of the campaign in a response; None removes one."""

    def change(exchange: Exchange) -> None:
        for name, value in fields.items() if exchange.data else ():
            exchange.data.pop(name, None)
            if value is not None:
                exchange.data[name] = value

    return change


def unwrap(exchange: Exchange) -> None:
    """Return a campaign without ``success`` and ``data``."""
    exchange.content = exchange.data or exchange.content


def replace_error(pattern: str, status: int, **content: Any) -> Change:
    """Replace an error whose text matches."""

    def change(exchange: Exchange) -> None:
        if re.search(pattern, exchange.error):
            exchange.status, exchange.content = status, content

    return change


def refuse_if(reason: str, condition: Callable[[Exchange], Any]) -> Change:
    """Refuse requests with a 400."""

    def check(exchange: Exchange) -> None:
        if condition(exchange):
            raise BadRequestError(reason)

    return check


def replace_in_file(pattern: str, replacement: str) -> Change:
    """Replace text of a report's file."""

    def change(exchange: Exchange) -> None:
        if isinstance(exchange.content, str):
            exchange.content = re.sub(pattern, replacement, exchange.content, flags=re.MULTILINE)

    return change


def replace_values(**replacements: str) -> Change:
    """Replace strings in a response."""

    def replace(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: replace(item) for key, item in value.items()}
        if isinstance(value, list):
            return [replace(item) for item in value]
        return replacements.get(value, value) if isinstance(value, str) else value

    def change(exchange: Exchange) -> None:
        exchange.content = replace(exchange.content)

    return change
