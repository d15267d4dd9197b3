"""Every fault against every call: what reached OTPIQ, which error came out, what Airflow does, what is in XCom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_otpiq import exceptions
from airflow_provider_otpiq.exceptions import OtpiqApiError
from airflow_provider_otpiq.operators.campaign import (
    DEFAULT_RETRY_POLICY,
    CreateCampaignOperator,
    UpdateCampaignOperator,
)
from dev.local_airflow import REPOSITORY
from dev.running_airflow import eventually
from tests.contract import CREATE, TaskInstance

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

A_DATE_TO_COME = "Tue, 01 Dec 2099 06:00:00 GMT"
CREDIT = {"error": "Insufficient credit", "yourCredit": 100, "requiredCredit": 2500}


@dataclass
class Row:
    """A fault that stays, and what comes of it on the first try of a task."""

    fault: str
    """As the README says it."""
    error: str
    again: str
    """Whether Airflow tries again."""
    arm: dict[str, Any] = field(default_factory=dict)
    sent: int = 1
    """How often one call sends a create."""
    repeated: int = 1
    """How often one call sends what is harmless to repeat."""
    leaves: int = 0
    """How many campaigns a create that failed so has left behind: whether OTPIQ processed the request."""


NO, YES, HINT = "no", "yes", "yes, when OTPIQ says, within an hour"

MATRIX = [
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 400, "body": {"error": "No"}}),
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 422, "body": {"message": "No"}}),
    Row("400, 422, other 4xx", "OtpiqRequestError", NO, {"status": 418}),
    Row("400 for missing credit or a spending limit", "OtpiqCreditError", NO, {"status": 400, "body": CREDIT}),
    Row("401, 403", "OtpiqAuthenticationError", NO, {"status": 401}),
    Row("401, 403", "OtpiqAuthenticationError", NO, {"status": 403}),
    Row("404", "OtpiqNotFoundError", NO, {"status": 404}),
    Row("409", "OtpiqConflictError", NO, {"status": 409}),
    Row("a redirect", "OtpiqRedirectError", NO, {"status": 302, "headers": {"Location": "https://example.com/"}}),
    Row("429, a wait of over a minute", "OtpiqRateLimitError", HINT, {"status": 429, "body": {"waitMinutes": 8}}),
    Row("429, a wait of over a minute", "OtpiqRateLimitError", HINT, {"status": 429, "headers": {"Retry-After": "90"}}),
    Row(
        "429, a wait of over a minute",
        "OtpiqRateLimitError",
        HINT,
        {"status": 429, "headers": {"Retry-After": A_DATE_TO_COME}},
    ),
    Row("429, a shorter wait", "OtpiqRateLimitError", HINT, {"status": 429, "headers": {"Retry-After": "7"}}, 2, 2),
    Row("429 that does not say how long", "OtpiqRateLimitError", YES, {"status": 429}, 2, 2),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 408}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 425}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 500, "body": {"message": "Internal server error"}}, 1, 3),
    Row("408, 425, 5xx", "OtpiqServerError", YES, {"status": 503, "when": "after"}, 1, 3, leaves=1),
    Row("no answer in time", "OtpiqConnectionError", YES, {"delay": 60}, 1, 3, leaves=1),
    Row(
        "connection dropped",
        "OtpiqConnectionError",
        YES,
        {"connection": "drop"},
        1,
        3,
    ),
    Row(
        "connection dropped",
        "OtpiqConnectionError",
        YES,
        {"connection": "drop", "when": "after"},
        1,
        3,
        leaves=1,
    ),
    Row("an answer cut short", "OtpiqConnectionError", YES, {"connection": "cut"}, 1, 3, leaves=1),
    Row("an answer without end", "OtpiqConnectionError", YES, {"connection": "endless"}, 1, 3, leaves=1),
    Row("HTML, or JSON that is not in the contract", "OtpiqResponseError", YES, {"status": 200, "body": "<html>"}),
    Row("HTML, or JSON that is not in the contract", "OtpiqResponseError", YES, {"status": 200, "body": {"data": 5}}),
    Row(
        "HTML, or JSON that is not in the contract",
        "OtpiqResponseError",
        YES,
        {"status": 200, "body": {"success": False, "message": "No"}, "when": "after"},
        leaves=1,
    ),
]


def create(campaign_id: str, context: dict[str, Any]) -> Any:
    return CreateCampaignOperator(task_id="create", **CREATE).execute(context)  # type: ignore[arg-type]


def update(campaign_id: str, context: dict[str, Any]) -> Any:
    return UpdateCampaignOperator(task_id="update", campaign_id=campaign_id, name="Winter").execute(context)  # type: ignore[arg-type]


def info(campaign_id: str, context: dict[str, Any]) -> Any:
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

    return OtpiqHook().get_project_info()


def airflow_tries_again(error: BaseException) -> str:
    """Tell what Airflow does after a failed try, as its task runner decides it."""
    if isinstance(error, AirflowFailException):
        return NO
    assert DEFAULT_RETRY_POLICY is not None
    decision = DEFAULT_RETRY_POLICY.evaluate(error, try_number=1, max_tries=3)
    return {"fail": NO, "default": YES, "retry": HINT}[decision.action.value]


@pytest.mark.parametrize("row", MATRIX, ids=lambda row: f"{row.fault}-{row.arm}")
@pytest.mark.parametrize("call", [create, update, info])
def test_a_fault(
    sandbox: Sandbox, connect: Callable[..., OtpiqHook], slept: list[float], call: Callable[..., Any], row: Row
) -> None:
    campaign_id = connect(host=sandbox.url, password=sandbox.api_key).create_campaign(**CREATE)["_id"]
    if "delay" in row.arm:
        connect(host=sandbox.url, password=sandbox.api_key, extra={"read_timeout": 1})
    before = len(sandbox.requests)
    context = {"ti": TaskInstance(), "dag": DAG("dag", schedule=None)}
    sandbox.arm(call.__name__, times=10, **row.arm)
    with pytest.raises(OtpiqApiError) as caught:
        call(campaign_id, context)
    error = caught.value
    assert type(error) is getattr(exceptions, row.error)
    assert error.status_code == row.arm.get("status")
    # The hook may have given up before the sandbox has seen the request.
    eventually(lambda: len(sandbox.requests) - before == (row.sent if call is create else row.repeated), 10)
    eventually(lambda: len(sandbox.campaigns) == 1 + (row.leaves if call is create else 0), 10)
    edited = call is update and row.leaves  # an update that OTPIQ processed has done its work, whatever came back
    assert sandbox.campaigns[0]["name"] == ("Winter" if edited else "Summer")
    assert context["ti"].pushed == {}  # type: ignore[attr-defined]
    assert sandbox.api_key not in f"{error} {vars(error)}"
    if isinstance(error, AirflowFailException) or DEFAULT_RETRY_POLICY is not None:
        assert airflow_tries_again(error) == row.again


def table() -> list[str]:
    lines = []
    for row in MATRIX:
        again = "not by our policy; by `retries` without it" if row.error == "OtpiqCreditError" else row.again
        line = f"| {row.fault} | `{row.error}` | {row.sent} | {row.repeated} | {again} |"
        if line not in lines:
            lines.append(line)
    return lines


def test_the_readme_has_the_table() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    assert "\n".join(table()) in readme, "\n".join(table())
