"""`make test-live` against the sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.system


@pytest.fixture
def otpiq() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def run(sandbox: Sandbox, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTPIQ")}
    environment = inherited | {"OTPIQ_URL": sandbox.url} | variables
    command = [sys.executable, "-m", "dev.live"]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)


def test_it_makes_one_draft_and_attaches_nobody(otpiq: Sandbox) -> None:
    live = run(otpiq, OTPIQ_API_KEY=otpiq.api_key)
    assert live.returncode == 0, live.stdout
    assert "not documented" not in live.stdout
    (campaign,) = otpiq.campaigns
    assert (campaign["status"], campaign["scheduledFor"], campaign["totalRecipients"]) == ("draft", None, 0)
    calls = {"/".join(request["path"].split("/")[2:4]) for request in otpiq.requests if "/api/" in request["path"]}
    assert calls == {"info", "whatsapp/resources", "whatsapp/campaigns", "reports", "reports/generate"}


def test_it_fails_for_a_missing_field_and_lists_a_new_one(otpiq: Sandbox) -> None:
    project = {"projectName": "Personal name", "credit": 1, "currency": "IQD"}
    otpiq.arm("info", status=200, when="after", body=project)
    report = {"_id": "r", "downloadUrl": "https://example.com/report", "recordCount": 0}
    otpiq.arm("reports", status=200, when="after", body=[report])
    live = run(otpiq, OTPIQ_API_KEY=otpiq.api_key)
    assert live.returncode == 1
    assert "\nProjectInfo.currency\n" in live.stdout
    assert "reportId" in live.stdout
    assert "1 failed, 8 passed" in live.stdout
    assert otpiq.api_key not in live.stdout
    assert "Personal name" not in live.stdout


@pytest.mark.parametrize("variables", [{}, {"OTPIQ_API_KEY": ""}, {"OTPIQ_API_KEY": "sk_live_0123456789abcdef"}])
def test_it_needs_a_key_for_development(otpiq: Sandbox, variables: dict[str, str]) -> None:
    live = run(otpiq, **variables)
    assert live.returncode == 1
    (line,) = live.stderr.splitlines()
    assert line.startswith("make test-live: OTPIQ_API_KEY: ")
    assert "sk_live" not in line
    assert otpiq.requests == []
