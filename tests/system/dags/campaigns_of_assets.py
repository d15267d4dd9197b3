"""A DAG whose task has an asset, and a DAG that is scheduled on it."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator, UpdateCampaignOperator

IDS: dict[str, Any] = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}
CREATED, FAILED = Asset("otpiq-test://created"), Asset("otpiq-test://failed")

with DAG("asset_of_a_campaign", schedule=None):
    create = CreateCampaignOperator(task_id="create", name="Of an asset", outlets=[CREATED], **IDS)
    UpdateCampaignOperator(task_id="fail", campaign_id=create.output, schedule_type="never", outlets=[FAILED])

with DAG("scheduled_on_a_campaign", schedule=[CREATED], start_date=pendulum.datetime(2026, 1, 1)):

    @task
    def read(triggering_asset_events: Any = None) -> list[str]:
        return [event.extra["campaign_id"] for event in triggering_asset_events[CREATED]]

    read()
