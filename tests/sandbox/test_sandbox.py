"""The sandbox against the contract, spoken to with nothing of the provider."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from airflow_provider_otpiq.sandbox import Sandbox
from tests.contract import CREATE_BODY
from tests.sandbox.client import call, control, create, created_id, filled, people, tomorrow, update


def yesterday() -> str:
    return (datetime.now(UTC) - timedelta(days=1)).isoformat()


def test_info(sandbox: Sandbox) -> None:
    assert call(sandbox, "GET", "/info").json() == {"projectName": "Sandbox project", "credit": 15000}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/info"),
        ("GET", "/whatsapp/resources"),
        ("GET", "/whatsapp/campaigns/recipient-payload"),
        ("POST", "/whatsapp/campaigns"),
        ("PATCH", "/whatsapp/campaigns/x"),
        ("POST", "/whatsapp/campaigns/x/recipients"),
        ("POST", "/whatsapp/campaigns/x/sample"),
        ("POST", "/whatsapp/campaigns/x/start"),
    ],
)
def test_a_wrong_key_is_answered_as_documented_and_not_kept(sandbox: Sandbox, method: str, path: str) -> None:
    answer = call(sandbox, method, path, CREATE_BODY, key="sk_live_wrong")
    assert (answer.status_code, answer.json()) == (401, {"message": "Unauthorized, please use your project api key"})
    assert sandbox.campaigns == []
    assert "sk_live_wrong" not in str(sandbox.requests)


@pytest.mark.parametrize("schedule", [{}, {"scheduleType": "now"}])
def test_now_saves_a_draft(sandbox: Sandbox, schedule: dict[str, Any]) -> None:
    answer = create(sandbox, **schedule)
    assert answer.json()["success"] is True
    assert "status" not in answer.json()["data"]
    assert sandbox.campaigns[0]["status"] == "draft"


def test_schedule_saves_a_scheduled_campaign(sandbox: Sandbox) -> None:
    data = create(sandbox, scheduleType="schedule", scheduledFor=tomorrow()).json()["data"]
    assert data["scheduledFor"].endswith("Z")
    assert sandbox.campaigns[0]["status"] == "scheduled"


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "ab"},
        {"name": "x" * 81},
        {"name": None},
        {"name": 123},
        {"templateId": "6" * 23},
        {"templateId": "6" * 25},
        {"templateId": "6" * 24 + "\n"},
        {"templateId": "g" * 24},
        {"phoneNumberId": None},
        {"scheduleType": "later"},
        {"scheduleType": None},
        {"scheduleType": "schedule"},
        {"scheduleType": "schedule", "scheduledFor": None},
        {"scheduleType": "schedule", "scheduledFor": yesterday()},
        {"scheduleType": "schedule", "scheduledFor": "tomorrow"},
        {"scheduleType": "schedule", "scheduledFor": "2099-12-01T09:00:00"},
        {"scheduleType": "now", "scheduledFor": tomorrow()},
        {"scheduledFor": tomorrow()},
        {"recipients": []},
    ],
)
def test_a_create_that_breaks_a_rule_is_refused(sandbox: Sandbox, broken: dict[str, Any]) -> None:
    answer = create(sandbox, **broken)
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert sandbox.campaigns == []


def test_update_changes_what_is_given(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    answer = update(sandbox, campaign_id, name="Winter", category="UTILITY")
    assert answer.status_code == 200
    (campaign,) = sandbox.campaigns
    assert (campaign["name"], campaign["category"]) == ("Winter", "UTILITY")
    assert campaign["template"] == CREATE_BODY["templateId"]


def test_update_schedules_reschedules_and_takes_back(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    assert update(sandbox, campaign_id, scheduleType="schedule").status_code == 400
    assert update(sandbox, campaign_id, scheduleType="schedule", scheduledFor=tomorrow()).status_code == 200
    assert update(sandbox, campaign_id, scheduleType="schedule").status_code == 200
    assert update(sandbox, campaign_id, scheduledFor="2099-12-01T06:00:00Z").status_code == 200
    assert sandbox.campaigns[0]["scheduledFor"] == "2099-12-01T06:00:00Z"
    assert update(sandbox, campaign_id, scheduledFor=None).status_code == 400
    assert update(sandbox, campaign_id, scheduleType="now", scheduledFor=None).status_code == 200
    assert (sandbox.campaigns[0]["status"], sandbox.campaigns[0]["scheduledFor"]) == ("draft", None)


@pytest.mark.parametrize(
    "broken",
    [
        {"name": "ab"},
        {"category": "SPAM"},
        {"scheduleType": "later"},
        {"scheduleType": "schedule", "scheduledFor": yesterday()},
        {"scheduleType": "now", "scheduledFor": tomorrow()},
        {"status": "running"},
        {"name": None},
        {"scheduleType": None},
        {"scheduledFor": 4_000_000_000},
        {"scheduleType": ""},
    ],
)
def test_an_update_that_breaks_a_rule_changes_nothing(sandbox: Sandbox, broken: dict[str, Any]) -> None:
    campaign_id = created_id(sandbox)
    before = sandbox.campaigns
    assert update(sandbox, campaign_id, **broken).status_code == 400
    assert sandbox.campaigns == before


def test_an_unknown_campaign_is_not_found(sandbox: Sandbox) -> None:
    assert update(sandbox, "6" * 24, name="Winter").status_code == 404


def test_a_scheduled_campaign_whose_time_has_come_runs_and_can_no_longer_be_edited(sandbox: Sandbox) -> None:
    campaign_id = filled(sandbox, *people(1000), scheduleType="schedule", scheduledFor=tomorrow())
    soon = datetime.now(UTC) + timedelta(milliseconds=150)
    assert update(sandbox, campaign_id, scheduledFor=soon.isoformat()).status_code == 200
    while sandbox.campaigns[0]["status"] == "scheduled":
        assert datetime.now(UTC) < soon + timedelta(seconds=5)
    assert sandbox.campaigns[0]["status"] == "running"
    answer = update(sandbox, campaign_id, name="Too late")
    assert answer.status_code == 400
    assert "draft or scheduled" in answer.json()["error"]


def test_the_control_plane_shows_and_resets_and_says_what_it_is(sandbox: Sandbox) -> None:
    created_id(sandbox)
    state, received = control(sandbox, "GET", "/_sandbox/state"), control(sandbox, "GET", "/_sandbox/requests")
    assert [campaign["status"] for campaign in state["campaigns"]] == ["draft"]
    assert [(request["method"], request["status"]) for request in received["requests"]] == [("POST", 201)]
    assert sandbox.api_key not in str(received)
    about = control(sandbox, "GET", "/_sandbox")
    assert "not OTPIQ" in about["notice"]
    assert about["assumptions"]
    control(sandbox, "POST", "/_sandbox/reset")
    assert sandbox.campaigns == sandbox.requests == []


def test_two_sandboxes_share_nothing() -> None:
    with Sandbox() as one, Sandbox(api_key="sk_dev_two") as two:
        created_id(two)
        assert one.url != two.url
        assert one.campaigns == []
        assert len(two.campaigns) == 1


def test_an_open_request_does_not_keep_it_from_ending() -> None:
    with Sandbox() as sandbox:
        port = int(sandbox.url.split(":")[2].split("/")[0])
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"POST /api/whatsapp/campaigns HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    connection.close()


def test_an_unknown_call_says_so(sandbox: Sandbox) -> None:
    answer = call(sandbox, "DELETE", "/whatsapp/campaigns/x")
    assert answer.status_code == 405
    assert "only what OTPIQ documents" in answer.json()["message"]
    assert call(sandbox, "GET", "/sms").status_code == 404


@pytest.mark.system
def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port)
        command = [sys.executable, "-m", "airflow_provider_otpiq.sandbox", "--port", str(port)]
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert run.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in run.stderr


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_told_to_end(how: signal.Signals) -> None:
    command = [sys.executable, "-m", "airflow_provider_otpiq.sandbox", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = [process.stdout.readline() for _ in range(3)]
        assert "not OTPIQ" in printed[0]
        url = printed[1].split()[-1]
        answer = requests.get(f"{url}/info", headers={"Authorization": "Bearer sk_dev_sandbox"}, timeout=10)
        assert answer.status_code == 200
        process.send_signal(how)
        assert process.wait(timeout=10) in (0, -how)
        assert process.stderr.read() == ""
