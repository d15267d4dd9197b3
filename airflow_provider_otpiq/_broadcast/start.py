"""
The start of a broadcast: each campaign is scheduled, a little ahead, rather than started.

Scheduling is idempotent, so each step may be retried: where a response was lost, the same campaign is scheduled again,
and where it has started meanwhile, OTPIQ says so and nothing is left to do.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pendulum

from airflow_provider_otpiq._broadcast.health import require_healthy
from airflow_provider_otpiq._broadcast.part_size import require_part_size
from airflow_provider_otpiq._broadcast.parts import (
    MAX_LISTED,
    campaign_name,
    is_attached,
    part_name,
    process_parts,
    read_broadcast,
    require_allowed,
    totals,
)
from airflow_provider_otpiq._ledger import Ledger, Schedule, Start
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConflictError,
    OtpiqCreditError,
    OtpiqNotFoundError,
    OtpiqRequestError,
    OtpiqValidationError,
)

if TYPE_CHECKING:
    from pendulum import DateTime

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.request import StartBroadcast
    from airflow_provider_otpiq._ledger import Campaign
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

_MARGIN = pendulum.duration(seconds=60)
"""A time that is nearer than this may have passed when OTPIQ reads it."""

# The words of the documents. That OTPIQ's refusals use them is an assumption: with others, a start fails.
_STARTED = re.compile(r"draft or scheduled|started|running|completed", re.IGNORECASE)
_TIME_ERROR = re.compile(r"future|past", re.IGNORECASE)


class BroadcastStart:
    """
    The start of a broadcast.

    :param hook: the hook of the connection.
    :param request: which broadcast, and when.
    :param run_id: the DAG and its run that starts it, for the log.
    """

    def __init__(self, hook: OtpiqHook, request: StartBroadcast, *, run_id: str | None = None) -> None:
        self._hook = hook
        self._request = request
        self._run_id = run_id
        self.ledger = Ledger(request.broadcast)
        self.broadcast, self._audience = read_broadcast(self.ledger)
        self._saved_start = self.ledger.start()
        self._parts = self._audience.manifest.parts
        self._own: list[Part] = request.parts_of_shard(self._parts)
        self._campaigns = self.ledger.campaigns(map(part_name, self._parts))
        self._sizes = {part_name(part): part.recipients for part in self._parts}
        self._schedules = self.ledger.schedules(map(part_name, self._parts))
        self._other_project: str | None = None
        self.already_scheduled = sum(map(self._is_scheduled, self._own))

    def schedule(self) -> None:
        """
        Schedule the campaigns of this shard that are not scheduled yet.

        :raises OtpiqValidationError: if its create has not finished, a start with another time or request has begun, it
            is too late, the connection's guard rails do not allow it, or its template or number can no longer be used.
        :raises OtpiqCreditError: if the project's credit does not cover the campaigns that are to be scheduled.
        :raises OtpiqRequestError: if OTPIQ refuses some of them, or it is too late for some; the text lists those.
        :raises OtpiqConfigurationError: if the connection is of another project, which does not know the campaigns.
        :raises OtpiqApiError: if a request fails that may be retried: the next try continues.
        """
        self._require_created()
        missing = [part for part in self._own if not self._is_scheduled(part)]
        require_allowed(self._hook, self._audience, missing)
        if missing and self._request.check_health:
            require_healthy(self._hook, self.broadcast)
        self._start = self._begin(missing)
        if self.already_scheduled:
            log.info("%d of %d campaigns are scheduled already.", self.already_scheduled, len(self._own))
        process_parts(missing, self._ensure_scheduled, "Scheduled")
        self._report_other_shards()

    @property
    def totals(self) -> dict[str, Any]:
        """What XCom tells of this shard."""
        return {
            "scheduled": len(self._own) - self.already_scheduled,
            "already_scheduled": self.already_scheduled,
            **totals(self._own, self._campaigns),
            "scheduled_for": to_api_format(self.scheduled_for),
        }

    @property
    def campaigns(self) -> dict[str, Campaign]:
        """Those of this shard that are scheduled, by part."""
        names = [part_name(part) for part in self._own if self._is_scheduled(part)]
        senders = {name: {"campaign_id": self._schedules[name].campaign_id} for name in names}
        return {name: self._campaigns[name].model_copy(update=sender) for name, sender in senders.items()}

    @property
    def scheduled_for(self) -> DateTime:
        """When the last campaign of this shard starts."""
        times = [self._schedules[part_name(part)].scheduled_for for part in self._own]
        return max(times, default=self._start.scheduled_for)

    @property
    def sent_by(self) -> str | None:
        """The other DAG run that sent all parts of this shard; None if it did not send all of them."""
        is_sent = 0 < len(self._own) == self.already_scheduled and self.scheduled_for <= pendulum.now("UTC")
        is_of_this_run = self._start.run_id is not None and self._start.run_id == self._run_id
        return (self._start.run_id or "an earlier one") if is_sent and not is_of_this_run else None

    def _report_other_shards(self) -> None:
        """Say what is left, as a shard that no task works on would leave people out, with every task green."""
        schedules = self.ledger.schedules(map(part_name, self._parts))  # others have worked on theirs meanwhile
        done = sum(schedule.confirmed for schedule in schedules.values())
        if done < len(self._parts):
            log.info(
                "%d of the broadcast's %d campaigns belong to other shards and are not scheduled yet. Each of the %d"
                " shards needs a task; a start without shards after them schedules what they left out.",
                len(self._parts) - done,
                len(self._parts),
                self._request.shards,
            )

    def _require_created(self) -> None:
        missing = [part_name(part) for part in self._parts if not is_attached(part, self._campaigns)]
        if missing:
            raise self._refusal(
                f"{len(missing)} of {len(self._parts)} campaigns do not hold their part yet:"
                f" {list_some(missing, MAX_LISTED)}",
                "The tasks that create the broadcast, in all shards, have to succeed first.",
            )
        ids = Counter(campaign.campaign_id for campaign in self._campaigns.values())
        if repeated := [campaign_id for campaign_id, parts in ids.items() if parts > 1]:
            raise self._refusal(
                f"the ledger {self.ledger} was edited: several parts have campaign {list_some(repeated, MAX_LISTED)}",
                "Restore the ledger.",
            )

    def _begin(self, missing: list[Part]) -> Start:
        """Decide when the broadcast starts, or take what was decided; money is counted before anything is scheduled."""
        if self._saved_start:
            start = self._require_same_time(self._saved_start)
            self._require_credit(missing)
            return start
        self._require_credit(self._parts)
        wanted = self._request.scheduled_for
        time = wanted or self._later()
        start = Start(request=self.broadcast.id, requested=wanted, scheduled_for=time, run_id=self._run_id)
        self._hook.guard_rails.check_time(self._time_of(start, time), "scheduled_for")
        start = self._require_same_time(self.ledger.claim_start(start))
        if self.ledger.read() != self.broadcast:
            raise self._refusal(
                f"the broadcast in {self.ledger} was replaced just before its start",
                "Set another ledger for the new message. To send the replaced one, create it again with replace=True.",
            )
        return start

    def _require_same_time(self, start: Start) -> Start:
        if start.requested == self._request.scheduled_for:
            return start
        was, wanted = _format_time(start.requested), _format_time(self._request.scheduled_for)
        error = f"scheduled_for: the start of {self.ledger} has begun with {was}; found {wanted}"
        raise OtpiqValidationError(
            f"Nothing was changed: {error}. A start that has begun keeps its time. To finish it, set that time; for"
            " another broadcast, set an output of the audience for each run, such as one with {{ run_id }}.",
            errors=[error],
        )

    def _require_credit(self, parts: list[Part]) -> None:
        if not parts:
            return
        info = self._hook.get_project_info()
        self._compare_project(info["projectName"])
        credit = None if info.get("credit") is None else float(info["credit"])  # it may be a string of one
        costs = [self._campaigns[part_name(part)].estimated_cost for part in parts]
        required = sum(cost for cost in costs if cost is not None)
        if credit is None or None in costs:
            log.warning("OTPIQ does not tell the credit, or what each campaign costs: they cannot be compared.")
        if credit is not None and required > credit:
            raise OtpiqCreditError(
                f"Nothing was scheduled now: {len(parts)} campaigns cost {required:,.0f} IQD, and the credit is"
                f" {credit:,.0f} IQD.",
                amounts={"requiredCredit": required, "yourCredit": credit},
            )

    def _compare_project(self, name: str) -> None:
        """Notice another project; that it is, and was not renamed, is certain once it does not know a campaign."""
        created_in = self.broadcast.project
        if created_in not in (None, name):
            self._other_project = (
                f"the broadcast was created in project {sanitize(str(created_in))!r}, and connection"
                f" {self._hook.otpiq_conn_id!r} is of project {sanitize(name)!r}"
            )
            log.warning("%s, unless that was renamed.", self._other_project)

    def _time_of(
        self, start: Start, before: DateTime, remedy: str = "A start that has begun keeps its time."
    ) -> DateTime:
        """
        Return the time to ask OTPIQ for: the one before, or a little ahead if that has passed.

        :raises OtpiqValidationError: if that would be too late.
        """
        if before > pendulum.now("UTC") + _MARGIN:
            return before
        later = self._later()
        delay = later - start.scheduled_for
        if delay <= self._request.max_delay:
            return later
        late = delay.in_words()
        raise self._refusal(
            f"it is too late: {to_api_format(later)} is {late} after {to_api_format(start.scheduled_for)}",
            f"{remedy} To send it anyway, set max_delay to more than {late} plus the time until you clear the"
            " task, and clear it.",
        )

    def _later(self) -> DateTime:
        return (pendulum.now("UTC") + self._request.lead_time).start_of("second")

    def _is_scheduled(self, part: Part) -> bool:
        schedule = self._schedules.get(part_name(part))
        return schedule is not None and schedule.confirmed

    def _ensure_scheduled(self, part: Part) -> None:
        name = part_name(part)
        schedule = self._schedule(part, self._schedules.get(name) or self._claim(name))
        self._schedules[name] = schedule.model_copy(update={"confirmed": True})
        self.ledger.save_schedule(name, self._schedules[name])

    def _claim(self, name: str) -> Schedule:
        """Decide which campaign sends a part, or return the decision of another process."""
        campaign_id = self._campaigns[name].campaign_id
        time = self._time_of(self._start, self._start.scheduled_for)
        schedule = Schedule(campaign_id=campaign_id, scheduled_for=time, first_scheduled_for=time)
        return self.ledger.claim_schedule(name, schedule)

    def _schedule(self, part: Part, schedule: Schedule) -> Schedule:
        """Schedule a part's campaign; if the time passes before the request arrives, schedule it a little later."""
        name, before = part_name(part), schedule.scheduled_for
        while time := self._time_unless_started(part, schedule, before):
            schedule = self._save_time(name, schedule, time)
            try:
                campaign = self._update_unless_started(schedule, schedule_type="schedule", scheduled_for=time)
            except OtpiqRequestError as error:
                has_passed = time < pendulum.now("UTC") + _MARGIN or _TIME_ERROR.search(error.server_message or "")
                if not has_passed or self._later() < time + _MARGIN:
                    raise  # OTPIQ does not refuse the time
                before = pendulum.now("UTC")
            else:
                if campaign is not None:
                    require_part_size(self._hook, campaign, self._sizes[name])
                break
        return schedule

    def _time_unless_started(self, part: Part, schedule: Schedule, before: DateTime) -> DateTime | None:
        try:
            return self._time_of(self._start, before)
        except OtpiqValidationError:
            # It is too late. An earlier request may have arrived, and the campaign may have started.
            if self._has_started(part, schedule):
                return None
            raise

    def _save_time(self, name: str, schedule: Schedule, time: DateTime) -> Schedule:
        if schedule.scheduled_for == time:
            return schedule
        changed = schedule.model_copy(update={"scheduled_for": time})
        self.ledger.save_schedule(name, changed)
        return changed

    def _has_started(self, part: Part, pending: Schedule) -> bool:
        """Call a campaign what it is called already, which OTPIQ refuses where it has started."""
        name = campaign_name(self.broadcast.request["name"], part, len(self._parts))
        return self._update_unless_started(pending, name=name) is None

    def _update_unless_started(self, pending: Schedule, **changes: Any) -> dict[str, Any] | None:
        """Change a campaign and return it; None if OTPIQ refuses because it has started at its time."""
        try:
            return self._hook.update_campaign(campaign_id=pending.campaign_id, **changes)
        except OtpiqNotFoundError:
            if self._other_project is None:
                raise
            raise OtpiqConfigurationError(
                f"Not scheduled: {self._other_project}, which does not know campaign {pending.campaign_id}. Set a"
                f" connection of the first one; the create's was {self.broadcast.request.get('otpiq_conn_id')!r}."
            ) from None
        except OtpiqConflictError as error:
            says_started = _STARTED.search(error.server_message or "")
            if not says_started or pending.first_scheduled_for > pendulum.now("UTC"):
                raise  # so somebody else has started or ended it, or OTPIQ means something else
            log.info("Campaign %s has started: OTPIQ says %r.", pending.campaign_id, error.server_message)
            return None

    def _refusal(self, error: str, remedy: str) -> OtpiqValidationError:
        return OtpiqValidationError(f"Not scheduled: {error}. {remedy}", errors=[error])


def _format_time(time: DateTime | None) -> str:
    return "left to lead_time" if time is None else to_api_format(time)
