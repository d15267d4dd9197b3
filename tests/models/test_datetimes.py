from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pendulum
import pytest

from airflow_provider_otpiq._models.datetimes import apply_default_timezone, describe, parse_datetime, to_api_format

NINE_IN_BAGHDAD = pendulum.datetime(2026, 12, 1, 6)


@pytest.mark.parametrize(
    "value",
    [
        pendulum.datetime(2026, 12, 1, 9, tz="Asia/Baghdad"),
        datetime(2026, 12, 1, 6, tzinfo=UTC),
        datetime(2026, 12, 1, 9, tzinfo=ZoneInfo("Asia/Baghdad")),
        datetime(2026, 12, 1, 8, tzinfo=timezone(timedelta(hours=2))),
        "2026-12-01T09:00:00+03:00",
        "2026-12-01 06:00:00.000000+00:00",
        "2026-12-01t06:00:00z",
        "20261201T060000Z",
        "  2026-12-01T09:00+0300\n",
        "2026-12-02T05:59+23:59",
    ],
)
def test_a_time_is_read_as_the_same_time_in_utc(value: object) -> None:
    time = parse_datetime(value)
    assert time == NINE_IN_BAGHDAD
    assert to_api_format(time) == "2026-12-01T06:00:00Z"


@pytest.mark.parametrize(
    "value",
    [
        "2026-12-01T09:00:00",  # no offset
        datetime(2026, 12, 1, 9),
        "2026-12-01",  # no time of day
        date(2026, 12, 1),
        "09:00",  # pendulum would take today's date
        "now",
        "P1D",
        "2026-12-01T09:00Z/2026-12-02T09:00Z",
        "2026-02-30T09:00Z",
        "2026-12-01T09:00+24:00",  # Python has no such offset
        "2026-12-01T09:00-24",
        "0001-01-01T00:00:00+14:00",
        "12/01/2026 09:00",
        "2099-12-01/09:00",
        "20991201/T090000Z",
        "2099-12T09:00Z",
        "2099-12-01T09:00:00+03:99",
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        1_796_115_600,
        [],
    ],
)
def test_a_time_is_never_guessed(value: object) -> None:
    with pytest.raises(ValueError, match="must be a date with a time of day and an offset"):
        parse_datetime(value)


@pytest.mark.parametrize("value", ["2026-12-01 09:00", "2026-12-01T09:00:00", datetime(2026, 12, 1, 9)])
def test_a_time_without_an_offset_is_in_the_dags_timezone(value: object) -> None:
    read = apply_default_timezone(value, pendulum.timezone("Asia/Baghdad"))
    assert parse_datetime(read) == NINE_IN_BAGHDAD


@pytest.mark.parametrize("value", ["2026-12-01T06:00:00Z", NINE_IN_BAGHDAD, None, "None", "nonsense", 5])
def test_every_other_value_stays_as_it_is(value: object) -> None:
    assert apply_default_timezone(value, pendulum.timezone("Europe/Berlin")) is value


@pytest.mark.parametrize("value", ["2026-03-29 02:30", "2026-10-25 02:30"])
def test_an_hour_that_the_clocks_skip_or_repeat_needs_an_offset(value: str) -> None:
    unchanged = apply_default_timezone(value, pendulum.timezone("Europe/Berlin"))
    with pytest.raises(ValueError, match="has no offset"):
        parse_datetime(unchanged)


def test_a_time_is_shown_in_utc_and_in_the_dags_timezone() -> None:
    baghdad = pendulum.timezone("Asia/Baghdad")
    assert describe("2026-12-01 06:00Z", baghdad) == "2026-12-01T06:00:00Z (2026-12-01 09:00:00 in Asia/Baghdad)"
    assert describe("9999-12-31T23:30:00Z", baghdad) == "9999-12-31T23:30:00Z"


class Odd(tzinfo):
    """A zone that calls itself UTC and is not."""

    def __init__(self, offset: timedelta | None) -> None:
        self.offset = offset

    def utcoffset(self, time: datetime | None) -> timedelta | None:
        return self.offset

    def dst(self, time: datetime | None) -> None:
        return None

    def tzname(self, time: datetime | None) -> str:
        return "UTC"

    def fromutc(self, time: datetime) -> datetime:
        return time + (self.offset or timedelta())


def test_a_datetime_means_what_python_says_it_means() -> None:
    odd = Odd(timedelta(hours=5, minutes=30, seconds=17))
    assert to_api_format(parse_datetime(datetime(2026, 12, 1, tzinfo=odd))) == "2026-11-30T18:29:43Z"
    with pytest.raises(ValueError, match="has no offset"):
        parse_datetime(datetime(2026, 12, 1, tzinfo=Odd(None)))
    with pytest.raises(ValueError, match="must be a date with"):
        parse_datetime(datetime(2027, 3, 28, 2, 30, tzinfo=ZoneInfo("Europe/Berlin")))
    second = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)
    assert to_api_format(parse_datetime(second)) == "2026-10-25T01:30:00Z"
