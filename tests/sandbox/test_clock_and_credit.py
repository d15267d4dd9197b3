"""Campaigns that run by the sandbox's clock: counts, costs and the project's credit."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import pytest

from airflow_provider_otpiq.exceptions import OtpiqCreditError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.sandbox.client import (
    attach,
    call,
    clock,
    control,
    created_id,
    ids_of_template,
    people,
    people_without_whatsapp,
    sample,
    start,
    tomorrow,
    update,
    with_recipients,
)

pytestmark = pytest.mark.slow

A_SECOND = 20
"""The messages per second."""


def check_accounting(sandbox: Sandbox) -> None:
    """Check that the counts of each campaign, at one moment, and the credit are consistent."""
    state = control(sandbox, "GET", "/_sandbox/state")
    for campaign in state["campaigns"]:
        sent, total = campaign["sentCount"], campaign["totalRecipients"]
        assert sent == campaign["deliveredCount"] + campaign["failedCount"] <= total
        running, completed = campaign["status"] == "running", campaign["status"] == "completed"
        assert (campaign["startedAt"] is not None) == (running or completed)
        assert (campaign["completedAt"] is not None) == completed
        assert sent < total if running else sent == (total if completed else 0)
        assert campaign["reservedAmount"] == (campaign["estimatedTotalCost"] if running else 0)
        assert completed or campaign["reconciledAmount"] == 0
        assert campaign["reconciledAmount"] <= campaign["estimatedTotalCost"]
    taken = sum(campaign["reservedAmount"] + campaign["reconciledAmount"] for campaign in state["campaigns"])
    assert state["credit"] == 15000 - taken


def test_messages_go_out_by_the_clock_until_the_campaign_is_completed(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(1000))
    started = datetime.fromisoformat(start(sandbox, campaign_id).json()["data"]["startedAt"])
    for seconds in (0, 10, 15, 20):
        before = clock(sandbox, seconds)
        (campaign,) = sandbox.campaigns
        least, most = ((moment - started) // timedelta(seconds=1 / A_SECOND) for moment in (before, clock(sandbox)))
        assert least <= campaign["sentCount"] <= most
        assert campaign["status"] == "running"
        check_accounting(sandbox)
    sandbox.move_clock(seconds=5)
    (campaign,) = sandbox.campaigns
    assert (campaign["status"], campaign["sentCount"], campaign["deliveredCount"]) == ("completed", 1000, 1000)
    assert datetime.fromisoformat(campaign["completedAt"]) - started == timedelta(seconds=1000 / A_SECOND)
    sandbox.move_clock(days=1)
    assert sandbox.campaigns == [campaign]
    check_accounting(sandbox)
    sandbox.move_clock(days=-2)
    assert sandbox.campaigns[0]["sentCount"] == 0


def test_failed_messages_are_refunded_on_completion(sandbox: Sandbox) -> None:
    recipients = itertools.chain(*zip(people(300), people_without_whatsapp(300), strict=True))
    start(sandbox, with_recipients(sandbox, *recipients))
    sandbox.move_clock(seconds=20)
    (running,) = sandbox.campaigns
    assert running["failedCount"] == pytest.approx(running["sentCount"] / 2, abs=1)
    assert (running["estimatedTotalCost"], running["reservedAmount"], sandbox.credit) == (7200, 7200, 7800)
    sandbox.move_clock(seconds=10)
    (completed,) = sandbox.campaigns
    assert (completed["sentCount"], completed["deliveredCount"], completed["failedCount"]) == (600, 300, 300)
    assert (completed["estimatedTotalCost"], completed["reservedAmount"]) == (7200, 0)
    assert (completed["reconciledAmount"], sandbox.credit) == (3600, 11400)
    check_accounting(sandbox)


@pytest.mark.parametrize("number", ["9647700000100", "9647700001000", "9647000000001"])
def test_only_the_ending_of_a_number_makes_it_fail(sandbox: Sandbox, number: str) -> None:
    start(sandbox, with_recipients(sandbox, {"phoneNumber": number}))
    sandbox.move_clock(seconds=1)
    assert sandbox.campaigns[0]["failedCount"] == number.endswith("000")


def test_the_credit_adds_up_whatever_runs(sandbox: Sandbox) -> None:
    parent = with_recipients(sandbox, *people(100), *people_without_whatsapp(20))
    in_60_days = (clock(sandbox) + timedelta(60)).isoformat()
    with_recipients(sandbox, *people(300), scheduleType="schedule", scheduledFor=in_60_days)
    check_accounting(sandbox)
    sample(sandbox, parent, *people(30), *people_without_whatsapp(30))
    check_accounting(sandbox)
    start(sandbox, parent)
    for seconds in (0, 2.5, 1, 4, 60 * 86400 - 8, 2):
        sandbox.move_clock(seconds=seconds)
        check_accounting(sandbox)
    assert [campaign["status"] for campaign in sandbox.campaigns] == ["completed", "running", "completed"]
    assert sandbox.credit == 15000 - 12 * (100 + 300 + 30)
    assert call(sandbox, "GET", "/info").json()["credit"] == sandbox.credit


def test_a_utility_message_costs_half(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(10), **ids_of_template(sandbox, "order_update"))
    assert start(sandbox, campaign_id).json()["data"]["reservedAmount"] == 60
    other = with_recipients(sandbox, *people(10))
    assert update(sandbox, other, category="UTILITY").json()["data"]["estimatedTotalCost"] == 60
    assert update(sandbox, other, category="MARKETING").json()["data"]["estimatedTotalCost"] == 120


def test_a_scheduled_campaign_starts_at_its_time_and_costs_nothing_before(sandbox: Sandbox) -> None:
    with_recipients(sandbox, *people(100), scheduleType="schedule", scheduledFor=tomorrow())
    sandbox.move_clock(hours=23)
    assert (sandbox.campaigns[0]["status"], sandbox.credit) == ("scheduled", 15000)
    sandbox.move_clock(hours=1)
    (campaign,) = sandbox.campaigns
    assert (campaign["startedAt"], sandbox.credit) == (campaign["scheduledFor"], 13800)
    sandbox.move_clock(seconds=5)
    assert sandbox.campaigns[0]["status"] == "completed"


def test_a_scheduled_campaign_that_is_started_manually_is_not_started_again_at_its_time(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, scheduleType="schedule", scheduledFor=tomorrow())
    started = start(sandbox, campaign_id).json()["data"]["startedAt"]
    sandbox.move_clock(days=2)
    (campaign,) = sandbox.campaigns
    assert (campaign["startedAt"], campaign["status"], campaign["sentCount"]) == (started, "completed", 1)
    check_accounting(sandbox)


@pytest.mark.parametrize(("credit", "can_cover"), [(0, 0), (-5, 0), (11, 0), (12, 1), (35, 2)])
def test_insufficient_credit_returns_400_and_changes_nothing(sandbox: Sandbox, credit: int, can_cover: int) -> None:
    campaign_id = with_recipients(sandbox, *people(3))
    before = sandbox.campaigns
    sandbox.credit = credit
    for response in (start(sandbox, campaign_id), sample(sandbox, campaign_id, *people(3, first=50))):
        assert response.status_code == 400
        assert response.json()["error"]
        details = {"yourCredit": credit, "requiredCredit": 36, "canCover": can_cover}
        assert details.items() <= response.json().items()
    sandbox.move_clock(days=1)
    assert (sandbox.campaigns, sandbox.credit) == (before, credit)


def test_too_little_credit_can_be_rehearsed_over_http(sandbox: Sandbox, sandbox_hook: OtpiqHook) -> None:
    campaign_id = with_recipients(sandbox, *people(3))
    assert control(sandbox, "POST", "/_sandbox/credit", {"credit": 10})["credit"] == sandbox.credit == 10
    with pytest.raises(OtpiqCreditError):
        sandbox_hook.start_campaign(campaign_id=campaign_id)
    control(sandbox, "POST", "/_sandbox/credit", {"credit": 36})
    assert sandbox_hook.start_campaign(campaign_id=campaign_id)["startedAt"]
    assert control(sandbox, "GET", "/_sandbox/state")["credit"] == 0


@pytest.mark.parametrize("body", [None, {}, {"credit": "10"}, {"credit": 1.5}, {"credit": None}])
def test_credit_must_be_a_whole_number(sandbox: Sandbox, body: Any) -> None:
    assert "credit" in control(sandbox, "POST", "/_sandbox/credit", body)["error"] or body is None
    assert sandbox.credit == 15000


def test_a_sample_reserves_all_credit_and_an_attach_needs_none(sandbox: Sandbox) -> None:
    sandbox.credit = 36
    campaign_id = created_id(sandbox)
    assert sample(sandbox, campaign_id, *people(3)).status_code == 201
    assert sandbox.credit == 0
    assert attach(sandbox, campaign_id, *people(3)).status_code == 200
    assert start(sandbox, campaign_id).json()["canCover"] == 0


def test_credit_that_was_set_is_reserved_and_refunded(sandbox: Sandbox) -> None:
    campaign_id = with_recipients(sandbox, *people(100), *people_without_whatsapp(100))
    start(sandbox, campaign_id)
    sandbox.credit = 100
    assert call(sandbox, "GET", "/info").json()["credit"] == sandbox.credit == 100
    sandbox.move_clock(seconds=10)
    assert sandbox.credit == 100 + 1200


def test_a_scheduled_campaign_starts_without_credit(sandbox: Sandbox) -> None:
    with_recipients(sandbox, *people(3), scheduleType="schedule", scheduledFor=tomorrow())
    sandbox.credit = 0
    sandbox.move_clock(days=2)
    assert (sandbox.campaigns[0]["deliveredCount"], sandbox.credit) == (3, -36)
    assert sample(sandbox, created_id(sandbox), *people(1)).json()["yourCredit"] == -36


@pytest.mark.parametrize("seconds", [1e300, 1e12, -1e12])
def test_the_clock_stays_within_the_calendar(sandbox: Sandbox, seconds: float) -> None:
    assert "seconds" in control(sandbox, "POST", "/_sandbox/clock", {"seconds": seconds})["error"]
    with pytest.raises(OverflowError):
        sandbox.move_clock(seconds=seconds)
    assert created_id(sandbox)
