"""OTPIQ's responses have every documented field. These tests run in `make test-live` only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._report.columns import read_header
from tests.live import contract
from tests.live.conftest import NEW_FIELDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from tests.live.conftest import Sender

    Compare = Callable[[type[contract.M], Any], contract.M]

pytestmark = pytest.mark.live


def test_the_project(otpiq: OtpiqHook, compare: Compare[contract.ProjectInfo]) -> None:
    compare(contract.ProjectInfo, otpiq.get_project_info())


def test_the_resources(otpiq: OtpiqHook, compare: Compare[contract.Resources]) -> None:
    compare(contract.Resources, otpiq.get_resources())


def test_the_recipient_payload_of_a_template(
    otpiq: OtpiqHook, sender: Sender, compare: Compare[contract.Payload]
) -> None:
    payload = compare(contract.Payload, otpiq.get_recipient_payload(template_id=sender.template_id))
    assert payload.template.id == sender.template_id


def test_a_draft(draft: dict[str, Any], sender: Sender, compare: Compare[contract.Campaign]) -> None:
    campaign = compare(contract.Campaign, draft)
    assert (campaign.template, campaign.phone_number) == sender
    assert (campaign.started_at, campaign.total_recipients) == (None, 0)


def test_the_recipient_payload_of_a_draft(
    otpiq: OtpiqHook, draft: dict[str, Any], compare: Compare[contract.Payload]
) -> None:
    payload = compare(contract.Payload, otpiq.get_recipient_payload(campaign_id=draft["_id"]))
    assert payload.template.id == draft["template"]


def test_an_update(otpiq: OtpiqHook, draft: dict[str, Any], compare: Compare[contract.Campaign]) -> None:
    name = f"{draft['name']}, updated"
    assert compare(contract.Campaign, otpiq.update_campaign(campaign_id=draft["_id"], name=name)).name == name


def test_a_schedule_and_a_draft_again(
    otpiq: OtpiqHook, draft: dict[str, Any], compare: Compare[contract.Campaign]
) -> None:
    time = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    scheduled = otpiq.update_campaign(campaign_id=draft["_id"], schedule_type="schedule", scheduled_for=time)
    stopped = otpiq.update_campaign(campaign_id=draft["_id"], schedule_type="now")
    assert compare(contract.Campaign, scheduled).scheduled_for == time
    assert compare(contract.Campaign, stopped).scheduled_for is None


def test_a_report_and_its_file(
    otpiq: OtpiqHook, compare: Compare[contract.Report], pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    end = datetime.now(UTC) - timedelta(hours=1)
    report = otpiq.generate_report(start=end - timedelta(seconds=1), end=end)  # a second: it contains personal data
    compare(contract.Report, report)
    header = read_header(path := tmp_path / "report.csv", otpiq.download_report(report=report, destination=str(path)))
    pytestconfig.stash[NEW_FIELDS].update(f"a report's column {name}" for name in header.extra_columns)


def test_the_list_of_reports(otpiq: OtpiqHook, compare: Compare[contract.Reports]) -> None:
    compare(contract.Reports, otpiq.list_reports(limit=500))
