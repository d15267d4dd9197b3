"""What the starts and stops of a ledger have done so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_provider_otpiq._ledger.records import Schedule, Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_otpiq._ledger.ledger import Ledger, Part, Round
    from airflow_provider_otpiq._ledger.records import Campaign


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
    sent_before: frozenset[str]
    """The names of the parts whose campaigns had started before the last start."""

    def with_senders(self, campaigns: dict[str, Campaign]) -> dict[str, Campaign]:
        """Return the campaigns with the ids of those that were scheduled once."""
        return {
            name: campaign.model_copy(update={"campaign_id": self.senders.get(name, campaign.campaign_id)})
            for name, campaign in campaigns.items()
        }


def read_history(ledger: Ledger, parts: Sequence[Part]) -> History:
    """
    Read what the starts and stops have done.

    :raises OtpiqValidationError: if another request starts.
    """
    rounds = ledger.rounds()
    history = History(rounds, {}, {}, {}, frozenset())
    for number, _, stop in rounds:
        schedules = ledger.read(Schedule, parts, number)
        stopped = ledger.read(Stopped, parts, number) if stop else {}
        too_late = {name: record for name, record in stopped.items() if record.too_late}
        kept = {name: record for name, record in {**history.schedules, **schedules}.items() if name not in stopped}
        senders = {name: record.campaign_id for name, record in {**schedules, **stopped}.items()}
        history = History(
            rounds, {**kept, **too_late}, {**history.senders, **senders}, stopped, frozenset(history.schedules)
        )
    return history
