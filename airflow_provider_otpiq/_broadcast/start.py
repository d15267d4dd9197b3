"""
Start a broadcast: schedule each of its campaigns, a little ahead.

Scheduling is idempotent, so each step may be retried: after a lost response, the same campaign is scheduled again. If
it has started meanwhile, OTPIQ refuses that, and nothing is left to do.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pendulum
from pendulum import DateTime

from airflow_provider_otpiq._broadcast import checks
from airflow_provider_otpiq._broadcast.campaigns import Campaigns, wait_for_requests_in_flight
from airflow_provider_otpiq._broadcast.health import require_healthy
from airflow_provider_otpiq._broadcast.process import REFUSALS, process_parts
from airflow_provider_otpiq._broadcast.result import BroadcastResult, add_up, count_recipients, open_broadcast
from airflow_provider_otpiq._broadcast.schedule import PartScheduler
from airflow_provider_otpiq._broadcast.times import plan_start, start_times
from airflow_provider_otpiq._ledger.history import read_campaigns, read_history
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq.exceptions import OtpiqSupersededError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._ledger.records import Schedule, Start
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StartResult(BroadcastResult):
    """The result of a start."""

    scheduled_for: DateTime
    """The time at which the last campaign starts."""
    sent_by: str | None
    """The other DAG run that has sent all of the shard; None if there is none."""


def start_broadcast(hook: OtpiqHook, request: StartBroadcast, *, run_id: str | None = None) -> StartResult:
    """
    Schedule the campaigns of the shard that are not scheduled yet. The errors are those of the operator.

    :param run_id: the DAG and its run that starts it, for the log.
    """
    return _Start(hook, request, run_id).run()


class _Start:
    """One try of a start: the state that it has read, which does not change, and its steps."""

    def __init__(self, hook: OtpiqHook, request: StartBroadcast, run_id: str | None) -> None:
        self._hook = hook
        self._request = request
        self._run_id = run_id
        self._ledger, self._audience = open_broadcast(request.broadcast)
        self._parts = self._audience.manifest.parts
        self._own: list[Part] = request.parts_of_shard(self._parts)
        self._history = read_history(self._ledger, self._parts)
        self._begun, self._number = self._history.begun, self._history.number
        self._schedules = self._history.schedules
        self._campaigns = read_campaigns(self._ledger, self._parts, self._history)
        self._to_start = [part for part in self._parts if part.name not in self._history.too_late]
        self._missing = [
            part for part in self._own if part.name not in self._schedules or not self._schedules[part.name].confirmed
        ]
        self._scheduled_before = len(self._own) - len(self._missing)
        self._otpiq = Campaigns(hook, self._ledger, self._parts, self._require_not_stopped)

    def run(self) -> StartResult:
        before = f"Campaigns that were scheduled before: {self._scheduled_before} of {len(self._own)}"
        if self._scheduled_before:
            log.info("%s.", before)
        too_large = self._take_back_too_large()
        try:
            self._check()
            start = self._begun or self._begin()
        except OtpiqValidationError as error:
            if self._scheduled_before and self._begun:
                raise OtpiqValidationError(f"{error}\n{before}. They stay scheduled.", errors=error.errors) from None
            raise
        if self._missing and self._number > 1:
            wait_for_requests_in_flight(self._hook, "requests of the last stop may still take effect")
        schedules = self._schedules | self._schedule(start, too_large)
        self._report_other_shards()
        return self._result(start, schedules)

    def _require_not_stopped(self) -> None:
        if self._ledger.is_stopped(self._number):
            raise OtpiqSupersededError(
                f"Broadcast {self._ledger} was stopped. This task schedules nothing more. To start the broadcast again,"
                " run a start with another scheduled_for."
            )

    def _take_back_too_large(self) -> dict[str, OtpiqValidationError]:
        """
        Compare the sizes of campaigns that an earlier try may have scheduled, and return the errors by part.

        It may have ended before it compared them or made them drafts again, and a check may refuse this try.
        """
        errors = {}
        for part in self._missing:
            if schedule := self._schedules.get(part.name):
                with suppress(*REFUSALS):  # what OTPIQ refuses here, it refuses again below
                    campaign = self._otpiq.update(schedule.campaign_id, **self._otpiq.no_change(part))
                    try:
                        self._otpiq.require_size(campaign, part)
                    except OtpiqValidationError as error:
                        log.error("%s", error)
                        errors[part.name] = error
        return errors

    def _check(self) -> None:
        checks.require_created(self._ledger, self._parts, self._campaigns)
        if not self._begun:
            checks.require_stop_finished(self._ledger, self._history, self._parts, self._request)
        checks.require_room_for_each_part(self._parts, self._request.wave_size)
        checks.require_allowed(self._hook, self._audience, self._missing)
        if self._missing and self._request.check_health:
            require_healthy(self._hook, self._ledger.broadcast)
        if self._begun:
            checks.require_same_start(self._ledger, self._request, self._begun)
        if parts := self._missing if self._begun else self._to_start:
            self._otpiq.compare_project()
            costs = [self._campaigns[part.name].estimated_cost for part in parts]
            checks.require_credit(costs, self._otpiq.project.get("credit"))

    def _begin(self) -> Start:
        """Decide when the broadcast starts, or return the decision of another process."""
        is_again = self._number > 1
        seconds_to_wait = self._hook.settings.max_seconds_in_flight if is_again else 0
        plan = plan_start(self._request, self._hook.guard_rails, self._to_start, seconds_to_wait)
        if is_again:
            stop = self._history.rounds[-1].stop
            log.warning(
                "Run %s stopped this broadcast. This start has another scheduled_for, so it starts the stopped"
                " campaigns again.",
                (stop and stop.run_id) or "unknown",
            )
        planned = plan.model_copy(update={"request": self._ledger.broadcast.id, "run_id": self._run_id})
        start = self._ledger.claim_start(planned, self._number)
        checks.require_same_start(self._ledger, self._request, start)
        checks.require_not_replaced(self._ledger)
        return start

    def _schedule(self, start: Start, too_large: Mapping[str, OtpiqValidationError]) -> dict[str, Schedule]:
        times = start_times(self._to_start, start)
        scheduler = PartScheduler(self._otpiq, self._hook.guard_rails, self._request, self._ledger, self._number, times)

        def schedule(part: Part) -> Schedule:
            if error := too_large.get(part.name):
                raise error
            return scheduler.schedule(part, self._campaigns[part.name].campaign_id, self._schedules.get(part.name))

        return process_parts(self._missing, schedule, "Scheduled")

    def _report_other_shards(self) -> None:
        """Log how many campaigns are left: without a task for a shard, its people get nothing, though no task fails."""
        if self._request.shards == 1:
            return
        schedules = read_history(self._ledger, self._parts).schedules  # the other tasks have continued meanwhile
        left = len(self._parts) - sum(schedule.confirmed for schedule in schedules.values())
        if left:
            log.info(
                "%d of %d campaigns belong to other shards and are not scheduled yet. Each of the %d shards needs a"
                " task. After them, run a start without shards, which schedules what they left out.",
                left,
                len(self._parts),
                self._request.shards,
            )

    def _result(self, start: Start, schedules: Mapping[str, Schedule]) -> StartResult:
        own = [schedules[part.name] for part in self._own]
        scheduled_for = max((schedule.scheduled_for for schedule in own), default=start.scheduled_for)
        totals = {
            "scheduled": len(self._missing),
            "already_scheduled": self._scheduled_before,
            **add_up(self._own, self._campaigns),
            "scheduled_for": to_api_format(scheduled_for),
            "waves": self._waves(schedules),
        }
        senders = [
            self._campaigns[part.name].model_copy(update={"campaign_id": schedules[part.name].campaign_id})
            for part in self._own
        ]
        is_sent = not self._missing and scheduled_for <= pendulum.now("UTC")
        is_of_another_run = start.run_id is None or start.run_id != self._run_id
        sent_by = (start.run_id or "an earlier one") if self._own and is_sent and is_of_another_run else None
        return StartResult(self._ledger, senders, totals, scheduled_for, sent_by)

    def _waves(self, schedules: Mapping[str, Schedule]) -> list[dict[str, Any]]:
        """List the times at which campaigns of the shard start, with their recipients."""
        waves: dict[DateTime, list[Part]] = {}
        for part in self._own:
            waves.setdefault(schedules[part.name].scheduled_for, []).append(part)
        return [
            {"scheduled_for": to_api_format(time), "recipients": count_recipients(parts, self._campaigns)}
            for time, parts in sorted(waves.items())
        ]
