"""Creates that are killed, rate limited, refused, cleared and mapped."""

from __future__ import annotations

import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator

try:
    from airflow.sdk import RetryDecision, RetryPolicy
except ImportError:  # before Airflow 3.3, where nothing here runs
    RetryDecision = RetryPolicy = object  # type: ignore[assignment, misc]

IDS: dict[str, Any] = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
AT_ONCE: dict[str, Any] = {"retries": 3, "retry_delay": timedelta(seconds=0)}


class FailAtOnce(RetryPolicy):
    def evaluate(self, exception: Any, try_number: int, max_tries: int, context: Any = None) -> RetryDecision:
        return RetryDecision.fail(reason="a policy of the DAG's own")


def die_on_the_first_try(context: Any, result: Any = None) -> None:
    if context["ti"].try_number == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def write_the_process_id(context: Any) -> None:
    (Path(os.environ["AIRFLOW_HOME"]) / "process-of-the-task").write_text(str(os.getpid()))


with DAG("killed_after_storing", schedule=None):
    CreateCampaignOperator(task_id="create", name="Killed", **IDS, **AT_ONCE, post_execute=die_on_the_first_try)

with DAG("killed_before_storing", schedule=None):
    CreateCampaignOperator(task_id="create", name="Killed", **IDS, **AT_ONCE, pre_execute=write_the_process_id)

with DAG("limited", schedule=None):
    CreateCampaignOperator(task_id="create", name="Limited", **IDS, **AT_ONCE)

with DAG("wrong_key", schedule=None):
    CreateCampaignOperator(task_id="create", name="Refused", **IDS, **AT_ONCE, otpiq_conn_id="otpiq_wrong_key")

with DAG("stored_key", schedule=None):
    CreateCampaignOperator(task_id="create", name="Refused", **IDS, otpiq_conn_id="otpiq_stored")

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

with DAG("cleared", schedule=None):
    CreateCampaignOperator(task_id="create", name="{{ var.value.otpiq_name }}", **IDS)

with DAG("ten_mapped", schedule=None):
    CreateCampaignOperator.partial(task_id="create", pool="otpiq", **IDS, **AT_ONCE).expand(
        name=[f"Segment {number}" for number in range(10)]
    )
