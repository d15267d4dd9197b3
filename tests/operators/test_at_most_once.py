"""A start and a sample cost money: they are sent at most once, never again on a guess."""

import json
import re
from collections.abc import Callable
from typing import Any

import pendulum
import pytest
import time_machine
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqOutcomeUnknownError,
    OtpiqRateLimitError,
    OtpiqRequestError,
    OtpiqValidationError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.campaign import SendSampleOperator, StartCampaignOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.conftest import AIRFLOW_VERSION
from tests.fakes import CREATE, BrokenStateStore, StateStore, TaskInstance, tomorrow
from tests.operators.broadcasts import Run

NUMBER = "9647701234567"
SAMPLE = {"recipients": [NUMBER], "validate_parameters": False}


class Spending(Run):
    """A task that starts, or samples, a campaign in the sandbox."""

    def __init__(
        self, action: str, context: dict[str, Any], sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook]
    ) -> None:
        operator = StartCampaignOperator if action == "start" else SendSampleOperator
        super().__init__(operator, context, {} if action == "start" else SAMPLE)
        self.action = action
        self.sandbox = sandbox
        self.connect = connect_sandbox
        self.campaign_id = self.new_campaign()

    def new_campaign(self) -> str:
        hook = self.connect()
        campaign_id = str(hook.create_campaign(**CREATE)["_id"])
        hook.attach_recipients(campaign_id=campaign_id, recipients=["9647801234567"])
        return campaign_id

    def __call__(self, *, try_number: int = 1, **fields: Any) -> Any:
        self.context["ti"] = TaskInstance(try_number)
        return super().__call__(**({"campaign_id": self.campaign_id} | fields))

    def arm(self, **fault: Any) -> None:
        self.sandbox.arm(self.action, **fault)

    def use(self, store: StateStore) -> StateStore:
        self.context["task_state_store"] = store
        return store

    @property
    def store(self) -> StateStore:
        store: StateStore = self.context["task_state_store"]
        return store

    @property
    def sent(self) -> int:
        return sum(request["path"].endswith(f"/{self.action}") for request in self.sandbox.requests)

    def be_quiet(self) -> None:
        now = pendulum.now("UTC")
        self.connect(quiet_hours=f"{now.subtract(hours=1):%H:%M}-{now.add(hours=1):%H:%M} UTC")


@pytest.fixture(params=["start", "sample"])
def spending(
    request: pytest.FixtureRequest, context: dict[str, Any], sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook]
) -> Spending:
    return Spending(request.param, context, sandbox, connect_sandbox)


@pytest.fixture
def durable(spending: Spending) -> Spending:
    """The same, with Airflow's task state."""
    if AIRFLOW_VERSION.release < (3, 3):
        pytest.skip("Airflow 3.3 brought task_state_store")
    spending.use(StateStore())
    return spending


@pytest.fixture
def mapped(durable: Spending, monkeypatch: pytest.MonkeyPatch) -> Spending:
    """The same, with the first map index."""
    monkeypatch.setattr(TaskInstance, "map_index", 0)
    return durable


def test_it_pushes_the_campaign(spending: Spending) -> None:
    returned = spending()
    campaign = spending.sandbox.campaigns[-1]
    assert returned == campaign["_id"] == spending.pushed["campaign"]["_id"]
    assert campaign["startedAt"]
    assert campaign["isSampleCampaign"] is (spending.action == "sample")


def test_a_later_try_returns_the_same_and_sends_nothing(durable: Spending) -> None:
    first, pushed = durable(), durable.pushed
    durable.be_quiet()  # quiet hours apply only to requests
    assert durable(campaign_id=durable.campaign_id.upper(), try_number=2) == first
    assert durable.pushed == pushed
    assert durable.sent == 1
    assert all(retention == retention.max for retention in durable.store.retentions if retention)
    assert NUMBER not in json.dumps(durable.store.stored)


def test_quiet_hours_are_checked_before_an_http_retry_too(durable: Spending, monkeypatch: pytest.MonkeyPatch) -> None:
    with time_machine.travel(pendulum.now("UTC").at(4, 3, 27), tick=False) as clock:
        monkeypatch.setattr("time.sleep", clock.shift)
        durable.connect(quiet_hours="04:04-09:00 UTC")
        durable.arm(status=429, headers={"Retry-After": "55"})
        error = durable.fail(OtpiqValidationError)
    assert re.search(f"the {durable.action}: .* 04:04:22.* quiet_hours", str(error))
    assert durable.sent == 1
    assert not any(campaign["startedAt"] for campaign in durable.sandbox.campaigns)
    assert durable.store.stored == {}


@pytest.mark.parametrize("map_index", [-1, 3])
def test_quiet_hours_leave_no_pending_marker(
    durable: Spending, monkeypatch: pytest.MonkeyPatch, map_index: int
) -> None:
    monkeypatch.setattr(TaskInstance, "map_index", map_index)
    durable.be_quiet()
    durable.fail(OtpiqValidationError)
    assert durable.sent == 0
    durable.connect()
    assert durable(try_number=2)
    assert durable.sent == 1


def test_each_campaign_has_its_own_state(durable: Spending) -> None:
    first, other = durable(), durable.new_campaign()
    assert durable(campaign_id=other) != first
    assert durable() == first
    assert durable.sent == 2


FAULTS: list[dict[str, Any]] = [
    {"when": "after", "connection": "drop"},
    {"connection": "drop"},
    {"when": "after", "status": 503},
    {"connection": "cut"},
    {"status": 200, "body": "<html>"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_an_unknown_outcome_stays_unknown(durable: Spending, fault: dict[str, Any]) -> None:
    durable.arm(**fault)
    first = durable.fail(OtpiqOutcomeUnknownError)
    later = durable.fail(OtpiqOutcomeUnknownError, try_number=2)
    assert durable.sent == 1
    assert durable.pushed == {}
    assert first.status_code == fault.get("status")
    (key,) = durable.store.stored
    assert key == f"otpiq_{durable.action}_{durable.campaign_id}"
    path = f"/api/v2/dags/dag/dagRuns/manual__1/taskInstances/task/state-store/{key}?map_index=-1"
    for text in (str(first), str(later), str(first.__cause__)):
        assert "retry" not in text
        assert "happens again" not in text
    assert path in first.remedy
    assert path in later.remedy
    if "when" not in fault and fault.get("connection") == "drop":  # a person has checked that it had no effect
        durable.store.delete(key)
        assert durable(try_number=3) == durable.sandbox.campaigns[-1]["_id"]


def test_the_texts_of_an_unknown_outcome(mapped: Spending, snapshot: SnapshotAssertion) -> None:
    def readable(error: Exception) -> str:
        text = re.sub(r"[\d-]{10} [\d:]{8} UTC", "TIME", str(error))
        return text.replace(other, "OTHER").replace(mapped.campaign_id, "CAMPAIGN")

    other = mapped.new_campaign()
    mapped.arm(connection="drop")
    assert readable(mapped.fail(OtpiqOutcomeUnknownError)) == snapshot(name="now")
    assert readable(mapped.fail(OtpiqOutcomeUnknownError, try_number=2)) == snapshot(name="later")
    assert readable(mapped.fail(OtpiqOutcomeUnknownError, campaign_id=other)) == snapshot(name="other campaign")
    mapped.arm(connection="drop")
    assert readable(mapped.fail(OtpiqOutcomeUnknownError, durable=False)) == snapshot(name="nothing saved")


@pytest.mark.parametrize("saved", [{}, {"try_number": 1}, {"campaign": None}, {"campaign": {}}, [], "text", 0, False])
def test_a_pending_marker_without_a_response_sends_nothing(durable: Spending, saved: Any) -> None:
    durable.store.set(f"otpiq_{durable.action}_{durable.campaign_id}", saved)
    durable.fail(OtpiqOutcomeUnknownError)
    assert durable.sent == 0


@pytest.mark.usefixtures("sleep_calls")
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "times": 2}, OtpiqRateLimitError),
        ({"status": 400, "body": {"error": "no"}}, OtpiqRequestError),
        ({"status": 400, "body": {"error": "no", "requiredCredit": 5}}, OtpiqCreditError),
        (None, OtpiqConnectionError),
    ],
    ids=["429", "400", "credit", "no connection"],
)
def test_a_refusal_deletes_the_pending_marker(
    durable: Spending, connect: Callable[..., OtpiqHook], fault: dict[str, Any] | None, error: type[Exception]
) -> None:
    if fault:
        durable.arm(**fault)
    else:
        connect(host="http://127.0.0.1:1/api")
    durable.fail(error)
    assert durable.store.stored == {}
    durable.connect()
    assert durable(try_number=2)


def test_an_error_before_the_request_leaves_no_marker(durable: Spending) -> None:
    for invalid in ("../../x", "\ud800", "x" * 1000, 10**5000, None):
        durable.fail(OtpiqValidationError, campaign_id=invalid)
    durable.fail(AirflowNotFoundException, otpiq_conn_id="there_is_no_such_connection")
    durable.connect(max_recipients=0)
    durable.fail(OtpiqConfigurationError)
    assert durable.store.stored == {}
    assert durable.sent == 0


def test_without_a_saved_pending_marker_nothing_is_sent(durable: Spending) -> None:
    durable.use(BrokenStateStore())
    durable.fail(RuntimeError)
    assert durable.sent == 0


class SavesOnlyTheMarker(StateStore):
    """A store that cannot be reached once the marker is saved."""

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        if self.stored:
            raise RuntimeError("the API server is away")
        super().set(key, value, retention=retention)

    def delete(self, key: str) -> None:
        raise RuntimeError("the API server is away")


@pytest.mark.parametrize("is_refused", [False, True])
def test_an_outcome_that_cannot_be_saved_is_still_the_outcome(
    durable: Spending, caplog: pytest.LogCaptureFixture, is_refused: bool
) -> None:
    durable.use(SavesOnlyTheMarker())
    if is_refused:
        durable.arm(status=400, body={"error": "no"})
        durable.fail(OtpiqRequestError)
    else:
        assert durable() == durable.sandbox.campaigns[-1]["_id"]
    assert "could not be saved" in caplog.text
    durable.fail(OtpiqOutcomeUnknownError, try_number=2)
    assert durable.sent == 1


def test_no_pending_marker_exists_during_a_delay(durable: Spending, monkeypatch: pytest.MonkeyPatch) -> None:
    saved_during_delays: list[dict[str, str]] = []
    monkeypatch.setattr("time.sleep", lambda _: saved_during_delays.append(dict(durable.store.stored)))
    durable.arm(status=429, headers={"Retry-After": "54"})
    assert durable()
    assert saved_during_delays == [{}]
    assert durable.sent == 2


def test_a_process_that_outlives_its_supervisor_in_a_delay_sends_nothing(
    durable: Spending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: setattr(durable.store, "set", BrokenStateStore().set))
    durable.arm(status=429, headers={"Retry-After": "54"})
    durable.fail(RuntimeError)
    assert durable.sent == 1


def test_a_pending_marker_has_the_time_until_which_its_attempt_may_be_in_flight(durable: Spending) -> None:
    durable.arm(connection="drop")
    before = pendulum.now("UTC").start_of("second")  # as precise as the text is
    first = durable.fail(OtpiqOutcomeUnknownError)
    later = durable.fail(OtpiqOutcomeUnknownError, try_number=2)
    for error in (first, later):
        (until,) = re.findall(r"Wait until (.+?) UTC", error.remedy)
        # The default timeouts (5 s to connect, twice the 30 s to read), and a minute for name lookup and TLS.
        assert 125 <= (pendulum.parse(until) - before).total_seconds() <= 135  # type: ignore[operator]


def test_a_map_index_with_another_campaigns_state_sends_nothing(mapped: Spending) -> None:
    first, other = mapped(), mapped.new_campaign()
    error = mapped.fail(OtpiqOutcomeUnknownError, campaign_id=other, try_number=2)
    assert mapped(try_number=2) == first
    assert mapped.sent == 1
    (key,) = mapped.store.stored
    assert f"/state-store/{key}?map_index=0" in error.remedy
    mapped.store.delete(key)
    assert mapped(campaign_id=other, try_number=3)
    assert mapped.sent == 2


def test_a_map_index_stays_claimed_after_an_attempt_without_effect(mapped: Spending) -> None:
    mapped.arm(status=429, headers={"Retry-After": "3600"})
    mapped.fail(OtpiqRateLimitError)
    mapped.fail(OtpiqOutcomeUnknownError, campaign_id=mapped.new_campaign(), try_number=2)
    assert mapped(try_number=3)


@pytest.mark.parametrize("spending", ["sample"], indirect=True)
def test_a_map_index_stays_claimed_after_invalid_recipients(mapped: Spending) -> None:
    mapped.fail(OtpiqValidationError, recipients=["0770123"])
    mapped.fail(OtpiqOutcomeUnknownError, campaign_id=mapped.new_campaign(), try_number=2)
    assert mapped.sent == 0


def test_durable_false_saves_nothing(spending: Spending) -> None:
    store = spending.use(StateStore())
    spending.arm(connection="drop")
    spending.fail(OtpiqOutcomeUnknownError, durable=False)
    assert spending(durable=False, try_number=2)
    assert spending.sent == 2
    assert store.stored == {}


def test_without_a_store_a_later_try_warns(spending: Spending, caplog: pytest.LogCaptureFixture) -> None:
    spending.arm(status=500, times=2)
    assert "clear the task" in spending.fail(OtpiqOutcomeUnknownError).remedy
    spending.fail(OtpiqOutcomeUnknownError, try_number=2, durable=False)
    assert "earlier tries" not in caplog.text
    spending(try_number=2)
    assert (
        f"If a try was killed during this {spending.action}, its messages may be sent and paid for again" in caplog.text
    )


@pytest.mark.parametrize("spending", ["start"], indirect=True)
@pytest.mark.parametrize("is_scheduled", [True, False])
def test_a_start_warns_that_it_does_not_wait_for_the_scheduled_time(
    spending: Spending, capsys: pytest.CaptureFixture[str], is_scheduled: bool
) -> None:
    if is_scheduled:
        time: dict[str, Any] = {"schedule_type": "schedule", "scheduled_for": tomorrow()}
        spending.connect().update_campaign(campaign_id=spending.campaign_id, **time)
    spending()
    assert ("its messages go out now, not at the scheduled time" in capsys.readouterr().out) is is_scheduled
