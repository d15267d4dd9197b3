"""A task of a broadcast in a process of its own: the operator itself, with nothing of Airflow's around it."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import time_machine

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from tests.fakes import TaskInstance

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerProcess

# What takes long to import. Not this module: Python 3.11 preloads only what is installed, and says nothing of the rest.
PRELOADED = [
    "airflow.io.path",  # Airflow 2
    "airflow.providers.amazon.aws.fs.s3",  # where it is installed, Airflow imports it for any file
    "airflow.sdk.io",
    "airflow_provider_otpiq._broadcast.create",
    "airflow_provider_otpiq._broadcast.start",
    "airflow_provider_otpiq.hooks.otpiq",
    "airflow_provider_otpiq.operators.broadcast",
    "airflow_provider_otpiq._models.broadcasts",
    "time_machine",
]
OPERATORS: dict[str, Any] = {
    "prepare": PrepareAudienceOperator,
    "create": CreateBroadcastOperator,
    "start": StartBroadcastOperator,
    "report": DeliveryReportOperator,
}


def run(
    step: str,
    fields: dict[str, Any],
    environment: dict[str, str] | None = None,
    *,
    clock: int = 0,
    result: str | None = None,
    log: str | None = None,
) -> None:
    """
    Execute a task.

    :param step: which of the tasks.
    :param fields: the operator's.
    :param environment: what is added to the environment.
    :param clock: how many seconds the process's clock is ahead.
    :param result: the file for its XComs, if it succeeds.
    :param log: the file for what it prints.
    """
    os.environ.update(environment or {})
    if log:
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
        os.dup2(1, 2)
    logging.basicConfig(level=logging.INFO)  # as Airflow does for a task
    ti = TaskInstance()
    with time_machine.travel(timedelta(seconds=clock)):
        returned = OPERATORS[step](task_id=step, **fields).execute({"ti": ti})
    if result:
        aside = Path(f"{result}.{os.getpid()}")
        aside.write_text(json.dumps({"return_value": returned, **ti.pushed}))
        aside.replace(result)  # whole or not at all: it may be killed here


def start(*arguments: Any, **options: Any) -> ForkServerProcess:
    """Run a task in a process that is forked from one that has imported all of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    process = context.Process(target=run, args=arguments, kwargs=options, daemon=True)
    process.start()
    return process


if __name__ == "__main__":  # the same in a process from scratch
    parameters = json.loads(sys.argv[1])
    run(**parameters)
