"""Malformed bodies, ids and times return a 4xx that says why, and the sandbox goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import requests

from tests.fakes import CREATE_BODY
from tests.sandbox.client import (
    CAMPAIGNS,
    call,
    control,
    create,
    created_id,
    people,
    sample,
    update,
    with_recipients,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox

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
    b'{"recipients": 1e999}',
    b'{"recipients": {"0": {}}}',
    b'{"\\ud800": 1}',
    b'{"recipients": [{"phoneNumber": "\\ud800"}]}',
    b'{"recipients": [{"phoneNumber": "9647712345678", "\\ud800": 1}]}',
    RECIPIENT % b'{"body": 1}',
    RECIPIENT % b'{"body": [["1", "Ali"]]}',
    b'{"a":' + DEEP + b"}",
]
JSON = "application/json; charset=utf-8"
HUGE_NUMBER = b'{"recipients": ' + b"1" * 5000 + b"}"


def post(sandbox: Sandbox, path: str, body: bytes) -> requests.Response:
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": "application/json"}
    return requests.post(f"{sandbox.url}{CAMPAIGNS}{path}", data=body, headers=headers, timeout=10)


@pytest.mark.parametrize("body", MALFORMED_BODIES, ids=lambda body: repr(body)[:60])
@pytest.mark.parametrize("call_name", ["", "/recipients", "/sample"])
def test_a_malformed_body_returns_400_and_changes_nothing(sandbox: Sandbox, call_name: str, body: bytes) -> None:
    campaign_id = created_id(sandbox)
    before = sandbox.campaigns
    response = post(sandbox, f"/{campaign_id}{call_name}" if call_name else "", body)
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert sandbox.campaigns == before
    assert len(control(sandbox, "GET", "/_sandbox/requests")["requests"]) == 2


@pytest.mark.parametrize("parameters", [b'{"body": {"1": "\\ud800"}}', b'{"body": {"1": NaN}}', b'{"body": %s}' % DEEP])
def test_malformed_parameters_do_not_break_the_sandbox(sandbox: Sandbox, parameters: bytes) -> None:
    campaign_id = created_id(sandbox)
    assert post(sandbox, f"/{campaign_id}/recipients", RECIPIENT % parameters).status_code in (200, 400)
    assert control(sandbox, "GET", "/_sandbox/state")["campaigns"] == sandbox.campaigns


def test_start_ignores_a_body(sandbox: Sandbox) -> None:
    assert post(sandbox, f"/{with_recipients(sandbox)}/start", b"{").status_code == 200


@pytest.mark.parametrize("path", ["/%ff/start", "/%00/start", "/\u0661/start", f"/{'6' * 5000}/start", "/../start"])
def test_a_malformed_id_returns_404(sandbox: Sandbox, path: str) -> None:
    assert post(sandbox, path, b"").status_code == 404


@pytest.mark.parametrize("call_name", ["", "/recipients", "/sample"])
def test_a_body_that_is_not_said_to_be_json_returns_400(sandbox: Sandbox, call_name: str) -> None:
    url = f"{sandbox.url}{CAMPAIGNS}{f'/{created_id(sandbox)}{call_name}' if call_name else ''}"
    body = json.dumps({"recipients": people(1)} if call_name else CREATE_BODY)
    key = {"Authorization": f"Bearer {sandbox.api_key}"}
    for type_header in ({}, {"Content-Type": "text/plain"}):
        assert requests.post(url, data=body, headers=key | type_header, timeout=10).status_code == 400
    assert requests.post(url, data=body, headers=key | {"Content-Type": JSON}, timeout=10).status_code < 300


def test_a_number_that_python_cannot_parse_returns_400(sandbox: Sandbox) -> None:
    response = post(sandbox, f"/{created_id(sandbox)}/recipients", HUGE_NUMBER)
    assert (response.status_code, list(response.json())) == (400, ["error"])


def test_a_body_that_is_nested_too_deeply_returns_400(sandbox: Sandbox) -> None:
    assert post(sandbox, f"/{created_id(sandbox)}/recipients", b"[" * 100_000).status_code == 400


def test_a_time_outside_the_range_of_utc_returns_400(sandbox: Sandbox) -> None:
    response = create(sandbox, scheduleType="schedule", scheduledFor="9999-12-31T23:59:59-05:00")
    assert response.status_code == 400
    assert sandbox.campaigns == []


def test_a_drafts_time_outside_the_range_of_utc_returns_400(sandbox: Sandbox) -> None:
    assert update(sandbox, created_id(sandbox), scheduledFor="0001-01-01T00:00:00+05:00").status_code == 400


def test_a_time_in_digits_only_is_no_iso_8601(sandbox: Sandbox) -> None:
    assert create(sandbox, scheduleType="schedule", scheduledFor="4000000000").status_code == 400


def test_the_name_of_a_sample_has_at_most_80_characters(sandbox: Sandbox) -> None:
    response = sample(sandbox, created_id(sandbox, name="x" * 80), {"phoneNumber": "9647712345678"})
    assert len(response.json()["data"]["name"]) <= 80


@pytest.mark.parametrize("value", [True, ["Ali"], {"a": 1}, 5])
def test_a_parameter_is_a_string(sandbox: Sandbox, value: object) -> None:
    recipient = {"phoneNumber": "9647712345678", "templateParameters": {"body": {"1": value}}}
    path = f"{CAMPAIGNS}/{created_id(sandbox)}/recipients"
    assert call(sandbox, "POST", path, {"recipients": [recipient]}).status_code == 400
