"""A fault of any call over HTTP: each person is still in exactly one campaign that starts. `model` has the rest."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_otpiq._broadcast.create import create_broadcast
from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast
from airflow_provider_otpiq._broadcast.start import start_broadcast
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqConfigurationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import TEMPLATE, everybody, messaged, write_audience

PARTS = 2
FAULTS: list[dict[str, Any]] = [
    {"connection": "drop"},
    {"connection": "drop", "when": "after"},
    {"connection": "cut"},
    {"status": 500, "when": "after"},
    {"status": 400, "body": {"error": "No"}, "when": "after"},
    {"status": 400, "body": {"error": "No"}},
    {"status": 404, "body": {"message": "Campaign not found"}, "when": "after"},
    {"status": 409, "body": {"error": "No"}},
    {"status": 429, "headers": {"Retry-After": "120"}},
    {"status": 401, "when": "after"},
    {"status": 200, "body": {"success": True}, "when": "after"},
    {"status": 200, "body": {"success": True}},
]


@pytest.mark.slow
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("call", ["create", "attach", "update", "info", "payload", "resources"])
def test_after_a_fault_of_any_call_each_person_gets_the_message_once(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, tmp_path: Path, sleep_calls: list[float],
    call: str, fault: dict[str, Any], times: int,
) -> None:  # fmt: skip
    create = CreateBroadcast.parse(audience=write_audience(str(tmp_path), PARTS), name="Summer offer", **TEMPLATE)
    start = StartBroadcast.parse(
        broadcast=f"{tmp_path}/ledger", lead_time=timedelta(minutes=10), max_delay=timedelta(minutes=30)
    )
    sandbox.arm(call, times=times, **fault)
    for _ in range(8):
        try:
            create_broadcast(sandbox_hook, create)
            start_broadcast(sandbox_hook, start)
        except (OtpiqApiError, OtpiqConfigurationError):  # the latter if no campaign seems to exist
            continue
        break
    assert messaged(sandbox) == everybody(PARTS)
