"""
Create a campaign from Airflow's trigger form, by names instead of ids.

It runs unchanged against the sandbox, with the connection ``otpiq_default``.

The campaign has no recipients yet, so a run sends no message to anybody.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator

ID_PATTERN = "^([a-fA-F0-9]{24})?$"  # blank means not set
IDS = "Ids instead of names"

with DAG(
    dag_id="example_otpiq_manual",
    description="Create a WhatsApp campaign from a form; it has no recipients yet, so nobody gets a message",
    doc_md=__doc__,
    schedule=None,
    params={
        "name": Param(
            "Summer offer",
            type="string",
            title="Name",
            description=(
                "Trigger creates a campaign of this name in OTPIQ, 3 to 80 characters. It has no recipients yet, so"
                " nobody gets a message"
            ),
            minLength=3,
            maxLength=80,
        ),
        "template_name": Param(
            "summer_promo",
            type=["null", "string"],
            title="Template",
            description="The name of an approved template",
        ),
        "template_language": Param(
            "ar",
            type=["null", "string"],
            title="Language",
            description="The template's language, such as ar or en. May be blank if there is only one",
        ),
        "phone_number": Param(
            "+964 770 123 4567",
            type=["null", "string"],
            title="Sending number",
            description="A phone number that is connected to OTPIQ",
        ),
        "schedule_type": Param(
            "now",
            type="string",
            title="Schedule",
            description=(
                "now creates a draft, which is sent only when somebody starts it; schedule creates a campaign that"
                " starts automatically at the time below"
            ),
            enum=["now", "schedule"],
        ),
        "scheduled_for": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Start at",
            description="Only with schedule. Leave it blank for a draft",
        ),
        "template_id": Param(
            None,
            type=["null", "string"],
            title="Template id",
            description="Instead of the template's name and language: 24 hexadecimal characters",
            pattern=ID_PATTERN,
            section=IDS,
        ),
        "phone_number_id": Param(
            None,
            type=["null", "string"],
            title="Sending number's id",
            description="Instead of the sending number: 24 hexadecimal characters",
            pattern=ID_PATTERN,
            section=IDS,
        ),
    },
    tags=["otpiq", "example"],
) as dag:
    CreateCampaignOperator(
        task_id="create",
        name="{{ params.name }}",
        template_name="{{ '' if params.template_id else params.template_name }}",
        template_language="{{ '' if params.template_id else params.template_language }}",
        template_id="{{ params.template_id }}",
        phone_number="{{ '' if params.phone_number_id else params.phone_number }}",
        phone_number_id="{{ params.phone_number_id }}",
        schedule_type="{{ params.schedule_type }}",
        scheduled_for="{{ params.scheduled_for }}",
    )
