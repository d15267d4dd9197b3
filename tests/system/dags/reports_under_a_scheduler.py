"""A sensor that is rescheduled until the messages are delivered, and a report."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor

WINDOW = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}
REPORT = {**WINDOW, "destination": "{{ dag_run.conf.destination }}"}

with DAG("waits_and_reports", schedule=None):
    wait = DeliverySensor(task_id="wait", **WINDOW, poke_interval=timedelta(minutes=1))
    wait >> DeliveryReportOperator(task_id="report", **REPORT)

with DAG("report_that_is_killed", schedule=None):
    DeliveryReportOperator(task_id="report", **REPORT, retries=3, retry_delay=timedelta(seconds=0))
