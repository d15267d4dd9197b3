"""A ledger that was edited or damaged, and responses of OTPIQ that say something else than they seem to."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import time_machine

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import OtpiqRequestError, OtpiqValidationError
from tests.broadcast.people import everybody, messaged
from tests.operators.broadcasts import in_minutes
from tests.operators.test_start_broadcast import start_in_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.sandbox import Sandbox


@pytest.mark.parametrize(
    ("status", "text"),
    [(409, "Template is under review"), (400, "scheduledFor cannot be modified while the template is paused")],
)
def test_a_conflict_about_something_else_is_not_a_start(
    create: Callable[..., str],
    start: Callable[..., str],
    sandbox: Sandbox,
    sleep_calls: list[float],
    status: int,
    text: str,
) -> None:
    create()
    time = in_minutes(60)
    start_in_part(start, sandbox, time, "before")
    with time_machine.travel(timedelta(minutes=75)):
        sandbox.arm("update", status=status, body={"error": text}, times=2)
        with pytest.raises(OtpiqRequestError, match="campaigns were refused"):
            start(scheduled_for=time)
        start(scheduled_for=time)
        assert messaged(sandbox) == everybody()


def test_a_refusal_of_something_else_does_not_move_the_time(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    create()
    time = in_minutes(5)
    sandbox.arm("update", status=400, body={"error": "Please try again"})
    with pytest.raises(OtpiqRequestError, match="Please try again"):
        start(scheduled_for=time)
    start(scheduled_for=time)
    assert {parse_datetime(campaign["scheduledFor"]) for campaign in sandbox.campaigns} == {time}


def test_a_ledger_that_lost_its_start_is_not_replaced(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    ledger = Path(create())
    start()
    (ledger / "start.json").unlink()
    with pytest.raises(OtpiqValidationError, match="has lost its start, and campaigns are scheduled"):
        create(name="Autumn offer", replace=True)
    (request,) = ledger.glob("*/request.json")
    for folder in ("campaigns", "schedule"):
        (request.parent / folder / "00000.json").unlink()
    with pytest.raises(OtpiqValidationError, match="has lost the campaigns of parts 00000"):
        create()
    assert len(sandbox.campaigns) == 3


def test_two_parts_of_one_campaign_are_an_error(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox
) -> None:
    ledger = Path(create())
    first = next(ledger.glob("*/campaigns/00000.json"))
    shutil.copy(first, first.with_name("00001.json"))
    with pytest.raises(OtpiqValidationError, match=json.loads(first.read_text())["campaign_id"]):
        start()
    assert not any(campaign["scheduledFor"] for campaign in sandbox.campaigns)


def test_a_size_that_otpiq_does_not_report_is_warned_of(
    create: Callable[..., str], start: Callable[..., str], sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    create()
    campaign = {"_id": sandbox.campaigns[0]["_id"]}
    sandbox.arm("update", status=200, body={"success": True, "data": campaign}, when="after")
    start()
    assert f"OTPIQ does not report how many recipients campaign {campaign['_id']} holds; its part has 3" in caplog.text


@pytest.mark.parametrize("broadcast", [[{"ledger": "x"}], [["x"]], [1]])
def test_a_broadcast_that_is_not_a_path_is_an_error(start: Callable[..., str], broadcast: Any) -> None:
    with pytest.raises(OtpiqValidationError, match="broadcast: must be one path"):
        start(broadcast=broadcast)


def test_a_ledger_that_depends_on_the_working_directory_is_an_error(
    create: Callable[..., str], sandbox: Sandbox
) -> None:
    with pytest.raises(OtpiqValidationError, match="ledger: must be an absolute path or a URL; found 'ledgers/summer'"):
        create(ledger="ledgers/summer")
    assert not sandbox.campaigns
