"""Quiet hours: which times are in them, and when they end."""

from datetime import timedelta
from typing import Any

import pendulum
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._connection.guard_rails import GuardRails
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError

NIGHT = "21:00-09:00 Asia/Baghdad"


def rails(quiet_hours: Any) -> GuardRails:
    return GuardRails.from_connection("otpiq_staging", {"quiet_hours": quiet_hours})


def is_quiet(quiet_hours: str, time: str) -> bool:
    return end_of_quiet(quiet_hours, time) is not None


def end_of_quiet(quiet_hours: str, time: str) -> str | None:
    """When the quiet hours end, as the error says; None if the time is not in them."""
    try:
        rails(quiet_hours).check_time(pendulum.parse(time), "the start")  # type: ignore[arg-type]
    except OtpiqValidationError as error:
        return str(error).partition("which end at ")[2].partition(" (")[0]
    return None


@pytest.mark.parametrize(
    ("time", "quiet"),
    [
        ("2026-12-01T20:59:59.999999+03:00", False),
        ("2026-12-01T21:00:00+03:00", True),
        ("2026-12-02T00:00:00+03:00", True),
        ("2026-12-02T08:59:59.999999+03:00", True),
        ("2026-12-02T09:00:00+03:00", False),
        ("2026-12-01T18:00:00Z", True),
    ],
)
def test_their_start_is_included_and_their_end_is_not(time: str, quiet: bool) -> None:
    assert is_quiet(NIGHT, time) is quiet


@pytest.mark.parametrize(
    ("window", "hours"),
    [
        ("12:00-13:30 Asia/Baghdad", {12, 13}),
        ("22:00-00:00 Asia/Baghdad", {22, 23}),
        (" 12:00 - 13:00  Asia/Baghdad , 22:00-00:00 Asia/Baghdad", {12, 22, 23}),
        ("12:00-14:00 Asia/Baghdad, 12:00-14:00 UTC", {12, 13, 15, 16}),
    ],
)
def test_a_window_is_daily_in_its_own_timezone(window: str, hours: set[int]) -> None:
    quiet = {hour for hour in range(24) if is_quiet(window, f"2026-12-01T{hour:02}:15:00+03:00")}
    assert quiet == hours


def test_the_error_names_the_local_time_the_window_and_its_end(snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        rails(NIGHT).check_time(pendulum.datetime(2026, 12, 1, 19), "scheduled_for")
    assert caught.value.errors == (str(caught.value).partition(". ")[0],)
    assert str(caught.value) == snapshot


@pytest.mark.parametrize(
    ("quiet_hours", "time", "end"),
    [
        (NIGHT, "2026-12-02T05:00:00Z", "2026-12-02T06:00:00Z"),
        ("21:00-00:00 UTC, 00:00-09:00 UTC", "2026-12-01T22:00:00Z", "2026-12-02T09:00:00Z"),
        ("08:00-12:00 UTC, 21:00-09:00 UTC", "2026-12-01T22:00:00Z", "2026-12-02T12:00:00Z"),
        ("22:00-07:00 Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"),  # an hour is skipped
        ("22:00-07:00 Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z"),  # an hour comes twice
        ("00:00-02:25 Europe/Berlin", "2026-03-29T00:24:00Z", "2026-03-29T01:25:00Z"),  # 02:25 is skipped
    ],
)
def test_they_end_by_the_local_clock(quiet_hours: str, time: str, end: str) -> None:
    assert end_of_quiet(quiet_hours, time) == end


TIMES_OF_DAY = st.times().map(lambda time: f"{time:%H:%M}")
ABOUT_A_CLOCK_CHANGE = st.builds(
    lambda change, minutes: pendulum.datetime(2026, *change).add(minutes=minutes),
    st.sampled_from([(3, 29, 1), (10, 25, 1), (4, 4, 15), (10, 3, 15, 30)]),
    st.integers(-2000, 2000),
)


@given(
    st.lists(TIMES_OF_DAY, min_size=2, max_size=2, unique=True),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Asia/Baghdad"]),
    ABOUT_A_CLOCK_CHANGE,
)
@example(["02:01", "02:00"], "Europe/Berlin", pendulum.datetime(2026, 3, 29, 0, 59))  # there is no 02:00 on that day
def test_their_end_is_not_quiet_and_within_a_day(hours: list[str], timezone: str, time: pendulum.DateTime) -> None:
    window = f"{'-'.join(hours)} {timezone}"
    end = end_of_quiet(window, time.isoformat())
    if end:
        assert not is_quiet(window, end)
        first, last = (60 * int(each[:2]) + int(each[3:]) for each in hours)
        may_be_skipped = (first - last) % (24 * 60) <= 60  # by a change of the clock
        longest = timedelta(hours=49 if may_be_skipped else 25)
        assert timedelta() < pendulum.parse(end) - time <= longest  # type: ignore[operator]


@pytest.mark.parametrize(
    "value",
    [
        *("", "21:00-09:00", "21:00 Asia/Baghdad", "Asia/Baghdad 21:00-09:00", "21-9 Asia/Baghdad"),
        *("21:00-24:00 Asia/Baghdad", "21:60-09:00 Asia/Baghdad", "٢١:٠٠-٠٩:٠٠ Asia/Baghdad"),
        *("21:00-09:00 +03:00", "21:00-09:00 Asia", "21:00-09:00 ../UTC", "21:00-09:00 \x00"),
        *("21:00-09:00 Asia/Baghdad,", "21:00-09:00, 12:00-13:00 Asia/Baghdad", "21:00-09:00 /etc/localtime"),
        *(0, True, ["21:00-09:00 Asia/Baghdad"], []),
    ],
)
def test_invalid_quiet_hours_fail_closed(value: Any) -> None:
    with pytest.raises(OtpiqConfigurationError, match="\n  - quiet_hours: ") as caught:
        rails(value)
    assert str(caught.value).count("\n  - ") == 1


@pytest.mark.parametrize("value", ["night", "21:00-09:00 Asia/Bagdad", "21:00-21:00 UTC", 21])
def test_the_error_says_what_is_wrong(value: Any, snapshot: SnapshotAssertion) -> None:
    with pytest.raises(OtpiqConfigurationError) as caught:
        rails(value)
    assert str(caught.value) == snapshot
