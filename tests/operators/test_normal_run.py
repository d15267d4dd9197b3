"""A run in which everything is as it should be logs no warning: a false one hides those that matter."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.broadcast import CreateBroadcastOperator, StartBroadcastOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.operators.report import DeliveryReportOperator
from airflow_provider_otpiq.sensors.report import DeliverySensor
from tests.broadcast.people import TEMPLATE, number
from tests.conftest import AIRFLOW_VERSION
from tests.fakes import CREATE, StateStore, TaskInstance, execute
from tests.operators.broadcasts import later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_otpiq.sandbox import Sandbox

pytestmark = pytest.mark.slow

PEOPLE = "".join(f"C-{at},{number(at)},Zaynab\n" for at in range(1001))


@pytest.fixture
def run(dag: DAG, context: dict[str, Any]) -> Callable[..., Any]:
    """Run an operator, in a task instance that keeps its state."""

    def run(operator: Any, **fields: Any) -> Any:
        store = {"task_state_store": StateStore()} if AIRFLOW_VERSION.release >= (3, 3) else {}
        operator = operator(task_id=f"task_{len(dag.tasks)}", dag=dag, **fields)
        return execute(operator, context | {"ti": TaskInstance()} | store)

    return run


@pytest.fixture(autouse=True)
def _no_warning(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    yield
    printed = [line for line in "".join(capfd.readouterr()).splitlines() if "warning" in line.lower()]  # by structlog
    logged = [each.getMessage() for each in caplog.get_records("call") if each.levelno >= logging.WARNING]
    assert (printed, logged) == ([], [])


def test_a_broadcast(run: Callable[..., Any], sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(f"id,phone,name\n{PEOPLE}")
    (tmp_path / "opt_outs.csv").write_text(f"phone\n{number(5)}\n")
    audience = run(
        PrepareAudienceOperator,
        source=str(tmp_path / "people.csv"),
        suppress=str(tmp_path / "opt_outs.csv"),
        phone_number="phone",
        template_parameters={"body": {"1": "name"}},
        reference="id",
        output=str(tmp_path / "audience"),
    )
    ledger = run(CreateBroadcastOperator, audience=audience, name="Summer", **TEMPLATE)
    run(StartBroadcastOperator, broadcast=ledger)
    with later(hours=2):
        run(DeliverySensor, broadcast=ledger, mode="poke")
        report = run(DeliveryReportOperator, broadcast=ledger, destination=str(tmp_path / "report.csv"))
    with open(report, encoding="utf-8") as file:
        assert sum(1 for _ in file) == 1 + 1000
    assert len(sandbox.campaigns) == 1


def test_a_campaign(run: Callable[..., Any], sandbox: Sandbox) -> None:
    campaign_id = run(CreateCampaignOperator, **CREATE)
    recipients = [{"phoneNumber": number(at), "templateParameters": {"body": {"1": "Zaynab"}}} for at in range(3)]
    run(AttachRecipientsOperator, campaign_id=campaign_id, recipients=recipients)
    run(UpdateCampaignOperator, campaign_id=campaign_id, name="Winter")
    run(SendSampleOperator, campaign_id=campaign_id, recipients=recipients[:1])
    run(StartCampaignOperator, campaign_id=campaign_id)
    assert {campaign["_id"]: campaign["status"] for campaign in sandbox.campaigns}[campaign_id] == "running"
