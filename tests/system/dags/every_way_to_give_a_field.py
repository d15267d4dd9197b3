"""Each field as a literal, a template, an XComArg and mapped, with native rendering off and on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator, UpdateCampaignOperator

IDS: dict[str, Any] = {"template_id": "665f1c2ab3d4e5f601234567", "phone_number_id": "665f1c2ab3d4e5f601234568"}

for native in (False, True):
    with DAG(
        f"every_way_{'native' if native else 'text'}",
        schedule=None,
        render_template_as_native_obj=native,
        params={"template_id": "123456789012345678901234", "nothing": None},
    ):

        @task
        def name() -> str:
            return "From XCom"

        @task
        def start() -> pendulum.DateTime:
            return pendulum.datetime(2099, 12, 1, 9, tz="Asia/Baghdad")

        literal = CreateCampaignOperator(
            task_id="literal",
            name="Literal",
            **IDS,
            schedule_type="schedule",
            scheduled_for=pendulum.datetime(2099, 12, 1, 9, tz="Asia/Baghdad"),
        )
        template = CreateCampaignOperator(
            task_id="template",
            name="Template {{ 2 * 3 }}",
            template_id="{{ params.template_id }}",
            phone_number_id=IDS["phone_number_id"],
            schedule_type="{{ params.nothing }}",
            scheduled_for="{{ params.nothing }}",
        )
        xcom_arg = CreateCampaignOperator(
            task_id="xcom_arg", name=name(), **IDS, schedule_type="schedule", scheduled_for=start()
        )
        mapped = CreateCampaignOperator.partial(task_id="mapped", **IDS, retries=1, retry_delay=timedelta(0)).expand(
            name=["Mapped 1", "Mapped 2"]
        )
        update_one = UpdateCampaignOperator(
            task_id="update_one", campaign_id=literal.output, name="Updated", category="{{ 'UTILITY' }}"
        )
        update_mapped = UpdateCampaignOperator.partial(task_id="update_mapped", schedule_type="schedule").expand_kwargs(
            mapped.output.map(lambda _id: {"campaign_id": _id, "scheduled_for": "2099-12-01 09:00+03:00"})
        )
        literal >> template >> xcom_arg >> mapped
