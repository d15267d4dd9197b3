"""The members of an audience, whose messages a report is about, and the campaigns that send these messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq._broadcast.result import open_broadcast
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pendulum import DateTime

    from airflow_provider_otpiq._ledger.records import Schedule
    from airflow_provider_otpiq._report.request import MessageSelection

_CLOCK_DIFFERENCE = pendulum.duration(minutes=5)
"""How much earlier than by our clock a campaign may have started by OTPIQ's."""


class PartMembers(NamedTuple):
    """The members in one part; ``campaign_id`` is None if no campaign sends the part, or if it is unknown."""

    part: str
    campaign_id: str | None
    recipients: list[dict[str, Any]]


class AudienceMembers:
    """
    The members of an audience.

    Of a broadcast, with the schedules of the parts, OTPIQ's name of the project, and the parts that a stop has made
    drafts again.
    """

    def __init__(
        self,
        audience: Audience,
        schedules: dict[str, Schedule] | None = None,
        project: str | None = None,
        stopped: Collection[str] = (),
    ) -> None:
        self._audience = audience
        self._schedules = schedules or {}
        self.project = project
        self._stopped = stopped

    def __iter__(self) -> Iterator[PartMembers]:
        for part in self._audience.manifest.parts:
            schedule = self._schedules.get(part.name)
            campaign_id = schedule.campaign_id if schedule else None
            yield PartMembers(part.name, campaign_id, self._audience.read_part(part))

    def awaited(self) -> Iterator[PartMembers]:
        """Yield the parts that have sent messages, or will: all but those that a stop has made drafts again."""
        return (part for part in self if part.part not in self._stopped)

    @property
    def campaign_ids(self) -> list[str]:
        """The ids of the campaigns that are scheduled or have started."""
        return [schedule.campaign_id for schedule in self._schedules.values()]

    @property
    def first_start(self) -> DateTime | None:
        """The earliest time at which a campaign may have started; None if none was scheduled."""
        return min((schedule.first_scheduled_for for schedule in self._schedules.values()), default=None)

    @property
    def last_start(self) -> DateTime | None:
        """The time at which the last campaign starts; None if none was scheduled."""
        return max((schedule.scheduled_for for schedule in self._schedules.values()), default=None)


def members_of(selection: MessageSelection) -> AudienceMembers | None:
    """
    Return the members whose messages are selected; None if everybody's are.

    :raises OtpiqValidationError: if the audience or the broadcast does not exist, or no campaign of it is scheduled
        or has started.
    """
    if selection.audience:
        return AudienceMembers(Audience(selection.audience))
    if not selection.broadcast:
        return None
    ledger, audience = open_broadcast(selection.broadcast)
    history = read_history(ledger, audience.manifest.parts)
    if not history.schedules:
        raise refusal(
            f"broadcast: no campaign of {ledger} is scheduled or has started, so it has no messages",
            "Run the task that starts the broadcast first.",
        )
    stopped = {name for name, record in history.stopped.items() if not record.too_late}
    return AudienceMembers(audience, history.schedules, ledger.broadcast.project, stopped)


def period_of(selection: MessageSelection, members: AudienceMembers | None) -> tuple[DateTime, DateTime]:
    """
    Return the period of a report; a broadcast's own begins a little before its first campaign, and ends now.

    :raises OtpiqValidationError: if it would end before it begins.
    """
    now = pendulum.now("UTC")
    if selection.start:
        name, start, default_end = "start", selection.start, now
    else:
        first = members.first_start if members else None
        assert first  # noqa: S101  # only a scheduled broadcast may omit the start
        name, start = "the start of the broadcast's first campaign", first - _CLOCK_DIFFERENCE
        default_end = max(now, start.add(seconds=1))  # no error before the broadcast starts: it has no messages yet
    end = selection.end or default_end
    if end > start:
        return start, end
    error = f"end: must be after {name}, {to_api_format(start)}; found {to_api_format(end)}"
    error += "" if selection.end else ", the current time, because end is not set"
    raise selection.refusal([error])
