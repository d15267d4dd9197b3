"""What the events of a task's assets say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias

from airflow_provider_otpiq.exceptions import OtpiqValidationError
from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from tests.fakes import CREATE, execute

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.operators.broadcasts import Run

CAMPAIGNS = Asset("otpiq-test://campaigns")
PEOPLE = [{"phoneNumber": "9647712345678", "templateParameters": {"body": {"1": "Zaynab"}}}]


@pytest.fixture
def context(context: dict[str, Any]) -> dict[str, Any]:
    try:
        from airflow.sdk.execution_time.context import OutletEventAccessors
    except ImportError:  # Airflow 2
        from airflow.utils.context import OutletEventAccessors
    return context | {"outlet_events": OutletEventAccessors()}


def extra(context: dict[str, Any]) -> Any:
    return context["outlet_events"][CAMPAIGNS].extra


def test_each_operator_of_a_campaign_says_which_one_it_was(dag: DAG, context: dict[str, Any]) -> None:
    fields: dict[str, Any] = {"dag": dag, "outlets": [CAMPAIGNS]}

    def said(operator: Any) -> str:
        events = type(context["outlet_events"])()
        assert execute(operator, context | {"outlet_events": events}) == events[CAMPAIGNS].extra["campaign_id"]
        assert events[CAMPAIGNS].extra.keys() == {"campaign_id"}
        return str(events[CAMPAIGNS].extra["campaign_id"])

    campaign = said(CreateCampaignOperator(task_id="create", **CREATE, **fields))
    fields["campaign_id"] = campaign
    assert said(UpdateCampaignOperator(task_id="update", name="Autumn", **fields)) == campaign
    assert said(AttachRecipientsOperator(task_id="attach", recipients=PEOPLE, **fields)) == campaign
    assert said(SendSampleOperator(task_id="sample", recipients=PEOPLE, **fields)) != campaign
    assert said(StartCampaignOperator(task_id="start", **fields)) == campaign


def test_a_prepared_audience_says_its_counts_and_where_it_is(dag: DAG, context: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("phone\n9647712345678\n07712345678\nnobody\n")
    prepare = PrepareAudienceOperator(
        task_id="prepare",
        source=str(tmp_path / "people.csv"),
        phone_number="phone",
        output=tmp_path / "audience",
        max_rejected=1,
        outlets=[CAMPAIGNS],
        dag=dag,
    )
    location = execute(prepare, context)
    counts = {"rows": 3, "recipients": 1, "duplicates": 1, "suppressed": 0, "rejected": 1, "parts": 1}
    assert Path(location).is_absolute()
    assert extra(context) == {**counts, "audience": location}


def test_a_broadcast_says_its_counts_and_its_ledger(create: Run, start: Run, context: dict[str, Any]) -> None:
    ledger = create(outlets=[CAMPAIGNS])
    assert extra(context) == {"campaigns": 3, "recipients": 9, "estimated_cost": 108, "ledger": ledger}
    context["outlet_events"][CAMPAIGNS].extra = {}
    start(outlets=[CAMPAIGNS])
    counts = {"scheduled": 3, "already_scheduled": 0, "recipients": 9, "estimated_cost": 108}
    assert extra(context) == {
        **counts,
        "scheduled_for": (time := extra(context)["scheduled_for"]),
        "waves": [{"scheduled_for": time, "recipients": 9}],
        "ledger": ledger,
    }


def test_a_report_says_its_counts_and_where_it_is(
    report: Run, create: Run, start: Run, context: dict[str, Any]
) -> None:
    create()
    destination = report(broadcast=start(), outlets=[CAMPAIGNS])
    assert extra(context) == {**context["ti"].pushed["report"], "report": destination}
    assert extra(context)["unmatched"] == 9


def test_what_a_user_says_is_kept(dag: DAG, context: dict[str, Any]) -> None:
    context["outlet_events"][CAMPAIGNS].extra.update(team="growth", campaign_id="ours")
    execute(CreateCampaignOperator(task_id="create", **CREATE, outlets=[CAMPAIGNS], dag=dag), context)
    assert extra(context) == {"team": "growth", "campaign_id": "ours"}


def test_an_alias_and_other_outlets_are_left_alone(dag: DAG, context: dict[str, Any], sandbox: Sandbox) -> None:
    outlets = [AssetAlias("campaigns"), {"of": "a plugin"}]
    execute(CreateCampaignOperator(task_id="create", **CREATE, outlets=outlets, dag=dag), context)
    assert len(context["outlet_events"]) == 0
    assert sandbox.campaigns


def test_a_task_that_fails_says_nothing(dag: DAG, context: dict[str, Any]) -> None:
    operator = UpdateCampaignOperator(task_id="update", campaign_id="no id", outlets=[CAMPAIGNS], dag=dag)
    with pytest.raises(OtpiqValidationError):
        execute(operator, context)
    assert extra(context) == {}
