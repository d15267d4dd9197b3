"""Tasks that the tests of the scheduler kill, rate limit, refuse, clear, map and reschedule."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:  # before Airflow 3.3, where nothing here runs
    RetryDecision = RetryPolicy = object  # type: ignore[assignment, misc]

IDS: dict[str, Any] = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
AT_ONCE: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=0)}
CAMPAIGN = "{{ params.campaign_id or var.value.otpiq_campaign }}"
WINDOW = {"start": "2026-11-20T00:00:00Z", "end": "2026-11-21T00:00:00Z"}
REPORT = {**WINDOW, "destination": "{{ dag_run.conf.destination }}"}


class FailAtOnce(RetryPolicy):
    def evaluate(self, exception: Any, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        return RetryDecision.fail(reason="the DAG's policy")


@dataclass(frozen=True)
class Numbered:
    """Recipients whose numbers are not in this file, because Airflow stores a copy of it."""

    count: int
    invalid: int = 0

    def __call__(self) -> Iterator[Any]:
        for number in range(self.count):
            yield {"phoneNumber": f"9647{6 * 10**8 + number * 7919}", "templateParameters": {"body": {"1": "Zaynab"}}}
        for number in range(self.invalid):
            yield f"9647{7 * 10**7 + number * 7919}"


def die_on_the_first_try(context: Any, result: Any = None) -> None:
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


with DAG("create", schedule=None, params={"otpiq_conn_id": "otpiq_default"}):
    name, connection = "{{ var.value.otpiq_name }}", "{{ params.otpiq_conn_id }}"
    CreateCampaignOperator(task_id="create", name=name, **IDS, **AT_ONCE, otpiq_conn_id=connection)

with DAG("create_killed", schedule=None):
    CreateCampaignOperator(task_id="create", name="Killed", **IDS, **AT_ONCE, post_execute=die_on_the_first_try)

with DAG("create_mapped", schedule=None):
    CreateCampaignOperator.partial(task_id="create", pool="otpiq", **IDS, **AT_ONCE).expand(
        name=[f"Segment {number}" for number in range(10)]
    )

with DAG("policies", schedule=None):
    LATER: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(hours=2)}
    CreateCampaignOperator(task_id="default", name="Policy", **IDS, **LATER)
    CreateCampaignOperator(task_id="of_the_task", name="Policy", **IDS, **LATER, retry_policy=FailAtOnce())
    CreateCampaignOperator(task_id="none", name="Policy", **IDS, **LATER, retry_policy=None)
    CreateCampaignOperator.partial(task_id="mapped", **IDS, **LATER).expand(name=["Policy 1"])
    CreateCampaignOperator.partial(task_id="mapped_of_the_task", **IDS, **LATER, retry_policy=FailAtOnce()).expand(
        name=["Policy 2"]
    )

with DAG("policy_of_default_args", schedule=None, default_args={"retry_policy": FailAtOnce(), "retries": 3}):
    CreateCampaignOperator(task_id="plain", name="Policy", **IDS)
    CreateCampaignOperator.partial(task_id="mapped", **IDS).expand(name=["Policy 1"])


def campaign_dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params={"campaign_id": ""}, default_args=AT_ONCE)


with campaign_dag("start"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN)

with campaign_dag("start_cut_off"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, execution_timeout=timedelta(seconds=4))

with campaign_dag("start_killed"):
    StartCampaignOperator(task_id="start", campaign_id=CAMPAIGN, post_execute=die_on_the_first_try)

with campaign_dag("sample"):
    SendSampleOperator(task_id="sample", campaign_id=CAMPAIGN, recipients=Numbered(2))

with DAG("sample_mapped", schedule=None):

    @task
    def campaigns(variable: str) -> list[str]:
        return variable.split()

    SendSampleOperator.partial(task_id="sample", recipients=Numbered(2), **AT_ONCE).expand(
        campaign_id=campaigns("{{ var.value.otpiq_campaigns }}")
    )

with campaign_dag("attach"):
    AttachRecipientsOperator(task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(1000))

with campaign_dag("attach_invalid"):
    AttachRecipientsOperator(task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(983, 17))

with campaign_dag("attach_skipping"):
    AttachRecipientsOperator(task_id="attach", campaign_id=CAMPAIGN, recipients=Numbered(5, 17), on_invalid="skip")

with DAG("waits_and_reports", schedule=None):
    wait = DeliverySensor(task_id="wait", **WINDOW, poke_interval=timedelta(minutes=1))
    wait >> DeliveryReportOperator(task_id="report", **REPORT)

with DAG("report_that_is_killed", schedule=None):
    DeliveryReportOperator(task_id="report", **REPORT, **AT_ONCE)
