"""
Create a scheduled campaign every evening, and pass its id to a second task that updates it.

It runs unchanged against the sandbox, with the connection ``otpiq_default``.
"""

from __future__ import annotations

import pendulum
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator, UpdateCampaignOperator

with DAG(
    dag_id="example_otpiq_campaign",
    description="Create a scheduled WhatsApp campaign, then update it by the id from XCom",
    schedule="0 18 * * *",
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    catchup=False,
    tags=["otpiq", "example"],
) as dag:
    create = CreateCampaignOperator(
        task_id="create",
        name="Evening offer of {{ (dag_run.data_interval_end or dag_run.run_after) | ds }}",
        template_id="665f1c2ab3d4e5f601234567",
        phone_number_id="665f1c2ab3d4e5f601234568",
        schedule_type="schedule",
        # Derived from the run, so that each retry sends the same time. The data interval of a manual run may have
        # ended up to a day ago, so 25 hours later is in the future.
        scheduled_for="{{ (dag_run.data_interval_end or dag_run.run_after) + macros.timedelta(hours=25) }}",
    )

    update = UpdateCampaignOperator(
        task_id="update",
        campaign_id=create.output,
        name="Evening offer, last call",
        scheduled_for="{{ (dag_run.data_interval_end or dag_run.run_after) + macros.timedelta(hours=26) }}",
    )
