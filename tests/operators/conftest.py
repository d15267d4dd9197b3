from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.broadcast import (
    CreateBroadcastOperator,
    StartBroadcastOperator,
    StopBroadcastOperator,
)
from airflow_provider_otpiq.operators.campaign import AttachRecipientsOperator
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import TEMPLATE, write_audience
from tests.fakes import TaskInstance
from tests.operators.broadcasts import Run
from tests.operators.reports import ReportTask


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
def create(context: dict[str, Any], audience: str) -> Run:
    """Create a broadcast of three parts."""
    return Run(CreateBroadcastOperator, context, {"audience": audience, "name": "Summer offer", **TEMPLATE})


@pytest.fixture
def start(context: dict[str, Any], audience: str) -> Run:
    return Run(StartBroadcastOperator, context, {"broadcast": str(Path(audience).parent / "ledger")})


@pytest.fixture
def stop(context: dict[str, Any], audience: str, sleep_calls: list[float]) -> Run:
    """Stop a broadcast; its wait for requests in flight takes no time."""
    return Run(StopBroadcastOperator, context, {"broadcast": str(Path(audience).parent / "ledger")})


@pytest.fixture
def report(context: dict[str, Any], sandbox: Sandbox, tmp_path: Path) -> ReportTask:
    return ReportTask(DeliveryReportOperator, context, {"destination": str(tmp_path / "out" / "report.csv")}, sandbox)


@pytest.fixture
def poke(context: dict[str, Any], sandbox: Sandbox) -> ReportTask:
    return ReportTask(DeliverySensor, context, {}, sandbox)


@pytest.fixture
def broadcast(create: Run, start: Run) -> str:
    """Create and start a broadcast, and return its ledger."""
    create()
    return str(start())


@pytest.fixture
def campaign_id(request: pytest.FixtureRequest, sandbox_hook: OtpiqHook) -> str:
    without_parameters = {"template_id": "6" * 24, "phone_number_id": "7" * 24}
    return str(sandbox_hook.create_campaign(name="Summer", **getattr(request, "param", without_parameters))["_id"])


@pytest.fixture
def attach(context: dict[str, Any], campaign_id: str) -> Run:
    return Run(AttachRecipientsOperator, context, {"campaign_id": campaign_id})
