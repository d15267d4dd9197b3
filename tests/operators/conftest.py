from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import TEMPLATE, write_audience
from tests.fakes import TaskInstance, execute
from tests.operators.reports import ReportTask

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

_task_numbers = count()


@pytest.fixture
def dag() -> DAG:
    return DAG("dag", schedule=None, start_date=pendulum.datetime(2026, 1, 1, tz="Asia/Baghdad"))


@pytest.fixture
def context(dag: DAG, sandbox_hook: OtpiqHook) -> dict[str, Any]:
    return {"ti": TaskInstance(), "dag": dag, "params": {"name": "Autumn"}}


@pytest.fixture
def audience(tmp_path: Path) -> str:
    return write_audience(str(tmp_path))


@pytest.fixture
def create(dag: DAG, context: dict[str, Any], audience: str) -> Callable[..., str]:
    """Run a create of three parts, in a task instance of its own."""

    def run(**fields: Any) -> str:
        fields = {"audience": audience, "name": "Summer offer", **TEMPLATE, **fields}
        operator = CreateBroadcastOperator(task_id=f"create_{next(_task_numbers)}", dag=dag, **fields)
        return str(execute(operator, context))

    return run


@pytest.fixture
def start(dag: DAG, context: dict[str, Any], audience: str) -> Callable[..., str]:
    def run(**fields: Any) -> str:
        fields = {"broadcast": str(Path(audience).parent / "ledger"), **fields}
        operator = StartBroadcastOperator(task_id=f"start_{next(_task_numbers)}", dag=dag, **fields)
        return str(execute(operator, context))

    return run


@pytest.fixture
def report(dag: DAG, context: dict[str, Any], sandbox: Sandbox, tmp_path: Path) -> ReportTask:
    destination = str(tmp_path / "out" / "report.csv")
    return ReportTask(DeliveryReportOperator, sandbox, dag, context, {"destination": destination})


@pytest.fixture
def poke(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> ReportTask:
    return ReportTask(DeliverySensor, sandbox, dag, context, {})


@pytest.fixture
def broadcast(create: Callable[..., str], start: Callable[..., str]) -> str:
    """Give the ledger of a broadcast that was created and started."""
    create()
    return start()
