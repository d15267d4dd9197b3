"""The sandbox's delivery reports: snapshots, of which only the time and the filters are saved."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox.campaigns import DELAYED_SUFFIX, Campaign, PhoneNumbers, to_api_time
from airflow_provider_otpiq.sandbox.messages import DELIVERED_AFTER, READ_AFTER, Message, header, messages_of, to_csv
from airflow_provider_otpiq.sandbox.service import BadRequestError, CampaignService

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime

    from airflow_provider_otpiq.sandbox.schemas import GenerateReportRequest, MessageStatus, ReportStatus

LIFETIME = timedelta(days=30)
REPORT_SIMULATION = [
    "A report's window includes both ends.",
    f"A message is delivered {DELIVERED_AFTER.seconds} seconds after it is sent. If its number ends in an even digit,"
    f" it is read {READ_AFTER.seconds} seconds after it is sent. deliveredCount counts it as soon as it is sent.",
    f"Error Reason is the last error of a message's flow. A failed message has one. A message to a number that ends in"
    f" {DELAYED_SUFFIX} has one too, although it is delivered.",
    "A failed message has a Sent At. It keeps its cost after the refund, which comes when its campaign is completed.",
    "A report shows the moment at which it was generated, so each download is the same. It returns 201. An empty"
    " phoneNumbers or statuses returns 400. filters has only the filters that were set.",
    "A report's file has phone numbers in digits without plus, times in UTC, CRLF line endings and no byte order mark.",
    "An expired report is still listed, and its download returns 404. No report becomes deleted.",
    "downloadUrl has the host by which the client reached the sandbox, and plain http. A download with an"
    " Authorization header returns 400.",
]


@dataclass
class Report:
    """A delivery report. Each download generates its CSV, so that a million rows need no memory."""

    start: datetime
    end: datetime
    statuses: list[MessageStatus]
    """Only messages with one of these; empty means all."""
    created_at: datetime
    campaigns: list[Campaign]
    """The campaigns that had started in the window when it was generated."""
    phone_numbers: PhoneNumbers = field(default_factory=PhoneNumbers)
    """Only messages to these, in digits; empty means all."""
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    file_id: str = field(default_factory=lambda: secrets.token_hex(12))
    record_count: int = 0

    @property
    def filename(self) -> str:
        """The name of its file, as in OTPIQ's example."""
        created = self.created_at.isoformat()[:19].replace(":", "-")
        return f"delivery-report-sandbox-{created}Z-{self.id[:8]}.csv"

    @property
    def path(self) -> str:
        """The path of its download."""
        return f"/files/{self.file_id}/{self.filename}"

    def status(self, now: datetime) -> ReportStatus:
        """Return the status at a time."""
        return "available" if now < self.created_at + LIFETIME else "expired"

    def count(self) -> int:
        """Count its messages."""
        return sum(len(messages) for _, messages in self._messages())

    def csv(self) -> Iterator[str]:
        """Yield its CSV, campaign by campaign."""
        yield header()
        for campaign, messages in self._messages():
            yield to_csv(campaign, self.created_at, messages)

    def to_api(self, now: datetime, base_url: str) -> dict[str, Any]:
        """Return the report object of a response."""
        window = {"startDate": to_api_time(self.start), "endDate": to_api_time(self.end)}
        numbers = {"phoneNumbers": [f"+{number}" for number in self.phone_numbers]} if self.phone_numbers else {}
        statuses = {"statuses": self.statuses} if self.statuses else {}
        return {
            "_id": self.id,
            "reportId": self.id,
            "filename": self.filename,
            "fileId": self.file_id,
            "downloadUrl": f"{base_url}{self.path}",
            "recordCount": self.record_count,
            "dateRange": window,
            "filters": window | numbers | statuses,
            "expiresAt": to_api_time(self.created_at + LIFETIME),
            "status": self.status(now),
            "createdAt": to_api_time(self.created_at),
            "updatedAt": to_api_time(self.created_at),
            "message": "Delivery report generated successfully",
        }

    def _messages(self) -> Iterator[tuple[Campaign, list[Message]]]:
        numbers, statuses = frozenset(self.phone_numbers), frozenset(self.statuses)
        for campaign in self.campaigns:
            messages = messages_of(campaign, self.created_at, numbers)
            yield campaign, [message for message in messages if not statuses or message.status in statuses]


class ReportService:
    """The sandbox's reports, and the requests that generate and list them."""

    def __init__(self, clock: Callable[[], datetime], campaigns: CampaignService) -> None:
        self._clock = clock
        self._campaigns = campaigns
        self._by_file_id: dict[str, Report] = {}

    def generate(self, new: GenerateReportRequest, base_url: str) -> dict[str, Any]:
        """Generate a report of the messages that were created in the window, with their current status."""
        if new.endDate < new.startDate:
            raise BadRequestError("endDate must not be before startDate")
        now = self._clock()
        started = self._campaigns.started_between(new.startDate, new.endDate, now)
        report = Report(new.startDate, new.endDate, new.statuses, now, started)
        report.phone_numbers.append([number.removeprefix("+") for number in new.phoneNumbers])
        report.record_count = report.count()
        self._by_file_id[report.file_id] = report
        return report.to_api(now, base_url)

    def list_reports(self, base_url: str) -> list[dict[str, Any]]:
        """List all reports, oldest first, with download URLs that begin with ``base_url``."""
        now = self._clock()
        return [report.to_api(now, base_url) for report in list(self._by_file_id.values())]

    def newest(self, base_url: str, statuses: Collection[str], limit: int) -> list[dict[str, Any]]:
        """List the newest reports that have one of the statuses, newest first."""
        now = self._clock()
        found = (report for report in reversed(self._by_file_id.values()) if report.status(now) in statuses)
        return [report.to_api(now, base_url) for report in islice(found, limit)]

    def find_file(self, file_id: str, filename: str) -> Report | None:
        """Return the report of a file that has not expired; None if it does not exist."""
        report = self._by_file_id.get(file_id)
        found = report and report.filename == filename and report.status(self._clock()) == "available"
        return report if found else None

    def clear(self) -> None:
        """Remove all reports."""
        self._by_file_id.clear()
