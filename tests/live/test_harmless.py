"""The live tests can neither message nor schedule anybody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes import CREATE
from tests.live.conftest import harmless

if TYPE_CHECKING:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox


def in_days(days: float) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("start_campaign", {}),
        ("send_sample", {"recipients": [{"phoneNumber": "9647701234567"}]}),
        ("attach_recipients", {"recipients": [{"phoneNumber": "9647701234567"}]}),
        ("update_campaign", {"schedule_type": "schedule", "scheduled_for": in_days(365)}),
        ("update_campaign", {"schedule_type": "schedule"}),  # at a time that was set before
        ("update_campaign", {"scheduled_for": in_days(365)}),
    ],
)
def test_a_request_that_could_reach_people_is_not_sent(
    sandbox_hook: OtpiqHook, sandbox: Sandbox, method: str, fields: dict[str, Any]
) -> None:
    campaign_id = harmless(sandbox_hook).create_campaign(**CREATE)["_id"]
    with pytest.raises(BaseException, match="could reach people; it was not sent"):
        getattr(sandbox_hook, method)(campaign_id=campaign_id, **fields)
    assert [request["method"] for request in sandbox.requests] == ["POST"]
    assert sandbox.campaigns[0]["status"] == "draft"


def test_a_create_is_not_scheduled_within_a_year(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    with pytest.raises(BaseException, match="it was not sent"):
        harmless(sandbox_hook).create_campaign(**CREATE, schedule_type="schedule", scheduled_for=in_days(365))
    assert sandbox.requests == []
    sandbox_hook.create_campaign(**CREATE, schedule_type="schedule", scheduled_for=in_days(367))
    assert [campaign["status"] for campaign in sandbox.campaigns] == ["scheduled"]
