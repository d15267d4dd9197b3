"""The operator that starts a broadcast: what it schedules, refuses, continues and pushes."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format
from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConnectionError,
    OtpiqCreditError,
    OtpiqRateLimitError,
    OtpiqRequestError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.operators.broadcast import StartBroadcastOperator
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import everybody, messaged, write_audience
from tests.operators.broadcasts import Run, in_minutes, later, sent, text_of


@pytest.fixture
def start(create: Run, start: Run) -> Run:
    """Start a broadcast that was created."""
    create()
    return start


@pytest.fixture
def start_without_create(context: dict[str, Any]) -> Run:
    return Run(StartBroadcastOperator, context, {"broadcast": "/ledger"})


def scheduled_and_before(start: Run) -> tuple[int, int]:
    return start.pushed["broadcast"]["scheduled"], start.pushed["broadcast"]["already_scheduled"]


def test_a_start_schedules_each_campaign_a_little_ahead(create: Run, start: Run, sandbox: Sandbox) -> None:
    ledger = create()
    earliest = in_minutes(10)
    assert start() == ledger
    times = {parse_datetime(campaign["scheduledFor"]) for campaign in sandbox.campaigns}
    assert len(times) == 1
    assert earliest <= min(times) <= in_minutes(10)
    assert messaged(sandbox) == everybody()
    assert start.pushed["broadcast"] == {
        "scheduled": 3,
        "already_scheduled": 0,
        "recipients": 9,
        "estimated_cost": 108,
        "scheduled_for": (time := to_api_format(times.pop())),
        "waves": [{"scheduled_for": time, "recipients": 9}],
    }


def test_a_second_start_sends_nothing(start: Run, sandbox: Sandbox) -> None:
    start()
    before = len(sandbox.requests)
    with later(days=2):  # such as in a new DAG run
        start()
    assert len(sandbox.requests) == before
    assert scheduled_and_before(start) == (0, 3)


@pytest.mark.parametrize("run_id", ["manual__1", "manual__2", None])
def test_a_start_of_a_sent_broadcast_is_a_warning(
    create: Run, start: Run, sandbox: Sandbox, capfd: pytest.CaptureFixture[str], run_id: str | None
) -> None:
    time = in_minutes(60)
    ledger = create()
    start(scheduled_for=time)
    assert f"Scheduled for {to_api_format(time)}" in capfd.readouterr().out
    if run_id is None:  # as an earlier version wrote it
        (saved,) = Path(ledger).rglob("start.json")
        saved.write_text(saved.read_text().replace('"dag/manual__1"', "null"))
    start.context["ti"].run_id = run_id or "manual__2"
    start(scheduled_for=time)
    assert "This task sent nothing" not in capfd.readouterr().out  # its time is still to come
    with later(days=7):
        start(scheduled_for=time)
    logged = capfd.readouterr().out
    assert "Scheduled for" not in logged
    sender = "dag/manual__1" if run_id else "an earlier one"
    assert (f"This task sent nothing: run {sender} sent this broadcast on {to_api_format(time)}" in logged) == (
        run_id != "manual__1"
    )
    assert messaged(sandbox) == everybody()


def test_a_start_that_schedules_what_another_run_left_out_does_not_warn(
    start: Run, capfd: pytest.CaptureFixture[str]
) -> None:
    start(shard=0, shards=3)
    start.context["ti"].run_id = "manual__2"
    with later(minutes=15):
        start()
    logged = capfd.readouterr().out
    assert "This task sent nothing" not in logged
    assert "Scheduled for" in logged


def test_a_shard_without_a_task_is_logged_and_a_start_without_shards_schedules_it(
    start: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    for shard, left in ((0, 2), (1, 1)):
        caplog.clear()
        start(shard=shard, shards=3)
        assert f"{left} of 3 campaigns belong to other shards and are not scheduled yet" in caplog.text
    caplog.clear()
    start()
    assert "other shards" not in caplog.text
    assert "Campaigns that were scheduled before: 2 of 3." in caplog.text
    assert scheduled_and_before(start) == (1, 2)
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize(("has_timezone", "hour"), [(True, "06"), (False, "09")])
def test_a_naive_time_is_in_the_dags_timezone_and_without_one_is_warned_of(
    start: Run, sandbox: Sandbox, capfd: pytest.CaptureFixture[str], has_timezone: bool, hour: str
) -> None:
    if not has_timezone:
        start.context["dag"] = DAG("utc", schedule=None)
    day = pendulum.now("Asia/Baghdad").add(days=1).format("YYYY-MM-DD")
    start(scheduled_for=f"{day} 09:00:00")
    assert {each["scheduledFor"][11:16] for each in sandbox.campaigns} == {f"{hour}:00"}
    warning = f"it is {day}T09:00:00Z ({day} 12:00:00 in Asia/Baghdad)"
    assert (warning in capfd.readouterr().out) is not has_timezone


@pytest.mark.parametrize(("seconds", "ahead_of_us", "is_kept"), [(62, 0, True), (58, 0, False), (300, 420, False)])
def test_a_time_that_otpiq_may_consider_past_becomes_a_later_one(
    start: Run, sandbox: Sandbox, seconds: int, ahead_of_us: int, is_kept: bool
) -> None:
    sandbox.move_clock(seconds=ahead_of_us)
    earliest, time = in_minutes(10), pendulum.now("UTC").add(seconds=seconds)
    start(scheduled_for=time)
    requested = [parse_datetime(campaign["scheduledFor"]) for campaign in sandbox.campaigns]
    assert max(requested) <= time if is_kept else min(requested) >= earliest


def test_an_audience_that_is_prepared_again_after_its_create_is_not_started(
    create: Run, start: Run, sandbox: Sandbox, audience: str, snapshot: SnapshotAssertion
) -> None:
    write_audience(str(Path(audience).parent), first=500)
    assert create.fail().errors == (f"audience: {audience} was prepared again from other rows",)
    assert text_of(start.fail()) == snapshot
    assert not messaged(sandbox)


@pytest.mark.parametrize("name", ["ledger", "manifest.json"])
def test_a_start_without_a_broadcast_is_refused(
    start_without_create: Run, sandbox: Sandbox, audience: str, name: str, snapshot: SnapshotAssertion
) -> None:
    assert text_of(start_without_create.fail(broadcast=str(Path(audience).with_name(name)))) == snapshot
    assert not sandbox.requests


@pytest.mark.parametrize(("scheduled", "cost"), [(0, 108), (1, 72)])
def test_the_credit_is_compared_with_what_is_left_to_schedule(
    start: Run, sandbox: Sandbox, scheduled: int, cost: int
) -> None:
    for shard in range(scheduled):
        start(shard=shard, shards=3)
    sandbox.credit = cost - 1
    error = start.fail(OtpiqCreditError)
    assert error.amounts == {"requiredCredit": cost, "yourCredit": cost - 1}
    assert f"to schedule ({3 - scheduled}) cost {cost} IQD, and the credit is {cost - 1} IQD" in str(error)
    assert sent(sandbox).count("PATCH {_id}") == scheduled
    sandbox.credit = cost
    start()
    assert messaged(sandbox) == everybody()


@pytest.mark.parametrize("credit", ["107.5", "-1", -1])
def test_a_credit_that_is_a_string_or_negative_is_compared(start: Run, sandbox: Sandbox, credit: object) -> None:
    sandbox.arm("info", status=200, body={"projectName": "Shop", "credit": credit})
    start.fail(OtpiqCreditError)
    sandbox.arm("info", status=200, body={"projectName": "Shop", "credit": "108"})
    start()
    assert messaged(sandbox) == everybody()


def test_a_connection_of_another_project_is_an_error(
    start: Run, sandbox: Sandbox, connect: Callable[..., OtpiqHook], connect_sandbox: Callable[..., OtpiqHook],
    snapshot: SnapshotAssertion,
) -> None:  # fmt: skip
    info = {"projectName": "Another shop", "credit": 1000}
    with Sandbox() as other:
        other.arm("info", status=200, body=info)
        connect(host=other.url, password=other.api_key)
        assert text_of(start.fail(OtpiqConfigurationError)) == snapshot
        assert len(sent(other)) == 3  # one for each campaign: it may have been deleted
    connect_sandbox()
    start()
    assert messaged(sandbox) == everybody()


def test_a_project_that_was_renamed_is_warned_of_and_started(
    start: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.arm("info", status=200, body={"projectName": "Another shop", "credit": 1000})
    start()
    assert "belongs to project 'Another shop'. If the project was only renamed" in caplog.text
    assert messaged(sandbox) == everybody()


def test_credit_that_runs_out_in_the_middle_stops_at_once(start: Run, sandbox: Sandbox) -> None:
    sandbox.arm("update", status=400, body={"error": "Insufficient credit", "requiredCredit": 36})
    start.fail(OtpiqCreditError)
    assert not messaged(sandbox)


def test_another_time_is_an_error_once_a_start_has_begun(
    start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    first, second = in_minutes(60), in_minutes(90)
    sandbox.arm("update", status=429, headers={"Retry-After": "600"})
    start.fail(OtpiqRateLimitError, scheduled_for=first)
    for error in (start.fail(scheduled_for=second), start.fail()):
        assert text_of(error) == snapshot
    start(scheduled_for=first)
    assert {parse_datetime(each["scheduledFor"]) for each in sandbox.campaigns} == {first}


def test_a_start_may_be_30_minutes_late(start: Run, sandbox: Sandbox) -> None:
    time = in_minutes(60)
    with later(minutes=80.2):  # and ten minutes of lead time
        start.fail(match=r"is too late; .* is 30 minutes", scheduled_for=time)
    with later(minutes=79.8):
        start(scheduled_for=time)
    assert messaged(sandbox) == everybody()


def start_in_part(start: Run, sandbox: Sandbox, time: pendulum.DateTime, when: str) -> None:
    """Schedule the first part, lose the second one's request or response, and leave the third."""
    start(scheduled_for=time, shard=0, shards=3)
    sandbox.arm("update", connection="drop", when=when, times=3)
    start.fail(OtpiqConnectionError, match="PATCH", scheduled_for=time)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_time_that_has_passed_by_minutes_becomes_a_later_one(
    start: Run, sandbox: Sandbox, sleep_calls: list[float], when: str
) -> None:
    time = in_minutes(60)
    start_in_part(start, sandbox, time, when)
    with later(minutes=75):
        start(scheduled_for=time)
        assert messaged(sandbox) == everybody()
        running = [campaign["status"] for campaign in sandbox.campaigns]
        assert running == (["completed"] * 2 if when == "after" else ["completed", "scheduled"]) + ["scheduled"]


def test_a_later_time_is_kept_while_it_is_ahead(start: Run, sandbox: Sandbox, sleep_calls: list[float]) -> None:
    time = in_minutes(5)
    sandbox.arm("update", connection="drop", times=3)
    start.fail(OtpiqConnectionError, scheduled_for=time)
    with later(minutes=10):
        sandbox.arm("update", delay=0)  # compares the size of the campaign that may be scheduled
        sandbox.arm("update", connection="drop", when="after", times=3)
        start.fail(OtpiqConnectionError, scheduled_for=time)
        kept = sandbox.campaigns[0]["scheduledFor"]
    with later(minutes=15):
        start(scheduled_for=time)
        assert sandbox.campaigns[0]["scheduledFor"] == kept


def test_a_start_that_completes_the_start_of_another_run_does_not_warn(
    start: Run, sandbox: Sandbox, sleep_calls: list[float], capfd: pytest.CaptureFixture[str]
) -> None:
    time = in_minutes(60)
    start_in_part(start, sandbox, time, "after")
    capfd.readouterr()
    start.context["ti"].run_id = "manual__2"
    with later(minutes=100):
        start(scheduled_for=time, shard=1, shards=3)
    logged = capfd.readouterr().out
    assert "This task sent nothing" not in logged
    assert f"The broadcast was sent on {to_api_format(time)}" in logged


@pytest.mark.parametrize("when", ["before", "after"])
def test_hours_late_is_an_error_that_lists_the_other_campaigns(
    start: Run, sandbox: Sandbox, sleep_calls: list[float], when: str
) -> None:
    time = in_minutes(60)
    start_in_part(start, sandbox, time, when)
    with later(minutes=100):
        error = start.fail(OtpiqRequestError, match=r"is too late; .* is 50 minutes", scheduled_for=time)
        assert ("00001" in str(error)) == (when == "before")  # after, it has started
        assert "00002: " in str(error)
        assert "set max_delay to more than 50 minutes" in str(error)
        start(scheduled_for=time, max_delay=timedelta(minutes=55))
        assert messaged(sandbox) == everybody()


def test_a_first_start_that_is_too_late_schedules_nothing(
    start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    assert text_of(start.fail(scheduled_for=pendulum.now("UTC").subtract(hours=3))) == snapshot
    assert not messaged(sandbox)
    start()
    assert messaged(sandbox) == everybody()


@pytest.fixture
def set_quiet_hours(connect_sandbox: Callable[..., OtpiqHook]) -> Callable[[pendulum.DateTime], None]:
    """Set quiet hours of the connection, from 20 minutes before a time until 20 minutes after it."""

    def set_quiet_hours(time: pendulum.DateTime) -> None:
        local = time.in_timezone("Asia/Baghdad")
        quiet = f"{local.subtract(minutes=20):HH:mm}-{local.add(minutes=20):HH:mm} Asia/Baghdad"
        connect_sandbox(quiet_hours=quiet)

    return set_quiet_hours


def test_no_time_falls_into_quiet_hours(
    start: Run, sandbox: Sandbox, set_quiet_hours: Callable[[pendulum.DateTime], None]
) -> None:
    time = in_minutes(60)
    set_quiet_hours(time)
    start.fail(match="quiet", scheduled_for=time)
    assert not messaged(sandbox)
    start()
    assert messaged(sandbox) == everybody()


def test_a_start_that_has_begun_continues_after_quiet_hours_that_were_added_since(
    start: Run, sandbox: Sandbox, set_quiet_hours: Callable[[pendulum.DateTime], None]
) -> None:
    time = in_minutes(60)
    start(scheduled_for=time, shard=0, shards=3)
    set_quiet_hours(time)
    error = start.fail(OtpiqRequestError, match="quiet_hours", scheduled_for=time)
    assert "After the quiet hours, set max_delay to more than lead_time" in str(error)
    assert "parts 00001, 00002: " in str(error)
    with later(minutes=85):
        start(scheduled_for=time, max_delay=timedelta(minutes=40))  # as the error says
        assert messaged(sandbox) == everybody()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_campaign_that_starts_in_quiet_hours_that_were_added_since_is_a_warning(
    create: Run,
    start: Run,
    sandbox: Sandbox,
    set_quiet_hours: Callable[[pendulum.DateTime], None],
    sleep_calls: list[float],
    caplog: pytest.LogCaptureFixture,
    when: str,
) -> None:
    create()
    time = in_minutes(60)
    start_in_part(start, sandbox, time, when)
    set_quiet_hours(time)
    start.fail(OtpiqRequestError, match="Not scheduled", scheduled_for=time)
    warnings = [record.message for record in caplog.records if "An earlier try has scheduled" in record.message]
    scheduled = [campaign["_id"] for campaign in sandbox.campaigns if campaign["status"] == "scheduled"]
    assert scheduled[1:] == [each for each in scheduled if any(each in warning for warning in warnings)]
    assert len(warnings) == (when == "after")
    assert all(to_api_format(time) in warning for warning in warnings)


def test_a_refusal_reports_the_campaigns_that_were_scheduled_before(
    start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    time = in_minutes(60)
    start(scheduled_for=time, shard=0, shards=3)
    error = start.fail()
    assert text_of(error) == snapshot
    assert error.errors[0].startswith("scheduled_for: ")
