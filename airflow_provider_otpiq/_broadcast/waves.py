"""The waves of a start: whole campaigns in the order of their parts, each wave some time after the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._ledger.records import Start


def start_times(parts: Sequence[Part], start: Start) -> dict[str, DateTime]:
    """
    Return when each part starts, by its name.

    :raises OtpiqValidationError: if a wave would start after the year 9999.
    """
    times: dict[str, DateTime] = {}
    time, recipients = start.scheduled_for, 0
    for part in parts:
        recipients += part.recipients
        if start.wave_size and start.wave_interval and recipients > start.wave_size:
            time, recipients = _add(time, start.wave_interval), part.recipients
        times[part.name] = time
    return times


def _add(time: DateTime, interval: timedelta) -> DateTime:
    try:
        return time + interval
    except OverflowError:
        error = f"wave_interval: is too long; a wave after {to_api_format(time)} would start after the year 9999"
        raise OtpiqValidationError(
            f"This task scheduled nothing: {error}. Set a shorter wave_interval.", errors=[error]
        ) from None


def require_room_for_each_part(parts: Sequence[Part], wave_size: int | None) -> None:
    """
    Check that a wave can hold each campaign, because a campaign starts as a whole.

    :raises OtpiqValidationError: if it cannot.
    """
    largest = max(part.recipients for part in parts)
    if wave_size is not None and wave_size < largest:
        error = f"wave_size: must be at least {largest:,}, the recipients of the largest campaign; found {wave_size:,}"
        raise OtpiqValidationError(
            f"This task scheduled nothing: {error}. A campaign starts as a whole: set a larger wave_size.",
            errors=[error],
        )
