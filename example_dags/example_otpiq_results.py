"""
A delivery report of each broadcast that another DAG has started: who got the message, what it cost, which failed.

It is scheduled on the asset that is an outlet of the task ``start`` of ``example_otpiq_broadcast``. The asset's event
contains the path of the broadcast's ledger, which is all that a report needs. So the team that reads the reports needs
no access to the DAG that sends.

It runs unchanged against the sandbox, with the connection ``otpiq_default``, on Airflow 3. It needs the extra
``audience``.
"""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.sdk import DAG, Asset, task

from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor

STARTED = Asset("otpiq-broadcasts", uri="otpiq://shop/broadcasts")


def report_beside(ledger: str) -> dict[str, str]:
    """Return the fields of a report: its broadcast, and a file beside the ledger."""
    return {"broadcast": ledger, "destination": f"{ledger.rpartition('/')[0]}/delivery.csv"}


with DAG(
    dag_id="example_otpiq_results",
    description="Wait until the messages of a broadcast have arrived, and report who got them",
    doc_md=__doc__,
    schedule=[STARTED],
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    tags=["otpiq", "example"],
) as dag:

    @task
    def find_ledgers(triggering_asset_events: Any = None) -> list[str]:
        """List the ledgers of the broadcasts that were started since the last run."""
        events = [event for events in triggering_asset_events.values() for event in events]
        return sorted({event.extra["ledger"] for event in events})

    ledgers = find_ledgers()
    wait = DeliverySensor.partial(task_id="wait").expand(broadcast=ledgers)
    report = DeliveryReportOperator.partial(task_id="report").expand_kwargs(ledgers.map(report_beside))

    wait >> report
