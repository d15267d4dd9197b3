"""Schedule the campaign of one part, whatever an earlier try or another process has done."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._broadcast.campaigns import has_started
from airflow_provider_otpiq._broadcast.times import allowed_time, can_be_later, has_passed
from airflow_provider_otpiq._ledger.records import Schedule
from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq.exceptions import OtpiqConflictError, OtpiqRequestError, OtpiqValidationError
from airflow_provider_otpiq.hooks._doubts import doubt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.campaigns import Campaigns
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._connection.guard_rails import GuardRails
    from airflow_provider_otpiq._ledger.ledger import Ledger

log = logging.getLogger(__name__)

_TIME_ERROR = re.compile(r"future|past", re.IGNORECASE)


@dataclass(frozen=True)
class PartScheduler:
    """Schedules the campaigns of a start that has begun."""

    campaigns: Campaigns
    guard_rails: GuardRails
    request: StartBroadcast
    ledger: Ledger
    number: int
    """The number of the start."""
    times: Mapping[str, DateTime]
    """When each part starts, by its name."""

    def schedule(self, part: Part, campaign_id: str, saved: Schedule | None) -> Schedule:
        """
        Schedule a part, and return its confirmed schedule.

        :param campaign_id: the campaign that holds it.
        :param saved: its schedule; None if it has none.
        """
        schedule = self._request(part, saved or self._claim(part, campaign_id))
        return self._save(part, schedule, confirmed=True)

    def _claim(self, part: Part, campaign_id: str) -> Schedule:
        """Decide which campaign sends a part, or return the decision of another process."""
        time = self._allowed_time(part, self.times[part.name])
        schedule = Schedule(campaign_id=campaign_id, scheduled_for=time, first_scheduled_for=time)
        return self.ledger.claim(part, schedule, self.number)

    def _save(self, part: Part, schedule: Schedule, **changes: Any) -> Schedule:
        changed = schedule.model_copy(update=changes)
        if changed != schedule:
            self.ledger.save(part, changed, self.number)
        return changed

    def _request(self, part: Part, schedule: Schedule) -> Schedule:
        """Request the time; if it passes before the request arrives, request a later one."""
        before = schedule.scheduled_for
        while time := self._time_unless_started(part, schedule, before):
            schedule = self._save(part, schedule, scheduled_for=time)
            try:
                campaign = self._update_unless_started(part, schedule, schedule_type="schedule", scheduled_for=time)
            except OtpiqRequestError as error:
                is_about_time = has_passed(time) or _TIME_ERROR.search(error.server_message or "")
                if not is_about_time or not can_be_later(self.request, time):
                    if schedule.first_scheduled_for < pendulum.now("UTC"):
                        doubt(error, "state-refusal")  # the campaign may have started
                    raise
                before = pendulum.now("UTC")
            else:
                if campaign is not None:
                    self.campaigns.require_size(campaign, part)
                break
        return schedule

    def _allowed_time(self, part: Part, time: DateTime) -> DateTime:
        return allowed_time(self.request, self.guard_rails, self.times[part.name], time)

    def _time_unless_started(self, part: Part, schedule: Schedule, before: DateTime) -> DateTime | None:
        try:
            return self._allowed_time(part, before)
        except OtpiqValidationError:
            # An earlier request may have arrived, and the campaign may have started.
            if self._has_started(part, schedule):
                return None
            raise

    def _has_started(self, part: Part, schedule: Schedule) -> bool:
        campaign = self._update_unless_started(part, schedule, **self.campaigns.no_change(part))
        if campaign and campaign.get("scheduledFor"):
            log.warning(
                "An earlier try has scheduled campaign %s for %s, and it still starts then. If it must not,"
                " stop the broadcast with a StopBroadcastOperator.",
                schedule.campaign_id,
                sanitize(str(campaign["scheduledFor"])),
            )
        return campaign is None

    def _update_unless_started(self, part: Part, schedule: Schedule, **changes: Any) -> dict[str, Any] | None:
        """Change a campaign and return it; None if OTPIQ refuses because it has started at its time."""
        try:
            return self.campaigns.update(schedule.campaign_id, **changes)
        except OtpiqConflictError as error:
            if not has_started(error) or schedule.first_scheduled_for > pendulum.now("UTC"):
                raise  # so somebody else has started or ended it, or OTPIQ means something else
            log.warning(
                "Campaign %s has started (OTPIQ responds %r), but no response with its number of recipients has"
                " arrived. Check in OTPIQ's dashboard that it has the part's %s.",
                schedule.campaign_id,
                error.server_message,
                describe_count(part.recipients, "recipient"),
            )
            return None
