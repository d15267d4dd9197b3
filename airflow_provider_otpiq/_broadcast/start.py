"""
Start a broadcast: schedule each of its campaigns, a little ahead.

Scheduling is idempotent, so each step may be retried: after a lost response, the same campaign is scheduled again. If
it has started meanwhile, OTPIQ refuses that, and nothing is left to do.
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pendulum
from pendulum import DateTime

from airflow_provider_otpiq._broadcast.campaigns import Campaigns, wait_for_requests_in_flight
from airflow_provider_otpiq._broadcast.health import require_healthy
from airflow_provider_otpiq._broadcast.part_size import read_number, require_part_size
from airflow_provider_otpiq._broadcast.process import MAX_LISTED, REFUSALS, describe_parts, process_parts
from airflow_provider_otpiq._broadcast.result import (
    BroadcastResult,
    add_up,
    campaign_name,
    list_unattached,
    open_broadcast,
    require_allowed,
)
from airflow_provider_otpiq._broadcast.schedule import PartScheduler, lead, time_to_request
from airflow_provider_otpiq._broadcast.waves import require_room_for_each_part, start_times
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._ledger.records import Campaign, Start, Stopped
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import OtpiqCreditError, OtpiqSupersededError, OtpiqValidationError

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
            if self._scheduled_before:
                raise OtpiqValidationError(f"{error}\n{before}. They stay scheduled.", errors=error.errors) from None
            raise
        if self._missing and self._number > 1:
            wait_for_requests_in_flight(self._hook, "requests of the stop before this start may still take effect")
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

        It may have ended before the comparison or the taking back, and a check may refuse this try.
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
        self._require_created()
        self._require_stop_finished()
        require_room_for_each_part(self._parts, self._request.wave_size)
        require_allowed(self._hook, self._audience, self._missing)
        if self._missing and self._request.check_health:
            require_healthy(self._hook, self._ledger.broadcast)
        if self._begun:
            self._require_same_time(self._begun)
        self._require_credit(self._missing if self._begun else self._parts_to_start())

    def _parts_to_start(self) -> list[Part]:
        """Return the parts of this start, in all shards: without those whose campaigns a stop has found started."""
        return [part for part in self._parts if not isinstance(self._schedules.get(part.name), Stopped)]

    def _require_stop_finished(self) -> None:
        """After a stop, start again only what it has stopped, and only at another time."""
        if self._begun or not self._history.rounds:
            return
        left = [part.name for part in self._parts if part.name not in self._history.stopped]
        if left:
            raise _refusal(
                f"the stop of {self._ledger} has not finished: {describe_parts(left)}",
                "First run the tasks that stop the broadcast, in all shards, until they succeed.",
            )
        if self._request.scheduled_for in [each.start.requested for each in self._history.rounds]:
            raise _refusal(
                f"scheduled_for: the start with {_format(self._request.scheduled_for)} was stopped; expected another"
                " time",
                "To start the broadcast again, set another scheduled_for.",
            )

    def _require_created(self) -> None:
        missing = [part.name for part in list_unattached(self._parts, self._campaigns)]
        if missing:
            raise _refusal(
                f"{len(missing)} of {len(self._parts)} campaigns without the recipients of their part:"
                f" {describe_parts(missing)}",
                "First run the tasks that create the broadcast, in all shards, until they succeed.",
            )
        ids = Counter(campaign.campaign_id for campaign in self._campaigns.values())
        if repeated := [campaign_id for campaign_id, parts in ids.items() if parts > 1]:
            ids_listed = list_some(repeated, MAX_LISTED)
            raise _refusal(
                f"{self._ledger}: was edited; several parts have campaign {ids_listed}", "Restore the ledger."
            )

    def _require_credit(self, parts: list[Part]) -> None:
        if not parts:
            return
        info = self._hook.get_project_info()
        self._changes.compare_project(info["projectName"])
        credit = read_number(info.get("credit"))
        costs = [self._campaigns[part.name].estimated_cost for part in parts]
        required = sum(cost for cost in costs if cost is not None)
        if credit is None or None in costs:
            log.warning(
                "OTPIQ does not report the credit, or the cost of each campaign, so they are not compared (assumption"
                " update-cost)."
            )
        if credit is not None and required > credit:
            raise OtpiqCreditError(
                f"This task scheduled nothing: the campaigns to schedule ({len(parts)}) cost {required:,.0f} IQD, and"
                f" the credit is {credit:,.0f} IQD.",
                amounts={"requiredCredit": required, "yourCredit": credit},
            )

    def _begin(self) -> Start:
        """Decide when the broadcast starts, or return the decision of another process."""
        wanted = self._request.scheduled_for
        start = Start(
            request=self._ledger.broadcast.id,
            requested=wanted,
            scheduled_for=wanted or lead(self._request),
            wave_size=self._request.wave_size,
            wave_interval=self._request.wave_interval,
            run_id=self._run_id,
        )
        self._require_possible_times(start)
        start = self._require_same_time(self._ledger.claim_start(start, self._number))
        if self._ledger.is_replaced():
            raise _refusal(
                f"the broadcast in {self._ledger} was replaced just before its start",
                "Set another ledger for the new message. To send the replaced one, create it again with replace=True.",
            )
        return start

    def _require_possible_times(self, start: Start) -> None:
        """Check the time of each wave, so that none is refused after others were scheduled."""
        times = sorted(set(start_times(self._parts_to_start(), start).values()))
        errors: list[str] = []
        for index, wave in enumerate(times, start=1):
            time = time_to_request(self._request, wave, wave, "Set a later scheduled_for.")
            subject = "scheduled_for" if len(times) == 1 else f"scheduled_for, wave {index} of {len(times)}"
            try:
                self._hook.guard_rails.check_time(time, subject)
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

    def _require_same_time(self, start: Start) -> Start:
        request = self._request
        saved = {"scheduled_for": start.requested, "wave_size": start.wave_size, "wave_interval": start.wave_interval}
        for name, value in saved.items():
            found = getattr(request, name)
            if value != found:
                raise _refusal(
                    f"{name}: must be {_format(value)}, as when the start of {self._ledger} began; found"
                    f" {_format(found)}",
                    f"A start that has begun keeps its time. To finish it, set that {name}"
                    + (" (None: remove it)" if value is None else "")
                    + ". For another time, stop the broadcast first. For another broadcast, set another output of the"
                    " audience for each run, such as one with {{ run_id }}.",
                )
        return start

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
        """Log what is left: if no task works on a shard, its people get nothing, and every task is green."""
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


def _refusal(error: str, remedy: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"This task scheduled nothing: {error}. {remedy}", errors=[error])


def _format(value: object) -> str:
    return to_api_format(value) if isinstance(value, DateTime) else str(value)
