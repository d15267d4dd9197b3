"""A campaign, mapped campaigns, and a broadcast from S3 in four shards, for workers that are killed."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG

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

AT_ONCE: dict[str, Any] = {"retries": 4, "retry_delay": timedelta(seconds=0)}
WORKERS = ("worker-1", "worker-2")  # each has a queue of its name
TEMPLATE: dict[str, Any] = {
    "template_name": "summer_promo",
    "template_language": "ar",
    "phone_number": "+964 770 123 4567",
}
NAME = ("Rabab", "of", "the", "workers")  # in parts, as Airflow stores a copy of this file
SHARDS = [0, 1, 2, 3]
CAMPAIGNS = 6


def people(ti: Any, params: dict[str, Any], first: int = 0) -> Iterator[dict[str, Any]]:
    """Yield a campaign's 20 people, whose numbers are not in this file, because Airflow stores a copy of it."""
    first += int(params["first"]) + max(ti.map_index, 0) * 20
    for number in range(first, first + 20):
        yield {"phoneNumber": f"96477{number:08}", "templateParameters": {"body": {"1": "-".join(NAME)}}}


def team(ti: Any, params: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return people(ti, params, first=50_000_000)


def campaign(dag_id: str, queues: tuple[str, ...]) -> None:
    with DAG(dag_id, schedule=None, params={"first": 0}, default_args=AT_ONCE):
        create = CreateCampaignOperator(task_id="create", name="On Celery", queue=queues[0], **TEMPLATE)
        attach = AttachRecipientsOperator(
            task_id="attach", campaign_id=create.output, recipients=people, queue=queues[1]
        )
        sample = SendSampleOperator(task_id="sample", campaign_id=create.output, recipients=team, queue=queues[0])
        start = StartCampaignOperator(task_id="start", campaign_id=create.output, queue=queues[1])
        attach >> sample >> start


campaign("campaign", ("default", "default"))
campaign("campaign_on_both_workers", WORKERS)

with DAG("mapped_campaigns", schedule=None, params={"first": 0}, default_args=AT_ONCE):
    names = [f"On Celery {number}" for number in range(CAMPAIGNS)]
    created = CreateCampaignOperator.partial(task_id="create", **TEMPLATE).expand(name=names)
    attached = AttachRecipientsOperator.partial(task_id="attach", recipients=people).expand(campaign_id=created.output)
    StartCampaignOperator.partial(task_id="start").expand(campaign_id=attached.output)

with DAG("broadcast_from_s3", schedule=None, params={"folder": ""}, default_args=AT_ONCE):
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source="{{ params.folder }}/people.csv",
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        output="{{ params.folder }}/audience",
    )
    broadcast = CreateBroadcastOperator.partial(
        task_id="create", audience=prepare.output, name="On Celery", shards=len(SHARDS), **TEMPLATE
    ).expand(shard=SHARDS)
    StartBroadcastOperator.partial(task_id="start", broadcast=broadcast.output, shards=len(SHARDS)).expand(shard=SHARDS)
