"""
Start a broadcast: schedule each of its campaigns, a little ahead.

Scheduling is idempotent, so each step may be retried: after a lost response, the same campaign is scheduled again. If
it has started meanwhile, OTPIQ refuses that, and nothing is left to do.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pendulum
from pendulum import DateTime

from airflow_provider_otpiq._broadcast.campaigns import Campaigns, wait_for_requests_in_flight
from airflow_provider_otpiq._broadcast.checks import (
    refusal,
    require_created,
    require_credit,
    require_same_start,
    require_stop_finished,
)
from airflow_provider_otpiq._broadcast.health import require_healthy
from airflow_provider_otpiq._broadcast.part_size import require_part_size
from airflow_provider_otpiq._broadcast.process import REFUSALS, process_parts
from airflow_provider_otpiq._broadcast.result import (
    BroadcastResult,
    add_up,
    campaign_name,
    open_broadcast,
    require_allowed,
)
from airflow_provider_otpiq._broadcast.schedule import PartScheduler
from airflow_provider_otpiq._broadcast.waves import (
    plan_start,
    require_possible_times,
    require_room_for_each_part,
    require_time_to_wait,
    start_times,
)
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._ledger.records import Campaign, Start, Stopped
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq.exceptions import OtpiqSupersededError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._ledger.records import Schedule
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


def start_broadcast(hook: OtpiqHook, request: StartBroadcast, *, run_id: str | None = None) -> BroadcastResult:
    """
    Schedule the campaigns of the shard that are not scheduled yet.

    :param run_id: the DAG and its run that starts it, for the log.
    :raises OtpiqValidationError: if its create has not finished, a start with another time or request has begun, it is
        too late, the connection's guard rails do not allow it, or its template or number can no longer be used.
    :raises OtpiqCreditError: if the project's credit does not cover the campaigns that are to be scheduled.
    :raises OtpiqSupersededError: if the broadcast is stopped meanwhile.
    :raises OtpiqRequestError: if OTPIQ refuses some of them, or it is too late for some; the text lists those.
    :raises OtpiqConfigurationError: if the connection is of another project, which does not know the campaigns.
    :raises OtpiqApiError: if a request fails that may be retried: the next try continues.
    """
    return _Start(hook, request, run_id).run()


class _Start:
    def __init__(self, hook: OtpiqHook, request: StartBroadcast, run_id: str | None) -> None:
        self._hook = hook
        self._request = request
        self._run_id = run_id
        self._ledger, self._audience = open_broadcast(request.broadcast)
        self._parts = self._audience.manifest.parts
        self._own: list[Part] = request.parts_of_shard(self._parts)
        self._history = read_history(self._ledger, self._parts)
        last = self._history.rounds[-1] if self._history.rounds else None
        self._begun = last.start if last and not last.stop else None
        self._number = len(self._history.rounds) + (not self._begun)
        self._schedules = self._history.schedules
        self._campaigns = self._history.with_senders(self._ledger.read(Campaign, self._parts))
        self._missing = [part for part in self._own if not self._is_scheduled(part)]
        self._scheduled_before = len(self._own) - len(self._missing)
        self._too_large: dict[str, OtpiqValidationError] = {}
        self._changes = Campaigns(hook, self._ledger.broadcast, self._require_not_stopped)

    def run(self) -> BroadcastResult:
        before = f"Campaigns that were scheduled before: {self._scheduled_before} of {len(self._own)}"
        if self._scheduled_before:
            log.info("%s.", before)
        self._take_back_too_large()
        try:
            self._check()
            start = self._begun or self._begin()
        except OtpiqValidationError as error:
            if self._scheduled_before and self._begun:
                raise OtpiqValidationError(f"{error}\n{before}. They stay scheduled.", errors=error.errors) from None
            raise
        if self._missing and self._number > 1:
            wait_for_requests_in_flight(self._hook, "requests of the last stop may still take effect")
        self._schedule(start)
        self._report_other_shards()
        return self._result(start)

    def _is_scheduled(self, part: Part) -> bool:
        schedule = self._schedules.get(part.name)
        return schedule is not None and schedule.confirmed

    def _require_not_stopped(self) -> None:
        if self._ledger.is_stopped(self._number):
            raise OtpiqSupersededError(
                f"Broadcast {self._ledger} was stopped. This task schedules nothing more. To start the broadcast again,"
                " run a start with another scheduled_for."
            )

    def _take_back_too_large(self) -> None:
        """
        Compare the sizes of campaigns that an earlier try may have scheduled.

        It may have ended before it compared them or made them drafts again, and a check may refuse this try.
        """
        for part in self._missing:
            if schedule := self._schedules.get(part.name):
                name = campaign_name(self._ledger.broadcast.request["name"], part, len(self._parts))
                with suppress(*REFUSALS):  # what OTPIQ refuses here, it refuses again below
                    campaign = self._changes.update(campaign_id=schedule.campaign_id, name=name)
                    try:
                        require_part_size(self._changes.update, campaign, part)
                    except OtpiqValidationError as error:
                        log.error("%s", error)
                        self._too_large[part.name] = error

    def _check(self) -> None:
        require_created(self._ledger, self._parts, self._campaigns)
        if not self._begun:
            require_stop_finished(self._ledger, self._history, self._parts, self._request)
        require_room_for_each_part(self._parts, self._request.wave_size)
        require_allowed(self._hook, self._audience, self._missing)
        if self._missing and self._request.check_health:
            require_healthy(self._hook, self._ledger.broadcast)
        if self._begun:
            require_same_start(self._ledger, self._request, self._begun)
        if parts := self._missing if self._begun else self._parts_to_start():
            info = self._hook.get_project_info()
            self._changes.compare_project(info["projectName"])
            require_credit([self._campaigns[part.name].estimated_cost for part in parts], info.get("credit"))

    def _parts_to_start(self) -> list[Part]:
        """Return the parts of this start in all shards, without those whose campaigns had started before a stop."""
        return [part for part in self._parts if not isinstance(self._schedules.get(part.name), Stopped)]

    def _begin(self) -> Start:
        """Decide when the broadcast starts, or return the decision of another process."""
        start = plan_start(self._request, self._ledger.broadcast.id, self._run_id)
        if self._number > 1:
            self._warn_of_stop(start)
        require_possible_times(self._hook.guard_rails, self._request, self._parts_to_start(), start)
        start = self._ledger.claim_start(start, self._number)
        require_same_start(self._ledger, self._request, start)
        if self._ledger.is_replaced():
            raise refusal(
                f"the broadcast in {self._ledger} was replaced just before its start",
                "Set another ledger for the new message. To send the replaced one, create it again with replace=True.",
            )
        return start

    def _warn_of_stop(self, start: Start) -> None:
        """Warn that a stopped broadcast starts again, and check that the wait before that does not make it late."""
        stop = self._history.rounds[-1].stop
        log.warning(
            "Run %s stopped this broadcast. This start has another scheduled_for, so it starts the stopped campaigns"
            " again.",
            (stop and stop.run_id) or "unknown",
        )
        require_time_to_wait(start, self._hook.settings.max_seconds_in_flight)

    def _schedule(self, start: Start) -> None:
        scheduler = PartScheduler(
            self._changes.update,
            self._hook.guard_rails,
            self._request,
            self._ledger,
            self._number,
            start_times(self._parts_to_start(), start),
            len(self._parts),
        )

        def schedule(part: Part) -> None:
            if error := self._too_large.get(part.name):
                raise error
            campaign_id, saved = self._campaigns[part.name].campaign_id, self._schedules.get(part.name)
            self._schedules[part.name] = scheduler.schedule(part, campaign_id, saved)

        process_parts(self._missing, schedule, "Scheduled")

    def _report_other_shards(self) -> None:
        """Log how many campaigns are left: without a task for a shard, its people get nothing, though no task fails."""
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

    def _result(self, start: Start) -> BroadcastResult:
        schedules = {part.name: self._schedules[part.name] for part in self._own}
        scheduled_for = max((schedule.scheduled_for for schedule in schedules.values()), default=start.scheduled_for)
        totals = {
            "scheduled": len(self._missing),
            "already_scheduled": self._scheduled_before,
            **add_up(self._own, self._campaigns),
            "scheduled_for": to_api_format(scheduled_for),
            "waves": self._waves(schedules),
        }
        senders = {
            name: self._campaigns[name].model_copy(update={"campaign_id": schedule.campaign_id})
            for name, schedule in schedules.items()
        }
        is_sent = not self._missing and scheduled_for <= pendulum.now("UTC")
        is_of_another_run = start.run_id is None or start.run_id != self._run_id
        sent_by = (start.run_id or "an earlier one") if self._own and is_sent and is_of_another_run else None
        return BroadcastResult(self._ledger, senders, totals, scheduled_for, sent_by)

    def _waves(self, schedules: Mapping[str, Schedule]) -> list[dict[str, Any]]:
        """List the times at which campaigns of the shard start, with their recipients."""
        waves: dict[DateTime, list[Part]] = {}
        for part in self._own:
            waves.setdefault(schedules[part.name].scheduled_for, []).append(part)
        return [
            {"scheduled_for": to_api_format(time), "recipients": add_up(parts, self._campaigns)["recipients"]}
            for time, parts in sorted(waves.items())
        ]
