"""The live tests send no messages: their hook has the guard of ``otpiq-check``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.check.guard import UnsafeRequestError
from tests.fakes import CREATE
from tests.live.conftest import GuardedHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

SOON: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": datetime.now(UTC) + timedelta(days=364)}
RECIPIENTS = [{"phoneNumber": "9647701234567"}]


@pytest.mark.parametrize(
    "send",
    [
        lambda hook, draft: hook.start_campaign(campaign_id=draft),
        lambda hook, draft: hook.send_sample(campaign_id=draft, recipients=RECIPIENTS),
        lambda hook, draft: hook.attach_recipients(campaign_id=draft, recipients=RECIPIENTS),
        lambda hook, draft: hook.update_campaign(campaign_id=draft, **SOON),
    ],
)
def test_the_hook_sends_nothing_that_could_reach_people(
    sandbox_hook: OtpiqHook, sandbox: Sandbox, send: Callable[[OtpiqHook, str], object]
) -> None:
    hook = GuardedHook(sandbox_hook.otpiq_conn_id)
    draft = hook.create_campaign(**CREATE)["_id"]
    with pytest.raises(UnsafeRequestError):
        send(hook, draft)
    assert [request["method"] for request in sandbox.requests if not request["path"].endswith("/resources")] == ["POST"]
    assert [campaign["status"] for campaign in sandbox.campaigns] == ["draft"]
