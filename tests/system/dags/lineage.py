"""A broadcast from files to campaigns and to a report, for OpenLineage."""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator, CreateCampaignOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator

FOLDER = "{{ params.folder }}"
TEMPLATE: dict[str, Any] = {
    "template_name": "summer_promo",
    "template_language": "ar",
    "phone_number": "+964 770 123 4567",
}

with DAG("lineage", schedule=None, params={"folder": ""}):
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=f"{FOLDER}/people.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        reference="id",
        output=f"{FOLDER}/audience",
    )
    broadcast = CreateBroadcastOperator(task_id="broadcast", audience=prepare.output, name="Lineage", **TEMPLATE)
    start = StartBroadcastOperator(task_id="start", broadcast=broadcast.output)
    DeliveryReportOperator(task_id="report", broadcast=start.output, destination=f"{FOLDER}/report.parquet")

    create = CreateCampaignOperator(task_id="create", name="Alone", **TEMPLATE)
    AttachRecipientsOperator(
        task_id="attach",
        campaign_id=create.output,
        recipients=lambda: [{"phoneNumber": "9647809876543", "templateParameters": {"body": {"1": "Hawraa"}}}],
    )
