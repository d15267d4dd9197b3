"""
Compute when the campaigns of a broadcast start.

In waves, whole campaigns start in the order of their parts, each wave ``wave_interval`` after the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum

from airflow_provider_otpiq._ledger.records import Start
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import bullet_list, refusal
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._connection.guard_rails import GuardRails

_MARGIN = pendulum.duration(seconds=60)
"""A time that is nearer than this may have passed when OTPIQ reads it."""
_KEEPS_ITS_TIME = "A start that has begun keeps its time."
_RESTART = "To send it anyway, stop the broadcast, and start it at another scheduled_for."
"""The advice for waves: a larger ``max_delay`` would merge them."""


def has_passed(time: DateTime) -> bool:
    """Return whether a time has passed, or may have when OTPIQ reads it."""
    return time <= pendulum.now("UTC") + _MARGIN


def can_be_later(request: StartBroadcast, time: DateTime) -> bool:
    """Return whether the lead time from now is clearly later than a time."""
    return _earliest(request) >= time + _MARGIN


def plan_start(
    request: StartBroadcast, guard_rails: GuardRails, parts: Sequence[Part], seconds_to_wait: float
) -> Start:
    """
    Plan a start that has not begun, without the ids of its request and its run.

    Waves count from the time that is still possible: otherwise, waves whose times have passed would start together.

    :param parts: the parts that it schedules.
    :param seconds_to_wait: how long it waits first for the requests of a stop; 0 if there was none.
    :raises OtpiqValidationError: if it is too late, or a wave is in the connection's quiet hours.
    """
    wanted = request.scheduled_for or _earliest(request)
    possible = _time_or_later(request, wanted, wanted, has_begun=False)
    start = Start(
        requested=request.scheduled_for,
        scheduled_for=possible if request.wave_size else wanted,
        wave_size=request.wave_size,
        wave_interval=request.wave_interval,
    )
    if seconds_to_wait:
        _require_time_to_wait(start, seconds_to_wait)
    _require_possible_times(guard_rails, request, parts, start)
    return start


def start_times(parts: Sequence[Part], start: Start) -> dict[str, DateTime]:
    """Return when each part starts, by its name; refuse a wave after the year 9999."""
    times: dict[str, DateTime] = {}
    time, recipients = start.scheduled_for, 0
    for part in parts:
        recipients += part.recipients
        if start.wave_size and start.wave_interval and recipients > start.wave_size:
            time, recipients = _add(time, start.wave_interval), part.recipients
        times[part.name] = time
    return times


def allowed_time(request: StartBroadcast, guard_rails: GuardRails, wanted: DateTime, time: DateTime) -> DateTime:
    """
    Return the time of a campaign whose start has begun, or a later one if it has passed.

    :param wanted: when the campaign was to start.
    :param time: when it starts as far as is known; later than ``wanted`` if that has passed.
    :raises OtpiqValidationError: if it is too late, or the time is in the connection's quiet hours.
    """
    time = _time_or_later(request, wanted, time, has_begun=True)
    try:
        guard_rails.check_time(time, "scheduled_for")
    except OtpiqValidationError as error:
        remedy = (
            _RESTART
            if request.wave_size
            else "After the quiet hours, set max_delay to more than lead_time plus the time since"
            f" {to_api_format(wanted)}, and clear the task."
        )
        raise OtpiqValidationError(
            f"Not scheduled: {error.errors[0]}. {_KEEPS_ITS_TIME} {remedy}", errors=error.errors
        ) from None
    return time


def _earliest(request: StartBroadcast) -> DateTime:
    """Return the lead time from now."""
    return (pendulum.now("UTC") + request.lead_time).start_of("second")


def _time_or_later(request: StartBroadcast, wanted: DateTime, time: DateTime, *, has_begun: bool) -> DateTime:
    if not has_passed(time):
        return time
    later = _earliest(request)
    delay = later - wanted
    if delay <= request.max_delay:
        return later
    late = delay.in_words()
    most = pendulum.duration(seconds=request.max_delay.total_seconds()).in_words()
    error = (
        f"scheduled_for: is too late; the earliest possible time, {to_api_format(later)}, is {late} after"
        f" {to_api_format(wanted)}; expected at most max_delay ({most})"
    )
    remedy = _KEEPS_ITS_TIME if has_begun else "Set a later scheduled_for."
    if not request.wave_size:
        remedy += (
            f" To send it anyway, set max_delay to more than {late} plus the time until the next try schedules it, and"
            " clear the task."
        )
    elif has_begun:
        remedy += f" {_RESTART}"
    raise OtpiqValidationError(f"Not scheduled: {error}. {remedy}", errors=[error])


def _require_time_to_wait(start: Start, seconds: float) -> None:
    earliest = pendulum.now("UTC").add(seconds=int(seconds) + _MARGIN.seconds).start_of("second")
    if start.scheduled_for <= earliest:
        raise refusal(
            f"scheduled_for: must be after {to_api_format(earliest)}, because a start after a stop first waits"
            f" {seconds:.0f} s; found {to_api_format(start.scheduled_for)}",
            "Set a later scheduled_for, or a longer lead_time.",
            "scheduled nothing",
        )


def _require_possible_times(
    guard_rails: GuardRails, request: StartBroadcast, parts: Sequence[Part], start: Start
) -> None:
    """Check the time of each wave, so that none is refused after others were scheduled."""
    times = sorted(set(start_times(parts, start).values()))
    errors: list[str] = []
    for index, wave in enumerate(times, start=1):
        time = _time_or_later(request, wave, wave, has_begun=False)
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


def _add(time: DateTime, interval: timedelta) -> DateTime:
    try:
        return time + interval
    except OverflowError:
        raise refusal(
            f"wave_interval: is too long; a wave after {to_api_format(time)} would start after the year 9999",
            "Set a shorter wave_interval.",
            "scheduled nothing",
        ) from None
