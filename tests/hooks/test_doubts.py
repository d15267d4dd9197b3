"""Responses that contradict an assumption: errors name it, and nothing starts at a wrong time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pendulum
import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import OtpiqNotFoundError, OtpiqRequestError, OtpiqValidationError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import number
from tests.fakes import CREATE
from tests.sandbox.client import start

AHEAD: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": "2099-12-01T09:00:00+03:00"}
NUMBERS = [number(each) for each in range(101)]
RECIPIENTS = [{"phoneNumber": each} for each in NUMBERS[:2]]


def generate(hook: OtpiqHook, **fields: Any) -> None:
    now = pendulum.now("UTC")
    hook.generate_report(start=now.subtract(days=1), end=now, **fields)


REFUSED: dict[str, Callable[[OtpiqHook, str], object]] = {
    "name-reuse": lambda hook, campaign_id: hook.create_campaign(**CREATE),
    "schedule-empty": lambda hook, campaign_id: hook.create_campaign(**CREATE | AHEAD),
    "schedule-far-ahead": lambda hook, campaign_id: hook.create_campaign(**CREATE | AHEAD),
    "back-to-draft": lambda hook, campaign_id: (
        hook.update_campaign(campaign_id=campaign_id, **AHEAD),
        hook.update_campaign(campaign_id=campaign_id, schedule_type="now"),
    ),
    "state-refusal": lambda hook, campaign_id: (
        hook.start_campaign(campaign_id=campaign_id),
        hook.update_campaign(campaign_id=campaign_id, schedule_type="now"),
    ),
    "time-alone": lambda hook, campaign_id: hook.update_campaign(
        campaign_id=campaign_id, scheduled_for=AHEAD["scheduled_for"]
    ),
    "schedule-alone": lambda hook, campaign_id: hook.update_campaign(campaign_id=campaign_id, schedule_type="schedule"),
    "attach-all-present": lambda hook, campaign_id: hook.attach_recipients(
        campaign_id=campaign_id, recipients=RECIPIENTS
    ),
    "report-empty": lambda hook, campaign_id: generate(hook),
    "report-1000-numbers": lambda hook, campaign_id: generate(hook, phone_numbers=NUMBERS),
}


@pytest.fixture
def campaign_id(sandbox_hook: OtpiqHook) -> str:
    campaign_id: str = sandbox_hook.create_campaign(**CREATE)["_id"]
    sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=RECIPIENTS)
    return campaign_id


@pytest.mark.parametrize("name", REFUSED)
def test_the_error_of_a_refusal_names_the_assumption_and_what_to_do(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str, name: str, snapshot: SnapshotAssertion
) -> None:
    sandbox.deviations = [name]
    with pytest.raises((OtpiqRequestError, OtpiqNotFoundError)) as caught:
        REFUSED[name](sandbox_hook, campaign_id)
    assert str(caught.value).replace(campaign_id, "<id>") == snapshot


def create(hook: OtpiqHook, campaign_id: str, **fields: Any) -> None:
    hook.create_campaign(**CREATE, **fields)


def update(hook: OtpiqHook, campaign_id: str, **fields: Any) -> None:
    hook.update_campaign(campaign_id=campaign_id, **fields)


def attach(hook: OtpiqHook, campaign_id: str) -> None:
    hook.attach_recipients(campaign_id=campaign_id, recipients=RECIPIENTS)


def soon(**distance: int) -> dict[str, Any]:
    return {"schedule_type": "schedule", "scheduled_for": pendulum.now("UTC").add(**distance)}


OTHER_REASONS: list[tuple[Callable[[OtpiqHook, str], object], int, str]] = [
    (partial(create, **AHEAD), 400, "The parameter is invalid"),
    (create, 400, "A template of this name does not exist"),
    (lambda hook, campaign_id: update(hook, campaign_id, **AHEAD), 400, "The parameter is invalid"),
    (lambda hook, campaign_id: update(hook, campaign_id, **AHEAD), 400, "A recipient has opted out"),
    (lambda hook, campaign_id: update(hook, campaign_id, **soon(minutes=5)), 400, "It must be 10 minutes ahead"),
    (lambda hook, campaign_id: update(hook, campaign_id, **soon(seconds=30)), 400, "It must be in the future"),
    (partial(update, schedule_type="now", name="Another name"), 400, "The name is invalid"),
    (partial(update, schedule_type="now"), 413, "The request is too large"),
    (partial(update, schedule_type="now"), 400, ""),
    (attach, 400, "The parameter is invalid"),
    (attach, 400, "Recipient 2 is in the wrong country"),
    (attach, 400, ""),
    (lambda hook, _: generate(hook, phone_numbers=NUMBERS[:1]), 400, "At most digits: phone number 1 is wrong"),
    (lambda hook, _: generate(hook, phone_numbers=NUMBERS), 400, "Phone number 7 is wrong"),
    (lambda hook, _: generate(hook), 404, "Cannot POST /reports/generate"),
]


@pytest.mark.parametrize(("send", "status", "message"), OTHER_REASONS)
def test_a_refusal_for_another_reason_names_no_assumption(
    sandbox: Sandbox,
    sandbox_hook: OtpiqHook,
    campaign_id: str,
    send: Callable[[OtpiqHook, str], object],
    status: int,
    message: str,
) -> None:
    for call in ("create", "update", "attach", "generate"):
        sandbox.arm(call, status=status, body={"error": message} if message else "<html>", times=1)
    with pytest.raises((OtpiqRequestError, OtpiqNotFoundError)) as caught:
        send(sandbox_hook, campaign_id)
    assert "ssumption" not in str(caught.value)


def test_a_draft_without_a_time_does_not_contradict_an_assumption(sandbox_hook: OtpiqHook, campaign_id: str) -> None:
    with pytest.raises(OtpiqRequestError, match="If the campaign has a time, assumption schedule-alone is wrong"):
        update(sandbox_hook, campaign_id, schedule_type="schedule")


SCHEDULED: dict[str, Callable[[OtpiqHook, str], object]] = {
    "create": lambda hook, campaign_id: hook.create_campaign(**CREATE | AHEAD),
    "update": lambda hook, campaign_id: hook.update_campaign(campaign_id=campaign_id, **AHEAD),
}


@pytest.mark.parametrize("call", SCHEDULED)
def test_a_campaign_whose_time_otpiq_has_read_differently_is_a_draft_again(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str, call: str, snapshot: SnapshotAssertion
) -> None:
    sandbox.deviations = ["time-offset"]
    with pytest.raises(OtpiqValidationError) as caught:
        SCHEDULED[call](sandbox_hook, campaign_id)
    assert {(campaign["status"], campaign["scheduledFor"]) for campaign in sandbox.campaigns} == {("draft", None)}
    assert str(caught.value).replace(sandbox.campaigns[-1]["_id"], "<id>") == snapshot


@pytest.mark.parametrize("deviation", ["back-to-draft", "null-clears-time"])
def test_the_error_says_if_it_may_not_be_a_draft(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str, deviation: str
) -> None:
    sandbox.deviations = ["time-offset", deviation]
    with pytest.raises(OtpiqValidationError, match="could not be made a draft again"):
        sandbox_hook.update_campaign(campaign_id=campaign_id, **AHEAD)


def test_the_check_is_called_before_the_campaign_becomes_a_draft_again(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str
) -> None:
    sandbox.deviations = ["time-offset"]
    checks: list[str] = []
    with pytest.raises(OtpiqValidationError):
        sandbox_hook.update_campaign(
            campaign_id=campaign_id, check_before_attempt=lambda: checks.append("checked"), **AHEAD
        )
    assert len(checks) == len([request for request in sandbox.requests if request["method"] == "PATCH"]) == 2


def test_the_error_says_if_the_campaign_has_started(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str
) -> None:
    start(sandbox, campaign_id)
    sandbox.deviations = ["started-refused"]
    with pytest.raises(OtpiqValidationError, match=r"It has started, .* \(assumption started-refused\)"):
        sandbox_hook.update_campaign(campaign_id=campaign_id, **AHEAD)


@pytest.mark.parametrize("time", ["2099-12-01T06:00:00.5Z", "2099-12-01T06:00Z", "2099-12-01 09:00:30+03:00"])
def test_the_same_time_may_be_written_in_another_way(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str, time: str, caplog: pytest.LogCaptureFixture
) -> None:
    campaign = {"_id": campaign_id, "scheduledFor": time}
    sandbox.arm("update", status=200, body={"success": True, "data": campaign})
    assert sandbox_hook.update_campaign(campaign_id=campaign_id, **AHEAD) == campaign
    assert "time-offset" not in caplog.text


@pytest.mark.parametrize("time", ["2099-12-01T09:00:00", "2099-12-01", "tomorrow", None])
def test_a_time_that_cannot_be_compared_is_a_warning(
    sandbox: Sandbox, sandbox_hook: OtpiqHook, campaign_id: str, time: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": campaign_id, "scheduledFor": time}})
    sandbox_hook.update_campaign(campaign_id=campaign_id, **AHEAD)
    assert f"OTPIQ's scheduledFor, {time}, cannot be compared with 2099-12-01T06:00:00Z" in caplog.text


@pytest.mark.parametrize("limit", [None, 5])
def test_a_guard_rail_that_cannot_be_checked_is_a_warning(
    sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook], campaign_id: str, limit: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    hook = connect_sandbox(max_recipients=limit) if limit else connect_sandbox()
    sandbox.deviations = ["attach-shape"]
    hook.attach_recipients(campaign_id=campaign_id, recipients=[{"phoneNumber": number(200)}])
    assert ("not their sum (assumption attach-shape)" in caplog.text) == bool(limit)
