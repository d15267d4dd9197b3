"""The sandbox's campaigns, its own API and its command, called with a plain HTTP client."""

import signal
import socket
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    accounts,
    call,
    control,
    create,
    created_id,
    download,
    generate,
    people,
    reported_file,
    start,
    tomorrow,
    update,
    with_recipients,
)

pytestmark = pytest.mark.slow


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
        ("POST", "/reports/generate"),
        ("GET", "/reports"),
    ],
)
def test_a_wrong_key_returns_the_documented_401_and_is_not_saved(sandbox: Sandbox, method: str, path: str) -> None:
    response = call(sandbox, method, path, CREATE_BODY, key="sk_live_wrong")
    assert (response.status_code, response.json()) == (
        401,
        {"message": "Unauthorized, please use your project api key"},
    )
    assert sandbox.campaigns == sandbox.reports == []
    assert "sk_live_wrong" not in str(sandbox.requests)


@pytest.mark.parametrize(
    ("schedule", "status"),
    [
        ({}, "draft"),
        ({"scheduleType": "now"}, "draft"),
        ({"scheduleType": "schedule", "scheduledFor": tomorrow()}, "scheduled"),
    ],
)
def test_a_create_saves_a_draft_or_a_scheduled_campaign(
    sandbox: Sandbox, schedule: dict[str, Any], status: str
) -> None:
    response = create(sandbox, **schedule).json()
    assert response["success"] is True
    assert "status" not in response["data"]
    assert (response["data"]["scheduledFor"] or "Z").endswith("Z")
    assert sandbox.campaigns[0]["status"] == status


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
        {"scheduleType": "schedule", "scheduledFor": "9999-12-31T23:59:59-05:00"},
        {"scheduleType": "schedule", "scheduledFor": "4000000000"},
        {"scheduleType": "now", "scheduledFor": tomorrow()},
        {"scheduledFor": tomorrow()},
        {"recipients": []},
    ],
)
def test_an_invalid_create_returns_400(sandbox: Sandbox, broken: dict[str, Any]) -> None:
    response = create(sandbox, **broken)
    assert response.status_code == 400
    assert response.json()["error"]
    assert sandbox.campaigns == []


def test_update_changes_the_fields_that_are_set(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    response = update(sandbox, campaign_id, name="Winter", category="UTILITY")
    assert response.status_code == 200
    (campaign,) = sandbox.campaigns
    assert (campaign["name"], campaign["category"]) == ("Winter", "UTILITY")
    assert campaign["template"] == CREATE_BODY["templateId"]


def test_update_schedules_reschedules_and_returns_to_draft(sandbox: Sandbox) -> None:
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
        {"scheduledFor": "0001-01-01T00:00:00+05:00"},
        {"scheduleType": ""},
    ],
)
def test_an_invalid_update_changes_nothing(sandbox: Sandbox, broken: dict[str, Any]) -> None:
    campaign_id = created_id(sandbox)
    before = sandbox.campaigns
    assert update(sandbox, campaign_id, **broken).status_code == 400
    assert sandbox.campaigns == before


def test_the_control_plane_shows_and_resets(sandbox: Sandbox) -> None:
    created_id(sandbox)
    generate(sandbox)
    state, received = control(sandbox, "GET", "/_sandbox/state"), control(sandbox, "GET", "/_sandbox/requests")
    assert [campaign["status"] for campaign in state["campaigns"]] == ["draft"]
    assert [(request["method"], request["status"]) for request in received["requests"]] == [("POST", 201)] * 2
    assert sandbox.api_key not in str(received)
    assert control(sandbox, "GET", "/_sandbox/reports")["reports"] == sandbox.reports
    control(sandbox, "POST", "/_sandbox/reset")
    assert sandbox.campaigns == sandbox.reports == sandbox.requests == []


def test_the_last_1000_requests_are_listed_by_default(sandbox: Sandbox) -> None:
    with closing(HTTPConnection(urlsplit(sandbox.url).netloc)) as connection:
        for number in range(1002):
            connection.request("GET", f"/api/{number}", headers={"Authorization": f"Bearer {sandbox.api_key}"})
            connection.getresponse().read()
    paths = [request["path"] for request in sandbox.requests]
    assert (len(paths), paths[0], paths[-1]) == (1000, "/api/2", "/api/1001")
    assert [request["path"] for request in control(sandbox, "GET", "/_sandbox/requests")["requests"]] == paths


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_how_many_requests_are_listed_can_be_set(keep: int) -> None:
    with Sandbox(keep_requests=keep) as sandbox:
        for number in range(5):
            create(sandbox, name=f"Campaign {number}")
        listed = [request["body"]["name"] for request in sandbox.requests]
    assert listed == [f"Campaign {number}" for number in range(5 - keep, 5)]


def test_old_bodies_are_dropped_before_old_requests(sandbox: Sandbox) -> None:
    campaign_id = created_id(sandbox)
    body = {"recipients": [], "padding": "x" * 3_000_000}
    for _ in range(5):
        call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/recipients", body)
    assert [request["status"] for request in sandbox.requests] == [201] + [400] * 5
    assert [request["body"] for request in sandbox.requests] == [None] * 3 + [body] * 3
    call(sandbox, "POST", f"{CAMPAIGNS}/{campaign_id}/recipients", body | {"padding": "x" * 11_000_000})
    assert [request["body"] for request in sandbox.requests] == [None] * 7
    created_id(sandbox)
    assert sandbox.requests[-1]["body"] == CREATE_BODY


def test_a_reset_returns_to_the_beginning() -> None:
    with Sandbox(credit=40) as sandbox:
        assert call(sandbox, "GET", "/info").json()["credit"] == 40
        before = accounts(sandbox)
        start(sandbox, with_recipients(sandbox, *people(3)))
        assert sandbox.credit == 4
        sandbox.credit = 1000
        url = reported_file(sandbox)
        sandbox.arm("info", status=503)
        sandbox.change_resource(before[0]["id"], banState="DISABLE")
        sandbox.move_clock(days=400)
        sandbox.reset()
        assert (sandbox.campaigns, sandbox.reports, sandbox.requests, sandbox.credit) == ([], [], [], 40)
        assert download(url).status_code == 404
        assert accounts(sandbox) == before
        assert create(sandbox, scheduleType="schedule", scheduledFor=tomorrow()).status_code == 201
        assert call(sandbox, "GET", "/info").status_code == 200


def test_two_sandboxes_share_nothing() -> None:
    with Sandbox() as one, Sandbox(api_key="sk_dev_two") as two:
        created_id(two)
        assert one.url != two.url
        assert one.campaigns == []
        assert len(two.campaigns) == 1


def test_an_open_request_does_not_block_the_shutdown() -> None:
    with Sandbox() as sandbox:
        port = int(sandbox.url.split(":")[2].split("/")[0])
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(b"POST /api/whatsapp/campaigns HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    connection.close()


def test_an_unknown_call_says_so(sandbox: Sandbox) -> None:
    response = call(sandbox, "DELETE", "/whatsapp/campaigns/x")
    assert response.status_code == 405
    assert "only what OTPIQ documents" in response.json()["message"]
    assert call(sandbox, "GET", "/sms").status_code == 404


COMMAND = [sys.executable, "-m", "airflow_provider_otpiq.sandbox"]


def run_command(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.system
def test_a_taken_port_is_an_immediate_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            Sandbox(port=port)
        run = run_command("--port", str(port))
        assert run.returncode == 1
        assert f"cannot listen on 127.0.0.1:{port}" in run.stderr


@pytest.mark.system
@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("--keep-requests", "-1", "keep_requests: must be 0 or more; found -1\n"),
        ("--deviate", "unknown", "deviations: the sandbox cannot deviate from unknown; expected ids of "),
    ],
)
def test_the_command_exits_on_an_invalid_option(option: str, value: str, error: str) -> None:
    run = run_command("--port", "0", option, value)
    assert run.returncode == 1
    assert run.stderr.startswith(f"otpiq-sandbox: {error}")


@pytest.mark.system
@pytest.mark.parametrize("package", ["fastapi", "jinja2", "uvicorn"])
def test_the_command_without_its_extra_says_what_to_install(package: str) -> None:
    without = f"import sys; sys.modules[{package!r}] = None; import airflow_provider_otpiq.sandbox.__main__"
    run = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=False, timeout=60)
    says = f"The sandbox needs {package}; install it with: pip install 'airflow-provider-otpiq[sandbox]'"
    assert (run.returncode, run.stderr) == (1, f"otpiq-sandbox: {says}\n")


@pytest.mark.system
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_until_it_is_stopped(how: signal.Signals) -> None:
    options = ["--port", "0", "--credit", "99", "--keep-requests", "1"]
    options += ["--deviate", "rate-limit", "--deviate", "create-status"]
    with subprocess.Popen([*COMMAND, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = [process.stdout.readline() for _ in range(3)]
        assert "not OTPIQ" in printed[0]
        url = printed[1].split()[-1]
        response = requests.get(f"{url}/info", headers={"Authorization": "Bearer sk_dev_sandbox"}, timeout=10)
        assert (response.status_code, response.json()["credit"]) == (200, 99)
        requests.get(f"{url}/info", timeout=10)
        listed = requests.get(f"{url.removesuffix('api')}_sandbox/requests", timeout=10).json()["requests"]
        assert [request["status"] for request in listed] == [401]
        about = requests.get(f"{url.removesuffix('api')}_sandbox", timeout=10).json()
        assert about["deviations"] == ["create-status", "rate-limit"]
        process.send_signal(how)
        assert process.wait(timeout=10) in (0, -how)
        assert process.stderr.read() == ""


def test_a_resource_can_be_changed(sandbox: Sandbox) -> None:
    account, _ = accounts(sandbox)
    number, template = account["phoneNumbers"][0], account["templates"][0]
    sandbox.change_resource(account["id"], banState="DISABLE")
    sandbox.change_resource(number["id"], status="BANNED", qualityRating="RED")
    control(sandbox, "POST", "/_sandbox/resources", {"id": template["id"], "fields": {"status": "PAUSED"}})
    changed = accounts(sandbox)[0]
    assert changed["banState"] == "DISABLE"
    assert changed["phoneNumbers"] == [
        number | {"status": "BANNED", "qualityRating": "RED"},
        *account["phoneNumbers"][1:],
    ]
    assert changed["templates"] == [template | {"status": "PAUSED"}, *account["templates"][1:]]


@pytest.mark.parametrize(
    ("resource_id", "fields"),
    [
        ("665f1c2ab3d4e5f6012345ff", {"status": "PAUSED"}),
        ("665f1c2ab3d4e5f601234567", {"state": "PAUSED"}),
        ("665f1c2ab3d4e5f601234567", {"id": "x"}),
        ("665f1c2ab3d4e5f6012345c1", {"templates": "x"}),
    ],
)
def test_a_resource_or_field_that_does_not_exist_is_an_error(
    sandbox: Sandbox, resource_id: str, fields: dict[str, str], snapshot: SnapshotAssertion
) -> None:
    before = accounts(sandbox)
    with pytest.raises(ValueError, match=": ") as caught:
        sandbox.change_resource(resource_id, **fields)
    assert str(caught.value) == snapshot
    response = control(sandbox, "POST", "/_sandbox/resources", {"id": resource_id, "fields": fields})
    assert response == {"error": str(caught.value)}
    assert accounts(sandbox) == before
