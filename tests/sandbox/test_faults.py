"""Each fault as an HTTP client sees it, and its effect on the sandbox."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.fakes import CREATE, CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    PAYLOAD,
    attach,
    call,
    control,
    create,
    download,
    generate,
    list_reports,
    people,
    reported_file,
    sample,
    start,
    update,
    with_recipients,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

CALLS: dict[str, Callable[[Sandbox, str], requests.Response]] = {
    "info": lambda sandbox, campaign_id: call(sandbox, "GET", "/info"),
    "resources": lambda sandbox, campaign_id: call(sandbox, "GET", "/whatsapp/resources"),
    "create": lambda sandbox, campaign_id: create(sandbox),
    "update": lambda sandbox, campaign_id: update(sandbox, campaign_id, name="Winter"),
    "payload": lambda sandbox, campaign_id: call(sandbox, "GET", f"{PAYLOAD}?_id={campaign_id}"),
    "attach": lambda sandbox, campaign_id: attach(sandbox, campaign_id, *people(2)),
    "sample": lambda sandbox, campaign_id: sample(sandbox, campaign_id, *people(1)),
    "start": start,
    "generate": lambda sandbox, campaign_id: generate(sandbox),
    "reports": lambda sandbox, campaign_id: list_reports(sandbox),
    "download": lambda sandbox, campaign_id: download(reported_file(sandbox)),
}
"""Each kind of request, once, in an order in which all of them succeed."""


def post(sandbox: Sandbox, **options: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.api_key}"}
    url = f"{sandbox.url}/whatsapp/campaigns"
    return requests.post(url, json=CREATE_BODY, headers=headers, timeout=10, allow_redirects=False, **options)


@pytest.mark.parametrize(("when", "campaigns"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "body": {"message": "Down"}},
        {"status": 429, "body": {"waitMinutes": 8}, "headers": {"Retry-After": "480"}},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": ["another", "shape"]},
        {"status": 302, "headers": {"Location": "https://example.com/"}},
    ],
)
def test_another_response(sandbox: Sandbox, when: str, campaigns: int, fault: dict[str, Any]) -> None:
    sandbox.arm("create", when=when, **fault)
    response = post(sandbox)
    assert response.status_code == fault["status"] == sandbox.requests[0]["status"]
    assert fault.get("headers", {}).items() <= response.headers.items()
    assert (response.text if isinstance(fault.get("body"), str) else response.json()) == fault.get("body")
    assert len(sandbox.campaigns) == campaigns


@pytest.mark.parametrize(("when", "campaigns"), [("before", 0), ("after", 1)])
def test_a_dropped_connection(sandbox: Sandbox, when: str, campaigns: int) -> None:
    sandbox.arm("create", when=when, connection="drop")
    with pytest.raises(requests.ConnectionError):
        post(sandbox)
    assert len(sandbox.campaigns) == campaigns
    assert [request["status"] for request in sandbox.requests] == [None]


def test_a_body_cut_short(sandbox: Sandbox) -> None:
    sandbox.arm("create", connection="cut")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        post(sandbox)
    assert len(sandbox.campaigns) == 1


def test_an_endless_body(sandbox: Sandbox) -> None:
    sandbox.arm("create", connection="endless")
    with post(sandbox, stream=True) as response:
        assert all(next(parts) for parts in [response.iter_content(65536)] * 200)
    assert post(sandbox).status_code == 201


def test_a_slow_response(sandbox: Sandbox) -> None:
    sandbox.arm("create", delay=0.3)
    began = time.monotonic()
    assert post(sandbox).status_code == 201
    assert time.monotonic() - began >= 0.3


def test_a_fault_affects_only_the_next_requests_of_its_kind(sandbox: Sandbox) -> None:
    sandbox.arm("info", status=500)
    sandbox.arm("create", status=503, times=2)
    sandbox.arm("create", status=502)
    assert [post(sandbox).status_code for _ in range(4)] == [503, 503, 502, 201]


@pytest.mark.parametrize("armed", CALLS)
def test_a_fault_affects_only_its_kind_of_request(sandbox: Sandbox, armed: str) -> None:
    campaign_id = with_recipients(sandbox)
    sandbox.arm(armed, status=418)
    assert [name for name, send in CALLS.items() if send(sandbox, campaign_id).status_code == 418] == [armed]
    assert CALLS[armed](sandbox, campaign_id).status_code != 418


REQUESTS: dict[str, tuple[str, str, Any]] = {
    "info": ("GET", "/info", None),
    "resources": ("GET", "/whatsapp/resources", None),
    "create": ("POST", CAMPAIGNS, CREATE_BODY),
    "update": ("PATCH", f"{CAMPAIGNS}/{{}}", {"name": "Winter"}),
    "payload": ("GET", f"{PAYLOAD}?_id={{}}", None),
    "attach": ("POST", f"{CAMPAIGNS}/{{}}/recipients", {"recipients": people(2)}),
    "sample": ("POST", f"{CAMPAIGNS}/{{}}/sample", {"recipients": people(1)}),
    "start": ("POST", f"{CAMPAIGNS}/{{}}/start", None),
    "generate": ("POST", "/reports/generate", {"startDate": "2026-12-01T00:00:00Z", "endDate": "2026-12-02T00:00:00Z"}),
    "reports": ("GET", "/reports", None),
    "download": ("GET", "", None),
}


def outcome(sandbox: Sandbox, armed: str, campaign_id: str) -> int | str:
    """The status of the response to one request, or what becomes of its body."""
    method, path, body = REQUESTS[armed]
    url, headers = sandbox.url + path.format(campaign_id), {"Authorization": f"Bearer {sandbox.api_key}"}
    if armed == "download":
        url, headers = reported_file(sandbox), {}
    try:
        with requests.request(method, url, json=body, headers=headers, timeout=10, stream=True) as response:
            parts = list(islice(response.iter_content(65536), 20))
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return "broken"
    return "endless" if len(parts) == 20 else response.status_code


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"status": 503}, 503),
        ({"status": 429, "headers": {"Retry-After": "1"}}, 429),
        ({"status": 400, "body": {"error": "No"}, "when": "after"}, 400),
        ({"connection": "drop"}, "broken"),
        ({"connection": "drop", "when": "after", "delay": 0.01}, "broken"),
        ({"connection": "cut"}, "broken"),
        ({"connection": "endless"}, "endless"),
    ],
    ids=str,
)
@pytest.mark.parametrize("armed", CALLS)
def test_each_kind_of_fault_is_armed_for_each_call_over_http(
    sandbox: Sandbox, armed: str, kind: dict[str, Any], expected: int | str
) -> None:
    campaign_id = with_recipients(sandbox)
    control(sandbox, "POST", "/_sandbox/faults", {"call": armed, "times": 2, **kind})
    assert outcome(sandbox, armed, campaign_id) == outcome(sandbox, armed, campaign_id) == expected
    assert control(sandbox, "GET", "/_sandbox/faults")["faults"] == []


def test_a_request_to_a_similar_path_is_not_affected(sandbox: Sandbox) -> None:
    for armed in CALLS:
        sandbox.arm(armed, status=418)
    for method, path in [
        ("GET", f"/whatsapp/campaigns/{'6' * 24}"),
        ("POST", "/whatsapp/campaigns/recipient-payload"),
        ("GET", f"/whatsapp/campaigns/{'6' * 24}/recipients"),
        ("PATCH", f"/whatsapp/campaigns/{'6' * 24}/start"),
        ("POST", f"/whatsapp/campaigns/{'6' * 24}/start/now"),
        ("GET", "/whatsapp/resources/numbers"),
        ("GET", "/reports/generate"),
        ("POST", "/reports"),
        ("GET", "/reports/1"),
    ]:
        assert call(sandbox, method, path).status_code in (404, 405)


@pytest.mark.parametrize(("when", "done"), [("before", False), ("after", True)])
@pytest.mark.parametrize("armed", ["attach", "sample", "start"])
def test_a_fault_happens_before_or_after_processing(sandbox: Sandbox, armed: str, when: str, done: bool) -> None:
    campaign_id = with_recipients(sandbox)
    before = sandbox.campaigns
    sandbox.arm(armed, status=503, when=when)
    assert CALLS[armed](sandbox, campaign_id).status_code == 503
    assert (sandbox.campaigns != before) is done


@pytest.mark.parametrize("fault", [{"status": 200, "when": "after"}, {"connection": "drop"}, {"delay": 60}])
def test_a_wrong_key_returns_401_whatever_is_armed(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.arm("create", **fault)
    assert requests.post(f"{sandbox.url}/whatsapp/campaigns", json=CREATE_BODY, timeout=10).status_code == 401
    assert sandbox.campaigns == []


def test_a_header_of_a_fault_replaces_the_sandboxs_own(sandbox: Sandbox) -> None:
    sandbox.arm("create", status=200, body="{}", headers={"content-TYPE": "text/plain"})
    assert post(sandbox).headers["Content-Type"] == "text/plain"


@pytest.mark.parametrize(
    "invalid", [{"status": 99}, {"times": 0}, {"when": "never"}, {"colour": "red"}, {"headers": {"A": "b\n"}}]
)
def test_an_invalid_fault_is_rejected(sandbox: Sandbox, invalid: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"fault.*{next(iter(invalid))}"):
        sandbox.arm("create", **invalid)
    with pytest.raises(ValueError, match="call"):
        sandbox.arm("send", status=500)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        (
            {"call": "creat"},
            "Invalid fault: call must be info, resources, create, update, payload, attach, sample, start,"
            " generate, reports or download, got 'creat'",
        ),
        ({"call": "info", "when": "never"}, "Invalid fault: when must be before or after, got 'never'"),
        ({"call": "info", "times": 0}, "Invalid fault: times must be a whole number, 1 or more, got 0"),
        ({"call": "info", "status": True}, "Invalid fault: status must be an HTTP status, 200 to 599, got True"),
        (
            {"call": "info", "colour": "red"},
            "Invalid fault: there is no field colour; the fields are call, times, when, delay, status, body, headers"
            " and connection",
        ),
        (
            {"call": "info", "headers": {"A": "b\n", "B": 1}, "delay": "long"},
            "Invalid fault: delay must be seconds, 0 or more, got 'long'; headers must be strings of printable ASCII by"
            " name, got {'A': 'b\\n', 'B': 1}",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_an_invalid_fault_says_what_is_wrong_and_what_is_known(
    sandbox: Sandbox, fields: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match="fault") as caught:
        sandbox.arm(**fields)
    assert str(caught.value) == text
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert control(sandbox, "POST", "/_sandbox/faults", fields) == {"error": text}
    assert control(sandbox, "GET", "/_sandbox/faults")["faults"] == []


@pytest.mark.parametrize("fields", [None, [], "create", {}])
def test_the_control_plane_requires_an_object_with_a_call(sandbox: Sandbox, fields: Any) -> None:
    error = control(sandbox, "POST", "/_sandbox/faults", fields)["error"]
    assert error.startswith("Invalid fault: ")
    assert "call" in error


def test_the_control_plane_arms_and_moves_the_clock(sandbox: Sandbox) -> None:
    control = f"{sandbox.url.removesuffix('/api')}/_sandbox"
    assert requests.post(f"{control}/faults", json={"call": "create", "status": 503}, timeout=10).status_code == 201
    armed = requests.get(f"{control}/faults", timeout=10).json()["faults"]
    assert [(fault["call"], fault["status"]) for fault in armed] == [("create", 503)]
    assert post(sandbox).status_code == 503
    before = requests.post(f"{control}/clock", json={"seconds": 0}, timeout=10).json()["now"]
    after = requests.post(f"{control}/clock", json={"seconds": 86400}, timeout=10).json()["now"]
    assert after > before
    assert requests.post(f"{control}/faults", json={"call": "send"}, timeout=10).status_code == 400
    for seconds in (1e300, 1e12, -1e12):
        assert requests.post(f"{control}/clock", json={"seconds": seconds}, timeout=10).status_code == 400
    with pytest.raises(OverflowError):
        sandbox.move_clock(days=4e6)
    assert post(sandbox).status_code == 201


def test_faults_can_be_removed(sandbox: Sandbox) -> None:
    disarm: list[Callable[[], object]] = [sandbox.disarm, lambda: control(sandbox, "DELETE", "/_sandbox/faults")]
    for remove in disarm:
        sandbox.arm("create", status=503, times=9)
        remove()
        assert control(sandbox, "GET", "/_sandbox/faults")["faults"] == []
        assert post(sandbox).status_code == 201


def test_the_clock_starts_a_scheduled_campaign(sandbox: Sandbox, sandbox_hook: OtpiqHook) -> None:
    with_recipients(sandbox, *people(1000), scheduleType="schedule", scheduledFor="2099-12-01T06:00:00Z")
    assert sandbox.campaigns[0]["status"] == "scheduled"
    until_then = datetime(2099, 12, 1, 6, tzinfo=UTC) - datetime.now(UTC)
    sandbox.move_clock(seconds=until_then.total_seconds() - 1000)
    assert sandbox.campaigns[0]["status"] == "scheduled"
    sandbox.move_clock(seconds=1001)
    assert sandbox.campaigns[0]["status"] == "running"
    assert sandbox.campaigns[0]["startedAt"] == "2099-12-01T06:00:00Z"
    sandbox.reset()
    sandbox_hook.create_campaign(**CREATE, schedule_type="schedule", scheduled_for="2099-12-01T06:00:00Z")
    assert sandbox.campaigns[0]["status"] == "scheduled"
