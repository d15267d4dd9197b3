"""The messages of a started campaign: their status and their rows in a delivery report."""

from __future__ import annotations

import csv
import hashlib
from datetime import timedelta
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_otpiq.sandbox.campaigns import DELAYED_SUFFIX, MESSAGES_PER_SECOND, to_api_time
from airflow_provider_otpiq.sandbox.resources import sender_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Set
    from datetime import datetime

    from airflow_provider_otpiq.sandbox.campaigns import Campaign
    from airflow_provider_otpiq.sandbox.schemas import MessageStatus

COLUMNS = (
    "Message ID",
    "Phone Number",
    "Sender ID",
    "Cost (IQD)",
    "Message Type",
    "Delivery Status",
    "Error Reason",
    "Refunded",
    "Created At",
    "Sent At",
)
DELIVERED_AFTER = timedelta(seconds=5)
"""The time from sent to delivered."""
READ_AFTER = timedelta(minutes=1)
"""The time from sent to read, for numbers that end in an even digit."""
DELAY_REASON = "131016: Service unavailable, the message was sent again"


class Message(NamedTuple):
    """A message of a campaign."""

    position: int
    """The index of its number in the campaign's recipients."""
    phone_number: str
    status: MessageStatus


def messages_of(campaign: Campaign, time: datetime, numbers: Set[str]) -> Iterator[Message]:
    """Yield the messages of a campaign with their status at a time; only those to ``numbers``, unless it is empty."""
    sent, delivered, read = (campaign.sent_count(time - age) for age in (timedelta(), DELIVERED_AFTER, READ_AFTER))
    for position, number in enumerate(campaign.recipients):
        if numbers and number not in numbers:
            continue
        status: MessageStatus
        if position >= sent:
            status = "pending"
        elif position in campaign.failures:
            status = "failed"
        elif position >= delivered:
            status = "sent"
        else:
            status = "read" if position < read and number[-1] in "02468" else "delivered"
        yield Message(position, number, status)


def to_csv(campaign: Campaign, time: datetime, messages: Iterable[Message]) -> str:
    """Return the rows of a delivery report, without a header, as in RFC 4180: lines end in CRLF."""
    text = StringIO(newline="")
    csv.writer(text).writerows(_rows(campaign, time, messages))
    return text.getvalue()


def header() -> str:
    """Return the header of a delivery report."""
    text = StringIO(newline="")
    csv.writer(text).writerow(COLUMNS)
    return text.getvalue()


def _rows(campaign: Campaign, time: datetime, messages: Iterable[Message]) -> Iterator[tuple[object, ...]]:
    started = campaign.start_time(time)
    if started is None:
        return
    # A message has the same id in each report, and no id is stored.
    prefix = hashlib.sha256(campaign.id.encode()).hexdigest()[:20]
    sender, cost, created = sender_name(campaign.phone_number), campaign.price, to_api_time(started)
    completed = campaign.completion_time(time) is not None
    for position, number, status in messages:
        failed = status == "failed"
        refunded = "Yes" if failed and completed else "No"
        went_out = started + timedelta(seconds=(position + 1) / MESSAGES_PER_SECOND)
        sent_at = "" if status == "pending" else to_api_time(went_out)
        yield (
            f"{prefix}{position:04x}",
            number,
            sender,
            cost,
            "WhatsApp Template",
            status,
            _error_reason(number, status, campaign.failures.get(position, "")),
            refunded,
            created,
            sent_at,
        )


def _error_reason(number: str, status: MessageStatus, failure: str) -> str:
    """Return the last error of a message's flow, which a delivered message may have too."""
    if status == "failed":
        return failure
    return DELAY_REASON if number.endswith(DELAYED_SUFFIX) and status != "pending" else ""
