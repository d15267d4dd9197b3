"""A task of a broadcast in its own process: only the operator, without Airflow around it."""

import json
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import time_machine

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import (
    CreateBroadcastOperator,
    StartBroadcastOperator,
    StopBroadcastOperator,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.fakes import TaskInstance

OPERATORS: dict[str, Any] = {
    "prepare": PrepareAudienceOperator,
    "create": CreateBroadcastOperator,
    "start": StartBroadcastOperator,
    "stop": StopBroadcastOperator,
    "report": DeliveryReportOperator,
}


def run(step: str, fields: dict[str, Any], result: str, clock: int) -> None:
    """
    Execute a task.

    :param step: which of the tasks.
    :param fields: the operator's.
    :param result: the file for its XComs, if it succeeds.
    :param clock: how many seconds the process's clock is ahead.
    """
    logging.basicConfig(level=logging.INFO)  # as Airflow does for a task
    ti = TaskInstance()
    with time_machine.travel(timedelta(seconds=clock)):
        returned = OPERATORS[step](task_id=step, **fields).execute({"ti": ti})
    Path(result).write_text(json.dumps({"return_value": returned, **ti.pushed}))


if __name__ == "__main__":
    run(**json.loads(sys.argv[1]))
