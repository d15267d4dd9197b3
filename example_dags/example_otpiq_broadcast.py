"""
A broadcast: one message to an audience of any size, in as many campaigns as it takes.

It runs as it stands against the sandbox, with the connection ``otpiq_default``, on Airflow 3.1 or later, and needs the
extra ``audience``.

The audience here is a small CSV file, but it is three tasks for a million people too. Each person is in exactly one
campaign that starts, whatever fails and is tried again: the ledger, beside the audience, holds what was done. The
campaigns stay drafts until a person approves. Only then does the task ``start`` schedule them, for 9 in the morning of
the next day in Baghdad.

Then the task ``wait`` waits until the messages have arrived or failed, and ``report`` writes what became of each to a
Parquet file beside the audience. ``example_otpiq_results`` does the same in a DAG of its own, which is scheduled on
what ``start`` does.

Where the audience lies must be reached by every worker, and be yours alone: it holds people's names and numbers. The
param ``folder`` says where; with several workers it is a URL such as ``s3://marketing/otpiq``.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum

# The module, not its operator: Airflow 3.0 has none, and its DAG processor, importing what such a line names
# before it reads the file, would end for all DAGs.
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG, Asset, Param, task

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import SendSampleOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent
HOME = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
AUDIENCE = "{{ params.folder }}/{{ dag.dag_id }}/{{ run_id }}"
NEXT_MORNING = "{{ (dag_run.run_after.astimezone(dag.timezone) + macros.timedelta(days=1)) | ds }} 09:00"


@dataclass(frozen=True)
class Team:
    """Who gets the sample, from a CSV file that is read when the task executes."""

    path: Path

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Yield a recipient for each row."""
        with self.path.open(encoding="utf-8-sig") as rows:
            for row in csv.DictReader(rows):
                yield {"phoneNumber": row["phone"], "templateParameters": {"body": {"1": row["name"]}}}


with DAG(
    dag_id="example_otpiq_broadcast",
    description="Send one message to an audience of any size when a person approves, and report what became of it",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    params={"folder": Param(f"{HOME}/otpiq", type="string", description="Where audiences lie: a local path or a URL")},
    tags=["otpiq", "example"],
) as dag:
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=f"{FOLDER}/audience.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name", "2": {"value": "10%"}}},
        suppress=f"{FOLDER}/opt_outs.csv",
        output=AUDIENCE,
        max_rejected=0.1,  # more is rather a broken file than a few bad numbers
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
        campaign_id="{{ ti.xcom_pull(task_ids='create', key='first_campaign_id') }}",
        recipients=Team(FOLDER / "team.csv"),
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
            "The team has a sample on its phones. Approving sends it to {{ broadcast.recipients }} people, in"
            " {{ broadcast.campaigns }} campaigns, for {{ broadcast.estimated_cost }} IQD of the"
            " {{ ti.xcom_pull(task_ids='read_credit') }} IQD that are left,"
            f" on {NEXT_MORNING} in Baghdad."
            " Left out of {{ audience.rows }} rows: {{ audience.rejected }} wrong, {{ audience.suppressed }} opted out,"
            " {{ audience.duplicates }} twice. Rejecting sends nothing."
        ),
        response_timeout=timedelta(hours=12),  # then the task fails, and nothing is sent
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
