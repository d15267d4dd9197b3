"""What the sandbox holds: campaigns, requests, armed faults, and a clock that can be moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.sandbox.rules import Campaigns

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq.sandbox.faults import Fault


class SandboxState:
    """
    What the sandbox holds. The API key of a request is compared and never kept.

    :param api_key: the only key that it accepts.
    """

    def __init__(self, api_key: str) -> None:
        self.api_key = api_key
        self.campaigns = Campaigns(clock=self.now)
        self.requests: list[dict[str, Any]] = []
        self.faults: list[Fault] = []
        self.clock_is_ahead = timedelta()
        self.drop_connection: Callable[[tuple[str, int]], None] = lambda client: None

    def now(self) -> datetime:
        """Tell the time by the sandbox's clock."""
        return datetime.now(UTC) + self.clock_is_ahead

    def move_clock(self, by: timedelta) -> None:
        """Move the clock; an OverflowError if no calendar reaches so far."""
        ahead = self.clock_is_ahead + by
        datetime.now(UTC) + ahead + timedelta(days=1)
        self.clock_is_ahead = ahead

    def keep_request(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Keep a request; its ``status`` is filled in when it is answered, and stays None if it never is."""
        request = {"at": self.now().isoformat(), "method": method, "path": path, "body": body, "status": None}
        self.requests.append(request)
        return request

    def take_fault(self, method: str, path: str) -> Fault | None:
        """Take the fault that was armed first for a request of this kind."""
        for fault in self.faults:
            if fault.meets(method, path):
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
                return fault
        return None

    def reset(self) -> None:
        """Forget all campaigns, requests and faults, and set the clock right."""
        self.campaigns.clear()
        self.requests.clear()
        self.faults.clear()
        self.clock_is_ahead = timedelta()
