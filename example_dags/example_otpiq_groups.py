"""
A broadcast for each group of people, with the group's own template, and a group that gets no message.

It runs unchanged against the sandbox, with the connection ``otpiq_default``. It needs the extra ``audience``.

The column ``segment`` of the file names each person's group. The task ``prepare`` decides about all rows at once, so
nobody is in two groups. Each group then has its own create and start, by dynamic task mapping. The group ``holdout``
gets no message, so that its people can be compared with the others. A group that is not in ``MESSAGES`` fails its
create, because its people would be forgotten.

The messages go out 25 hours after the run. To stop one of the broadcasts before, see ``example_otpiq_stop``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pendulum
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator

HOME = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
MESSAGES = {
    "ar": {"name": "Summer offer, Arabic", "template_language": "ar"},
    "en": {"name": "Summer offer, English", "template_language": "en"},
}
HOLDOUT = "holdout"


def create_fields(group: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the create for a group; skip the one that gets no message."""
    if group["group"] == HOLDOUT:
        raise AirflowSkipException(f"{group['recipients']} people get no message.")
    return {"audience": group["manifest"], **MESSAGES[group["group"]]}


with DAG(
    dag_id="example_otpiq_groups",
    description="Send each group of an audience its own template, except to a holdout",
    doc_md=__doc__,
    schedule=None,
    start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"),
    tags=["otpiq", "example"],
) as dag:
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=str(Path(__file__).parent / "segments.csv"),
        phone_number="phone",
        template_parameters={"body": {"1": "name", "2": {"value": "10%"}}},
        group_by="segment",
        output=f"{HOME}/otpiq/" + "{{ dag.dag_id }}/{{ run_id }}",
    )
    create = CreateBroadcastOperator.partial(
        task_id="create",
        template_name="summer_promo",
        phone_number="+964 770 123 4567",
    ).expand_kwargs(prepare.output.map(create_fields))

    StartBroadcastOperator.partial(
        task_id="start",
        # As in example_otpiq_mapped: derived from the run, so that each try has the same time, and in the future.
        scheduled_for="{{ (dag_run.data_interval_end or dag_run.run_after) + macros.timedelta(hours=25) }}",
        trigger_rule="none_failed",  # by default, it would be skipped because of the holdout
    ).expand(broadcast=create.output)
