"""Whose messages a report is about: the people of an audience, part by part, and which campaign sends each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pendulum

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq._broadcast.parts import part_name, read_broadcast
from airflow_provider_otpiq._state.ledger import Ledger
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pendulum import DateTime

    from airflow_provider_otpiq._report.request import Messages
    from airflow_provider_otpiq._state.ledger import Schedule

_CLOCKS_DIFFER_BY = pendulum.duration(minutes=5)
"""How much earlier than by our clock a campaign may have started by OTPIQ's."""


class PeopleOfPart(NamedTuple):
    """The people of a part."""

    part: str
    campaign_id: str | None
    """The campaign that sends it; None where there is none yet, or it is unknown."""
    recipients: list[dict[str, Any]]


class People:
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

    def __len__(self) -> int:
        return sum(part.recipients for part in self._audience.manifest.parts)

    def __iter__(self) -> Iterator[PeopleOfPart]:
        for part in self._audience.manifest.parts:
            schedule = self._schedules.get(part_name(part))
            yield PeopleOfPart(
                part_name(part), schedule.campaign_id if schedule else None, self._audience.read_part(part)
            )

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


def people_of(messages: Messages) -> People | None:
    """
    Find whose messages are meant; None if they are everybody's.

    :raises OtpiqValidationError: if there is no such broadcast or audience, or nothing of a broadcast was scheduled.
    """
    if messages.audience:
        return People(Audience(messages.audience))
    if not messages.broadcast:
        return None
    ledger = Ledger(messages.broadcast)
    broadcast, audience = read_broadcast(ledger)
    schedules = ledger.schedules(map(part_name, audience.manifest.parts))
    if not schedules:
        error = f"broadcast: nothing of {ledger} was scheduled, so nobody has a message"
        raise OtpiqValidationError(f"{error}. Run the task that starts it first.", errors=[error])
    return People(audience, schedules, broadcast.project)


def window_of(messages: Messages, people: People | None) -> tuple[DateTime, DateTime]:
    """Return the window of a report: a broadcast's own begins with its first campaign, and ends now."""
    first = people and people.first_message
    start = messages.start or (first - _CLOCKS_DIFFER_BY if first else None)
    assert start is not None  # noqa: S101  # required without a broadcast, whose first message there is
    return start, messages.end or max(pendulum.now("UTC"), start.add(seconds=1))
