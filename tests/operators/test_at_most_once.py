"""A start and a sample, which cost money: sent at most once, never again on a guess."""

from __future__ import annotations

import json
import re
from itertools import count
from typing import TYPE_CHECKING, Any

import pendulum
import pytest
import time_machine
from airflow.providers.common.compat.sdk import DAG, AirflowNotFoundException

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConflictError,
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqOutcomeUnknownError,
    OtpiqRateLimitError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.operators.campaign import SendSampleOperator, StartCampaignOperator
from tests.conftest import needs_task_state
from tests.fakes import CREATE, BrokenStateStore, StateStore, TaskInstance, execute, tomorrow

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
    from airflow_provider_otpiq.sandbox import Sandbox

TEAM = ["9647701234567"]

_task_numbers = count()


@pytest.fixture(params=["start", "sample"])
def action(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def new_campaign(sandbox_hook: OtpiqHook) -> Callable[[], str]:
    def new_campaign() -> str:
        campaign_id = str(sandbox_hook.create_campaign(**CREATE)["_id"])
        sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=["9647801234567"])
        return campaign_id

    return new_campaign


@pytest.fixture
def spend(action: str, dag: DAG, context: dict[str, Any], new_campaign: Callable[[], str]) -> Callable[..., Any]:
    """Make a try of a task that starts, or samples, the same campaign each time."""
    same = new_campaign()

    def spend(campaign_id: str = same, try_number: int = 1, **fields: Any) -> Any:
        kind: Any = StartCampaignOperator if action == "start" else SendSampleOperator
        fields = ({} if action == "start" else {"recipients": TEAM, "validate_parameters": False}) | fields
        operator = kind(task_id=f"spend_{next(_task_numbers)}", dag=dag, campaign_id=campaign_id, **fields)
        context["ti"] = TaskInstance(try_number)
        return execute(operator, context)

    return spend


def sent(sandbox: Sandbox, action: str) -> int:
    return sum(request["path"].endswith(f"/{action}") for request in sandbox.requests)


def test_it_pushes_the_campaign(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    returned = spend()
    concerned = sandbox.campaigns[-1]
    assert returned == concerned["_id"]
    assert context["ti"].pushed["campaign"]["_id"] == returned
    assert concerned["startedAt"]
    assert concerned["isSampleCampaign"] is (action == "sample")


@needs_task_state
def test_a_later_try_returns_the_same_and_sends_nothing(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = store = StateStore()
    first, pushed = spend(), context["ti"].pushed
    assert spend(try_number=2) == first
    assert context["ti"].pushed == pushed
    assert sent(sandbox, action) == 1
    assert all(retention == retention.max for retention in store.retentions if retention)
    assert "9647701234567" not in json.dumps(store.stored)


@pytest.fixture
def be_quiet(connect: Callable[..., OtpiqHook], sandbox: Sandbox) -> Callable[[], None]:
    """Make it quiet hours."""

    def be_quiet() -> None:
        now = pendulum.now("UTC")
        window = f"{now.subtract(hours=1):%H:%M}-{now.add(hours=1):%H:%M} UTC"
        connect(host=sandbox.url, password=sandbox.api_key, extra={"quiet_hours": window})

    return be_quiet


@needs_task_state
def test_quiet_hours_are_checked_before_an_http_retry_too(
    spend: Callable[..., Any],
    context: dict[str, Any],
    connect: Callable[..., OtpiqHook],
    sandbox: Sandbox,
    action: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context["task_state_store"] = store = StateStore()
    start = pendulum.now("UTC").at(4, 3, 27)
    with time_machine.travel(start, tick=False) as clock:
        monkeypatch.setattr("time.sleep", clock.shift)
        connect(host=sandbox.url, password=sandbox.api_key, extra={"quiet_hours": "04:04-09:00 UTC"})
        sandbox.arm(action, status=429, headers={"Retry-After": "55"})
        with pytest.raises(OtpiqValidationError, match=f"the {action}: .* 04:04:22.* is in .* quiet_hours"):
            spend()
    assert sent(sandbox, action) == 1
    assert not any(campaign["startedAt"] for campaign in sandbox.campaigns)
    assert store.stored == {}


@needs_task_state
@pytest.mark.parametrize("map_index", [-1, 3])
def test_what_quiet_hours_refuse_leaves_no_pending_marker(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    be_quiet: Callable[[], None],
    connect: Callable[..., OtpiqHook],
    monkeypatch: pytest.MonkeyPatch,
    map_index: int,
) -> None:
    monkeypatch.setattr(TaskInstance, "map_index", map_index)
    context["task_state_store"] = StateStore()
    be_quiet()
    with pytest.raises(OtpiqValidationError, match=f"the {action}: .* is in the connection's quiet_hours"):
        spend()
    assert sent(sandbox, action) == 0
    connect(host=sandbox.url, password=sandbox.api_key)
    assert spend(try_number=2)
    assert sent(sandbox, action) == 1


@needs_task_state
def test_what_an_earlier_try_sent_is_returned_in_quiet_hours(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str, be_quiet: Callable[[], None]
) -> None:
    context["task_state_store"] = StateStore()
    first = spend()
    be_quiet()
    assert spend(try_number=2) == first
    assert sent(sandbox, action) == 1


@needs_task_state
def test_another_campaign_is_another_matter(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    new_campaign: Callable[[], str],
) -> None:
    context["task_state_store"] = StateStore()
    first, other = spend(), new_campaign()
    assert spend(other) != first
    assert sent(sandbox, action) == 2
    assert spend() == first  # each has state of its own
    assert sent(sandbox, action) == 2


@needs_task_state
def test_the_same_id_in_capitals_is_the_same_campaign(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = StateStore()
    first = spend()
    assert spend(sandbox.campaigns[0]["_id"].upper(), try_number=2) == first
    assert sent(sandbox, action) == 1


@needs_task_state
def test_a_mapped_tasks_error_names_its_own_marker(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context["task_state_store"] = StateStore()
    monkeypatch.setattr(TaskInstance, "map_index", 7)
    sandbox.arm(action, status=503)
    with pytest.raises(OtpiqOutcomeUnknownError, match=r"map_index=7\b") as caught:
        spend()
    assert caught.value.status_code == 503


FAULTS: list[dict[str, Any]] = [
    {"when": "after", "connection": "drop"},
    {"connection": "drop"},
    {"when": "after", "status": 503},
    {"connection": "cut"},
    {"status": 200, "body": "<html>"},
]


@needs_task_state
@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_an_unknown_outcome_stays_unknown(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str, fault: dict[str, Any]
) -> None:
    context["task_state_store"] = store = StateStore()
    sandbox.arm(action, **fault)
    with pytest.raises(OtpiqOutcomeUnknownError) as first:
        spend()
    with pytest.raises(OtpiqOutcomeUnknownError, match="Nothing was sent now") as later:
        spend(try_number=2)
    assert sent(sandbox, action) == 1
    assert context["ti"].pushed == {}
    (key,) = store.stored
    assert key.startswith(f"otpiq_{action}_")
    assert re.search(r"Wait until .+ UTC: OTPIQ may still be processing it", str(first.value))
    for error in (first, later):
        path = f"/api/v2/dags/dag/dagRuns/manual__1/taskInstances/task/state-store/{key}?map_index=-1"
        assert f"DELETE {path}" in str(error.value)
        assert "mark this task as success" in str(error.value)
        assert "durable=False" not in str(error.value)  # which would send it again
        assert "docs/unknown-outcome.md" in str(error.value)


@needs_task_state
def test_what_a_person_releases_is_sent(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = store = StateStore()
    sandbox.arm(action, connection="drop")
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend()
    (key,) = store.stored
    store.delete(key)
    assert spend(try_number=2) == sandbox.campaigns[-1]["_id"]


@needs_task_state
@pytest.mark.parametrize("saved", [{}, {"try_number": 1}, {"campaign": None}, {"campaign": {}}, [], "text", 0, False])
def test_a_pending_marker_without_a_response_sends_nothing(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str, saved: Any
) -> None:
    context["task_state_store"] = store = StateStore()
    store.set(f"otpiq_{action}_{sandbox.campaigns[0]['_id']}", saved)
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend()
    assert sent(sandbox, action) == 0


@needs_task_state
@pytest.mark.usefixtures("sleep_calls")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "times": 2}, OtpiqRateLimitError),
        ({"status": 400, "body": {"error": "no"}}, OtpiqRequestError),
        ({"status": 400, "body": {"error": "no", "requiredCredit": 5}}, OtpiqCreditError),
    ],
    ids=["429", "400", "credit"],
)
def test_a_refusal_deletes_the_pending_marker(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    fault: dict[str, Any],
    error: type[Exception],
) -> None:
    context["task_state_store"] = store = StateStore()
    sandbox.arm(action, **fault)
    with pytest.raises(error):
        spend()
    assert store.stored == {}
    assert spend(try_number=2)


@needs_task_state
@pytest.mark.usefixtures("sleep_calls")
def test_a_refused_connection_deletes_the_pending_marker(
    spend: Callable[..., Any],
    context: dict[str, Any],
    connect: Callable[..., OtpiqHook],
) -> None:
    context["task_state_store"] = store = StateStore()
    connect(host="http://127.0.0.1:1/api", password="key")
    with pytest.raises(OtpiqConnectionError):
        spend()
    assert store.stored == {}


@needs_task_state
def test_what_is_wrong_before_it_is_sent_leaves_no_marker(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    connect: Callable[..., OtpiqHook],
) -> None:
    context["task_state_store"] = store = StateStore()
    for no_id in ("../../x", "\ud800", "x" * 1000, 10**5000, None):
        with pytest.raises(OtpiqValidationError):
            spend(no_id)
    with pytest.raises(AirflowNotFoundException):
        spend(otpiq_conn_id="there_is_no_such_connection")
    connect(host=sandbox.url, password=sandbox.api_key, extra={"max_recipients": 0})
    with pytest.raises(OtpiqConfigurationError):
        spend()
    assert store.stored == {}
    assert sent(sandbox, action) == 0


@needs_task_state
def test_without_a_saved_pending_marker_nothing_is_sent(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = BrokenStateStore()
    with pytest.raises(RuntimeError, match="the API server is away"):
        spend()
    assert sent(sandbox, action) == 0


@needs_task_state
def test_a_response_that_cannot_be_saved_is_still_returned_and_nothing_is_sent_again(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class SavesOnlyTheMarker(StateStore):
        def set(self, key: str, value: Any, *, retention: Any = None) -> None:
            if "campaign" in value:
                raise RuntimeError("the API server is away")
            super().set(key, value, retention=retention)

    context["task_state_store"] = SavesOnlyTheMarker()
    assert spend() == sandbox.campaigns[-1]["_id"]
    assert "could not be saved" in caplog.text
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend(try_number=2)
    assert sent(sandbox, action) == 1


@needs_task_state
def test_a_pending_marker_that_cannot_be_deleted_does_not_hide_the_refusal(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    class CannotDelete(StateStore):
        def delete(self, key: str) -> None:
            raise RuntimeError("the API server is away")

    context["task_state_store"] = CannotDelete()
    sandbox.arm(action, status=400, body={"error": "no"})
    with pytest.raises(OtpiqRequestError):
        spend()
    assert "could not be saved" in caplog.text
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend(try_number=2)
    assert sent(sandbox, action) == 1


@needs_task_state
def test_there_is_no_pending_marker_during_a_delay(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context["task_state_store"] = store = StateStore()
    saved_during_delays: list[dict[str, str]] = []
    monkeypatch.setattr("time.sleep", lambda _: saved_during_delays.append(dict(store.stored)))
    sandbox.arm(action, status=429, headers={"Retry-After": "54"})
    assert spend()
    assert saved_during_delays == [{}]
    assert sent(sandbox, action) == 2


@needs_task_state
def test_a_process_that_outlives_its_supervisor_in_a_delay_sends_nothing(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    context["task_state_store"] = StateStore()

    def lose_the_supervisor(_: float) -> None:
        context["task_state_store"].set = BrokenStateStore().set

    monkeypatch.setattr("time.sleep", lose_the_supervisor)
    sandbox.arm(action, status=429, headers={"Retry-After": "54"})
    with pytest.raises(RuntimeError, match="the API server is away"):
        spend()
    assert sent(sandbox, action) == 1


@needs_task_state
def test_a_pending_marker_says_how_long_its_attempt_may_be_in_flight(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = StateStore()
    sandbox.arm(action, connection="drop")
    before = pendulum.now("UTC").start_of("second")  # as precise as the text is
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend()
    with pytest.raises(OtpiqOutcomeUnknownError) as later:
        spend(try_number=2)
    (until,) = re.findall(r"Look after (.+?) UTC", str(later.value))
    # The default timeouts (5 s to connect, twice the 30 s to read), and a minute for what has none.
    assert 125 <= (pendulum.parse(until) - before).total_seconds() <= 135  # type: ignore[operator]


@needs_task_state
def test_a_map_index_that_holds_another_campaigns_state_sends_nothing(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    new_campaign: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TaskInstance, "map_index", 0)
    context["task_state_store"] = store = StateStore()
    first, held, other = spend(), sandbox.campaigns[0]["_id"], new_campaign()
    with pytest.raises(OtpiqOutcomeUnknownError, match=rf"index 0 holds that of campaign {held}") as caught:
        spend(other, try_number=2)
    assert f"the {action} of campaign {other}" in str(caught.value)
    assert spend(try_number=2) == first
    assert sent(sandbox, action) == 1
    (key,) = store.stored
    assert f"/state-store/{key}?map_index=0" in str(caught.value)
    store.delete(key)
    assert spend(other, try_number=3)
    assert sent(sandbox, action) == 2


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_no_part_of_an_unknown_outcome_says_retry(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, fault: dict[str, Any]
) -> None:
    sandbox.arm("start", **fault)
    sandbox.arm("sample", **fault)
    with pytest.raises(OtpiqOutcomeUnknownError) as caught:
        spend()
    assert caught.value.__cause__ is not None
    for error in (caught.value, caught.value.__cause__):
        assert "retry" not in str(error)
        assert "happens again" not in str(error)
    campaign_id = sandbox.campaigns[0]["_id"]
    assert campaign_id in str(caught.value)
    assert "the DAG run then goes on with the tasks downstream" in str(caught.value)
    assert "the id of the campaign is in the XCom of the task that created it" in str(caught.value)


def test_a_start_of_a_running_campaign_advises_about_its_state(
    dag: DAG, context: dict[str, Any], sandbox_hook: OtpiqHook, new_campaign: Callable[[], str]
) -> None:
    campaign_id = new_campaign()
    sandbox_hook.start_campaign(campaign_id=campaign_id)
    start = StartCampaignOperator(task_id="start_running", dag=dag, campaign_id=campaign_id)
    with pytest.raises(OtpiqConflictError, match="Look at the campaign's state in OTPIQ's dashboard"):
        execute(start, context)


def test_a_start_warns_that_it_did_not_wait_for_the_scheduled_time(
    dag: DAG, context: dict[str, Any], sandbox_hook: OtpiqHook, capsys: pytest.CaptureFixture[str]
) -> None:
    later: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": tomorrow()}
    for when, warned in ((later, True), ({}, False)):
        campaign_id = sandbox_hook.create_campaign(**CREATE, **when)["_id"]
        sandbox_hook.attach_recipients(campaign_id=campaign_id, recipients=["9647801234567"])
        execute(StartCampaignOperator(task_id=f"start_{warned}", dag=dag, campaign_id=campaign_id), context)
        assert ("its messages go out now, not at the scheduled time" in capsys.readouterr().out) is warned


@needs_task_state
def test_a_map_index_stays_claimed_after_an_attempt_without_effect(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    new_campaign: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TaskInstance, "map_index", 0)
    context["task_state_store"] = StateStore()
    sandbox.arm(action, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(OtpiqRateLimitError):
        spend()
    with pytest.raises(OtpiqOutcomeUnknownError, match="another index may have sent this one"):
        spend(new_campaign(), try_number=2)
    assert spend(try_number=3)


@needs_task_state
@pytest.mark.parametrize("action", ["sample"])
def test_a_map_index_stays_claimed_after_invalid_recipients(
    spend: Callable[..., Any],
    context: dict[str, Any],
    sandbox: Sandbox,
    action: str,
    new_campaign: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TaskInstance, "map_index", 0)
    context["task_state_store"] = StateStore()
    with pytest.raises(OtpiqValidationError):
        spend(recipients=["0770123"])
    with pytest.raises(OtpiqOutcomeUnknownError, match="another index may have sent this one"):
        spend(new_campaign(), try_number=2)
    assert sent(sandbox, action) == 0


def test_durable_false_saves_nothing(
    spend: Callable[..., Any], context: dict[str, Any], sandbox: Sandbox, action: str
) -> None:
    context["task_state_store"] = store = StateStore()
    sandbox.arm(action, connection="drop")
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend(durable=False)
    assert spend(durable=False, try_number=2)
    assert sent(sandbox, action) == 2
    assert store.stored == {}


def test_without_a_store_a_second_try_says_what_it_cannot_know(
    spend: Callable[..., Any], sandbox: Sandbox, action: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.arm(action, status=500, times=2)
    with pytest.raises(OtpiqOutcomeUnknownError, match="If it did not, clear it"):  # which no retry follows
        spend()
    with pytest.raises(OtpiqOutcomeUnknownError):
        spend(try_number=2, durable=False)
    assert "cannot tell" not in caplog.text
    spend(try_number=2)
    assert f"If one was killed during this {action}, it may now be sent and paid for again" in caplog.text
