"""A sensor that times out, in both modes, and a task that prints its XCom."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.sensors.report import DeliverySensor

WINDOW: dict[str, Any] = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}


@task(trigger_rule="all_done")
def print_report(ti: Any = None) -> None:
    print("the sensor's report:", ti.xcom_pull(task_ids="wait", key="report"))


for mode in ("poke", "reschedule"):
    with DAG(f"waits_in_mode_{mode}", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")):
        DeliverySensor(task_id="wait", **WINDOW, mode=mode, timeout=0) >> print_report()
