"""The sandbox's state: campaigns, reports, logged requests, armed faults, and a clock that can be moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from airflow_provider_otpiq.sandbox.deviations import parse_deviations
from airflow_provider_otpiq.sandbox.reports import LIFETIME, ReportService
from airflow_provider_otpiq.sandbox.request_log import LoggedRequest, RequestLog
from airflow_provider_otpiq.sandbox.resources import ResourceChanges
from airflow_provider_otpiq.sandbox.service import CampaignService

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_otpiq.sandbox.faults import Fault


class SandboxState:
    """
    The sandbox's state. The API key of a request is compared and never saved.

    :raises ValueError: if ``keep_requests`` is negative, or the sandbox cannot deviate from an assumption.
    """

    def __init__(self, api_key: str, *, credit: int, keep_requests: int, deviations: Iterable[str]) -> None:
        self.api_key = api_key
        self.deviations = self._initial_deviations = parse_deviations(deviations)
        self.campaigns = CampaignService(clock=self.now, credit=credit)
        self.reports = ReportService(clock=self.now, campaigns=self.campaigns)
        self.resources = ResourceChanges()
        self.requests = RequestLog(keep_requests)
        self.faults: list[Fault] = []
        self.clock_offset = timedelta()
        self.drop_connection: Callable[[tuple[str, int]], None] = lambda client: None

    def now(self) -> datetime:
        """Return the time of the sandbox's clock."""
        return datetime.now(UTC) + self.clock_offset

    def move_clock(self, by: timedelta) -> None:
        """Move the clock; raise OverflowError outside of the years 1 to 9999."""
        offset = self.clock_offset + by
        now, margin = datetime.now(UTC) + offset, LIFETIME + timedelta(days=1)
        now - margin, now + margin
        self.clock_offset = offset

    def log_request(self, method: str, path: str, raw_body: bytes) -> LoggedRequest:
        """Log a request, and return its entry, which gets the status of the response."""
        request = LoggedRequest(self.now().isoformat(), method, path, raw_body)
        self.requests.add(request)
        return request

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Return the oldest fault for a request, and count it."""
        for fault in self.faults:
            if fault.matches(method, path):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def reset(self) -> None:
        """Remove all campaigns, reports, requests and faults; reset the clock, credit, resources and deviations."""
        self.campaigns.clear()
        self.reports.clear()
        self.requests.clear()
        self.faults.clear()
        self.resources.clear()
        self.clock_offset = timedelta()
        self.deviations = self._initial_deviations
