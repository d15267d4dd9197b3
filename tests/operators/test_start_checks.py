"""What a start checks: the template, the number, the account, the size of each campaign, responses and the ledger."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import (
    OtpiqConnectionError,
    OtpiqRequestError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox, resources
from tests.broadcast.people import everybody, messaged, number, write_audience
from tests.operators.broadcasts import Run, in_minutes, later, sent, text_of
from tests.operators.test_start_broadcast import start_in_part

ACCOUNT = resources.ACCOUNTS[0]
NUMBER, TEMPLATE = ACCOUNT.numbers[0], ACCOUNT.templates[0]
OTHERS = [number(each) for each in range(500, 505)]


# Health


@pytest.mark.parametrize(
    ("resource_id", "change", "error"),
    [
        (TEMPLATE.id, {"status": "PAUSED"}, "template_id: .*summer_promo.* is PAUSED; expected APPROVED"),
        (TEMPLATE.id, {"status": "DISABLED"}, "template_id: .* is DISABLED"),
        (TEMPLATE.id, {"status": "REJECTED"}, "template_id: .* is REJECTED"),
        (TEMPLATE.id, {"status": "PENDING"}, "template_id: .* is PENDING"),
        (TEMPLATE.id, {"status": "paused"}, "template_id: .* is PAUSED"),
        (NUMBER.id, {"status": "BANNED"}, "phone_number_id: .*Sandbox shop.* is BANNED; expected CONNECTED"),
        (NUMBER.id, {"status": "Disabled"}, "phone_number_id: .* is DISABLED"),
        (NUMBER.id, {"status": "DISCONNECTED"}, "phone_number_id: .* is DISCONNECTED"),
        (ACCOUNT.id, {"banState": "DISABLE"}, "phone_number_id: its WhatsApp account has the ban state DISABLE"),
        (ACCOUNT.id, {"banState": "BANNED"}, "phone_number_id: its WhatsApp account has the ban state BANNED"),
    ],
)
def test_a_template_a_number_or_an_account_that_cannot_send_is_refused(
    create: Run, start: Run, sandbox: Sandbox, resource_id: str, change: dict[str, str], error: str
) -> None:
    create()
    sandbox.change_resource(resource_id, **change)
    refusal = start.fail()
    assert re.match(error, *refusal.errors)
    assert "check_health=False" in str(refusal)
    assert NUMBER.number.replace(" ", "") not in str(refusal)
    assert "PATCH {_id}" not in sent(sandbox)
    start(check_health="{{ 'False' }}")
    assert messaged(sandbox) == everybody()


def test_all_problems_are_listed(create: Run, start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    create()
    sandbox.change_resource(TEMPLATE.id, status="PAUSED")
    sandbox.change_resource(NUMBER.id, status="BANNED")
    failure = start.fail()
    assert [error.partition(":")[0] for error in failure.errors] == ["template_id", "phone_number_id"]
    assert text_of(failure) == snapshot


@pytest.mark.parametrize(
    ("resource_id", "change", "warning"),
    [
        (NUMBER.id, {"qualityRating": "RED"}, "The quality of the number .* is RED"),
        (NUMBER.id, {"status": "FLAGGED"}, "The number .*FLAGGED.* is not CONNECTED"),
        (ACCOUNT.id, {"banState": "SCHEDULE_FOR_DISABLE"}, "has the ban state SCHEDULE_FOR_DISABLE"),
        (TEMPLATE.id, {"status": None}, f"does not list the status of template {TEMPLATE.id}"),
    ],
)
def test_a_risk_is_a_warning(
    create: Run,
    start: Run,
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
    create: Run, start: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    ids = {"template_id": "665f1c2ab3d4e5f6012345ff", "phone_number_id": "665F1C2AB3D4E5F6012345FE"}
    create(template_name=None, template_language=None, phone_number=None, **ids)
    start()
    assert f"does not list the status of template {ids['template_id']}" in caplog.text
    assert f"does not list the number {ids['phone_number_id']}" in caplog.text
    assert messaged(sandbox) == everybody()


def test_health_is_checked_once_and_only_if_something_is_left_to_schedule(
    create: Run, start: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
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


# The size of a campaign


def fill(sandbox: Sandbox, campaign_id: str) -> None:
    """Attach people through another connection."""
    requests.post(
        f"{sandbox.url}/whatsapp/campaigns/{campaign_id}/recipients",
        headers={"Authorization": f"Bearer {sandbox.api_key}"},
        json={"recipients": [{"phoneNumber": each, "templateParameters": {"body": {"1": "Ali"}}} for each in OTHERS]},
        timeout=10,
    ).raise_for_status()


@pytest.fixture
def small(create: Run, start: Run, connect_sandbox: Callable[..., OtpiqHook], sandbox: Sandbox, tmp_path: Path) -> str:
    """Create a broadcast to one person, with a connection that allows no more, and return its campaign."""
    connect_sandbox(max_broadcast_recipients=1, max_retries=0)
    start.defaults["broadcast"] = create(audience=write_audience(str(tmp_path / "one"), parts=1, part_size=1))
    return str(sandbox.campaigns[0]["_id"])


@pytest.fixture
def overfull(small: str, sandbox: Sandbox) -> str:
    """The same with five more recipients."""
    fill(sandbox, small)
    return small


def test_a_campaign_with_more_recipients_than_its_part_is_a_draft_again(
    start: Run, overfull: str, sandbox: Sandbox
) -> None:
    for _ in range(2):
        start.fail(OtpiqRequestError, match=f"campaign {overfull} holds 6 recipients, and its part 00000 has 1")
        (campaign,) = sandbox.campaigns
        assert (campaign["status"], campaign["scheduledFor"]) == ("draft", None)
    assert sent(sandbox).count("PATCH {_id}") == 2 + 2  # the second try does not schedule it again
    sandbox.move_clock(hours=1)
    assert not messaged(sandbox)


def test_the_other_campaigns_are_scheduled(create: Run, start: Run, sandbox: Sandbox) -> None:
    create()
    fill(sandbox, sandbox.campaigns[1]["_id"])
    refusal = r"Refused campaigns: 1 of 3; .*\n.*part 00001: campaign .* It is a draft again"
    start.fail(OtpiqRequestError, match=refusal)
    assert [campaign["status"] for campaign in sandbox.campaigns] == ["scheduled", "draft", "scheduled"]


def test_the_next_try_makes_a_campaign_a_draft_before_a_check_refuses_the_try(
    start: Run, overfull: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.arm("update", delay=0)
    sandbox.arm("update", connection="drop")
    start.fail(OtpiqConnectionError)
    assert f"campaign {overfull} holds 6 recipients" in caplog.text
    assert "Make it a draft in OTPIQ's dashboard before it" in caplog.text
    assert sandbox.campaigns[0]["status"] == "scheduled"
    caplog.clear()
    sandbox.change_resource(TEMPLATE.id, status="PAUSED")
    start.fail(match="PAUSED")
    assert sandbox.campaigns[0]["status"] == "draft"
    assert f"campaign {overfull} holds 6 recipients" in caplog.text
    sandbox.change_resource(TEMPLATE.id, status="APPROVED")
    start.fail(OtpiqRequestError, match="is a draft again")
    assert sandbox.campaigns[0]["status"] == "draft"


def test_a_campaign_that_started_before_its_size_was_compared_is_a_warning(
    start: Run, overfull: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    time = in_minutes(10)
    sandbox.arm("update", connection="drop", when="after")
    start.fail(OtpiqConnectionError, scheduled_for=time)
    with later(minutes=20):
        start(scheduled_for=time)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    (warning,) = [message for message in warnings if "has started" in message]
    assert overfull in warning
    assert "Check in OTPIQ's dashboard that it has the part's 1 recipient." in warning


@pytest.mark.usefixtures("overfull")
def test_a_campaign_that_otpiq_does_not_make_a_draft_again_is_an_error(start: Run, sandbox: Sandbox) -> None:
    sandbox.arm("update", delay=0)
    sandbox.arm("update", status=400, body={"error": "Not now"})
    start.fail(OtpiqRequestError, match=r"holds 6 .* could not be made a draft again.*Not now")


@pytest.mark.parametrize(("held", "warnings"), [(1, 0), ("1", 0), (None, 0), ("many", 0), ("nan", 0), (0, 1)])
def test_fewer_recipients_are_a_warning_and_an_unknown_number_is_not_compared(
    start: Run, small: str, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, held: Any, warnings: int
) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": small, "totalRecipients": held}})
    start()
    assert caplog.text.count(f"OTPIQ reports that campaign {small} holds") == warnings
    unknown = f"OTPIQ does not report how many recipients campaign {small} holds; its part has 1"
    assert (unknown in caplog.text) == (held in {None, "many", "nan"})


@pytest.mark.parametrize("held", [6, "6", 6.0])
def test_more_recipients_are_an_error_in_any_form_of_the_number(
    start: Run, small: str, sandbox: Sandbox, held: Any
) -> None:
    sandbox.arm("update", status=200, body={"success": True, "data": {"_id": small, "totalRecipients": held}})
    start.fail(OtpiqRequestError, match="holds 6 recipients")


# Responses that mean something else


@pytest.mark.parametrize(
    ("status", "text"),
    [(409, "Template is under review"), (400, "scheduledFor cannot be modified while the template is paused")],
)
def test_a_conflict_about_something_else_is_not_a_start(
    create: Run, start: Run, sandbox: Sandbox, sleep_calls: list[float], status: int, text: str
) -> None:
    create()
    time = in_minutes(60)
    start_in_part(start, sandbox, time, "before")
    with later(minutes=75):
        sandbox.arm("update", status=status, body={"error": text}, times=2)
        start.fail(OtpiqRequestError, match="Refused campaigns: ", scheduled_for=time)
        start(scheduled_for=time)
        assert messaged(sandbox) == everybody()


def test_a_refusal_of_something_else_does_not_move_the_time(create: Run, start: Run, sandbox: Sandbox) -> None:
    create()
    time = in_minutes(5)
    sandbox.arm("update", status=400, body={"error": "Please try again"})
    start.fail(OtpiqRequestError, match="Please try again", scheduled_for=time)
    start(scheduled_for=time)
    assert {parse_datetime(campaign["scheduledFor"]) for campaign in sandbox.campaigns} == {time}


# The ledger


def test_a_ledger_that_lost_its_start_is_not_replaced(
    create: Run, start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    ledger = Path(create())
    start()
    (ledger / "start.json").unlink()
    assert text_of(create.fail(name="Autumn offer", replace=True)) == snapshot
    (request,) = ledger.glob("*/request.json")
    for folder in ("campaigns", "schedule"):
        (request.parent / folder / "00000.json").unlink()
    create.fail(match="start.json is missing")
    assert len(sandbox.campaigns) == 3


def test_two_parts_of_one_campaign_are_an_error(create: Run, start: Run, sandbox: Sandbox) -> None:
    ledger = Path(create())
    first = next(ledger.glob("*/campaigns/00000.json"))
    shutil.copy(first, first.with_name("00001.json"))
    start.fail(match=json.loads(first.read_text())["campaign_id"])
    assert not any(campaign["scheduledFor"] for campaign in sandbox.campaigns)
