"""Points in time: parsed without guessing, sent in UTC, and shown so that a wrong timezone is visible."""

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
    Return a datetime, or an ISO 8601 string with ``T`` or a space, in UTC.

    :raises ValueError: if it cannot be parsed, or has no offset and could mean several times.
    """
    read = _read(value)
    if read.tzinfo is None:
        raise ValueError(
            f"{_RULE}; found {safe_repr(value)}, which has no offset (operators use the DAG's timezone, unless a clock"
            " change makes that hour ambiguous)"
        )
    try:
        return read.in_timezone("UTC")
    except OverflowError:
        raise ValueError(f"{_RULE}; found {safe_repr(value)}, which is out of range in UTC") from None


def apply_default_timezone(value: object, timezone: Timezone | FixedTimezone) -> object:
    """
    Return a naive time in a timezone, such as the DAG's.

    Any other value, and a time that does not exist exactly once in this timezone, is returned unchanged.
    """
    try:
        read = _read(value)
        return value if read.tzinfo else timezone.convert(read, raise_on_unknown_times=True)
    except (ValueError, OverflowError, NonExistingTime, AmbiguousTime):
        return value


def require_future(time: DateTime) -> DateTime:
    """
    Return a time that is in the future.

    :raises ValueError: if it is not; the text contains the difference.
    """
    now = pendulum.now("UTC")
    if time > now:
        return time
    ago = now.diff(time).in_words(locale="en")
    raise ValueError(f"must be in the future; found {to_api_format(time)}, {ago} ago")


def to_api_format(time: DateTime) -> str:
    """Return a time in the API's format: in UTC, such as ``2026-12-01T06:00:00Z``."""
    return time.in_timezone("UTC").to_iso8601_string()


def describe(value: object, timezone: Timezone | FixedTimezone) -> str:
    """
    Return a time for people: ``2026-12-01T06:00:00Z (2026-12-01 09:00:00 in Asia/Baghdad)``.

    :raises ValueError: if the value cannot be parsed.
    """
    utc = parse_datetime(value)
    with suppress(OverflowError):  # in the last hours of the year 9999
        return f"{to_api_format(utc)} ({utc.in_timezone(timezone).to_datetime_string()} in {timezone.name})"
    return to_api_format(utc)


def _read(value: object) -> DateTime:
    """Parse a time; the result has an offset only if the value has one."""
    with suppress(ValueError, OverflowError):  # an invalid day, or out of range in UTC
        if isinstance(value, datetime):
            return _of_datetime(value)
        if isinstance(value, str) and _ISO_8601.fullmatch(text := value.strip().upper()):
            return cast("DateTime", pendulum.parse(text, tz=None))
    raise ValueError(f"{_RULE}; found {safe_repr(value)}")


def _of_datetime(value: datetime) -> DateTime:
    if value.utcoffset() is None:
        return pendulum.instance(value.replace(tzinfo=None), tz=None)
    # By Python's offset: pendulum would look the zone up again, and could use another one's rules.
    utc = value.astimezone(UTC)
    if utc.astimezone(value.tzinfo).replace(tzinfo=None) != value.replace(tzinfo=None):
        raise ValueError("this time does not exist in its timezone")
    return pendulum.instance(utc)
