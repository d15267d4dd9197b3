"""
Create a campaign from Airflow's trigger form.

It runs as it stands against the sandbox, with the connection ``otpiq_default``.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator

ID_PATTERN = "^[a-fA-F0-9]{24}$"

with DAG(
    dag_id="example_otpiq_manual",
    description="Create a WhatsApp campaign from a form",
    schedule=None,
    params={
        "name": Param(
            "Summer offer",
            type="string",
            title="Name",
            description="3 to 80 characters",
            minLength=3,
            maxLength=80,
        ),
        "template_id": Param(
            "665f1c2ab3d4e5f601234567",
            type="string",
            title="Template",
            description="The id of an approved template: 24 hexadecimal characters",
            pattern=ID_PATTERN,
        ),
        "phone_number_id": Param(
            "665f1c2ab3d4e5f601234568",
            type="string",
            title="Phone number",
            description="The id of the sending number: 24 hexadecimal characters",
            pattern=ID_PATTERN,
        ),
        "schedule_type": Param(
            "now",
            type="string",
            title="Schedule",
            description="now saves a draft; schedule starts the campaign by itself at the time below",
            enum=["now", "schedule"],
        ),
        "scheduled_for": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Start at",
            description="Only with schedule. Leave it blank for a draft",
        ),
    },
    tags=["otpiq", "example"],
) as dag:
    CreateCampaignOperator(
        task_id="create",
        name="{{ params.name }}",
        template_id="{{ params.template_id }}",
        phone_number_id="{{ params.phone_number_id }}",
        schedule_type="{{ params.schedule_type }}",
        scheduled_for="{{ params.scheduled_for }}",
    )
