"""A sensor that times out, in both modes, and a task that prints its XCom."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, BaseOperator, Context

from airflow_provider_otpiq.sensors.report import DeliverySensor


class PrintReport(BaseOperator):
    """Print the sensor's counts."""

    def execute(self, context: Context) -> Any:
        counts: Any = context["ti"].xcom_pull(task_ids="wait", key="report")
        print("the sensor's report:", counts)


for mode in ("poke", "reschedule"):
    with DAG(f"waits_in_mode_{mode}", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="UTC")) as dag:
        wait = DeliverySensor(
            task_id="wait",
            start="2026-11-20T00:00:00Z",
            end="2026-11-21T00:00:00Z",
            mode=mode,
            timeout=0,
        )
        wait >> PrintReport(task_id="print", trigger_rule="all_done")
    globals()[dag.dag_id] = dag
