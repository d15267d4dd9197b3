"""The log of the requests that the sandbox received, in bounded memory."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

MAX_BODY_BYTES = 10_000_000
"""The maximum size of all bodies in a log. 1,000 recipients are some 100 kB."""
KEEP_REQUESTS = 1000
"""How many requests are kept by default."""


@dataclass
class LoggedRequest:
    """A request to the API. Its body stays raw, because parsed it takes ten times the memory."""

    at: str
    method: str
    path: str
    raw_body: bytes
    status: int | None = None
    """The response's status; None if no response was sent."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dict; ``body`` is None if it is empty, not JSON or dropped."""
        body = _parse_or_none(self.raw_body)
        return {"at": self.at, "method": self.method, "path": self.path, "body": body, "status": self.status}


class RequestLog:
    """
    The last requests, with the last bodies of up to 10 MB in total.

    :param keep: the maximum number of requests, 0 or more.
    :raises ValueError: if ``keep`` is negative.
    """

    def __init__(self, keep: int) -> None:
        if keep < 0:
            raise ValueError(f"keep_requests: must be 0 or more; found {keep}")
        self._keep = keep
        self._requests: deque[LoggedRequest] = deque(maxlen=keep)
        self._with_body: deque[LoggedRequest] = deque()
        self._body_bytes = 0

    def add(self, request: LoggedRequest) -> None:
        """Add a request, and drop the oldest bodies and requests beyond the limits."""
        self._requests.append(request)
        self._with_body.append(request)
        self._body_bytes += len(request.raw_body)
        while self._body_bytes > MAX_BODY_BYTES or len(self._with_body) > self._keep:
            oldest = self._with_body.popleft()
            self._body_bytes -= len(oldest.raw_body)
            oldest.raw_body = b""

    def newest(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the newest requests, or all that are kept, oldest first."""
        requests = list(self._requests)
        return [request.to_dict() for request in requests[-limit if limit else None :]]

    def clear(self) -> None:
        """Drop all requests."""
        self._requests.clear()
        self._with_body.clear()
        self._body_bytes = 0


def _parse_or_none(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
