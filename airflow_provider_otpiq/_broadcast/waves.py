"""The waves of a start: whole campaigns in the order of their parts, each wave some time after the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum

from airflow_provider_otpiq._broadcast.checks import refusal
from airflow_provider_otpiq._broadcast.schedule import MARGIN, lead, time_to_request
from airflow_provider_otpiq._ledger.records import Start
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._connection.guard_rails import GuardRails


def plan_start(request: StartBroadcast, broadcast_id: str, run_id: str | None) -> Start:
    """
    Plan a start that has not begun.

    Waves count from the time that is still possible: otherwise, waves whose times have passed would start together.

    :raises OtpiqValidationError: if it is too late.
    """
    wanted = request.scheduled_for or lead(request)
    possible = time_to_request(request, wanted, wanted, has_begun=False)
    return Start(
        request=broadcast_id,
        requested=request.scheduled_for,
        scheduled_for=possible if request.wave_size else wanted,
        wave_size=request.wave_size,
        wave_interval=request.wave_interval,
        run_id=run_id,
    )


def require_time_to_wait(start: Start, seconds: float) -> None:
    """
    Check that a start is still in time after it has waited for the requests of a stop.

    :raises OtpiqValidationError: if it is not.
    """
    earliest = pendulum.now("UTC").add(seconds=int(seconds) + MARGIN.seconds).start_of("second")
    if start.scheduled_for <= earliest:
        raise refusal(
            f"scheduled_for: must be after {to_api_format(earliest)}, because a start after a stop first waits"
            f" {seconds:.0f} s; found {to_api_format(start.scheduled_for)}",
            "Set a later scheduled_for, or a longer lead_time.",
        )


def require_possible_times(
    guard_rails: GuardRails, request: StartBroadcast, parts: Sequence[Part], start: Start
) -> None:
    """
    Check the time of each wave, so that none is refused after others were scheduled.

    :raises OtpiqValidationError: if one is in the connection's quiet hours, or it is too late.
    """
    times = sorted(set(start_times(parts, start).values()))
    errors: list[str] = []
    for index, wave in enumerate(times, start=1):
        time = time_to_request(request, wave, wave, has_begun=False)
        subject = "scheduled_for" if len(times) == 1 else f"scheduled_for, wave {index} of {len(times)}"
        try:
            guard_rails.check_time(time, subject)
        except OtpiqValidationError as error:
            if len(times) == 1:
                raise
            errors += error.errors
    if errors:
        raise OtpiqValidationError(
            f"This task scheduled nothing:{bullet_list(errors)}\nSet another scheduled_for, wave_size or"
            " wave_interval.",
            errors=errors,
        )


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
        raise refusal(error, "Set a shorter wave_interval.") from None


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
