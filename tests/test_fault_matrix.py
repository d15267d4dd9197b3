"""Every fault against every call: the requests, the error, what Airflow does, and XCom."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_otpiq import exceptions
from airflow_provider_otpiq._http import download
from airflow_provider_otpiq.exceptions import OtpiqApiError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators._base import DEFAULT_RETRY_POLICY
from airflow_provider_otpiq.operators.campaign import (
    AttachRecipientsOperator,
    CreateCampaignOperator,
    SendSampleOperator,
    StartCampaignOperator,
    UpdateCampaignOperator,
)
from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import REPOSITORY
from dev.running_airflow import wait_until
from tests.conftest import AIRFLOW_VERSION
from tests.fakes import CAMPAIGN_ID, CREATE, StateStore, TaskInstance
from tests.operators.reports import WINDOW
from tests.wire import Wire, send

pytestmark = pytest.mark.slow

CREDIT = {"error": "Insufficient credit", "yourCredit": 100, "requiredCredit": 2500}

NO, YES, HINT = "no", "yes", "yes, when OTPIQ says, within an hour"


@dataclass
class Row:
    """A persistent fault, and its results on the first try of a task."""

    fault: str
    """The fault's name in the documentation."""
    error: str
    again: str
    """Whether Airflow retries the task."""
    arm: dict[str, Any] = field(default_factory=dict)
    sent: int = 1
    """The number of requests of a create, an attach, a start or a sample."""
    idempotent: int = 1
    """The number of requests of an idempotent call."""
    leaves: bool = False
    """Whether OTPIQ has processed the request, although it failed."""
    raw: bytes | None = None
    """The bytes of a response that no HTTP server would send."""

    @property
    def may_have_taken_effect(self) -> bool:
        """The value of such an error."""
        error: OtpiqApiError = getattr(exceptions, self.error)("")
        return error.may_have_taken_effect or self.arm is SEE_OTHER


def html(status: int) -> dict[str, Any]:
    """Return a response from a proxy or a firewall."""
    return {"status": status, "body": HTML}


def redirect(location: str) -> dict[str, Any]:
    return {"status": 302, "headers": {"Location": location}}


def retry_after(value: str) -> dict[str, Any]:
    return {"status": 429, "headers": {"Retry-After": value}}


HTML = "<!DOCTYPE html><html><title>Blocked</title></html>"
SEE_OTHER = {"status": 303, "headers": {"Location": "/done"}, "when": "after"}
NOT_A_SUCCESS = {"status": 200, "body": {"success": False, "message": "No"}, "when": "after"}
INVALID_HTTP = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    b"HTTP/1.1 two hundred\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    b"HTTP/1.1 200 OK\r\nX-Broken\r\nContent-Length: 2\r\n\r\n{}",
]
MATRIX = [
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 400, "body": {"error": "No"}}),
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 422, "body": {"message": "No"}}),
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 418}),
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, html(407)),
    Row("400 for missing credit or a spending limit", "OtpiqCreditError", NO, {"status": 400, "body": CREDIT}),
    *(Row("401, 403", "OtpiqAuthenticationError", NO, {"status": status}) for status in (401, 403)),
    *(Row("401, 403", "OtpiqAuthenticationError", NO, html(status)) for status in (401, 403)),
    Row("404", "OtpiqNotFoundError", NO, {"status": 404}),
    Row("409", "OtpiqConflictError", NO, {"status": 409}),
    Row("a redirect", "OtpiqRedirectError", NO, redirect("https://example.com/")),
    Row("303, which says that it was done", "OtpiqRedirectError", NO, SEE_OTHER, leaves=True),
    Row("429, a wait of over a minute", "OtpiqRateLimitError", HINT, {"status": 429, "body": {"waitMinutes": 8}}),
    Row("429, a wait of over a minute", "OtpiqRateLimitError", HINT, retry_after("90")),
    Row("429, a wait of over a minute", "OtpiqRateLimitError", HINT, retry_after("Tue, 01 Dec 2099 06:00:00 GMT")),
    Row("429, a shorter wait", "OtpiqRateLimitError", HINT, retry_after("7"), 2, 2),
    Row("429 that does not say how long", "OtpiqRateLimitError", YES, {"status": 429}, 2, 2),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 408}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 425}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 500, "body": {"message": "Internal server error"}}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 503, "when": "after"}, 1, 3, leaves=True),
    *(Row("408, 425, 5xx", "OtpiqServerError", YES, html(status), 1, 3) for status in (502, 503)),
    Row("no response in time", "OtpiqConnectionError", YES, {"delay": 5}, 1, 3, leaves=True),
    Row("connection dropped", "OtpiqConnectionError", YES, {"connection": "drop"}, 1, 3),
    Row("connection dropped", "OtpiqConnectionError", YES, {"connection": "drop", "when": "after"}, 1, 3, leaves=True),
    Row("a response cut short", "OtpiqConnectionError", YES, {"connection": "cut"}, 1, 3, leaves=True),
    Row("a response without end", "OtpiqConnectionError", YES, {"connection": "endless"}, 1, 3, leaves=True),
    *(Row("a response that is not valid HTTP", "OtpiqConnectionError", YES, {}, 1, 3, raw=raw) for raw in INVALID_HTTP),
    Row("HTML, or JSON that is not in the contract", "OtpiqResponseError", YES, html(200)),
    Row("HTML, or JSON that is not in the contract", "OtpiqResponseError", YES, {"status": 200, "body": {"data": 5}}),
    Row("HTML, or JSON that is not in the contract", "OtpiqResponseError", YES, NOT_A_SUCCESS, leaves=True),
]


@dataclass
class Call:
    """A call of a task."""

    make: Callable[[str, dict[str, Any]], Any]
    kind: str
    """Its column in the table: ``not idempotent``, ``idempotent`` or ``at most once``."""
    took_effect: Callable[[Sandbox], bool] | None = None


def execute(operator: type[Any], **fields: Any) -> Callable[[str, dict[str, Any]], Any]:
    def make(campaign_id: str, context: dict[str, Any]) -> Any:
        operator_fields = fields if operator is CreateCampaignOperator else fields | {"campaign_id": campaign_id}
        return operator(task_id="task", **operator_fields).execute(context)

    return make


def has_two_campaigns(sandbox: Sandbox) -> bool:
    return len(sandbox.campaigns) == 2


PEOPLE = {"recipients": ["9647701234567"], "validate_parameters": False}
CALLS = {
    "create": Call(execute(CreateCampaignOperator, **CREATE), "not idempotent", has_two_campaigns),
    "attach": Call(
        execute(AttachRecipientsOperator, **PEOPLE),
        "not idempotent",
        lambda sandbox: sandbox.campaigns[0]["totalRecipients"] == 2,
    ),
    "update": Call(
        execute(UpdateCampaignOperator, name="Winter"),
        "idempotent",
        lambda sandbox: sandbox.campaigns[0]["name"] == "Winter",
    ),
    "info": Call(lambda *_: OtpiqHook().get_project_info(), "idempotent"),
    "resources": Call(lambda *_: OtpiqHook().get_resources(), "idempotent"),
    "payload": Call(lambda campaign_id, _: OtpiqHook().get_recipient_payload(campaign_id=campaign_id), "idempotent"),
    # Not idempotent by its method, but another report is free, and deleted after 30 days.
    "generate": Call(
        lambda *_: OtpiqHook().generate_report(**WINDOW), "idempotent", lambda sandbox: sandbox.reports != []
    ),
    "reports": Call(lambda *_: OtpiqHook().list_reports(), "idempotent"),
    "sample": Call(execute(SendSampleOperator, **PEOPLE), "at most once", has_two_campaigns),
    "start": Call(
        execute(StartCampaignOperator),
        "at most once",
        lambda sandbox: sandbox.campaigns[0]["startedAt"] is not None,
    ),
}


GONE = "the file's host returns 4xx, or 2xx that is not 200"
TRIES_OF_A_DOWNLOAD = [
    *(Row(GONE, "OtpiqDownloadError", YES, {"status": status}) for status in (403, 404, 410)),
    Row(GONE, "OtpiqDownloadError", YES, {"status": 206, "body": "<html>"}),
    Row("it has more or fewer rows than the report says", "OtpiqDownloadError", YES, {"status": 200, "body": "a\nb\n"}),
    Row("it has more than 4 GiB", "OtpiqDownloadError", YES, {"connection": "endless"}),
    Row("an address that is not https, or not public", "OtpiqReportError", NO, redirect("http://example.com/")),
    Row("an address that is not https, or not public", "OtpiqReportError", NO, redirect("https://169.254.169.254/")),
    Row("a third redirect", "OtpiqReportError", NO, redirect("other.csv"), idempotent=3),
    *[
        row
        for row in MATRIX
        if row.arm.get("status") in (429, 408, 425, 500, 502, 503) and "waitMinutes" not in str(row.arm)
    ],
    *[row for row in MATRIX if {"delay", "connection"} & row.arm.keys() and row.arm.get("connection") != "endless"],
]


@pytest.mark.parametrize("row", TRIES_OF_A_DOWNLOAD, ids=lambda row: f"{row.fault}-{row.arm}")
def test_a_fault_of_a_files_host(
    sandbox: Sandbox,
    connect_sandbox: Callable[..., OtpiqHook],
    sleep_calls: list[float],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    row: Row,
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 10_000_000)  # to save time
    hook = connect_sandbox(read_timeout=0.1 if "delay" in row.arm else None)
    report = hook.generate_report(**WINDOW)
    before = len(sandbox.requests)
    sandbox.arm("download", times=10, **row.arm)
    with pytest.raises(OtpiqApiError) as caught:
        hook.download_report(report=report, destination=tmp_path / "report.csv")
    assert type(caught.value) is getattr(exceptions, row.error)
    assert list(tmp_path.iterdir()) == []
    wait_until(lambda: len(sandbox.requests) - before == row.idempotent, 10)
    check_what_airflow_does(caught.value, row.again)


def download_table() -> list[str]:
    lines = [f"| {row.fault} | `{row.error}` | {row.idempotent} | {row.again} |" for row in TRIES_OF_A_DOWNLOAD]
    return list(dict.fromkeys(lines))


def check_what_airflow_does(error: BaseException, again: str) -> None:
    """Check what Airflow's task runner does after a failed try."""
    if isinstance(error, AirflowFailException):
        assert again == NO
    elif DEFAULT_RETRY_POLICY is not None:
        action = DEFAULT_RETRY_POLICY.evaluate(error, try_number=1, max_tries=3).action.value
        assert {"fail": NO, "default": YES, "retry": HINT}[action] == again


@pytest.mark.parametrize("row", [row for row in MATRIX if row.raw is None], ids=lambda row: f"{row.fault}-{row.arm}")
@pytest.mark.parametrize("name", CALLS)
def test_a_fault(
    sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook], sleep_calls: list[float], name: str, row: Row
) -> None:
    call = CALLS[name]
    hook = connect_sandbox()
    campaign_id = hook.create_campaign(**CREATE)["_id"]
    hook.attach_recipients(campaign_id=campaign_id, recipients=["9647701234560"])
    if "delay" in row.arm:
        connect_sandbox(read_timeout=0.1)
    before = len(sandbox.requests)
    sandbox.arm(name, times=10, **row.arm)
    error = fail(call, row, campaign_id, {})
    assert error.status_code == row.arm.get("status")
    # The hook may give up before the sandbox has read the request.
    wait_until(lambda: len(sandbox.requests) - before == times_sent(call, row), 10)
    if call.took_effect:
        effect = call.took_effect
        wait_until(lambda: effect(sandbox) == row.leaves, 10)
    assert sandbox.api_key not in f"{error} {vars(error)}"


@pytest.mark.parametrize("row", [row for row in MATRIX if row.raw], ids=lambda row: repr(row.raw))
@pytest.mark.parametrize("name", CALLS)
def test_a_fault_of_http_itself(
    wire: Callable[..., Wire], connect: Callable[..., OtpiqHook], sleep_calls: list[float], name: str, row: Row
) -> None:
    assert row.raw
    call, server, store = CALLS[name], wire(send(row.raw)), StateStore()
    connect(host=f"http://127.0.0.1:{server.port}/api")
    has_state = call.kind == "at most once" and AIRFLOW_VERSION.release >= (3, 3)
    context = {"task_state_store": store} if has_state else {}
    fail(call, row, CAMPAIGN_ID, context)
    assert server.requests == times_sent(call, row)
    if has_state:  # the next try sends nothing
        fail(call, row, CAMPAIGN_ID, context)
        assert server.requests == times_sent(call, row)


def fail(call: Call, row: Row, campaign_id: str, context: dict[str, Any]) -> OtpiqApiError:
    """Make a call that fails, and check its error."""
    ti = TaskInstance()
    with pytest.raises(OtpiqApiError) as caught:
        call.make(campaign_id, {"ti": ti, "dag": DAG("dag", schedule=None), **context})
    error, unknown = caught.value, call.kind == "at most once" and row.may_have_taken_effect
    assert type(error) is getattr(exceptions, "OtpiqOutcomeUnknownError" if unknown else row.error)
    assert error.may_have_taken_effect == row.may_have_taken_effect
    assert ti.pushed == {}
    assert ("something between the worker and OTPIQ" in str(error)) == (row.arm.get("body") == HTML)
    assert not (row.arm.get("body") == HTML and "API key" in str(error))
    assert "9647701234567" not in f"{error} {vars(error)}"
    check_what_airflow_does(error, NO if unknown else row.again)
    return error


def times_sent(call: Call, row: Row) -> int:
    """Return the number of requests of a call."""
    return row.idempotent if call.kind == "idempotent" else row.sent


def table() -> list[str]:
    lines = []
    for row in MATRIX:
        again = "not with `OtpiqRetryPolicy`; by `retries` without it" if row.error == "OtpiqCreditError" else row.again
        spends = f"{row.sent}, `OtpiqOutcomeUnknownError`, no" if row.may_have_taken_effect else f"{row.sent}, the same"
        line = f"| {row.fault} | `{row.error}` | {row.sent} | {row.idempotent} | {again} | {spends} |"
        if line not in lines:
            lines.append(line)
    return lines


@pytest.mark.parametrize("lines", [table(), download_table()], ids=["calls", "downloads"])
def test_the_documentation_has_the_table(lines: list[str]) -> None:
    page = (REPOSITORY / "docs" / "errors-and-retries.md").read_text()
    assert "\n".join(lines) in page, "\n".join(lines)


def test_the_hierarchy_is_drawn_with_what_may_have_taken_effect() -> None:
    drawn = dict(re.findall(r"── (Otpiq\w+) .*  (no|yes|303 only)", exceptions.__doc__ or ""))
    for name, may_have in drawn.items():
        error = getattr(exceptions, name)
        assert may_have == (
            "303 only" if name == "OtpiqRedirectError" else "yes" if error("").may_have_taken_effect else "no"
        )
    assert drawn.keys() >= {row.error for row in MATRIX}
    assert not exceptions.OtpiqConnectionError("", may_have_taken_effect=False).may_have_taken_effect
