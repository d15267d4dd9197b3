import gzip
import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from traceback import TracebackException
from typing import Any, Protocol

import pytest
import requests
from requests_mock import Mocker
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqRateLimitError,
    OtpiqRequestError,
    OtpiqResponseError,
    OtpiqServerError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.conftest import API_KEY, BASE_URL
from tests.fakes import CAMPAIGN, CAMPAIGN_ID, CREATE, CREATE_BODY, RESPONSE

CREATE_URL = f"{BASE_URL}/whatsapp/campaigns"
UPDATE_URL = f"{CREATE_URL}/{CAMPAIGN_ID}"
INFO_URL = f"{BASE_URL}/info"
NOT_MINUTES: list[Any] = ["8", True, -1, []]
IN_AN_HOUR = datetime.now(UTC) + timedelta(hours=1)


def create(hook: OtpiqHook) -> dict[str, Any]:
    return hook.create_campaign(**CREATE)


def update(hook: OtpiqHook) -> dict[str, Any]:
    return hook.update_campaign(campaign_id=CAMPAIGN_ID, name="Winter")


def info(hook: OtpiqHook) -> dict[str, Any]:
    return hook.get_project_info()


class FailedCreate(Protocol):
    def __call__(self, error: type[OtpiqApiError], **response: Any) -> Any: ...


@pytest.fixture
def failed_create(hook: OtpiqHook, requests_mock: Mocker) -> FailedCreate:
    """Create a campaign, which fails because of a response, and return the error."""

    def failed_create(error: type[OtpiqApiError], **response: Any) -> Any:
        requests_mock.post(CREATE_URL, **response)
        with pytest.raises(error) as caught:
            create(hook)
        return caught.value

    return failed_create


# What goes out


def test_create_posts_the_contracts_body_with_the_key_and_the_timeouts(
    connect: Callable[..., OtpiqHook], requests_mock: Mocker
) -> None:
    requests_mock.post(CREATE_URL, json=RESPONSE, status_code=201)
    assert create(connect(extra={"connect_timeout": 1.5, "read_timeout": 2})) == CAMPAIGN
    request = requests_mock.request_history[0]
    assert request.json() == CREATE_BODY
    assert request.headers["Authorization"] == f"Bearer {API_KEY}"
    assert request.headers["User-Agent"].startswith("airflow-provider-otpiq/")
    timeouts: object = request.timeout
    assert timeouts == (1.5, 2)


def test_update_patches_only_what_is_set(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.patch(UPDATE_URL, json=RESPONSE)
    assert update(hook) == CAMPAIGN
    assert requests_mock.request_history[0].json() == {"name": "Winter"}


@pytest.mark.parametrize("conn_id", ["", "None"])
def test_an_empty_connection_id_is_not_the_default(hook: OtpiqHook, conn_id: str) -> None:
    hook.otpiq_conn_id = conn_id
    with pytest.raises(OtpiqConfigurationError, match="otpiq_conn_id: "):
        create(hook)


def test_a_netrc_does_not_replace_the_key(
    hook: OtpiqHook, requests_mock: Mocker, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine api.otpiq.com login user password other")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    requests_mock.get(INFO_URL, json={"projectName": "P"})
    info(hook)
    assert requests_mock.request_history[0].headers["Authorization"] == f"Bearer {API_KEY}"


def test_the_session_is_persistent(hook: OtpiqHook) -> None:
    assert hook.get_conn() is hook.get_conn()
    assert isinstance(hook.get_conn(), requests.Session)


# What comes back


@pytest.mark.parametrize(
    "response", [{"status_code": 401}, {"text": "<html>"}, {"exc": requests.ConnectionError("refused")}], ids=str
)
def test_the_key_is_in_no_local_variable_of_the_frames_that_raise(failed_create: FailedCreate, response: Any) -> None:
    error = failed_create(OtpiqApiError, **response)
    # As an error tracker, or Airflow's own formatter for developers, writes a traceback.
    stack = TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame for frame in stack if "airflow_provider_otpiq" in frame.filename]
    assert ours
    assert all(API_KEY not in str(frame.locals) for frame in ours)


def test_a_refusal_has_the_servers_message_without_secrets(
    failed_create: FailedCreate, snapshot: SnapshotAssertion
) -> None:
    body = {"message": f"No, 9647712345678!\nKey {API_KEY} is not known"}
    error = failed_create(OtpiqRequestError, json=body, status_code=402)
    assert error.server_message == "No, 964771•••5678! Key ••• is not known"
    assert str(error) == snapshot
    assert API_KEY not in f"{error} {error!r} {error.__dict__}"
    assert error.__context__ is error.__cause__ is None


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"Retry-After": "90"}, {"waitMinutes": 8}, 480),
        ({"Retry-After": "900"}, {"waitMinutes": 8}, 900),
        ({"Retry-After": "soon"}, {"waitMinutes": 1.5}, 90),
        ({"Retry-After": "-1"}, {"waitMinutes": 8}, 480),
        ({"Retry-After": format_datetime(IN_AN_HOUR, usegmt=True)}, {}, pytest.approx(3600, abs=600)),
        *(({}, {"waitMinutes": minutes}, None) for minutes in NOT_MINUTES),
    ],
)
def test_a_long_wait_is_left_to_airflow_and_an_unknown_one_is_short(
    failed_create: FailedCreate, sleep_calls: list[float], headers: Any, body: Any, seconds: float | None
) -> None:
    assert failed_create(OtpiqRateLimitError, json=body, headers=headers, status_code=429).retry_after == seconds
    assert sleep_calls == ([5] if seconds is None else [])


def test_the_waits_within_one_call_have_a_limit(
    connect: Callable[..., OtpiqHook], requests_mock: Mocker, sleep_calls: list[float]
) -> None:
    limited = {"status_code": 429, "headers": {"Retry-After": "20"}}
    requests_mock.patch(UPDATE_URL, [limited, {"status_code": 503}] * 5)
    with pytest.raises(OtpiqRateLimitError):
        update(connect(extra={"max_retries": 10}))
    assert sleep_calls == [20, 2]  # at most one 429 is waited for
    sleep_calls.clear()
    requests_mock.get(INFO_URL, json={"waitMinutes": 1}, status_code=429)
    with pytest.raises(OtpiqRateLimitError):
        info(connect())
    assert sleep_calls == [60]
    sleep_calls.clear()
    requests_mock.patch(UPDATE_URL, status_code=503)
    with pytest.raises(OtpiqServerError):
        update(connect(extra={"max_retries": 10}))
    assert sleep_calls == [1, 2, 4, 8, 8, 8, 8, 8, 8]


@pytest.mark.parametrize(
    "facts",
    [
        {"yourCredit": 100, "requiredCredit": 2500.5, "canCover": 3},
        {"currentSpending": 900, "spendingThreshold": 1000, "cost": 200},
    ],
)
def test_missing_credit_has_the_amounts(failed_create: FailedCreate, facts: dict[str, Any]) -> None:
    error = failed_create(OtpiqCreditError, json={"error": "Insufficient credit", **facts}, status_code=400)
    assert error.amounts == {name: value for name, value in facts.items() if name != "canCover"}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"message": " ", "error": "two"}, "two"),
        ({"error": {"message": "nested"}}, "nested"),
        ({"success": False, "message": "It did not work"}, "It did not work"),
        ({"message": ["a", "b"]}, None),
        ({"cost": 10**400, "waitMinutes": 10**400}, None),
    ],
)
def test_the_servers_message_is_found(failed_create: FailedCreate, body: Any, said: str | None) -> None:
    assert failed_create(OtpiqApiError, json=body, status_code=400).server_message == said


def test_another_campaign_is_not_a_response_to_an_update(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.patch(UPDATE_URL, json={"success": True, "data": CAMPAIGN | {"_id": "f" * 24}})
    with pytest.raises(OtpiqResponseError, match=rf"data\._id: must be .* {CAMPAIGN_ID}; found another"):
        update(hook)
    requests_mock.patch(UPDATE_URL, json={"success": True, "data": CAMPAIGN | {"_id": CAMPAIGN_ID.upper()}})
    assert update(hook)["_id"] == CAMPAIGN_ID.upper()


HTML = b"<html>Sign in to the network</html>"
OUTSIDE_THE_CONTRACT: dict[str, Any] = {
    "HTML": HTML,
    "cut JSON": b'{"success": true, "data": {"_id": "665f',
    "not UTF-8": b'{"success": true, "data": {"_id": "\xff"}}',
    "NaN": json.dumps(RESPONSE | {"cost": float("nan")}).encode(),
    "deep JSON": b"[" * 100_000,
    "a list": [],
    "success false": RESPONSE | {"success": False},
    "no success": {"data": CAMPAIGN},
    "no data": {"success": True},
    "no _id": {"success": True, "data": {"campaignId": CAMPAIGN_ID}},
    "long _id": {"success": True, "data": {"_id": CAMPAIGN_ID + "\n"}},
    "_id a number": {"success": True, "data": {"_id": 123456789012345678901234}},
    "_id a path": {"success": True, "data": {"_id": "../../../../sms/now/here"}},
}


@pytest.mark.parametrize("body", OUTSIDE_THE_CONTRACT.values(), ids=OUTSIDE_THE_CONTRACT)
def test_a_response_outside_the_contract_is_not_a_success(failed_create: FailedCreate, body: Any) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = failed_create(OtpiqResponseError, content=content, headers={"Content-Type": "text/html"})
    assert error.status_code == 200
    assert "Sign in" not in str(error)


def test_fields_may_be_missing_null_or_new_and_compressed(hook: OtpiqHook, requests_mock: Mocker) -> None:
    campaign = {"_id": CAMPAIGN_ID.upper(), "name": None, "tomorrow's": ["field"]}
    body = gzip.compress(json.dumps({"success": True, "data": campaign, "more": 1}).encode())
    requests_mock.post(CREATE_URL, content=body, headers={"Content-Encoding": "gzip"})
    assert create(hook) == campaign
    requests_mock.post(CREATE_URL, content=body[:-9], headers={"Content-Encoding": "gzip"})
    with pytest.raises(OtpiqConnectionError, match=r"zlib\.error") as caught:
        create(hook)
    assert caught.value.may_have_taken_effect


def test_a_response_over_the_size_limit_is_not_read(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.post(CREATE_URL, content=b" " * (9 * 1024 * 1024))
    with pytest.raises(OtpiqConnectionError, match="more than 8,388,608 bytes"):
        create(hook)


# The Test button


def test_the_test_button_shows_project_and_credit(hook: OtpiqHook, requests_mock: Mocker) -> None:
    requests_mock.get(INFO_URL, json={"projectName": "Kiosk", "credit": 15000})
    assert hook.test_connection() == (True, "Connected to OTPIQ project 'Kiosk'; remaining credit: 15,000 IQD.")
    requests_mock.get(INFO_URL, json={"projectName": "Kiosk", "credit": None})
    assert hook.test_connection() == (True, "Connected to OTPIQ project 'Kiosk'; remaining credit: unknown.")


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 401, "json": {"message": "Unauthorized"}},
        {"status_code": 429, "json": {"waitMinutes": 1}},
        {"json": {}},
        {"exc": requests.ConnectionError("refused")},
    ],
    ids=str,
)
def test_the_test_button_shows_the_error_without_a_retry(
    hook: OtpiqHook, requests_mock: Mocker, sleep_calls: list[float], response: Any, snapshot: SnapshotAssertion
) -> None:
    requests_mock.get(INFO_URL, **response)
    works, message = hook.test_connection()
    assert not works
    assert message == snapshot
    assert (requests_mock.call_count, sleep_calls) == (1, [])


def test_the_test_button_shows_an_error_of_the_connection(connect: Callable[..., OtpiqHook]) -> None:
    for hook, error in (connect(password=""), "password: is empty"), (OtpiqHook("nope"), "isn't defined"):
        works, message = hook.test_connection()
        assert not works
        assert error in message


def test_a_pickled_hook_does_not_contain_the_key(sandbox_hook: OtpiqHook, sandbox: Sandbox) -> None:
    sandbox_hook.get_project_info()
    pickled = pickle.dumps(sandbox_hook)
    assert sandbox.api_key.encode() not in pickled
    assert pickle.loads(pickled).get_project_info()["credit"] == sandbox.credit  # noqa: S301
    for holder in (sandbox_hook.settings, sandbox_hook.get_conn(), sandbox_hook._client):
        with pytest.raises((TypeError, AttributeError)):
            pickle.dumps(holder)


@pytest.mark.parametrize("credit", ["nan", "inf"])
def test_a_credit_that_is_not_a_number_is_an_error(sandbox_hook: OtpiqHook, sandbox: Sandbox, credit: str) -> None:
    sandbox.arm("info", status=200, body={"projectName": "x", "credit": credit})
    with pytest.raises(OtpiqResponseError, match="credit"):
        sandbox_hook.get_project_info()
