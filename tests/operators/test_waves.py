"""A start in waves: whole campaigns, in the order of their parts."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pendulum
import pytest
from airflow.providers.common.compat.sdk import DAG
from pendulum import DateTime
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format
from airflow_provider_otpiq.exceptions import OtpiqRateLimitError, OtpiqRequestError
from airflow_provider_otpiq.hooks.otpiq import OtpiqHook
from airflow_provider_otpiq.sandbox import Sandbox
from tests.broadcast.people import everybody, messaged, write_audience
from tests.conftest import AIRFLOW_VERSION
from tests.docs.pages import BLOCKS
from tests.fakes import execute
from tests.operators.broadcasts import Run, in_minutes, later, text_of

HOUR = timedelta(hours=1)


@pytest.fixture
def start(create: Run, start: Run, audience: str) -> Run:
    """Start a broadcast of five parts with three recipients each."""
    write_audience(str(Path(audience).parent), parts=5)
    create()
    return start


def minutes(sandbox: Sandbox, first: DateTime) -> list[float]:
    """Return how many minutes after the first wave each campaign starts."""
    return [(parse_datetime(each["scheduledFor"]) - first).total_seconds() / 60 for each in sandbox.campaigns]


@pytest.mark.parametrize(
    ("size", "expected"), [(3, [0, 60, 120, 180, 240]), (8, [0, 0, 60, 60, 120]), ("15", [0] * 5), (100, [0] * 5)]
)
def test_a_wave_is_as_many_whole_campaigns_as_its_size_allows(
    start: Run, sandbox: Sandbox, size: Any, expected: list[float]
) -> None:
    first = in_minutes(30)
    start(scheduled_for=first, wave_size=size, wave_interval=HOUR)
    assert minutes(sandbox, first) == expected
    assert messaged(sandbox) == everybody(5)


def test_the_waves_are_pushed_and_logged(start: Run, capfd: pytest.CaptureFixture[str]) -> None:
    first = in_minutes(30)
    start(scheduled_for=first, wave_size=8, wave_interval=HOUR)
    waves = [(first, 6), (first + HOUR, 6), (first + 2 * HOUR, 3)]
    expected = [{"scheduled_for": to_api_format(time), "recipients": count} for time, count in waves]
    assert start.pushed["broadcast"]["waves"] == expected
    assert start.pushed["broadcast"]["scheduled_for"] == to_api_format(first + 2 * HOUR)
    logged = capfd.readouterr().out
    assert f"Wave 3 of 3: recipients: 3, scheduled for {to_api_format(first + 2 * HOUR)}" in logged


def test_waves_keep_their_interval_if_the_first_is_late(start: Run, sandbox: Sandbox) -> None:
    start(scheduled_for=in_minutes(-15), wave_size=3, wave_interval=timedelta(minutes=30))
    first = parse_datetime(sandbox.campaigns[0]["scheduledFor"])
    assert first >= in_minutes(9)
    assert minutes(sandbox, first) == [0, 30, 60, 90, 120]


def test_shards_agree_on_the_waves(start: Run, sandbox: Sandbox) -> None:
    first = in_minutes(30)
    for shard in (1, 0):
        start(scheduled_for=first, wave_size=6, wave_interval=HOUR, shard=shard, shards=2)
    assert minutes(sandbox, first) == [0, 0, 60, 60, 120]
    assert start.pushed["broadcast"]["waves"][-1]["recipients"] == 3


def test_a_wave_that_is_smaller_than_a_campaign_schedules_nothing(
    start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    error = start.fail(wave_size=2, wave_interval=HOUR)
    assert [each.partition(":")[0] for each in error.errors] == ["wave_size"]
    assert text_of(error) == snapshot
    assert not messaged(sandbox)


@pytest.mark.parametrize(
    ("time", "interval"),
    [("2030-06-01T10:00Z", timedelta.max), ("2030-06-01T10:00Z", timedelta(days=10**7)), ("9999-12-31T22:30Z", HOUR)],
)
def test_waves_after_the_last_year_are_an_error(start: Run, sandbox: Sandbox, time: str, interval: timedelta) -> None:
    error = start.fail(scheduled_for=time, wave_size=3, wave_interval=interval)
    assert error.errors[0].startswith("wave_interval: is too long; ")
    assert not messaged(sandbox)


def test_waves_in_quiet_hours_are_refused_before_anything_is_scheduled(
    start: Run, sandbox: Sandbox, connect_sandbox: Callable[..., OtpiqHook]
) -> None:
    first = in_minutes(30)
    quiet = (first + 3 * HOUR).in_timezone("Asia/Baghdad")
    window = f"{quiet.subtract(minutes=50):HH:mm}-{quiet.add(minutes=50):HH:mm} Asia/Baghdad"
    connect_sandbox(quiet_hours=window)
    error = start.fail(scheduled_for=first, wave_size=3, wave_interval=HOUR)
    assert [each.partition(":")[0] for each in error.errors] == ["scheduled_for, wave 4 of 5"]
    assert not messaged(sandbox)


def test_an_interval_of_months_is_the_same_in_every_try(start: Run, sandbox: Sandbox) -> None:
    """A month of pendulum's ends on the same day of the next month, and the ledger saves 30 days."""
    first = parse_datetime("2030-01-31T10:00Z")
    sandbox.arm("update", delay=0, times=2)
    sandbox.arm("update", status=400, body={"message": "refused"})
    fields: dict[str, Any] = {"scheduled_for": first, "wave_size": 3, "wave_interval": pendulum.duration(months=1)}
    start.fail(OtpiqRequestError, **fields)
    start(**fields)
    assert minutes(sandbox, first) == [30 * 24 * 60 * wave for wave in range(5)]


def test_late_waves_are_refused_with_advice_that_works(
    start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion
) -> None:
    error = start.fail(scheduled_for=in_minutes(-120), wave_size=3, wave_interval=HOUR)
    assert text_of(error) == snapshot
    assert not messaged(sandbox)


def test_a_late_wave_that_would_start_in_quiet_hours_is_refused_with_advice_that_works(
    start: Run, stop: Run, sandbox: Sandbox, connect: Callable[..., OtpiqHook], snapshot: SnapshotAssertion
) -> None:
    first = in_minutes(60)
    quiet = f"{first.add(minutes=2):HH:mm}-{first.add(minutes=50):HH:mm} UTC"
    connect(host=sandbox.url, password=sandbox.api_key, extra={"quiet_hours": quiet})
    sandbox.arm("update", status=400, body={"message": "refused"})
    fields: dict[str, Any] = {"wave_size": 3, "wave_interval": HOUR}
    start.fail(OtpiqRequestError, scheduled_for=first, **fields)
    with later(minutes=60):
        error = start.fail(OtpiqRequestError, scheduled_for=first, **fields)
        assert text_of(error).replace(quiet, "<window>") == snapshot
        stop()
        start(scheduled_for=first.add(minutes=55), **fields)
    assert messaged(sandbox) == everybody(5)


def test_a_start_that_has_begun_keeps_its_waves(start: Run, sandbox: Sandbox, snapshot: SnapshotAssertion) -> None:
    first = in_minutes(60)
    sandbox.arm("update", status=429, headers={"Retry-After": "600"})
    start.fail(OtpiqRateLimitError, scheduled_for=first, wave_size=6, wave_interval=HOUR)
    assert text_of(start.fail(scheduled_for=first, wave_size=9, wave_interval=HOUR)) == snapshot
    assert start.fail(scheduled_for=first).errors[0].startswith("wave_size: must be 6")
    start(scheduled_for=first, wave_size=6, wave_interval=HOUR)
    assert minutes(sandbox, first) == [0, 0, 60, 60, 120]


def test_the_delay_counts_from_the_waves_own_time(start: Run, sandbox: Sandbox) -> None:
    first = in_minutes(60)
    waves: dict[str, Any] = {"scheduled_for": first, "wave_size": 6, "wave_interval": HOUR}
    start(shard=0, shards=5, **waves)
    with later(minutes=110):
        refused = str(start.fail(OtpiqRequestError, **waves))
        assert "part 00001: " in refused
        assert "00002" not in refused
        assert sum(campaign["status"] == "scheduled" for campaign in sandbox.campaigns) == 3


def test_waves_of_a_start_after_a_stop_begin_with_what_was_stopped(start: Run, stop: Run, sandbox: Sandbox) -> None:
    start(scheduled_for=in_minutes(60), wave_size=6, wave_interval=HOUR)
    with later(minutes=90):
        stop(fail_if_too_late=False)
        again = in_minutes(30)
        start(scheduled_for=again, wave_size=6, wave_interval=HOUR)
        assert minutes(sandbox, again)[2:] == [0, 0, 60]
        assert messaged(sandbox) == everybody(5)


@pytest.mark.skipif(AIRFLOW_VERSION.major < 3, reason="the guide imports airflow.sdk")
@pytest.mark.parametrize(("first", "is_stopped"), [(0, True), (1, False)])  # the sandbox delivers nothing to 0
def test_the_rest_is_stopped_if_too_many_messages_of_the_first_wave_fail(
    create: Run, context: dict[str, Any], sandbox: Sandbox, sleep_calls: list[float], tmp_path: Path,
    first: int, is_stopped: bool,
) -> None:  # fmt: skip
    """Run the tasks of the guide's example."""
    write_audience(str(tmp_path), parts=5, first=first)
    create()
    (code,) = [block.code for block in BLOCKS if "too_many_failed" in block.code]
    code = code.replace("s3://aws_default@marketing/otpiq/summer", str(tmp_path)).replace("5000", "6")
    tasks: dict[str, Any] = {}
    with DAG("guide", schedule=None, start_date=in_minutes(0)) as dag:
        exec(code, tasks)  # noqa: S102
    macros = SimpleNamespace(timedelta=timedelta)
    context |= {"dag": dag, "dag_run": SimpleNamespace(run_after=in_minutes(0)), "macros": macros}
    execute(tasks["start_in_waves"], context)
    with later(hours=4):
        execute(tasks["report"], context)
        if tasks["too_many_failed"].function(context["ti"].pushed["report"]):
            execute(tasks["stop_the_rest"], context)
        statuses = [campaign["status"] for campaign in sandbox.campaigns]
    assert statuses == ["completed"] * 2 + ["draft" if is_stopped else "scheduled"] * 3
