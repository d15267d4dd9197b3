"""A broadcast that is stopped under a real scheduler, and a stop that is killed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq._broadcast.create import create_broadcast
from airflow_provider_otpiq._broadcast.request import CreateBroadcast, StartBroadcast
from airflow_provider_otpiq._broadcast.start import start_broadcast
from dev.running_airflow import wait_until
from tests.broadcast.people import TEMPLATE, everybody, messaged, write_audience
from tests.system.observing import kill_task, log_of, requests_of, run_again, task_of

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler


def test_a_stop_that_is_killed_continues_when_it_is_cleared(
    airflow: RunningAirflow, sandbox: Sandbox, sandbox_hook: OtpiqHook, tmp_path: Path
) -> None:
    create = CreateBroadcast.parse(audience=write_audience(str(tmp_path)), name="Summer offer", **TEMPLATE)
    ledger = str(create_broadcast(sandbox_hook, create).ledger)
    start_broadcast(
        sandbox_hook,
        StartBroadcast.parse(broadcast=ledger, lead_time=timedelta(hours=1), max_delay=timedelta(minutes=30)),
    )
    assert messaged(sandbox) == everybody()
    scheduled = len(requests_of(sandbox, "update"))
    sandbox.arm("update", delay=25)
    run = airflow.trigger("example_otpiq_stop", ledger=ledger)
    wait_until(lambda: len(requests_of(sandbox, "update")) > scheduled)
    kill_task(airflow, run, "stop")
    assert airflow.finished(run) == "failed"
    run_again(airflow, run, "stop")
    assert task_of(airflow, run, "stop")["state"] == "success"
    assert not messaged(sandbox)
    assert airflow.xcom(run, "stop", "broadcast") == {
        "stopped": 3, "too_late": 0, "recipients_stopped": 9, "recipients_too_late": 0,
    }  # fmt: skip
    assert "Waiting 125 s" in log_of(airflow, run, "stop", 2)
