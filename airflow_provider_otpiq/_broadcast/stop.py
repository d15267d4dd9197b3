"""
Stop a broadcast: make its campaigns drafts again, unless they have started.

The stop is saved first, so no start schedules anything any more. A request that a start has sent just before may still
take effect. So the campaigns are made drafts twice: immediately, and once no such request can be in flight.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._broadcast.campaigns import Campaigns, has_started, wait_for_requests_in_flight
from airflow_provider_otpiq._broadcast.process import MAX_LISTED, process_parts
from airflow_provider_otpiq._broadcast.result import BroadcastResult, add_up, campaign_name, open_broadcast
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._ledger.records import Campaign, Stop, Stopped
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import (
    OtpiqConflictError,
    OtpiqNotFoundError,
    OtpiqRequestError,
    OtpiqSupersededError,
    OtpiqValidationError,
)

if TYPE_CHECKING:
    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StopBroadcast
    from airflow_provider_otpiq._ledger.ledger import Ledger
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StopResult(BroadcastResult):
    """The result of a stop, with the campaigns that had started."""

    too_late: tuple[str, ...] = ()
    """One line for each campaign that had started."""

    def report_too_late(self, *, fail: bool) -> None:
        """
        Log the campaigns that had started.

        :raises OtpiqConflictError: instead, if the task must fail.
        """
        if not self.too_late:
            return
        problem = (
            f"Campaigns that had started before they were stopped: {len(self.too_late)} of {len(self.campaigns)}, with"
            f" {self.totals['recipients_too_late']:,} recipients (the others are drafts):"
            f"{bullet_list(self.too_late[:MAX_LISTED])}"
        )
        if (more := len(self.too_late) - MAX_LISTED) > 0:
            problem += f"\n  - and {more} more"
        if fail:
            remedy = (
                "Their recipients get the message, and clearing the task does not change that. Check these campaigns in"
                " OTPIQ's dashboard: no later start sends them. Then mark this task as success."
            )
            raise OtpiqConflictError(f"{problem}\n{remedy}", remedy=remedy)
        log.warning("%s", problem)


def stop_broadcast(hook: OtpiqHook, request: StopBroadcast, *, run_id: str | None = None) -> StopResult:
    """
    Make the campaigns of the shard drafts again.

    :param run_id: the DAG and its run that stops it, for the ledger.
    :raises OtpiqValidationError: if the broadcast was never started, or the ledger has lost its start.
    :raises OtpiqSupersededError: if another stop has finished meanwhile, and the broadcast was started again.
    :raises OtpiqRequestError: if OTPIQ refuses some of them; the text lists those.
    :raises OtpiqConfigurationError: if the connection is of another project, which does not know the campaigns.
    :raises OtpiqApiError: if a request fails that may be retried: the next try continues.
    """
    ledger, audience = open_broadcast(request.broadcast)
    has_schedules = ledger.has_schedules()  # first: a start begins before it saves a schedule
    rounds = ledger.rounds()
    if not rounds and has_schedules:
        error = f"{ledger}: start.json is missing, although campaigns are scheduled"
        raise OtpiqValidationError(
            f"This task stopped nothing: {error}. Restore it, and clear the task.", errors=[error]
        )
    if not rounds:
        error = f"broadcast: {ledger} was not started"
        raise OtpiqValidationError(
            f"This task stopped nothing: {error}. Its campaigns are drafts and send nothing: do not run the task that"
            " starts it.",
            errors=[error],
        )
    number = rounds[-1].number
    ledger.claim_stop(Stop(run_id=run_id), number)
    stop = _Stop(hook, ledger, number, audience.manifest.parts, request)
    stop.run()
    return stop.result()


class _Stop:
    def __init__(
        self, hook: OtpiqHook, ledger: Ledger, number: int, all_parts: list[Part], request: StopBroadcast
    ) -> None:
        self._hook, self._ledger, self._number, self._all_parts = hook, ledger, number, all_parts
        parts = request.parts_of_shard(all_parts)
        # Read after the stop was saved: a start saves a schedule before it checks for a stop.
        history = read_history(ledger, parts)
        self._parts = [part for part in parts if part.name not in history.sent_before]
        self._start = history.rounds[number - 1].start
        self._schedules = history.schedules
        # A campaign that was scheduled is stopped even if the ledger has lost its record.
        scheduled = {name: Campaign(campaign_id=campaign_id) for name, campaign_id in history.senders.items()}
        self._campaigns = scheduled | history.with_senders(ledger.read(Campaign, parts))
        self._stopped = ledger.read(Stopped, parts, number)
        self._is_in_project: bool | None = None
        self._changes = Campaigns(hook, ledger.broadcast, self._require_not_started_again)

    def run(self) -> None:
        if missing := self._missing():
            self._changes.compare_project(self._hook.get_project_info()["projectName"])
            with suppress(OtpiqRequestError):  # it lists what OTPIQ refuses; the others must still be checked below
                process_parts(missing, self._make_draft, "Tried to stop")
        if missing := self._missing():
            wait_for_requests_in_flight(self._hook, "a request of a start may still take effect")
            process_parts(missing, self._make_draft_finally, "Checked")

    def _missing(self) -> list[Part]:
        return [part for part in self._parts if part.name not in self._stopped]

    def _require_not_started_again(self) -> None:
        if self._ledger.is_started_again(self._number):
            raise OtpiqSupersededError(
                f"Broadcast {self._ledger} was started again after another task had finished this stop. This task"
                " changes nothing more. To stop the broadcast again, clear the task."
            )

    def _make_draft_finally(self, part: Part) -> None:
        if self._make_draft(part):
            self._save(part, too_late=False)

    def _make_draft(self, part: Part) -> bool:
        """Make a campaign a draft again; if it has started, save that and return False."""
        if part.name not in self._campaigns:
            missing = f"{self._ledger}: the campaign of part {part.name} is missing"
            raise OtpiqValidationError(f"{missing}. Restore the ledger.", errors=[missing])
        campaign_id = self._campaigns[part.name].campaign_id
        try:
            campaign = self._changes.update(campaign_id=campaign_id, schedule_type="now")
        except OtpiqConflictError as error:
            if not has_started(error):
                raise
            self._is_in_project = True
            self._save(part, too_late=True)
            return False
        except OtpiqNotFoundError:
            self._require_another_campaign(part)
            log.warning("Campaign %s does not exist any more, so it sends nothing.", campaign_id)
            return True
        self._is_in_project = True
        if campaign.get("scheduledFor"):
            time = sanitize(str(campaign["scheduledFor"]))
            error_text = f"campaign {campaign_id} is still scheduled for {time} (assumption null-clears-time)"
            raise OtpiqValidationError(f"{error_text}. Make it a draft in OTPIQ's dashboard.", errors=[error_text])
        return True

    def _require_another_campaign(self, deleted: Part) -> None:
        """Check that a campaign was deleted: the connection may belong to another project of the same name."""
        if self._is_in_project is None:
            campaigns = self._ledger.read(Campaign, [part for part in self._all_parts if part != deleted])
            self._is_in_project = any(self._exists(part, campaigns) for part in self._all_parts)
        if not self._is_in_project:
            error = f"OTPIQ finds no campaign of this broadcast over connection {self._hook.otpiq_conn_id!r}"
            raise OtpiqValidationError(
                f"{error}. Set the connection of the project that has them. If all were deleted, they send nothing:"
                " mark this task as success.",
                errors=[error],
            )

    def _exists(self, part: Part, campaigns: dict[str, Campaign]) -> bool:
        """Set the name that a campaign has, to see whether the connection's project has it."""
        if part.name not in campaigns:
            return False
        name = campaign_name(self._ledger.broadcast.request["name"], part, len(self._all_parts))
        try:
            self._changes.update(campaign_id=campaigns[part.name].campaign_id, name=name)
        except OtpiqNotFoundError:
            return False
        except OtpiqConflictError as error:
            if not has_started(error):
                raise
        return True

    def _save(self, part: Part, *, too_late: bool) -> None:
        """Save the outcome; if another task was earlier, its outcome counts."""
        schedule, now = self._schedules.get(part.name), pendulum.now("UTC")
        times = (schedule.scheduled_for, schedule.first_scheduled_for) if schedule else (self._start.scheduled_for,) * 2
        if too_late:  # somebody may have started it in OTPIQ's dashboard, before its time
            times = (min(times[0], now), min(times[1], now))
        stopped = Stopped(
            campaign_id=self._campaigns[part.name].campaign_id,
            scheduled_for=times[0],
            first_scheduled_for=times[1],
            confirmed=too_late,
            too_late=too_late,
        )
        self._stopped[part.name] = self._ledger.claim(part, stopped, self._number)

    def result(self) -> StopResult:
        late = [part for part in self._parts if self._stopped[part.name].too_late]
        stopped = [part for part in self._parts if part not in late]
        totals: dict[str, Any] = {
            "stopped": len(stopped),
            "too_late": len(late),
            "recipients_stopped": add_up(stopped, self._campaigns)["recipients"],
            "recipients_too_late": add_up(late, self._campaigns)["recipients"],
        }
        campaigns = {part.name: self._campaigns[part.name] for part in self._parts}
        return StopResult(self._ledger, campaigns, totals, too_late=tuple(map(self._describe, late)))

    def _describe(self, part: Part) -> str:
        recipients = add_up([part], self._campaigns)["recipients"]
        return f"part {part.name}: campaign {self._campaigns[part.name].campaign_id}, recipients: {recipients:,}"
