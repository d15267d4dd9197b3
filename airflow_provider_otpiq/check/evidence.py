"""The responses that ``otpiq-check`` has seen, by the name of the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq.check.client import UnknownError

if TYPE_CHECKING:
    from airflow_provider_otpiq.check.client import Reply, SafeClient

NEEDS_CREATE, NEEDS_NUMBER = "needs --create", "needs --phone-number"


class ReportFile(NamedTuple):
    """A downloaded report."""

    columns: list[str]
    rows: list[dict[str, str]]
    """Its first rows. They contain personal data, and are never printed."""
    row_count: int
    """The number of all rows."""


class Evidence:
    """
    What OTPIQ has responded, or why there is no response.

    ``evidence[name]`` is the response to a request. It raises :class:`.UnknownError` with the reason if there is none.
    """

    def __init__(self, client: SafeClient) -> None:
        self.client = client
        self.replies: dict[str, Reply] = {}
        self.reasons: dict[str, str] = {}
        """Why a reply or a file is missing, by its name."""
        self.default_reason = NEEDS_CREATE
        """Why a request was not sent that has no reason of its own."""
        self.scheduled_for = ""
        """The time of the schedule, as it was sent."""
        self.files: dict[str, ReportFile] = {}
        """The files of reports by the report's name."""
        self.contradictions: dict[str, str] = {}
        """What a file's download has shown, by the assumption's id."""

    def ask(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> Reply | None:
        """Send a request, and keep its response; return None if there is none that proves something."""
        try:
            self.replies[name] = self.client.ask(name, method, path, body)
        except UnknownError as error:
            self.reasons[name] = str(error)
        return self.replies.get(name)

    def __getitem__(self, name: str) -> Reply:
        """Return a reply."""
        if name in self.replies:
            return self.replies[name]
        raise UnknownError(self.reasons.get(name, self.default_reason))

    def was_accepted(self, name: str) -> bool:
        """Return whether OTPIQ has accepted a request."""
        return name in self.replies and self.replies[name].is_success

    def accepted(self, name: str) -> Reply:
        """
        Return the reply to a request that OTPIQ has accepted.

        :raises UnknownError: if there is none.
        """
        reply = self[name]
        if not reply.is_success:
            raise UnknownError(f"{name}: {reply}")
        return reply

    def campaign(self, name: str) -> dict[str, Any]:
        """
        Return the campaign in the reply to a request that OTPIQ has accepted.

        :raises UnknownError: if there is none.
        """
        content = self.accepted(name).content
        campaign = content.get("data") if isinstance(content, dict) else None
        if not isinstance(campaign, dict):
            raise UnknownError("the response has no campaign in data")
        return campaign
