"""Schedule the campaign of one part, whatever an earlier try or another process has done."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._broadcast.campaigns import has_started
from airflow_provider_otpiq._broadcast.part_size import require_part_size
from airflow_provider_otpiq._broadcast.result import campaign_name
from airflow_provider_otpiq._ledger.records import Schedule
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq.exceptions import OtpiqConflictError, OtpiqRequestError, OtpiqValidationError
from airflow_provider_otpiq.hooks._doubts import doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._connection.guard_rails import GuardRails
    from airflow_provider_otpiq._ledger.ledger import Ledger

log = logging.getLogger(__name__)

MARGIN = pendulum.duration(seconds=60)
"""A time that is nearer than this may have passed when OTPIQ reads it."""
_KEEPS_ITS_TIME = "A start that has begun keeps its time."
_RESTART = "To send it anyway, stop the broadcast, and start it at another scheduled_for."
"""The advice for waves: a larger ``max_delay`` would merge them."""

_TIME_ERROR = re.compile(r"future|past", re.IGNORECASE)


def lead(request: StartBroadcast) -> DateTime:
    """Return the lead time from now."""
    return (pendulum.now("UTC") + request.lead_time).start_of("second")


def time_to_request(request: StartBroadcast, wanted: DateTime, time: DateTime, *, has_begun: bool = True) -> DateTime:
    """
    Return the time, or a later one if it has passed or is too near.

    :param wanted: the time as it was decided.
    :param has_begun: whether the start has begun, so that only a stop can change its time.
    :raises OtpiqValidationError: if that is too late.
    """
    if time > pendulum.now("UTC") + MARGIN:
        return time
    later = lead(request)
    delay = later - wanted
    if delay <= request.max_delay:
        return later
    late = delay.in_words()
    most = pendulum.duration(seconds=request.max_delay.total_seconds()).in_words()
    error = (
        f"it is too late: the earliest possible time, {to_api_format(later)}, is {late} after"
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


@dataclass(frozen=True)
class PartScheduler:
    """Schedules the campaigns of a start that has begun."""

    update: Callable[..., dict[str, Any]]
    """Changes a campaign, unless the start was stopped."""
    guard_rails: GuardRails
    request: StartBroadcast
    ledger: Ledger
    number: int
    """The number of the start."""
    times: Mapping[str, DateTime]
    """When each part starts, by its name."""
    parts: int
    """The number of the audience's parts."""

    def schedule(self, part: Part, campaign_id: str, saved: Schedule | None) -> Schedule:
        """
        Schedule a part, and return its confirmed schedule.

        :param campaign_id: the campaign that holds it.
        :param saved: its schedule; None if it has none.
        """
        schedule = self._schedule(part, saved or self._claim(part, campaign_id))
        confirmed = schedule.model_copy(update={"confirmed": True})
        self.ledger.save(part, confirmed, self.number)
        return confirmed

    def _claim(self, part: Part, campaign_id: str) -> Schedule:
        """Decide which campaign sends a part, or return the decision of another process."""
        time = self._allowed_time(part, self.times[part.name])
        schedule = Schedule(campaign_id=campaign_id, scheduled_for=time, first_scheduled_for=time)
        return self.ledger.claim(part, schedule, self.number)

    def _schedule(self, part: Part, schedule: Schedule) -> Schedule:
        """Request the time; if it passes before the request arrives, request a later one."""
        before = schedule.scheduled_for
        while time := self._time_unless_started(part, schedule, before):
            schedule = self._save_time(part, schedule, time)
            try:
                campaign = self._update_unless_started(part, schedule, schedule_type="schedule", scheduled_for=time)
            except OtpiqRequestError as error:
                has_passed = time < pendulum.now("UTC") + MARGIN or _TIME_ERROR.search(error.server_message or "")
                if not has_passed or lead(self.request) < time + MARGIN:
                    if schedule.first_scheduled_for < pendulum.now("UTC"):
                        doubt(error, "state-refusal")  # the campaign may have started
                    raise  # OTPIQ does not refuse the time
                before = pendulum.now("UTC")
            else:
                if campaign is not None:
                    require_part_size(self.update, campaign, part)
                break
        return schedule

    def _allowed_time(self, part: Part, time: DateTime) -> DateTime:
        wanted = self.times[part.name]
        time = time_to_request(self.request, wanted, time)
        try:
            self.guard_rails.check_time(time, "scheduled_for")
        except OtpiqValidationError as error:
            remedy = (
                _RESTART
                if self.request.wave_size
                else "After the quiet hours, set max_delay to more than lead_time plus the time since"
                f" {to_api_format(wanted)}, and clear the task."
            )
            raise OtpiqValidationError(
                f"Not scheduled: {error.errors[0]}. {_KEEPS_ITS_TIME} {remedy}", errors=error.errors
            ) from None
        return time

    def _time_unless_started(self, part: Part, schedule: Schedule, before: DateTime) -> DateTime | None:
        try:
            return self._allowed_time(part, before)
        except OtpiqValidationError:
            # An earlier request may have arrived, and the campaign may have started.
            if self._has_started(part, schedule):
                return None
            raise

    def _save_time(self, part: Part, schedule: Schedule, time: DateTime) -> Schedule:
        if schedule.scheduled_for == time:
            return schedule
        changed = schedule.model_copy(update={"scheduled_for": time})
        self.ledger.save(part, changed, self.number)
        return changed

    def _has_started(self, part: Part, pending: Schedule) -> bool:
        """Set the name that the campaign has: OTPIQ refuses that once it has started."""
        name = campaign_name(self.ledger.broadcast.request["name"], part, self.parts)
        campaign = self._update_unless_started(part, pending, name=name)
        if campaign and campaign.get("scheduledFor"):
            log.warning(
                "An earlier try has scheduled campaign %s for %s, and it still starts then. If it must not,"
                " stop the broadcast with a StopBroadcastOperator.",
                pending.campaign_id,
                sanitize(str(campaign["scheduledFor"])),
            )
        return campaign is None

    def _update_unless_started(self, part: Part, pending: Schedule, **changes: Any) -> dict[str, Any] | None:
        """Change a campaign and return it; None if OTPIQ refuses because it has started at its time."""
        try:
            return self.update(campaign_id=pending.campaign_id, **changes)
        except OtpiqConflictError as error:
            if not has_started(error) or pending.first_scheduled_for > pendulum.now("UTC"):
                raise  # so somebody else has started or ended it, or OTPIQ means something else
            log.warning(
                "Campaign %s has started (OTPIQ responds %r), but no response with its number of recipients has"
                " arrived. Check in OTPIQ's dashboard that it has the part's %s.",
                pending.campaign_id,
                error.server_message,
                describe_count(part.recipients, "recipient"),
            )
            return None
