"""What a check finds, and how it reads a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_otpiq.check.client import UnknownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.check.client import Reply
    from airflow_provider_otpiq.check.evidence import Evidence

    Check = Callable[[Evidence], "Finding"]


class Finding(NamedTuple):
    """Whether an assumption holds, and what was seen."""

    result: Literal["holds", "differs", "unknown"]
    seen: str


def finding(holds: object, seen: object) -> Finding:
    """Return a finding that an assumption holds or differs."""
    return Finding("holds" if holds else "differs", str(seen))


def refusal_finding(reply: Reply) -> Finding:
    """Return a finding about a request that should be refused with a 400."""
    if not (reply.is_success or reply.was_refused):
        raise UnknownError(f"the response is {reply}")
    return finding(reply.was_refused, reply)


def keys_of(content: object) -> str:
    """Describe the fields of a JSON value, without their values."""
    return f"fields {', '.join(map(str, content)) or 'none'}" if isinstance(content, dict) else type(content).__name__
