"""Refuse each request that could reach people, before it is sent."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_otpiq._http.session import Adapter

if TYPE_CHECKING:
    import requests

A_YEAR = timedelta(days=366)
_READS_OR_DRAFTS = re.compile(r"GET .*|POST .*/(reports/generate|campaigns)|PATCH .*/campaigns/[0-9a-fA-F]{24}")


class HarmlessAdapter(Adapter):
    """An adapter that sends only what reads, generates a report, or makes or changes a draft."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        body = json.loads(request.body) if request.body else {}
        if not is_harmless(str(request.method), str(request.url), body):
            # Not an Exception, which the client would handle as one of the network.
            pytest.fail(f"{request.method} {request.path_url} could reach people; it was not sent", pytrace=False)
        return super().send(request, *args, **kwargs)


def is_harmless(method: str, url: str, body: dict[str, Any]) -> bool:
    """Return whether a request can reach nobody within a year."""
    if not _READS_OR_DRAFTS.fullmatch(f"{method} {urlsplit(url).path}"):
        return False
    if body.get("scheduleType", "now") == "now" and body.get("scheduledFor") is None:
        return True
    time = body.get("scheduledFor")
    return time is not None and datetime.fromisoformat(time) - datetime.now(UTC) >= A_YEAR
