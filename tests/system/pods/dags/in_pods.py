"""Whole campaigns whose every task runs in a pod of its own."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPLATE: dict[str, Any] = {
    "template_name": "summer_promo",
    "template_language": "ar",
    "phone_number": "+964 770 123 4567",
}
AT_ONCE: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(0)}


@dataclass(frozen=True)
class RecipientsIn:
    file: str

    def __call__(self) -> Iterator[dict[str, Any]]:
        with (Path(__file__).parent / self.file).open(encoding="utf-8") as rows:
            for row in csv.DictReader(rows):
                yield {"phoneNumber": row["phone"], "templateParameters": {"body": {"1": row["name"]}}}


with DAG("campaign", schedule=None, default_args=AT_ONCE):
    create = CreateCampaignOperator(task_id="create", name="From pods", **TEMPLATE)
    attach = AttachRecipientsOperator(
        task_id="attach", campaign_id=create.output, recipients=RecipientsIn("audience.csv")
    )
    sample = SendSampleOperator(task_id="sample", campaign_id=create.output, recipients=RecipientsIn("team.csv"))
    attach >> sample >> StartCampaignOperator(task_id="start", campaign_id=create.output)

with DAG("start_only", schedule=None, params={"campaign_id": ""}, default_args=AT_ONCE):
    StartCampaignOperator(task_id="start", campaign_id="{{ params.campaign_id }}")


def has_no_home(context: Any) -> None:
    assert "HOME" not in os.environ


WITHOUT_HOME = {"queue": "without_home", "pre_execute": has_no_home}
with DAG("broadcast", schedule=None, params={"folder": ""}, default_args={**WITHOUT_HOME, **AT_ONCE}):
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source="{{ params.folder }}/crm/*.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        suppress="{{ params.folder }}/opt_outs.csv",
        output="{{ params.folder }}/{{ run_id }}/audience",
    )
    drafts = CreateBroadcastOperator.partial(
        task_id="create", audience=prepare.output, name="From S3", shards=2, **TEMPLATE
    ).expand(shard=[0, 1])
    StartBroadcastOperator.partial(task_id="start", broadcast=drafts.output, shards=2).expand(shard=[0, 1])
