"""A sensor and a report under a real scheduler: rescheduled, and killed during a download."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dev.running_airflow import wait_until
from tests.operators.reports import as_csv, downloads, generated, read, send_file
from tests.system.observing import end_the_wait, everything_written, kill_task, wait_for_state

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

NUMBER = "9647712340987"
ATTEMPTS = 3  # of one poke


def test_a_sensor_is_rescheduled_through_an_outage_until_the_messages_have_arrived(
    airflow: RunningAirflow, sandbox: Sandbox, tmp_path: Path
) -> None:
    send_file(sandbox, as_csv([{"Delivery Status": "pending", "Phone Number": NUMBER}]), 1)
    destination = tmp_path / "report.parquet"
    run = airflow.trigger("waits_and_reports", destination=str(destination))
    wait_for_state(airflow, run, "up_for_reschedule", "wait")
    assert airflow.xcom(run, "wait", "report")["pending"] == 1
    assert not destination.exists()
    sandbox.arm("generate", status=503, times=ATTEMPTS)
    end_the_wait(airflow, run, "wait")
    wait_until(lambda: len(generated(sandbox)) == 1 + ATTEMPTS)
    wait_for_state(airflow, run, "up_for_reschedule", "wait")
    assert airflow.xcom(run, "wait", "report")["pending"] == 1
    send_file(sandbox, as_csv([{"Delivery Status": "read", "Phone Number": NUMBER}]), 1, times=2)
    end_the_wait(airflow, run, "wait", times=2)
    assert airflow.finished(run) == "success"
    assert len(generated(sandbox)) == 3 + ATTEMPTS
    for task in ("wait", "report"):
        counts = airflow.xcom(run, task, "report")
        assert (counts["pending"], counts["read"]) == (0, 1)
    assert airflow.xcom(run, "report") == str(destination)
    assert [row["phone_number"] for row in read(str(destination))] == [NUMBER]
    assert not any(NUMBER in text for text in everything_written(airflow))


def test_a_task_killed_during_a_download_leaves_no_file_and_the_next_try_writes_it(
    airflow: RunningAirflow, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.arm("download", delay=20)
    destination = tmp_path / "out" / "report.csv"
    run = airflow.trigger("report_that_is_killed", destination=str(destination))
    wait_until(lambda: downloads(sandbox))
    kill_task(airflow, run, "report")
    assert airflow.finished(run) == "success"
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["report.csv"]
    assert len(generated(sandbox)) == 2
