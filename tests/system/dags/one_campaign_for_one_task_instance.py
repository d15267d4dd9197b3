"""Creates that fail after OTPIQ has saved the campaign."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator


def fail_the_first_try(context: Any, result: Any = None) -> None:
    if context["ti"].try_number == 1:
        raise RuntimeError("this try fails after its campaign was created")


IDS: dict[str, Any] = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
FAILS_ONCE: dict[str, Any] = {
    "retries": 1,
    "retry_delay": timedelta(0),
    "post_execute": fail_the_first_try,
}

with DAG("same_fields_on_the_retry", schedule=None):
    CreateCampaignOperator(task_id="create", name="Offer of {{ run_id }}", **IDS, **FAILS_ONCE)

with DAG("other_fields_on_the_retry", schedule=None):
    CreateCampaignOperator(task_id="create", name="Offer, try {{ ti.try_number }}", **IDS, **FAILS_ONCE)
