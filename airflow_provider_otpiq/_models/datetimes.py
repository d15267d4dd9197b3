"""Points in time: read without guessing, sent as UTC, shown so that a person sees a wrong timezone immediately."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, cast

import pendulum
from pendulum.tz.exceptions import AmbiguousTime, NonExistingTime

from airflow_provider_otpiq._redaction import safe_repr

if TYPE_CHECKING:
    from pendulum import DateTime, FixedTimezone, Timezone

_ISO_8601 = re.compile(
    r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d(?::?\d\d(?:[.,]\d+)?)?(?:Z|[+-](?:[01]\d|2[0-3])(?::?[0-5]\d)?)?",
    re.ASCII,
)
_RULE = "must be a date with a time of day and an offset, such as 2026-12-01T09:00:00+03:00"


def parse_datetime(value: object) -> DateTime:
    """
    Read a datetime, or an ISO 8601 string with ``T`` or a space, and return the same time in UTC.

    :raises ValueError: if it cannot be read, or has no offset and so could mean several times.
    """
    read = _read(value)
    if read.tzinfo is None:
        raise ValueError(
            f"{_RULE}; found {safe_repr(value)}, which has no offset (an operator takes the DAG's timezone, unless the"
            " clocks change over that very hour)"
        )
    try:
        return read.in_timezone("UTC")
    except OverflowError:
        raise ValueError(f"{_RULE}; found {safe_repr(value)}, which no calendar reaches in UTC") from None


def apply_default_timezone(value: object, timezone: Timezone | FixedTimezone) -> object:
    """
    Give a naive time the timezone that it was meant in, such as the DAG's.

    Every other value, and a time that this timezone does not have exactly once, is returned as it is.
    """
    try:
        read = _read(value)
        return value if read.tzinfo else timezone.convert(read, raise_on_unknown_times=True)
    except (ValueError, OverflowError, NonExistingTime, AmbiguousTime):
        return value


def require_future(time: DateTime) -> None:
    """
    Make sure that a time is still to come.

    :raises ValueError: if it has passed; the text says by how much.
    """
    now = pendulum.now("UTC")
    if time <= now:
        ago = now.diff(time).in_words(locale="en")
        raise ValueError(f"must be in the future; found {to_api_format(time)}, {ago} ago")


def to_api_format(time: DateTime) -> str:
    """Write a time as it is sent to OTPIQ: in UTC, such as ``2026-12-01T06:00:00Z``."""
    return time.in_timezone("UTC").to_iso8601_string()


def describe(value: object, timezone: Timezone | FixedTimezone) -> str:
    """
    Write a time for people: ``2026-12-01T06:00:00Z (2026-12-01 09:00:00 in Asia/Baghdad)``.

    :raises ValueError: if the value cannot be read.
    """
    utc = parse_datetime(value)
    with suppress(OverflowError):  # in the last hours of the year 9999
        return f"{to_api_format(utc)} ({utc.in_timezone(timezone).to_datetime_string()} in {timezone.name})"
    return to_api_format(utc)


def _read(value: object) -> DateTime:
    """Read a time; the result has an offset only if the value has one."""
    with suppress(ValueError, OverflowError):  # no such day, or one that no calendar reaches in UTC
        if isinstance(value, datetime):
            return _of_datetime(value)
        if isinstance(value, str) and _ISO_8601.fullmatch(text := value.strip().upper()):
            return cast("DateTime", pendulum.parse(text, tz=None))
    raise ValueError(f"{_RULE}; found {safe_repr(value)}")


def _of_datetime(value: datetime) -> DateTime:
    if value.utcoffset() is None:
        return pendulum.instance(value.replace(tzinfo=None), tz=None)
    # By the offset that Python sees: pendulum would look the zone up again, and take another one's rules for it.
    utc = value.astimezone(UTC)
    if utc.astimezone(value.tzinfo).replace(tzinfo=None) != value.replace(tzinfo=None):
        raise ValueError("the clocks of that zone never show this time")
    return pendulum.instance(utc)
