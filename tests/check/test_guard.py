"""No request of ``otpiq-check`` can send a message, also if OTPIQ behaves in an unexpected way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pendulum
import pytest

from airflow_provider_otpiq._models.campaigns import CampaignResponse
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
from airflow_provider_otpiq.check.client import SafeClient, UnknownError
from airflow_provider_otpiq.check.guard import TAKE_BACK, UnsafeRequestError
from tests.check.conftest import OWN_NUMBER

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

CAMPAIGNS = "/whatsapp/campaigns"
NEW = {"name": "A draft", "templateId": "665f1c2ab3d4e5f6012345b2", "phoneNumberId": "665f1c2ab3d4e5f601234568"}
OTHER = "665f1c2ab3d4e5f6012345ff"
NO_TIME = {"scheduledFor": None, "startedAt": None}


def time(**distance: int) -> str:
    return pendulum.now("UTC").add(**distance).to_iso8601_string()


def recipients(*numbers: str) -> dict[str, Any]:
    return {"recipients": [{"phoneNumber": number} for number in numbers]}


@pytest.fixture
def client(sandbox_hook: OtpiqHook) -> SafeClient:
    return SafeClient(sandbox_hook.settings, "a test", phone_number=OWN_NUMBER)


@pytest.fixture
def draft(client: SafeClient) -> str:
    """The path of the draft."""
    client.ask("create", "POST", CAMPAIGNS, NEW)
    return f"{CAMPAIGNS}/{client.guard.campaign_id}"


def refused(client: SafeClient, sandbox: Sandbox, method: str, path: str, body: dict[str, Any] | None = None) -> bool:
    """Send a request; return whether it was not sent."""
    before = len(sandbox.requests)
    with pytest.raises(UnknownError) as error:
        client.ask("test", method, path, body)
    assert str(error.value)
    return len(sandbox.requests) == before


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "{draft}/start", None),
        ("POST", "{draft}/start", {}),
        ("POST", "{draft}/sample", recipients(OWN_NUMBER)),
        ("DELETE", "{draft}", None),
        ("PUT", "{draft}", {"name": "A draft"}),
        ("GET", "{draft}", None),
        ("GET", "/info/../whatsapp/campaigns", None),
        ("GET", "/info", {}),
        ("POST", "/sms", {"phoneNumber": OWN_NUMBER}),
        ("POST", "/reports/generate", None),
        ("POST", CAMPAIGNS, NEW),
        ("PATCH", "{draft}", None),
        ("PATCH", "{draft}", {"templateId": OTHER}),
        ("PATCH", "{draft}", {"recipients": []}),
        ("PATCH", f"{CAMPAIGNS}/{OTHER}", {"name": "A draft"}),
        ("PATCH", f"{CAMPAIGNS}/{'0' * 24}", {"scheduleType": "now"}),
        ("PATCH", "{draft}", {"scheduleType": "schedule", "scheduledFor": time(days=364)}),
        ("PATCH", "{draft}", {"scheduleType": "schedule", "scheduledFor": time(days=-364)}),
        ("PATCH", "{draft}", {"scheduleType": "schedule", "scheduledFor": time(hours=1)}),
        ("PATCH", "{draft}", {"scheduledFor": time(hours=1)}),
        ("PATCH", "{draft}", {"scheduleType": "now", "scheduledFor": time(hours=1)}),
        ("PATCH", "{draft}", {"scheduleType": "schedule", "scheduledFor": "tomorrow"}),
        ("PATCH", "{draft}", {"scheduleType": "schedule", "scheduledFor": None}),
        ("PATCH", "{draft}", {"scheduleType": "schedule"}),
        ("PATCH", "{draft}", {"scheduleType": "immediately"}),
        ("POST", f"{CAMPAIGNS}/{OTHER}/recipients", recipients(OWN_NUMBER)),
        ("POST", "{draft}/recipients", recipients("9647701234567")),
        ("POST", "{draft}/recipients", recipients(OWN_NUMBER, "9647701234567")),
        ("POST", "{draft}/recipients", recipients()),
        ("POST", "{draft}/recipients", {"recipients": "9647701234567"}),
        ("POST", "{draft}/recipients", {"recipients": ["9647701234567"]}),
        ("POST", "{draft}/recipients", {}),
    ],
)
def test_a_request_that_could_send_a_message_is_not_sent(
    client: SafeClient, sandbox: Sandbox, draft: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    assert refused(client, sandbox, method, path.format(draft=draft), body)


@pytest.mark.parametrize(
    "fields",
    [
        {"scheduleType": "schedule", "scheduledFor": time(days=500)},
        {"scheduledFor": time(days=500)},
        {"scheduleType": "schedule"},
        {"recipients": [OWN_NUMBER]},
    ],
)
def test_a_campaign_is_created_as_a_draft_only(client: SafeClient, sandbox: Sandbox, fields: dict[str, Any]) -> None:
    assert refused(client, sandbox, "POST", CAMPAIGNS, NEW | fields)


@pytest.mark.parametrize(
    "send",
    [
        lambda client, path: client.request("POST", path, CampaignResponse),
        lambda client, path: client.attempt("POST", path, CampaignResponse),
        lambda client, path: client.request_at_most_once(path, CampaignResponse, None, lambda: None, None),
    ],
)
def test_no_method_of_the_client_gets_around_the_guard(
    client: SafeClient, sandbox: Sandbox, draft: str, send: Callable[[SafeClient, str], object]
) -> None:
    before = sandbox.requests
    with pytest.raises(UnsafeRequestError):
        send(client, f"{draft}/start")
    assert sandbox.requests == before


def test_recipients_that_are_serialized_already_are_not_sent(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    body = ValidRecipients.__new__(ValidRecipients)
    with pytest.raises(UnsafeRequestError):
        client.attempt("POST", f"{draft}/recipients", CampaignResponse, body)


def test_nobody_is_attached_without_a_phone_number(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    client = SafeClient(sandbox_hook.settings, "a test")
    client.ask("create", "POST", CAMPAIGNS, NEW)
    path = f"{CAMPAIGNS}/{client.guard.campaign_id}/recipients"
    assert refused(client, sandbox, "POST", path, recipients(OWN_NUMBER))
    assert refused(client, sandbox, "POST", path, recipients("None"))


def test_after_an_attach_nothing_is_scheduled(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    client.ask("attach", "POST", f"{draft}/recipients", recipients(OWN_NUMBER))
    far = {"scheduleType": "schedule", "scheduledFor": time(days=500)}
    assert refused(client, sandbox, "PATCH", draft, far)
    assert client.ask("name", "PATCH", draft, {"name": "Another name"}).is_success


def test_nobody_is_attached_while_the_draft_may_be_scheduled(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    client.ask("schedule", "PATCH", draft, {"scheduleType": "schedule", "scheduledFor": time(days=500)})
    assert client.guard.may_be_scheduled
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))
    client.take_back()
    assert client.ask("attach", "POST", f"{draft}/recipients", recipients(OWN_NUMBER)).is_success


@pytest.mark.parametrize(
    ("created", "is_draft_later"),
    [
        ({}, True),
        ({"scheduledFor": "2027-12-01T06:00:00Z", "startedAt": None}, True),
        ({"scheduledFor": None, "startedAt": "2026-11-28T12:00:00Z"}, False),
    ],
)
def test_nobody_is_attached_until_a_response_proves_that_the_campaign_is_a_draft(
    client: SafeClient, sandbox: Sandbox, created: dict[str, Any], is_draft_later: bool
) -> None:
    sandbox.arm("create", status=201, body={"success": True, "data": {"_id": OTHER} | created})
    client.ask("create", "POST", CAMPAIGNS, NEW)
    assert refused(client, sandbox, "POST", f"{CAMPAIGNS}/{OTHER}/recipients", recipients(OWN_NUMBER))
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": OTHER} | NO_TIME})
    client.take_back()
    assert client.guard.may_be_scheduled is False
    sandbox.arm("attach", status=200, body={"success": True})
    path = f"{CAMPAIGNS}/{OTHER}/recipients"
    if is_draft_later:
        assert client.ask("attach", "POST", path, recipients(OWN_NUMBER)).is_success
    else:
        assert refused(client, sandbox, "POST", path, recipients(OWN_NUMBER))


def test_a_campaign_that_has_a_time_later_counts_as_scheduled(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"scheduledFor": time(days=500)}})
    client.ask("name", "PATCH", draft, {"name": "Another name"})
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))


@pytest.mark.parametrize("time_alone", [True, False])
def test_a_lost_response_to_a_schedule_counts_as_scheduled(
    client: SafeClient, sandbox: Sandbox, draft: str, time_alone: bool
) -> None:
    sandbox.arm("update", connection="drop")
    far = {"scheduledFor": time(days=500)} | ({} if time_alone else {"scheduleType": "schedule"})
    with pytest.raises(UnknownError):
        client.ask("schedule", "PATCH", draft, far)
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))


def test_a_time_that_stays_counts_as_scheduled(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    client.ask("schedule", "PATCH", draft, {"scheduleType": "schedule", "scheduledFor": time(days=500)})
    sandbox.deviations = {"null-clears-time"}
    client.ask("back to draft", "PATCH", draft, TAKE_BACK)
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))


def test_after_a_time_in_the_past_was_accepted_nobody_is_attached(
    client: SafeClient, sandbox: Sandbox, draft: str
) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"scheduledFor": None}}, times=2)
    client.ask("past", "PATCH", draft, {"scheduleType": "schedule", "scheduledFor": time(days=-500)})
    client.ask("back to draft", "PATCH", draft, TAKE_BACK)
    assert not client.guard.may_be_scheduled
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))


def test_after_a_time_in_the_past_was_refused_the_own_number_is_attached(client: SafeClient, draft: str) -> None:
    client.ask("past", "PATCH", draft, {"scheduleType": "schedule", "scheduledFor": time(days=-500)})
    assert client.ask("attach", "POST", f"{draft}/recipients", recipients(OWN_NUMBER)).is_success


@pytest.mark.parametrize(
    ("update", "campaign"),
    [
        ({"name": "Another name"}, NO_TIME),
        ({"scheduledFor": None}, NO_TIME),
        (TAKE_BACK, {}),
        (TAKE_BACK, {"startedAt": None}),
        (TAKE_BACK, NO_TIME | {"startedAt": "2026-11-28T12:00:00Z"}),
        (TAKE_BACK, {"scheduledFor": "2027-12-01T06:00:00Z"}),
    ],
)
def test_a_response_that_does_not_prove_a_draft_counts_as_scheduled(
    client: SafeClient, sandbox: Sandbox, draft: str, update: dict[str, Any], campaign: dict[str, Any]
) -> None:
    client.ask("schedule", "PATCH", draft, {"scheduleType": "schedule", "scheduledFor": time(days=500)})
    sandbox.arm("update", status=200, body={"success": True, "data": campaign})
    client.ask("update", "PATCH", draft, update)
    assert refused(client, sandbox, "POST", f"{draft}/recipients", recipients(OWN_NUMBER))


def test_a_time_that_otpiq_has_read_differently_is_not_scheduled(
    client: SafeClient, sandbox: Sandbox, draft: str
) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"scheduledFor": time(hours=1)}})
    client.ask("time", "PATCH", draft, {"scheduledFor": time(days=500)})
    assert refused(client, sandbox, "PATCH", draft, {"scheduleType": "schedule"})


def test_the_id_of_another_response_is_not_the_drafts(client: SafeClient, sandbox: Sandbox, draft: str) -> None:
    sandbox.arm("attach", status=200, body={"success": True, "data": {"_id": OTHER}})
    client.ask("attach", "POST", f"{draft}/recipients", recipients(OWN_NUMBER))
    assert refused(client, sandbox, "PATCH", f"{CAMPAIGNS}/{OTHER}", {"name": "A draft"})


@pytest.mark.parametrize("state", ["scheduledFor", "startedAt"])
def test_the_warning_says_if_the_own_number_may_get_the_message(
    client: SafeClient, sandbox: Sandbox, draft: str, state: str
) -> None:
    assert client.guard.warning == ""
    client.ask("attach", "POST", f"{draft}/recipients", recipients(OWN_NUMBER))
    assert client.guard.warning == ""
    sandbox.arm("update", status=200, body={"success": True, "data": {state: time(days=500)}})
    client.ask("name", "PATCH", draft, {"name": "Another name"})
    assert client.guard.warning == (
        "may still be scheduled, or may have started. Only the number of --phone-number is attached to it, and may get"
        " the message."
    )
