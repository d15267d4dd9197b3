"""Whose messages a report is about: the people of an audience, part by part, and which campaign sends each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq._broadcast.result import open_broadcast
from airflow_provider_otpiq._ledger import Schedule
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pendulum import DateTime

    from airflow_provider_otpiq._report.request import MessageSelection

_CLOCKS_DIFFER_BY = pendulum.duration(minutes=5)
"""How much earlier than by our clock a campaign may have started by OTPIQ's."""


class PartMembers(NamedTuple):
    """The people of a part."""

    part: str
    campaign_id: str | None
    """The campaign that sends it; None where there is none yet, or it is unknown."""
    recipients: list[dict[str, Any]]


class AudienceMembers:
    """
    The people of an audience.

    :param audience: the audience.
    :param schedules: which campaign sends a part, and when.
    :param project: what OTPIQ calls the project of the campaigns; None where it is unknown.
    """

    def __init__(
        self, audience: Audience, schedules: dict[str, Schedule] | None = None, project: str | None = None
    ) -> None:
        self._audience = audience
        self._schedules = schedules or {}
        self.project = project

    def __iter__(self) -> Iterator[PartMembers]:
        for part in self._audience.manifest.parts:
            schedule = self._schedules.get(part.name)
            yield PartMembers(part.name, schedule.campaign_id if schedule else None, self._audience.read_part(part))

    @property
    def campaign_ids(self) -> list[str]:
        """The campaigns that send the parts, as far as they were scheduled."""
        return [schedule.campaign_id for schedule in self._schedules.values()]

    @property
    def first_message(self) -> DateTime | None:
        """When the first message may have gone out; None if nothing was scheduled."""
        return min((schedule.first_scheduled_for for schedule in self._schedules.values()), default=None)

    @property
    def last_start(self) -> DateTime | None:
        """When the last campaign starts; None if nothing was scheduled."""
        return max((schedule.scheduled_for for schedule in self._schedules.values()), default=None)


def members_of(messages: MessageSelection) -> AudienceMembers | None:
    """
    Find whose messages are meant; None if they are everybody's.

    :raises OtpiqValidationError: if there is no such broadcast or audience, or nothing of a broadcast was scheduled.
    """
    if messages.audience:
        return AudienceMembers(Audience(messages.audience))
    if not messages.broadcast:
        return None
    ledger, audience = open_broadcast(messages.broadcast)
    ledger.start()  # an error if another request was started: then nobody has a message of this one
    schedules = ledger.read(Schedule, audience.manifest.parts)
    if not schedules:
        error = f"broadcast: nothing of {ledger} was scheduled, so nobody has a message"
        raise OtpiqValidationError(f"{error}. Run the task that starts it first.", errors=[error])
    return AudienceMembers(audience, schedules, ledger.broadcast.project)


def window_of(messages: MessageSelection, people: AudienceMembers | None) -> tuple[DateTime, DateTime]:
    """
    Return the window of a report: a broadcast's own begins a little before its first campaign, and ends now.

    :raises OtpiqValidationError: if it would end before it begins.
    """
    first, now = people.first_message if people else None, pendulum.now("UTC")
    start = messages.start or _before(first)
    # Before a broadcast starts, nothing has gone out yet, which is no error.
    end = messages.end or (now if messages.start else max(now, start.add(seconds=1)))
    if end > start:
        return start, end
    whose = "start" if messages.start else "the start of the broadcast's first campaign"
    error = f"end: must be after {whose}, {to_api_format(start)}; found {to_api_format(end)}"
    error += "" if messages.end else ", which is now, as it is not set"
    raise OtpiqValidationError(f"The delivery report was not made, because of:{bullet_list([error])}", errors=[error])


def _before(first: DateTime | None) -> DateTime:
    assert first is not None  # noqa: S101  # only a broadcast has a window of its own, once some of it was scheduled
    return first - _CLOCKS_DIFFER_BY
