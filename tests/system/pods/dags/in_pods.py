"""A campaign and a broadcast, for tasks in pods."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
)

TEMPLATE: dict[str, Any] = {
    "template_name": "summer_promo",
    "template_language": "ar",
    "phone_number": "+964 770 123 4567",
}
AT_ONCE: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(0)}


FOLDER = Path(__file__).parent
COLUMNS: dict[str, Any] = {"phone_number": "phone", "template_parameters": {"body": {"1": "name"}}}

with DAG("campaign", schedule=None, default_args=AT_ONCE):
    create = CreateCampaignOperator(task_id="create", name="From pods", **TEMPLATE)
    attach = AttachRecipientsOperator(
        task_id="attach", campaign_id=create.output, recipients=f"{FOLDER}/audience.csv", **COLUMNS
    )
    sample = SendSampleOperator(task_id="sample", campaign_id=create.output, recipients=f"{FOLDER}/team.csv", **COLUMNS)
    attach >> sample >> StartCampaignOperator(task_id="start", campaign_id=create.output)


def has_no_home(context: Any) -> None:
    assert "HOME" not in os.environ


WITHOUT_HOME = {"queue": "without_home", "pre_execute": has_no_home}
with DAG("broadcast", schedule=None, params={"folder": ""}, default_args={**WITHOUT_HOME, **AT_ONCE}):
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source="{{ params.folder }}/crm/*.csv",
        **COLUMNS,
        suppress="{{ params.folder }}/opt_outs.csv",
        output="{{ params.folder }}/{{ run_id }}/audience",
    )
    drafts = CreateBroadcastOperator.partial(
        task_id="create", audience=prepare.output, name="From S3", shards=2, **TEMPLATE
    ).expand(shard=[0, 1])
    StartBroadcastOperator.partial(task_id="start", broadcast=drafts.output, shards=2).expand(shard=[0, 1])
