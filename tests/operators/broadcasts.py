"""What the tests of a broadcast's operators need: what was pushed, what was sent, and times to come."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pendulum
import time_machine

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox


def pushed(context: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = context["ti"].pushed
    return values


def sent(sandbox: Sandbox) -> list[str]:
    """List what was sent that changes something, with ``{_id}`` for ids."""
    return [
        f"{request['method']} {request['path'].rpartition('/')[2] if request['method'] == 'POST' else '{_id}'}"
        for request in sandbox.requests
        if request["method"] != "GET"
    ]


def in_minutes(minutes: int) -> pendulum.DateTime:
    return pendulum.now("UTC").add(minutes=minutes).start_of("second")


def later(**by: float) -> Any:
    """Move the clock of this process, and so the sandbox's, while a block runs."""
    return time_machine.travel(timedelta(**by))
