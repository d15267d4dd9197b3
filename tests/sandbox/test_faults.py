"""Each fault as an HTTP client sees it, and its effect on the sandbox."""

import time
from itertools import islice
from typing import Any

import pytest
import requests
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.sandbox import Sandbox
from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    PAYLOAD,
    WINDOW,
    call,
    control,
    create,
    people,
    reported_file,
    with_recipients,
)

pytestmark = pytest.mark.slow

REQUESTS: dict[str, tuple[str, str, Any]] = {
    "info": ("GET", "/info", None),
    "resources": ("GET", "/whatsapp/resources", None),
    "create": ("POST", CAMPAIGNS, CREATE_BODY),
    "update": ("PATCH", f"{CAMPAIGNS}/{{}}", {"name": "Winter"}),
    "payload": ("GET", f"{PAYLOAD}?_id={{}}", None),
    "attach": ("POST", f"{CAMPAIGNS}/{{}}/recipients", {"recipients": people(2)}),
    "sample": ("POST", f"{CAMPAIGNS}/{{}}/sample", {"recipients": people(1)}),
    "start": ("POST", f"{CAMPAIGNS}/{{}}/start", None),
    "generate": ("POST", "/reports/generate", WINDOW),
    "reports": ("GET", "/reports", None),
    "download": ("GET", "", None),
}
"""Each kind of request once, in an order in which all of them succeed."""


def send(sandbox: Sandbox, kind: str, campaign_id: str = "") -> int | str:
    """Send a request and return the status of the response, or what happened to its body."""
    method, path, body = REQUESTS[kind]
    url, headers = sandbox.url + path.format(campaign_id), {"Authorization": f"Bearer {sandbox.api_key}"}
    if kind == "download":
        url, headers = reported_file(sandbox), {}
    try:
        with requests.request(method, url, json=body, headers=headers, timeout=10, stream=True) as response:
            parts = list(islice(response.iter_content(65536), 20))
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
        return "broken"
    return "endless" if len(parts) == 20 else response.status_code


@pytest.mark.parametrize(("when", "campaigns"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503, "body": {"message": "Down"}},
        {"status": 429, "body": {"waitMinutes": 8}, "headers": {"Retry-After": "480"}},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": ["another", "shape"]},
        {"status": 200, "body": "{}", "headers": {"content-TYPE": "text/plain"}},
        {"status": 302, "headers": {"Location": "https://example.com/"}},
    ],
)
def test_another_response(sandbox: Sandbox, when: str, campaigns: int, fault: dict[str, Any]) -> None:
    sandbox.arm("create", when=when, **fault)
    response = create(sandbox)
    assert response.status_code == fault["status"] == sandbox.requests[0]["status"]
    assert all(response.headers[name] == value for name, value in fault.get("headers", {}).items())
    assert (response.text if isinstance(fault.get("body"), str) else response.json()) == fault.get("body")
    assert len(sandbox.campaigns) == campaigns


@pytest.mark.parametrize(
    ("fault", "campaigns"),
    [
        ({"connection": "drop"}, 0),
        ({"connection": "drop", "when": "after"}, 1),
        ({"connection": "cut"}, 1),
        ({"connection": "cut", "when": "before"}, 1),
        ({"connection": "endless"}, 1),
    ],
)
def test_a_response_that_does_not_arrive(sandbox: Sandbox, fault: dict[str, Any], campaigns: int) -> None:
    sandbox.arm("create", **fault)
    assert send(sandbox, "create") == ("endless" if fault["connection"] == "endless" else "broken")
    assert len(sandbox.campaigns) == campaigns
    assert [request["status"] for request in sandbox.requests] == [None if fault["connection"] == "drop" else 201]


def test_a_slow_response(sandbox: Sandbox) -> None:
    sandbox.arm("create", delay=0.3)
    began = time.monotonic()
    assert create(sandbox).status_code == 201
    assert time.monotonic() - began >= 0.3


def test_faults_are_used_in_their_order(sandbox: Sandbox) -> None:
    sandbox.arm("info", status=500)
    sandbox.arm("create", status=503, times=2)
    sandbox.arm("create", status=502)
    assert [create(sandbox).status_code for _ in range(4)] == [503, 503, 502, 201]


@pytest.mark.parametrize("armed", REQUESTS)
def test_a_fault_affects_only_its_kind_of_request(sandbox: Sandbox, armed: str) -> None:
    campaign_id = with_recipients(sandbox)
    control(sandbox, "POST", "/_sandbox/faults", {"call": armed, "status": 418})
    assert [kind for kind in REQUESTS if send(sandbox, kind, campaign_id) == 418] == [armed]


def test_a_request_to_a_similar_path_is_not_affected(sandbox: Sandbox) -> None:
    for armed in REQUESTS:
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


@pytest.mark.parametrize("fault", [{"status": 200, "when": "after"}, {"connection": "drop"}, {"delay": 60}])
def test_a_wrong_key_returns_401_despite_a_fault(sandbox: Sandbox, fault: dict[str, Any]) -> None:
    sandbox.arm("create", **fault)
    assert call(sandbox, "POST", CAMPAIGNS, CREATE_BODY, key="sk_live_wrong").status_code == 401
    assert sandbox.campaigns == []


@pytest.mark.parametrize(
    "fields",
    [
        *(None, [], "create", {}),
        {"call": "creat"},
        {"call": "info", "when": "never"},
        {"call": "info", "times": 0},
        {"call": "info", "status": True},
        {"call": "info", "status": 99},
        {"call": "info", "color": "red"},
        {"call": "info", "headers": {"A": "b\n", "B": 1}, "delay": "long"},
    ],
)
def test_an_invalid_fault_is_an_error_that_lists_what_is_valid(
    sandbox: Sandbox, fields: Any, snapshot: SnapshotAssertion
) -> None:
    error = control(sandbox, "POST", "/_sandbox/faults", fields)["error"]
    assert error == snapshot
    if fields and isinstance(fields, dict):
        with pytest.raises(ValueError, match="Invalid fault") as caught:
            sandbox.arm(**fields)
        assert str(caught.value) == error
        assert caught.value.__cause__ is caught.value.__context__ is None
    assert control(sandbox, "GET", "/_sandbox/faults")["faults"] == []


def test_faults_can_be_listed_and_removed(sandbox: Sandbox) -> None:
    for remove in (sandbox.disarm, lambda: control(sandbox, "DELETE", "/_sandbox/faults")):
        sandbox.arm("create", status=503, times=9)
        (fault,) = control(sandbox, "GET", "/_sandbox/faults")["faults"]
        assert (fault["call"], fault["status"], fault["times"]) == ("create", 503, 9)
        remove()
        assert control(sandbox, "GET", "/_sandbox/faults")["faults"] == []
        assert create(sandbox).status_code == 201
