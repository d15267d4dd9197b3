"""What the starts and stops of a ledger have done so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_otpiq._ledger.records import Campaign, Schedule, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_otpiq._ledger.ledger import Ledger, Part, Round
    from airflow_provider_otpiq._ledger.records import Start


@dataclass(frozen=True)
class History:
    """The starts and stops, and the resulting state of each part."""

    rounds: list[Round]
    schedules: dict[str, Schedule]
    """The current schedules, by the part's name: those of campaigns that no stop has made drafts again."""
    senders: dict[str, str]
    """The id of the campaign that was scheduled for each part. No other campaign may ever send the part."""
    stopped: dict[str, Stopped]
    """The outcomes of the last stop; empty if the last start was not stopped."""

    @property
    def begun(self) -> Start | None:
        """The start that has begun; None if there is none, or it was stopped."""
        return self.rounds[-1].start if self.rounds and not self.rounds[-1].stop else None

    @property
    def number(self) -> int:
        """The number of the start that has begun or, without one, of the next one."""
        return len(self.rounds) + (self.begun is None)

    @property
    def too_late(self) -> set[str]:
        """The names of the parts whose campaigns had started before they were stopped. No later start sends them."""
        return {name for name, schedule in self.schedules.items() if isinstance(schedule, Stopped)}


def read_history(ledger: Ledger, parts: Sequence[Part], last: int | None = None) -> History:
    """
    Read what the starts and stops have done.

    :param last: the number of the last start to read; None reads all.
    :raises OtpiqValidationError: if another request starts.
    """
    history = History(ledger.rounds()[:last], {}, {}, {})
    for number, (_, stop) in enumerate(history.rounds, start=1):
        scheduled = ledger.read(Schedule, parts, number)
        stopped = ledger.read(Stopped, parts, number) if stop else {}
        latest: dict[str, Schedule] = scheduled | stopped
        senders = {name: record.campaign_id for name, record in latest.items()}
        kept = {
            name: record
            for name, record in (history.schedules | latest).items()
            if name not in stopped or stopped[name].too_late
        }
        history = History(history.rounds, kept, history.senders | senders, stopped)
    return history


def read_campaigns(ledger: Ledger, parts: Sequence[Part], history: History) -> dict[str, Campaign]:
    """
    Read the campaign of each part, by the part's name: the one that was scheduled or, without one, the draft.

    If the record of a scheduled campaign is lost, only its id is known.
    """
    drafts = ledger.read(Campaign, parts)
    senders = {
        name: drafts.get(name, Campaign(campaign_id=campaign_id)).model_copy(update={"campaign_id": campaign_id})
        for name, campaign_id in history.senders.items()
    }
    return drafts | senders
