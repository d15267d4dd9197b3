"""The sandbox's campaigns and how they run."""

from __future__ import annotations

import secrets
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_otpiq.sandbox.resources import template_by_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Status = Literal["draft", "scheduled", "running", "completed"]

MESSAGES_PER_SECOND = 20
PRICES = {"MARKETING": 12, "UTILITY": 6}
"""The price of a message, in IQD."""
FAILING_SUFFIX = "000"
UNDELIVERABLE_REASON = "131026: Message undeliverable, the number may not be on WhatsApp"
DELAYED_SUFFIX = "001"
"""Messages to numbers with this end are delivered although their flow had an error."""


class PhoneNumbers:
    """Phone numbers in order, as one string: a million of them take 14 MB instead of 100."""

    def __init__(self) -> None:
        self._joined = ""
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[str]:
        return iter(self._joined.split())

    def append(self, numbers: Sequence[str]) -> None:
        """Append phone numbers."""
        self._joined = " ".join([self._joined, *numbers])
        self._count += len(numbers)


@dataclass
class Campaign:
    """A campaign. Its status and its counts are functions of the clock, so nothing runs in the background."""

    name: str
    template: str
    phone_number: str
    created_at: datetime
    updated_at: datetime
    scheduled: bool = False
    scheduled_for: datetime | None = None
    category: str | None = None
    sample_of: str | None = None
    started_at: datetime | None = None
    recipients: PhoneNumbers = field(default_factory=PhoneNumbers)
    """In the order of sending."""
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    campaign_id: str = field(default_factory=lambda: f"cmp_{secrets.token_hex(6)}")
    failures: dict[int, str] = field(default_factory=dict)
    """The reasons of messages that fail, by position in ``recipients``, in ascending order for the bisection."""

    def add_recipients(self, refusals: Mapping[str, str | None]) -> None:
        """Append new phone numbers, each with the reason why WhatsApp refuses its message, or None."""
        for position, (number, refusal) in enumerate(refusals.items(), len(self.recipients)):
            if reason := refusal or (UNDELIVERABLE_REASON if number.endswith(FAILING_SUFFIX) else None):
                self.failures[position] = reason
        self.recipients.append(list(refusals))

    @property
    def price(self) -> int:
        """The price of a message, in IQD."""
        return PRICES[self.effective_category]

    @property
    def effective_category(self) -> str:
        """The template's category, unless an update has set another."""
        return self.category or template_by_id(self.template).category

    @property
    def cost(self) -> int:
        """The campaign's cost if every message is delivered, in IQD."""
        return self.price * len(self.recipients)

    def start_time(self, now: datetime) -> datetime | None:
        """Return the time at which it started, by a request or as scheduled; None before that."""
        if self.started_at or not self.scheduled or self.scheduled_for is None or self.scheduled_for > now:
            return self.started_at
        return self.scheduled_for

    def completion_time(self, now: datetime) -> datetime | None:
        """Return the time of its last message; None before that."""
        started = self.start_time(now)
        end = started and started + timedelta(seconds=len(self.recipients) / MESSAGES_PER_SECOND)
        return end if end and end <= now else None

    def sent_count(self, now: datetime) -> int:
        """Return how many messages were sent, in the order of ``recipients``."""
        started = self.start_time(now)
        seconds = max((now - started).total_seconds(), 0) if started else 0
        return min(int(seconds * MESSAGES_PER_SECOND), len(self.recipients))

    def status(self, now: datetime) -> Status:
        """Return the status at a time."""
        if self.completion_time(now):
            return "completed"
        if self.start_time(now):
            return "running"
        return "scheduled" if self.scheduled else "draft"

    def spent(self, now: datetime) -> int:
        """Return its part of the project's credit: the estimated cost while it runs, then the actual cost."""
        if self.start_time(now) is None:
            return 0
        counts = self._money(now)
        return counts["reservedAmount"] + counts["reconciledAmount"]

    def to_api(self, now: datetime) -> dict[str, Any]:
        """Return the campaign object of a response. As in OTPIQ's example, it has no status."""
        return {
            "_id": self.id,
            "campaignId": self.campaign_id,
            "name": self.name,
            "template": self.template,
            "phoneNumber": self.phone_number,
            "scheduledFor": to_api_time(self.scheduled_for),
            "startedAt": to_api_time(self.start_time(now)),
            "completedAt": to_api_time(self.completion_time(now)),
            "createdAt": to_api_time(self.created_at),
            "updatedAt": to_api_time(self.updated_at),
            "totalRecipients": len(self.recipients),
            **self._counts(now),
            "estimatedTotalCost": self.cost,
            **self._money(now),
            "isSampleCampaign": self.sample_of is not None,
            "sampleOfCampaign": self.sample_of,
        }

    def _counts(self, now: datetime) -> dict[str, int]:
        sent = self.sent_count(now)
        failed = bisect_left(list(self.failures), sent)
        return {"sentCount": sent, "deliveredCount": sent - failed, "failedCount": failed}

    def _money(self, now: datetime) -> dict[str, int]:
        done = self.completion_time(now) is not None
        running = self.start_time(now) is not None and not done
        delivered = self._counts(now)["deliveredCount"] if done else 0
        return {"reservedAmount": self.cost if running else 0, "reconciledAmount": self.price * delivered}


def to_api_time(time: datetime | None) -> str | None:
    """Write a time as the API does."""
    return None if time is None else time.astimezone(UTC).isoformat().replace("+00:00", "Z")
