"""
Stop a broadcast: make its campaigns drafts again, unless they have started.

The stop is saved first, so no start schedules anything any more. A request that a start has sent just before may still
take effect. So the campaigns are made drafts twice: immediately, and once no such request can be in flight.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pendulum

from airflow_provider_otpiq._broadcast.campaigns import Campaigns, has_started, wait_for_requests_in_flight
from airflow_provider_otpiq._broadcast.process import MAX_LISTED, process_parts
from airflow_provider_otpiq._broadcast.result import BroadcastResult, count_recipients, open_broadcast
from airflow_provider_otpiq._ledger.history import read_campaigns, read_history
from airflow_provider_otpiq._ledger.records import Stop, Stopped
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list, refusal
from airflow_provider_otpiq.exceptions import (
    OtpiqConflictError,
    OtpiqNotFoundError,
    OtpiqRequestError,
    OtpiqSupersededError,
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

    too_late: list[str]
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
    Make the campaigns of the shard drafts again. The errors are those of the operator.

    :param run_id: the DAG and its run that stops it, for the ledger.
    """
    ledger, audience = open_broadcast(request.broadcast)
    if not ledger.has_begun():
        raise refusal(
            f"broadcast: {ledger} was not started",
            "Its campaigns are drafts and send nothing: do not run the task that starts it.",
            "stopped nothing",
        )
    number = len(ledger.rounds())
    ledger.claim_stop(Stop(run_id=run_id), number)
    return _Stop(hook, ledger, number, audience.manifest.parts, request).run()


class _Stop:
    def __init__(self, hook: OtpiqHook, ledger: Ledger, number: int, parts: list[Part], request: StopBroadcast) -> None:
        self._hook, self._ledger, self._number = hook, ledger, number
        own = request.parts_of_shard(parts)
        # Read after the stop was saved: a start saves a schedule before it checks for a stop.
        history = read_history(ledger, own, last=number)
        self._start = history.rounds[-1].start
        self._schedules, self._stopped = history.schedules, history.stopped
        self._campaigns = read_campaigns(ledger, own, history)
        sent_before = history.too_late - self._stopped.keys()
        self._parts = [part for part in own if part.name not in sent_before]
        self._otpiq = Campaigns(hook, ledger, parts, self._require_not_started_again)

    def run(self) -> StopResult:
        if missing := self._missing():
            self._otpiq.compare_project()
            with suppress(OtpiqRequestError):  # it lists what OTPIQ refuses; the others must still be checked below
                process_parts(missing, self._make_draft, "Tried to stop")
        if missing := self._missing():
            wait_for_requests_in_flight(self._hook, "a request of a start may still take effect")
            process_parts(missing, self._make_draft_finally, "Checked")
        return self._result()

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
            raise refusal(f"{self._ledger}: the campaign of part {part.name} is missing", "Restore the ledger.")
        campaign_id = self._campaigns[part.name].campaign_id
        try:
            campaign = self._otpiq.update(campaign_id, schedule_type="now")
        except OtpiqConflictError as error:
            if not has_started(error):
                raise
            self._save(part, too_late=True)
            return False
        except OtpiqNotFoundError:
            log.warning("Campaign %s does not exist any more, so it sends nothing.", campaign_id)
            return True
        if campaign.get("scheduledFor"):
            time = sanitize(str(campaign["scheduledFor"]))
            raise refusal(
                f"campaign {campaign_id} is still scheduled for {time} (assumption null-clears-time)",
                "Make it a draft in OTPIQ's dashboard.",
            )
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

    def _result(self) -> StopResult:
        late = [part for part in self._parts if self._stopped[part.name].too_late]
        stopped = [part for part in self._parts if not self._stopped[part.name].too_late]
        totals = {
            "stopped": len(stopped),
            "too_late": len(late),
            "recipients_stopped": count_recipients(stopped, self._campaigns),
            "recipients_too_late": count_recipients(late, self._campaigns),
        }
        campaigns = [self._campaigns[part.name] for part in self._parts]
        return StopResult(self._ledger, campaigns, totals, [self._describe(part) for part in late])

    def _describe(self, part: Part) -> str:
        recipients = count_recipients([part], self._campaigns)
        return f"part {part.name}: campaign {self._campaigns[part.name].campaign_id}, recipients: {recipients:,}"
