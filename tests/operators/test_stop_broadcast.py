"""The operator that stops a broadcast, and a start at another time. The model covers concurrent tasks."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.datetimes import parse_datetime
from airflow_provider_otpiq.exceptions import (
    OtpiqAuthenticationError,
    OtpiqConfigurationError,
    OtpiqConflictError,
    OtpiqConnectionError,
    OtpiqRequestError,
    OtpiqSupersededError,
)
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import everybody, messaged
from tests.operators.broadcasts import Run, in_minutes, later, sent, text_of
from tests.operators.reports import ReportTask

SECONDS_IN_FLIGHT = 60 + 5 + 2 * 30
"""How long a request can take effect after it was sent, with the connection's default timeouts."""
STOPPED = {"stopped": 3, "too_late": 0, "recipients_stopped": 9, "recipients_too_late": 0}


def statuses(sandbox: Sandbox) -> list[str]:
    return [campaign["status"] for campaign in sandbox.campaigns]


def test_a_stop_makes_each_campaign_a_draft_twice_and_waits_in_between(
    broadcast: str, stop: Run, sandbox: Sandbox, sleep_calls: list[float]
) -> None:
    before = len(sandbox.requests)
    assert stop() == broadcast
    changes = [(request["method"], request["body"]) for request in sandbox.requests[before + 1 :]]
    assert changes == [("PATCH", {"scheduleType": "now", "scheduledFor": None})] * 6
    assert sleep_calls == [SECONDS_IN_FLIGHT]
    assert statuses(sandbox) == ["draft"] * 3
    assert stop.pushed["broadcast"] == STOPPED


def test_a_stop_that_has_finished_sends_nothing_again(broadcast: str, stop: Run, sandbox: Sandbox) -> None:
    stop()
    before = len(sandbox.requests)
    assert stop() == broadcast
    assert len(sandbox.requests) == before
    assert stop.pushed["broadcast"] == STOPPED


@pytest.mark.parametrize("fail", [True, False])
def test_campaigns_that_have_started_are_too_late(
    create: Run, start: Run, stop: Run, sandbox: Sandbox, caplog: pytest.LogCaptureFixture,
    snapshot: SnapshotAssertion, fail: bool,
) -> None:  # fmt: skip
    create()
    start(scheduled_for=in_minutes(60), wave_size=3, wave_interval=timedelta(hours=1))
    with later(minutes=90):
        if fail:
            assert text_of(stop.fail(OtpiqConflictError)) == snapshot
        else:
            stop(fail_if_too_late=False)
            assert "started before they were stopped: 1 of 3" in caplog.text
        assert sorted(statuses(sandbox)) == ["completed", "draft", "draft"]
    assert stop.pushed["broadcast"] == {
        "stopped": 2, "too_late": 1, "recipients_stopped": 6, "recipients_too_late": 3,
    }  # fmt: skip


@pytest.mark.usefixtures("broadcast")
def test_a_start_that_is_cleared_after_a_stop_schedules_nothing(
    start: Run, stop: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    stop()
    assert text_of(start.fail()) == snapshot
    assert not messaged(sandbox)


def test_a_start_that_is_running_ends_at_a_stop(
    create: Run, start: Run, stop: Run, sandbox: Sandbox, snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = create()
    sandbox.arm("update", status=429, headers={"Retry-After": "7"})

    def stop_meanwhile(seconds: float) -> None:
        if seconds == 7:  # the start waits before its HTTP retry
            stop()

    monkeypatch.setattr("time.sleep", stop_meanwhile)
    assert text_of(start.fail(OtpiqSupersededError)).replace(ledger, "<ledger>") == snapshot
    assert not messaged(sandbox)


@pytest.mark.usefixtures("broadcast")
def test_after_a_stop_a_start_at_another_time_schedules_the_same_campaigns(
    start: Run, stop: Run, sandbox: Sandbox, sleep_calls: list[float]
) -> None:
    campaigns = {campaign["_id"] for campaign in sandbox.campaigns}
    stop()
    sleep_calls.clear()
    time = in_minutes(180)
    start(scheduled_for=time)
    assert sleep_calls == [SECONDS_IN_FLIGHT]
    assert {parse_datetime(campaign["scheduledFor"]) for campaign in sandbox.campaigns} == {time}
    assert {campaign["_id"] for campaign in sandbox.campaigns} == campaigns
    assert messaged(sandbox) == everybody()
    start(scheduled_for=time)
    assert start.pushed["broadcast"]["already_scheduled"] == 3
    stop()
    assert not messaged(sandbox)
    start(scheduled_for=in_minutes(240))
    assert messaged(sandbox) == everybody()


def test_after_a_stop_that_was_too_late_a_start_schedules_only_the_others(
    create: Run, start: Run, stop: Run, sandbox: Sandbox
) -> None:
    create()
    start(scheduled_for=in_minutes(60), shard=0, shards=3)
    with later(minutes=90):
        stop(fail_if_too_late=False)
        start(scheduled_for=in_minutes(120))
        assert start.pushed["broadcast"]["scheduled"] == 2
        assert start.pushed["broadcast"]["already_scheduled"] == 1
        assert start.pushed["broadcast"]["recipients"] == 9
        assert [wave["recipients"] for wave in start.pushed["broadcast"]["waves"]] == [3, 6]
        assert messaged(sandbox) == everybody()


@pytest.mark.usefixtures("broadcast")
def test_a_start_waits_for_all_shards_of_a_stop(start: Run, stop: Run, sandbox: Sandbox) -> None:
    stop(shard=0, shards=2)
    error = start.fail(scheduled_for=in_minutes(180))
    assert error.errors[0].endswith("has not finished: part 00001")
    stop(shard=1, shards=2)
    start(scheduled_for=in_minutes(180))
    assert messaged(sandbox) == everybody()


def test_a_broadcast_that_was_never_started_cannot_be_stopped(
    create: Run, stop: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    create()
    before = len(sandbox.requests)
    assert text_of(stop.fail()) == snapshot
    assert len(sandbox.requests) == before


def test_a_path_that_is_not_a_ledger_is_an_error(stop: Run, audience: str, sandbox: Sandbox) -> None:
    for path in (audience, str(Path(audience).parent / "other")):
        assert stop.fail(broadcast=path).errors[0].startswith(f"broadcast: {path} is ")
    assert not sandbox.requests


def test_a_connection_of_another_project_stops_nothing(
    broadcast: str, stop: Run, sandbox: Sandbox, connect: Callable[..., OtpiqHook],
    connect_sandbox: Callable[..., OtpiqHook], snapshot: SnapshotAssertion,
) -> None:  # fmt: skip
    with Sandbox() as other:
        other.arm("info", status=200, body={"projectName": "Another shop", "credit": 1000})
        connect(host=other.url, password=other.api_key)
        assert text_of(stop.fail(OtpiqConfigurationError)) == snapshot
    connect_sandbox()
    stop()
    assert not messaged(sandbox)


@pytest.mark.usefixtures("broadcast")
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_response_is_fixed_by_a_retry(stop: Run, sandbox: Sandbox, when: str) -> None:
    sandbox.arm("update", connection="drop", when=when, times=3)
    stop.fail(OtpiqConnectionError)
    stop()
    assert not messaged(sandbox)
    assert stop.pushed["broadcast"] == STOPPED


@pytest.mark.usefixtures("broadcast")
@pytest.mark.parametrize(
    "response",
    [
        {"status": 400, "body": {"error": "No"}},
        {"status": 409, "body": {"error": "No"}},
    ],
    ids=str,
)
def test_a_campaign_that_otpiq_refuses_is_listed_and_the_others_are_stopped_and_checked(
    stop: Run, sandbox: Sandbox, sandbox_hook: OtpiqHook, response: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    second = sandbox.campaigns[1]["_id"]

    def schedule_late(seconds: float) -> None:
        """Let a request of a start that was in flight take effect, while the stop waits."""
        sandbox_hook.update_campaign(campaign_id=second, schedule_type="schedule", scheduled_for=in_minutes(60))
        sandbox.arm("update", **response)

    monkeypatch.setattr("time.sleep", schedule_late)
    sandbox.arm("update", **response)
    error = str(stop.fail(OtpiqRequestError))
    assert "part 00000: " in error
    assert "only these campaigns are retried" in error
    assert statuses(sandbox) == ["scheduled", "draft", "draft"]
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    before = len(sent(sandbox))
    stop()
    assert len(sent(sandbox)) == before + 2
    assert not messaged(sandbox)


@pytest.mark.usefixtures("broadcast")
def test_a_campaign_that_keeps_its_time_is_an_error(
    stop: Run, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = {**sandbox.campaigns[0], "scheduledFor": "2030-01-01T00:00:00.000Z"}
    response: dict[str, Any] = {"status": 200, "body": {"success": True, "data": campaign}}
    monkeypatch.setattr("time.sleep", lambda seconds: sandbox.arm("update", **response))
    sandbox.arm("update", **response)
    assert "is still scheduled for 2030-01-01T00:00:00.000Z" in str(stop.fail(OtpiqRequestError))


def test_a_part_whose_campaign_is_unknown_is_an_error_and_the_others_are_stopped(
    create: Run, start: Run, stop: Run, sandbox: Sandbox
) -> None:
    ledger = Path(create())
    start(shard=0, shards=2)
    (path,) = ledger.glob("*/campaigns/00001.json")
    path.unlink()
    assert "the campaign of part 00001 is missing" in str(stop.fail(OtpiqRequestError))
    assert statuses(sandbox) == ["draft"] * 3


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_campaign_that_was_scheduled_is_stopped_although_the_ledger_lost_its_record(
    broadcast: str, stop: Run, sandbox: Sandbox, when: str
) -> None:
    if when == "after":
        stop()
    (path,) = Path(broadcast).glob("*/campaigns/00001.json")
    path.unlink()
    stop()
    assert statuses(sandbox) == ["draft"] * 3
    assert stop.pushed["broadcast"] == STOPPED


def test_a_ledger_that_lost_its_start_is_not_called_never_started(broadcast: str, stop: Run) -> None:
    Path(broadcast, "start.json").unlink()
    assert stop.fail().errors == (f"{broadcast}: start.json is missing, although campaigns are scheduled",)


@pytest.mark.usefixtures("broadcast")
def test_a_start_before_the_stop_has_finished_does_not_claim_that_campaigns_stay_scheduled(
    start: Run, stop: Run
) -> None:
    stop(shard=0, shards=2)
    assert "stay scheduled" not in str(start.fail(scheduled_for=in_minutes(180)))


def test_a_create_after_a_stop_creates_nothing(create: Run, start: Run, stop: Run, sandbox: Sandbox) -> None:
    create()
    start()
    stop()
    before = sent(sandbox)
    create()
    assert sent(sandbox) == before
    assert create.fail(name="Autumn offer", replace=True).errors[0].endswith("request.json")


def test_the_sensor_waits_only_for_what_was_not_stopped(
    create: Run, start: Run, stop: Run, poke: ReportTask, report: ReportTask
) -> None:
    create()
    ledger = start(scheduled_for=in_minutes(60), wave_size=3, wave_interval=timedelta(hours=1))
    with later(minutes=90):
        stop(fail_if_too_late=False)
        assert poke(broadcast=ledger, min_final=1)
        report(broadcast=ledger)
        assert (report.counts["messages"], report.counts["unmatched"]) == (3, 6)
        start(scheduled_for=in_minutes(60))
    with later(minutes=170):
        assert poke(broadcast=ledger, min_final=1)
        assert poke.counts["messages"] == 9


def test_a_report_of_a_broadcast_that_was_stopped_in_time_is_an_error(
    broadcast: str, stop: Run, poke: ReportTask
) -> None:
    stop()
    assert "is scheduled or has started, so it has no messages" in str(poke.fail(broadcast=broadcast))


def test_a_later_stop_is_about_what_the_later_start_has_scheduled(
    create: Run, start: Run, stop: Run, sandbox: Sandbox
) -> None:
    create()
    start(scheduled_for=in_minutes(60), wave_size=3, wave_interval=timedelta(hours=1))
    with later(minutes=90):
        stop(fail_if_too_late=False)
        start(scheduled_for=in_minutes(60))
        stop()
    assert stop.pushed["broadcast"] == {
        "stopped": 2, "too_late": 0, "recipients_stopped": 6, "recipients_too_late": 0,
    }  # fmt: skip


@pytest.mark.usefixtures("broadcast")
def test_a_start_after_a_stop_warns_of_the_run_that_has_stopped(
    start: Run, stop: Run, caplog: pytest.LogCaptureFixture
) -> None:
    stop()
    start(scheduled_for=in_minutes(180))
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warning.startswith("Run dag/manual__1 stopped this broadcast.")


@pytest.mark.usefixtures("broadcast")
def test_a_start_after_a_stop_needs_time_to_wait(start: Run, stop: Run, sandbox: Sandbox) -> None:
    stop()
    assert start.fail(scheduled_for=in_minutes(3)).errors[0].startswith("scheduled_for: must be after ")
    assert not messaged(sandbox)


@pytest.mark.usefixtures("broadcast")
def test_a_campaign_that_was_deleted_is_stopped_and_the_others_start_again(
    start: Run, stop: Run, sandbox: Sandbox
) -> None:
    deleted = {"status": 404, "body": {"message": "Campaign not found"}}
    sandbox.arm("update", delay=0)
    sandbox.arm("update", **deleted)
    sandbox.arm("update", delay=0, times=2)
    sandbox.arm("update", **deleted)
    stop()
    assert stop.pushed["broadcast"] == STOPPED


@pytest.mark.usefixtures("broadcast")
@pytest.mark.parametrize("shards", [1, 3])
def test_a_stop_continues_if_only_a_campaign_that_was_deleted_is_left(stop: Run, sandbox: Sandbox, shards: int) -> None:
    if shards == 1:
        sandbox.arm("update", delay=0, times=5)
        sandbox.arm("update", status=401)
        stop.fail(OtpiqAuthenticationError)
    else:
        stop(shard=0, shards=3)
        stop(shard=1, shards=3)
    first, _, deleted = sandbox.campaigns
    gone = {"status": 404, "body": {"message": "Campaign not found"}}
    sandbox.arm("update", **gone)
    sandbox.arm("update", delay=0)
    sandbox.arm("update", **gone)
    before = len(sandbox.requests)
    stop(shard=shards - 1, shards=shards)
    changed = [request["path"].rpartition("/")[2] for request in sandbox.requests[before + 1 :]]
    assert changed == [deleted["_id"], first["_id"], deleted["_id"]]
    stop()
    assert stop.pushed["broadcast"] == STOPPED


@pytest.mark.usefixtures("broadcast")
def test_a_connection_that_finds_no_campaign_stops_nothing(
    stop: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    sandbox.arm("update", status=404, body={"message": "Campaign not found"}, times=9)
    assert text_of(stop.fail(OtpiqConfigurationError)) == snapshot


@pytest.mark.usefixtures("broadcast")
def test_a_deleted_campaign_of_a_renamed_project_does_not_end_a_stop(stop: Run, sandbox: Sandbox) -> None:
    sandbox.arm("info", status=200, body={"projectName": "Another shop", "credit": 1000})
    gone = {"status": 404, "body": {"message": "Campaign not found"}}
    sandbox.arm("update", **gone)
    sandbox.arm("update", delay=0, times=3)
    sandbox.arm("update", **gone)
    stop()
    assert stop.pushed["broadcast"] == STOPPED


def test_a_campaign_that_somebody_started_before_its_time_is_reported_from_then_on(
    broadcast: str, stop: Run, sandbox: Sandbox, sandbox_hook: OtpiqHook, report: Any
) -> None:
    sandbox_hook.start_campaign(campaign_id=sandbox.campaigns[0]["_id"])
    stop(fail_if_too_late=False)
    with later(minutes=5):
        report(broadcast=broadcast)
        assert report.counts["messages"] == 3
