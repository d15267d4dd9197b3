"""Recipients as a literal, a template, an XComArg, a callable and mapped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS: dict[str, Any] = {"template_name": "order_update", "phone_number": "+964 770 123 4567"}


@task(show_return_value_in_logs=False)
def people() -> list[str]:
    return [f"9647{600_000_000 + number}" for number in range(3)]


def from_the_context(ti: Any) -> Iterator[str]:
    for number in range(4 if ti.map_index < 0 else 5 + ti.map_index):
        yield f"0780 000 000{number}"


with DAG("every_way_of_recipients", schedule=None, render_template_as_native_obj=True):
    read = people()
    ways: dict[str, Any] = {
        "literal": ["0770 123 4567", "+964 770 123 4568"],
        "xcom_arg": read,
        "callable": from_the_context,
        "template": "{{ ti.xcom_pull(task_ids='people') }}",
    }
    for way, recipients in ways.items():
        create = CreateCampaignOperator(task_id=f"create_{way}", name=f"Way {way}", **IDS)
        attach = AttachRecipientsOperator(task_id=f"attach_{way}", campaign_id=create.output, recipients=recipients)
        read >> attach
    sample = SendSampleOperator(task_id="sample", campaign_id=attach.output, recipients=from_the_context)
    sample >> StartCampaignOperator(task_id="start", campaign_id=attach.output)

    mapped = CreateCampaignOperator.partial(task_id="create_mapped", **IDS).expand(name=["Mapped 0", "Mapped 1"])
    attached = AttachRecipientsOperator.partial(task_id="attach_mapped", recipients=from_the_context).expand(
        campaign_id=mapped.output
    )
    StartCampaignOperator.partial(task_id="start_mapped").expand(campaign_id=attached.output)

    one = CreateCampaignOperator(task_id="create_mapped_people", name="Mapped people", **IDS)
    AttachRecipientsOperator.partial(task_id="attach_mapped_people", campaign_id=one.output).expand(
        recipients=[["0750 000 0001"], ["0750 000 0002", "0750 000 0003"]]
    )

with DAG("recipients_beside_a_field_that_cannot_be_rendered", schedule=None):
    AttachRecipientsOperator(
        task_id="attach", campaign_id="1", recipients=people(), otpiq_conn_id="{{ nothing.at.all }}"
    )
