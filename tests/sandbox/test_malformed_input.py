"""Malformed bodies and ids return a 4xx, and the sandbox continues to work."""

import json
from collections.abc import Iterable

import pytest
import requests

from airflow_provider_otpiq.sandbox import Sandbox
from airflow_provider_otpiq.sandbox.deviations import DEVIATIONS
from tests.fakes import CREATE_BODY
from tests.sandbox.client import CAMPAIGNS, WINDOW, control, created_id, people, with_recipients

pytestmark = pytest.mark.slow

RECIPIENT = b'{"recipients": [{"phoneNumber": "9647712345678", "templateParameters": %s}]}'
DEEP = b'{"a":' * 300 + b"1" + b"}" * 300
MALFORMED_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"5",
    b'"x"',
    b"NaN",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"recipients": 1e999}',
    b'{"recipients": ' + b"1" * 5000 + b"}",
    b'{"recipients": {"0": {}}}',
    b'{"\\ud800": 1}',
    b'{"startDate": "\\ud800"}',
    b'{"recipients": [{"phoneNumber": "\\ud800"}]}',
    b'{"recipients": [{"phoneNumber": "9647712345678", "\\ud800": 1}]}',
    RECIPIENT % b'{"body": 1}',
    RECIPIENT % b'{"body": [["1", "Ali"]]}',
    b'{"a":' + DEEP + b"}",
]
PATHS = [CAMPAIGNS, f"{CAMPAIGNS}/{{}}/recipients", f"{CAMPAIGNS}/{{}}/sample", "/reports/generate"]


def post(sandbox: Sandbox, path: str, body: bytes, content_type: str | None = "application/json") -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": content_type}
    return requests.post(sandbox.url + path, data=body, headers=headers, timeout=10)


@pytest.mark.parametrize("body", MALFORMED_BODIES, ids=lambda body: repr(body)[:60])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("deviations", [[], DEVIATIONS], ids=["none", "all"])
def test_a_malformed_body_returns_400_and_changes_nothing(
    sandbox: Sandbox, path: str, body: bytes, deviations: Iterable[str]
) -> None:
    campaign_id = created_id(sandbox)
    sandbox.deviations = deviations
    before = sandbox.campaigns
    response = post(sandbox, path.format(campaign_id), body)
    assert response.status_code == 400
    assert deviations or list(response.json()) == ["error"]
    assert (sandbox.campaigns, sandbox.reports) == (before, [])
    assert len(control(sandbox, "GET", "/_sandbox/requests")["requests"]) == 2


@pytest.mark.parametrize("parameters", [b'{"body": {"1": "\\ud800"}}', b'{"body": {"1": NaN}}', b'{"body": %s}' % DEEP])
def test_malformed_parameters_do_not_break_the_sandbox(sandbox: Sandbox, parameters: bytes) -> None:
    path = f"{CAMPAIGNS}/{created_id(sandbox)}/recipients"
    assert post(sandbox, path, RECIPIENT % parameters).status_code in (200, 400)
    assert control(sandbox, "GET", "/_sandbox/state")["campaigns"] == sandbox.campaigns


@pytest.mark.parametrize("path", PATHS)
def test_the_content_type_must_be_json(sandbox: Sandbox, path: str) -> None:
    fields = {"/reports/generate": WINDOW, CAMPAIGNS: CREATE_BODY}.get(path, {"recipients": people(1)})
    url, body = path.format(created_id(sandbox)), json.dumps(fields).encode()
    assert [post(sandbox, url, body, content_type).status_code for content_type in (None, "text/plain")] == [400, 400]
    assert post(sandbox, url, body, "application/json; charset=utf-8").ok


def test_start_ignores_a_body(sandbox: Sandbox) -> None:
    assert post(sandbox, f"{CAMPAIGNS}/{with_recipients(sandbox)}/start", b"{").status_code == 200


@pytest.mark.parametrize("path", ["/%ff/start", "/%00/start", "/\u0661/start", f"/{'6' * 5000}/start", "/../start"])
def test_a_malformed_id_returns_404(sandbox: Sandbox, path: str) -> None:
    assert post(sandbox, f"{CAMPAIGNS}{path}", b"").status_code == 404
