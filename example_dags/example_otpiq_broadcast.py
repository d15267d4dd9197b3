"""
A broadcast: one message to an audience of any size, in as many campaigns as needed.

It runs unchanged against the sandbox, with the connection ``otpiq_default``, on Airflow 3.1 or later. It needs the
extra ``audience``.

The audience here is a small CSV file, but a million people need the same tasks. Each person gets the message from
exactly one campaign, even if tasks fail and are retried: the ledger, beside the audience, records what was done. The
campaigns stay drafts until a person approves. Then the task ``start`` schedules them for 9:00 of the next day in
Baghdad.

The task ``wait`` waits until the messages have arrived or failed. ``report`` writes the outcome of each message to a
Parquet file beside the audience. ``example_otpiq_results`` does the same in a separate DAG, scheduled on ``start``.

To stop the broadcast, trigger ``example_otpiq_stop`` with the path of the ledger, which is the output of the tasks
``create`` and ``start``. A campaign that has started cannot be stopped.

The param ``folder`` is where the audience is. Every worker must reach it, so with several workers it is a URL such as
``s3://marketing/otpiq``. It contains names and phone numbers: limit who can read it.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pendulum

# Import the module, not its operator: on Airflow 3.0, importing the operator ends the DAG processor for all DAGs.
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import (
    CreateBroadcastOperator,
    StartBroadcastOperator,
    StopBroadcastOperator,
)
from airflow_provider_otpiq.operators.campaign import SendSampleOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor

FOLDER = Path(__file__).parent
HOME = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
AUDIENCE = "{{ params.folder }}/{{ dag.dag_id }}/{{ run_id }}"
NEXT_MORNING = "{{ (dag_run.run_after.astimezone(dag.timezone) + macros.timedelta(days=1)) | ds }} 09:00"

with DAG(
    dag_id="example_otpiq_broadcast",
    description="Send one message to an audience of any size when a person approves, and report who got it",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    params={"folder": Param(f"{HOME}/otpiq", type="string", description="Folder of the audiences: a path or a URL")},
    tags=["otpiq", "example"],
) as dag:
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=f"{FOLDER}/audience.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name", "2": {"value": "10%"}}},
        suppress=f"{FOLDER}/opt_outs.csv",
        output=AUDIENCE,
        max_rejected=0.1,  # more than a tenth suggests a broken file
    )
    create = CreateBroadcastOperator(
        task_id="create",
        audience=prepare.output,
        name="Summer offer of {{ dag_run.run_after | ds }}",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
    )
    sample = SendSampleOperator(
        task_id="sample",
        campaign_id=create.output["first_campaign_id"],  # type: ignore[index]  # Airflow types it as a base class
        recipients=f"{FOLDER}/team.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
    )

    @task
    def read_credit() -> float | None:
        """Read the project's credit, in IQD."""
        from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

        credit: float | None = OtpiqHook().get_project_info().get("credit")
        return credit

    credit = read_credit()
    approve = hitl.ApprovalOperator(
        task_id="approve",
        subject="Send the summer offer?",
        body=(
            "{% set audience = ti.xcom_pull(task_ids='prepare', key='audience') %}"
            "{% set broadcast = ti.xcom_pull(task_ids='create', key='broadcast') %}"
            "The team has received a sample. Approve to send the offer to {{ broadcast.recipients }} people in"
            " {{ broadcast.campaigns }} campaigns, for {{ broadcast.estimated_cost }} of the remaining"
            f" {{{{ ti.xcom_pull(task_ids='read_credit') }}}} IQD, on {NEXT_MORNING} in Baghdad."
            " Of {{ audience.rows }} rows, {{ audience.rejected }} were rejected, {{ audience.suppressed }} opted out"
            " and {{ audience.duplicates }} were duplicates. Reject to send nothing."
        ),
        response_timeout=timedelta(hours=12),  # afterwards the task fails, and nothing is sent
    )
    start = StartBroadcastOperator(
        task_id="start",
        broadcast=create.output,
        scheduled_for=NEXT_MORNING,
        outlets=[Asset("otpiq-broadcasts", uri="otpiq://shop/broadcasts")],
    )
    wait = DeliverySensor(task_id="wait", broadcast=start.output)
    report = DeliveryReportOperator(
        task_id="report",
        broadcast=start.output,
        destination=f"{AUDIENCE}/delivery.parquet",
    )

    create >> sample >> credit >> approve >> start >> wait >> report

with DAG(
    dag_id="example_otpiq_stop",
    description="Stop a broadcast that is scheduled",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    params={"ledger": Param(type="string", minLength=1, description="Output of the task that started the broadcast")},
    tags=["otpiq", "example"],
):
    StopBroadcastOperator(task_id="stop", broadcast="{{ params.ledger }}")
