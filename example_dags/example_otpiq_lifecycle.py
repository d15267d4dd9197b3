"""
A whole campaign: a draft, its recipients from a file, a sample for the team, a person's approval, then the schedule.

It runs unchanged against the sandbox, with the connection ``otpiq_default``, on Airflow 3.1 or later.

The campaign stays a draft until a person approves it. Then the last task schedules it for 9:00 of the next day in
Baghdad. A rejection, or no response within twelve hours, sends nothing but the sample.

The time is derived from the run, so a retry sets the same one, and scheduling is idempotent. If it has passed when the
person approves, the last task fails with "must be in the future", and nothing is sent: trigger a new run.

To send immediately, replace the last task by ``StartCampaignOperator(task_id="start", campaign_id=create.output)``.
A start cannot be undone. If its response is lost, a person has to check whether the campaign is running.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pendulum

# Import the module, not its operator: on Airflow 3.0, importing the operator ends the DAG processor for all DAGs.
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG

from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    UpdateCampaignOperator,
)

FOLDER = Path(__file__).parent
# Without an offset, a time is in the DAG's timezone.
NEXT_MORNING = "{{ (dag_run.run_after.astimezone(dag.timezone) + macros.timedelta(days=1)) | ds }} 09:00"

with DAG(
    dag_id="example_otpiq_lifecycle",
    description="Draft a WhatsApp campaign, show the team a sample, and schedule it when a person approves",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    tags=["otpiq", "example"],
) as dag:
    create = CreateCampaignOperator(
        task_id="create",
        name="Summer offer of {{ dag_run.run_after | ds }}",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
    )
    attach = AttachRecipientsOperator(
        task_id="attach",
        campaign_id=create.output,
        recipients=f"{FOLDER}/audience.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
    )
    sample = SendSampleOperator(
        task_id="sample",
        campaign_id=create.output,
        recipients=f"{FOLDER}/team.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
    )
    approve = hitl.ApprovalOperator(
        task_id="approve",
        subject="Send the summer offer?",
        body=(
            "The team has received a sample. Approve to send the offer to"
            " {{ ti.xcom_pull(task_ids='attach', key='campaign').get('totalRecipients', 'all') }} people for about"
            " {{ ti.xcom_pull(task_ids='attach', key='campaign').get('estimatedTotalCost', 'an unknown number of') }}"
            f" IQD, on {NEXT_MORNING} in Baghdad. Reject to send nothing."
        ),
        response_timeout=timedelta(hours=12),  # afterwards the task fails, and nothing is sent
    )
    schedule = UpdateCampaignOperator(
        task_id="schedule",
        campaign_id=create.output,
        schedule_type="schedule",
        scheduled_for=NEXT_MORNING,
    )

    attach >> sample >> approve >> schedule
