"""The link to a campaign in OTPIQ's dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.operators.campaign import CreateCampaignOperator
from tests.conftest import needs_task_state
from tests.fakes import CREATE, StateStore, execute
from tests.operators.reports import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import DAG

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.operators.broadcasts import Run

DASHBOARD = "https://dashboard.example.com/campaigns/{campaign_id}?tab=all"


@pytest.fixture
def with_dashboard(sandbox_hook: OtpiqHook, connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> None:
    connect(host=sandbox.url, password=sandbox.api_key, extra={"dashboard_url": DASHBOARD})


def url_of(campaign_id: str) -> str:
    return f"https://dashboard.example.com/campaigns/{campaign_id}?tab=all"


@pytest.mark.usefixtures("with_dashboard")
def test_a_task_of_a_campaign_pushes_its_url(dag: DAG, context: dict[str, Any]) -> None:
    campaign_id = execute(CreateCampaignOperator(task_id="create", **CREATE, dag=dag), context)
    assert context["ti"].pushed["dashboard_url"] == url_of(campaign_id)


@pytest.mark.usefixtures("with_dashboard")
def test_a_broadcast_pushes_its_first_campaigns_url(
    create: Run, start: Run, report: Run, context: dict[str, Any], sandbox: Sandbox
) -> None:
    ledger = create()
    first = sandbox.campaigns[0]["_id"]
    assert context["ti"].pushed.pop("dashboard_url") == url_of(first)
    start()
    assert context["ti"].pushed.pop("dashboard_url") == url_of(first)
    report(broadcast=ledger)
    assert context["ti"].pushed.pop("dashboard_url") == url_of(first)
    report(**WINDOW)  # without a campaign
    assert "dashboard_url" not in context["ti"].pushed


@pytest.mark.usefixtures("with_dashboard")
def test_a_shard_without_campaigns_has_no_link(create: Run, context: dict[str, Any]) -> None:
    create(shard=3, shards=4)
    assert "dashboard_url" not in context["ti"].pushed


def test_without_the_extra_nothing_is_pushed(create: Run, start: Run, context: dict[str, Any]) -> None:
    create()
    start()
    assert "dashboard_url" not in context["ti"].pushed


@needs_task_state
def test_a_later_try_without_work_succeeds_with_an_invalid_connection(
    dag: DAG, context: dict[str, Any], connect: Callable[..., OtpiqHook]
) -> None:
    context["task_state_store"] = StateStore()
    campaign_id = execute(CreateCampaignOperator(task_id="create", **CREATE, dag=dag), context)
    connect(extra={"dashboard_url": "wrong"})
    again = CreateCampaignOperator(task_id="create_again", **CREATE, dag=dag)
    assert execute(again, context) == campaign_id
    assert "dashboard_url" not in context["ti"].pushed


@pytest.mark.usefixtures("with_dashboard")
def test_the_link_has_the_campaigns_url_after_execution(dag: DAG, context: dict[str, Any]) -> None:
    operator = CreateCampaignOperator(task_id="create", **CREATE, dag=dag)
    (link,) = operator.operator_extra_links
    assert link.get_link(operator, ti_key=context["ti"]) == ""
    campaign_id = execute(operator, context)
    assert link.get_link(operator, ti_key=context["ti"]) == url_of(campaign_id)


def test_every_operator_of_a_campaign_and_of_a_broadcast_has_the_link() -> None:
    from airflow_provider_otpiq.operators import broadcast, campaign, report

    operators = [getattr(module, name) for module in (broadcast, campaign, report) for name in module.__all__]
    assert len(operators) == 9
    assert {tuple(link.name for link in each.operator_extra_links) for each in operators} == {("OTPIQ dashboard",)}
