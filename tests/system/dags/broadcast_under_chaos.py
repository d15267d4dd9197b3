"""A broadcast in four shards, whose tasks read how far ahead their clock is from a file."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator

AT_ONCE: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=0)}
SHARDS = [0, 1, 2, 3]


class _ClockAhead:
    def execute(self, context: Any) -> Any:
        import time_machine

        clock = Path(os.environ["AIRFLOW_HOME"]) / "clock-of-the-tasks"
        # For the operator alone: the times that Airflow keeps of its task stay true.
        with time_machine.travel(timedelta(seconds=int(clock.read_text()))):
            return super().execute(context)  # type: ignore[misc]


class Create(_ClockAhead, CreateBroadcastOperator):
    pass


class Start(_ClockAhead, StartBroadcastOperator):
    pass


with DAG("broadcast_under_chaos", schedule=None, params={"audience": ""}):
    create = Create.partial(
        task_id="create",
        audience="{{ params.audience }}",
        name="Chaos",
        template_name="summer_promo",
        template_language="ar",
        phone_number="+964 770 123 4567",
        shards=len(SHARDS),
        otpiq_conn_id="otpiq_chaos",
        **AT_ONCE,
    ).expand(shard=SHARDS)
    Start.partial(
        task_id="start", broadcast=create.output, shards=len(SHARDS), otpiq_conn_id="otpiq_chaos", **AT_ONCE
    ).expand(shard=SHARDS)
