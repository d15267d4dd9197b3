"""What a start checks of WhatsApp's side: the template, the number, the account, and what each campaign holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import requests

from airflow_provider_otpiq.exceptions import OtpiqConnectionError, OtpiqRequestError, OtpiqValidationError
from airflow_provider_otpiq.sandbox import resources
from tests.broadcast.people import everybody, messaged, number, write_audience
from tests.operators.broadcasts import in_minutes, sent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

ACCOUNT = resources.ACCOUNTS[0]
NUMBER, TEMPLATE = ACCOUNT.numbers[0], ACCOUNT.templates[0]
OTHERS = [number(each) for each in range(500, 505)]


# Health


@pytest.mark.parametrize("status", ["PAUSED", "DISABLED", "REJECTED", "PENDING", "paused"])
def test_a_template_that_is_not_approved_any_more_is_refused(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, status: str
) -> None:
    create()
    sandbox.change_resource(TEMPLATE.id, status=status)
    with pytest.raises(
        OtpiqValidationError, match=rf"template_id: .*summer_promo.* is {status.upper()}; expected APPROVED"
    ):
        start()
    assert "PATCH {_id}" not in sent(sandbox)
    sandbox.change_resource(TEMPLATE.id, status="APPROVED")
    start()
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize(
    ("resource_id", "change", "error"),
    [
        (NUMBER.id, {"status": "BANNED"}, r"phone_number_id: .*Sandbox shop.* is BANNED; expected CONNECTED"),
        (NUMBER.id, {"status": "Disabled"}, "phone_number_id: .* is DISABLED"),
        (NUMBER.id, {"status": "DISCONNECTED"}, "phone_number_id: .* is DISCONNECTED"),
        (ACCOUNT.id, {"banState": "DISABLE"}, "phone_number_id: its WhatsApp account has the ban state DISABLE"),
        (ACCOUNT.id, {"banState": "BANNED"}, "phone_number_id: its WhatsApp account has the ban state BANNED"),
    ],
)
def test_a_number_or_account_that_is_banned_is_refused(
    create: Callable[..., str],
    start: Callable[..., str],
    sandbox: Sandbox,
    resource_id: str,
    change: dict[str, str],
    error: str,
) -> None:
    create()
    sandbox.change_resource(resource_id, **change)
    with pytest.raises(OtpiqValidationError, match=error) as caught:
        start()
    assert "check_health=False" in str(caught.value)
    assert NUMBER.number.replace(" ", "") not in str(caught.value)
    assert "PATCH {_id}" not in sent(sandbox)
    start(check_health="{{ 'False' }}")
    assert messaged(sandbox) == everybody()


def test_all_that_is_wrong_is_listed(create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox) -> None:
    create()
    sandbox.change_resource(TEMPLATE.id, status="PAUSED")
    sandbox.change_resource(NUMBER.id, status="BANNED")
    with pytest.raises(OtpiqValidationError) as caught:
        start()
    assert [error.partition(":")[0] for error in caught.value.errors] == ["template_id", "phone_number_id"]


@pytest.mark.parametrize(
    ("resource_id", "change", "warning"),
    [
        (NUMBER.id, {"qualityRating": "RED"}, "The quality of the number .* is RED"),
        (NUMBER.id, {"status": "FLAGGED"}, "The number .*FLAGGED.* is not CONNECTED"),
        (ACCOUNT.id, {"banState": "SCHEDULE_FOR_DISABLE"}, "has the ban state SCHEDULE_FOR_DISABLE"),
        (TEMPLATE.id, {"status": None}, f"does not list the status of template {TEMPLATE.id}"),
    ],
)
def test_what_is_risky_is_a_warning(
    create: Callable[..., str],
    start: Callable[..., str],
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    resource_id: str,
    change: dict[str, Any],
    warning: str,
) -> None:
    create()
    sandbox.change_resource(resource_id, **change)
    start()
    (found,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert re.search(warning, found)
    assert messaged(sandbox) == everybody()


def test_what_otpiq_does_not_list_is_a_warning(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    ids = {"template_id": "665f1c2ab3d4e5f6012345ff", "phone_number_id": "665F1C2AB3D4E5F6012345FE"}
    create(template_name=None, template_language=None, phone_number=None, **ids)
    start()
    assert f"does not list the status of template {ids['template_id']}" in caplog.text
    assert f"does not list the number {ids['phone_number_id']}" in caplog.text
    assert messaged(sandbox) == everybody()


def test_health_is_checked_once_and_only_if_something_is_left_to_schedule(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def lookups() -> int:
        return sum(request["path"] == "/api/whatsapp/resources" for request in sandbox.requests)

    create()
    before = lookups()
    start()
    assert lookups() == before + 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
    sandbox.change_resource(TEMPLATE.id, status="PAUSED")
    start()
    assert lookups() == before + 1


def test_a_template_that_is_paused_between_two_tries_is_refused(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    create()
    time = in_minutes(30)
    sandbox.arm("update", status=403)
    with pytest.raises(Exception, match="403"):
        start(scheduled_for=time)
    sandbox.change_resource(TEMPLATE.id, status="PAUSED")
    with pytest.raises(OtpiqValidationError, match="PAUSED"):
        start(scheduled_for=time)


@pytest.mark.parametrize("value", ["maybe", 2])
def test_check_health_is_true_or_false(start: Callable[..., str], value: Any) -> None:
    with pytest.raises(OtpiqValidationError, match="check_health: must be true or false"):
        start(check_health=value)


# What a campaign holds


def fill(sandbox: Sandbox, campaign_id: str) -> None:
    """Attach people through another connection, which nobody sees."""
    requests.post(
        f"{sandbox.url}/whatsapp/campaigns/{campaign_id}/recipients",
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
        json={"recipients": [{"phoneNumber": each, "templateParameters": {"body": {"1": "Ali"}}} for each in OTHERS]},
        timeout=10,
    ).raise_for_status()


@pytest.fixture
def one_person(create: Callable[..., str], connect: Callable[..., OtpiqHook], sandbox: Sandbox, tmp_path: Path) -> str:
    """Give the ledger of a broadcast to one person, over a connection that allows no more."""
    connect(host=sandbox.url, password=sandbox.api_key, extra={"max_broadcast_recipients": 1, "max_retries": 0})
    return create(audience=write_audience(str(tmp_path / "one"), parts=1, part_size=1))


def test_a_campaign_that_holds_more_than_its_part_is_a_draft_again(
    start: Callable[..., str], one_person: str, sandbox: Sandbox
) -> None:
    (campaign,) = sandbox.campaigns
    fill(sandbox, campaign["_id"])
    for _ in range(2):
        with pytest.raises(
            OtpiqRequestError, match=f"campaign {campaign['_id']} holds 6 recipients, and its part has 1"
        ):
            start(broadcast=one_person)
        (campaign,) = sandbox.campaigns
        assert (campaign["status"], campaign["scheduledFor"]) == ("draft", None)
    sandbox.move_clock(hours=1)
    assert not messaged(sandbox)


def test_the_other_campaigns_are_scheduled(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    create()
    fill(sandbox, sandbox.campaigns[1]["_id"])
    with pytest.raises(OtpiqRequestError, match=r"1 of 3 campaigns .*\n.*part 00001: campaign .* It is a draft again"):
        start()
    assert [campaign["status"] for campaign in sandbox.campaigns] == ["scheduled", "draft", "scheduled"]


def test_a_campaign_that_cannot_be_taken_back_is_told_and_taken_back_by_the_next_try(
    start: Callable[..., str], one_person: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    (campaign,) = sandbox.campaigns
    fill(sandbox, campaign["_id"])
    sandbox.arm("update", delay=0)
    sandbox.arm("update", connection="drop")
    with pytest.raises(OtpiqConnectionError):
        start(broadcast=one_person)
    assert f"campaign {campaign['_id']} holds 6 recipients" in caplog.text
    assert "Take it back in OTPIQ's dashboard before it starts" in caplog.text
    with pytest.raises(OtpiqRequestError, match="is a draft again"):
        start(broadcast=one_person)
    assert sandbox.campaigns[0]["status"] == "draft"


def test_a_campaign_that_otpiq_does_not_take_back_is_told(
    start: Callable[..., str], one_person: str, sandbox: Sandbox
) -> None:
    (campaign,) = sandbox.campaigns
    fill(sandbox, campaign["_id"])
    sandbox.arm("update", delay=0)
    sandbox.arm("update", status=400, body={"error": "Not now"})
    with pytest.raises(OtpiqRequestError, match=r"holds 6 .* could not be taken back to a draft.*Not now"):
        start(broadcast=one_person)


@pytest.mark.parametrize(("held", "warnings"), [(1, 0), ("1", 0), (None, 0), ("many", 0), (0, 1)])
def test_fewer_are_a_warning_and_what_is_unknown_is_not_compared(
    start: Callable[..., str],
    one_person: str,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    held: Any,
    warnings: int,
) -> None:
    (campaign,) = sandbox.campaigns
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": campaign["_id"], "totalRecipients": held}})
    start(broadcast=one_person)
    assert caplog.text.count(f"OTPIQ reports that campaign {campaign['_id']} holds") == warnings


@pytest.mark.parametrize("held", [6, "6", 6.0])
def test_more_are_seen_in_any_form(start: Callable[..., str], one_person: str, sandbox: Sandbox, held: Any) -> None:
    (campaign,) = sandbox.campaigns
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": campaign["_id"], "totalRecipients": held}})
    with pytest.raises(OtpiqRequestError, match="holds 6 recipients"):
        start(broadcast=one_person)
