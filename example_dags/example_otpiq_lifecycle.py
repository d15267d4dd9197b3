"""
A whole campaign: a draft, its audience from a file, a sample for the team, a person's approval, then the schedule.

It runs as it stands against the sandbox, with the connection ``otpiq_default``, on Airflow 3.1 or later.

The campaign stays a draft until a person approves it. Only then does the last task schedule it, for 9 in the morning of
the next day in Baghdad. Rejecting it, or not responding for twelve hours, sends nothing but the sample.

The time is derived from the run: a retry sets the same one, and scheduling is idempotent. If it has passed when the
person approves, the last task fails with "must be in the future", and nothing is sent: trigger a new run.

To send immediately, let ``StartCampaignOperator(task_id="start", campaign_id=create.output)`` follow the approval.
A start cannot be taken back, and if its response is lost, a person has to look whether the campaign is running.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum

# The module, not its operator: Airflow 3.0 has none, and its DAG processor, importing what such a line names
# before it reads the file, would end for all DAGs.
from airflow.providers.standard.operators import hitl
from airflow.sdk import DAG

from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    UpdateCampaignOperator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(__file__).parent
# Without an offset: an operator takes it in the DAG's timezone.
NEXT_MORNING = "{{ (dag_run.run_after.astimezone(dag.timezone) + macros.timedelta(days=1)) | ds }} 09:00"


@dataclass(frozen=True)
class RecipientsFile:
    """
    The recipients in a CSV file, read when a task executes: nobody's number is in the DAG.

    A dataclass says what it is in the same words at each parsing, which Airflow stores with the DAG.

    :param path: the file, of any kind that Airflow's object storage reads, such as ``s3://…``.
    """

    path: str

    def __call__(self) -> Iterator[dict[str, Any]]:
        """Yield a recipient for each row."""
        from airflow.sdk import ObjectStoragePath

        text = ObjectStoragePath(self.path).read_text(encoding="utf-8-sig")
        for row in csv.DictReader(io.StringIO(text)):
            yield {"phoneNumber": row["phone"], "templateParameters": {"body": {"1": row["name"]}}}


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
        recipients=RecipientsFile(f"file://{FOLDER}/audience.csv"),
    )
    sample = SendSampleOperator(
        task_id="sample",
        campaign_id=create.output,
        recipients=RecipientsFile(f"file://{FOLDER}/team.csv"),
    )
    approve = hitl.ApprovalOperator(
        task_id="approve",
        subject="Send the summer offer?",
        body=(
            "The team has a sample on its phones. Approving sends it to"
            " {{ ti.xcom_pull(task_ids='attach', key='campaign').get('totalRecipients', 'all') }} people for about"
            " {{ ti.xcom_pull(task_ids='attach', key='campaign').get('estimatedTotalCost', 'an unknown number of') }}"
            f" IQD, on {NEXT_MORNING} in Baghdad; rejecting sends nothing."
        ),
        response_timeout=timedelta(hours=12),  # then the task fails, and nothing is sent
    )
    schedule = UpdateCampaignOperator(
        task_id="schedule",
        campaign_id=create.output,
        schedule_type="schedule",
        scheduled_for=NEXT_MORNING,
    )

    attach >> sample >> approve >> schedule
