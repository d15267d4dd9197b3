"""Each field as a literal, a template, an XComArg and mapped, with native rendering off and on."""

from __future__ import annotations

from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator, UpdateCampaignOperator

CREATE: dict[str, Any] = {
    "name": "Created",
    "template_id": "665f1c2ab3d4e5f601234567",
    "phone_number_id": "665f1c2ab3d4e5f601234568",
    "schedule_type": "schedule",
    "scheduled_for": "2099-12-01 09:00:00+03:00",
    "otpiq_conn_id": "otpiq_default",
}
UPDATE: dict[str, Any] = CREATE | {
    "name": "Updated",
    "phone_number_id": "665f1c2ab3d4e5f601234569",
    "category": "UTILITY",
    "scheduled_for": "2099-12-02 09:00:00+03:00",
}


@task
def value(of: str, template: Any) -> Any:
    return pendulum.parse(template) if of == "scheduled_for" else template


@task
def check_xcoms(campaign_ids: Any, ti: Any = None) -> None:
    """Check that each task has pushed the id and the whole campaign."""
    for task_id in ti.task.dag.task_ids:
        if task_id.startswith(("create", "update")) and "mapped" not in task_id:
            campaign = ti.xcom_pull(task_ids=task_id, key="campaign")
            assert isinstance(campaign, dict), task_id
            assert campaign["_id"] == ti.xcom_pull(task_ids=task_id), task_id


for native in (False, True):
    with DAG(
        f"every_way_{'native' if native else 'text'}",
        schedule=None,
        render_template_as_native_obj=native,
        params={"to_create": CREATE, "to_update": UPDATE, "nothing": None},
    ):

        def templates(of: str, fields: dict[str, Any]) -> dict[str, Any]:
            return {name: f"{{{{ params.to_{of}.{name} }}}}" for name in fields}

        def xcom_args(fields: dict[str, Any]) -> dict[str, Any]:
            return {name: value.override(task_id=f"{fields['name']}_{name}")(name, fields[name]) for name in fields}

        time = pendulum.parse(CREATE["scheduled_for"])
        literal = CreateCampaignOperator(task_id="create_literal", **(CREATE | {"scheduled_for": time}))
        template = CreateCampaignOperator(task_id="create_template", **templates("create", CREATE))
        xcom_arg = CreateCampaignOperator(task_id="create_xcom_arg", **xcom_args(CREATE))
        mapped = CreateCampaignOperator.partial(task_id="create_mapped").expand_kwargs([CREATE, CREATE])
        blank = CreateCampaignOperator(task_id="create_blank", **(CREATE | {"name": "Blank"}))
        blank.schedule_type = blank.scheduled_for = "{{ params.nothing }}"

        updates = [
            UpdateCampaignOperator(task_id="update_literal", campaign_id=literal.output, **UPDATE),
            UpdateCampaignOperator(
                task_id="update_template",
                campaign_id="{{ ti.xcom_pull(task_ids='create_template') }}",
                **templates("update", UPDATE),
            ),
            UpdateCampaignOperator(task_id="update_xcom_arg", campaign_id=xcom_arg.output, **xcom_args(UPDATE)),
            UpdateCampaignOperator.partial(task_id="update_mapped").expand_kwargs(
                mapped.output.map(lambda campaign_id: UPDATE | {"campaign_id": campaign_id})
            ),
        ]
        template >> updates[1]
        updates >> check_xcoms(blank.output)
