"""Tasks that attach to, sample and start a campaign, and are killed, cut off, cleared or have invalid recipients."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    SendSampleOperator,
    StartCampaignOperator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CAMPAIGN = "{{ params.campaign_id }}"
AT_ONCE: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=0)}


@dataclass(frozen=True)
class Numbered:
    """Numbers that stand nowhere in this file, which Airflow stores a copy of."""

    count: int
    wrong: int = 0

    def __call__(self) -> Iterator[Any]:
        for number in range(self.count):
            yield {"phoneNumber": f"9647{6 * 10**8 + number * 7919}", "templateParameters": {"body": {"1": "Zaynab"}}}
        for number in range(self.wrong):
            yield f"9647{7 * 10**7 + number * 7919}"


def die_on_the_first_try(context: Any, result: Any = None) -> None:
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def write_the_process_id(context: Any) -> None:
    (Path(os.environ["AIRFLOW_HOME"]) / "process-of-the-task").write_text(str(os.getpid()))


def campaign_dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params={"campaign_id": ""})


with campaign_dag("start"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, **AT_ONCE)

with campaign_dag("sample"):
    SendSampleOperator(task_id="sample", campaign_id=CAMPAIGN, recipients=Numbered(2), **AT_ONCE)

with campaign_dag("start_cut_off"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, execution_timeout=timedelta(seconds=4), **AT_ONCE)

with campaign_dag("start_killed"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, pre_execute=write_the_process_id, **AT_ONCE)

with campaign_dag("start_killed_after"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, post_execute=die_on_the_first_try, **AT_ONCE)

with campaign_dag("start_cleared"):
    StartCampaignOperator(task_id="start", campaign_id="{{ var.value.otpiq_campaign }}")

with DAG("sample_mapped", schedule=None):

    @task
    def campaigns(variable: str) -> list[str]:
        return variable.split()

    SendSampleOperator.partial(task_id="sample", recipients=Numbered(2), **AT_ONCE).expand(
        campaign_id=campaigns("{{ var.value.otpiq_campaigns }}")
    )

with campaign_dag("attach"):
    AttachRecipientsOperator(task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(1000), **AT_ONCE)

with campaign_dag("attach_wrong"):
    AttachRecipientsOperator(task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(983, 17), **AT_ONCE)

with campaign_dag("attach_skipping"):
    AttachRecipientsOperator(
        task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(5, 17), on_invalid="skip", **AT_ONCE
    )

with campaign_dag("attach_mapped"):
    AttachRecipientsOperator.partial(task_id="attach", campaign_id=CAMPAIGN, **AT_ONCE).expand(
        recipients=[Numbered(3), Numbered(4)]
    )
