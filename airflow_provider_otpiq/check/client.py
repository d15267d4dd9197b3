"""The client of ``otpiq-check``: every request passes the guard, and its time is noted."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import from_json

from airflow_provider_otpiq._http.client import OtpiqClient
from airflow_provider_otpiq._http.download import Download
from airflow_provider_otpiq._http.responses import error_from_response
from airflow_provider_otpiq._models.campaigns import CampaignResponse
from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq.check.guard import CAMPAIGNS, TAKE_BACK, Guard
from airflow_provider_otpiq.exceptions import OtpiqError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_provider_otpiq._http.client import SerialisedBody
    from airflow_provider_otpiq._http.responses import RawResponse
    from airflow_provider_otpiq._http.settings import HttpSettings
    from airflow_provider_otpiq._models.reports import Report

_ID = re.compile("[0-9a-fA-F]{24}")
# Others come from a proxy, a limit or a failure, and prove nothing about the request.
_EVIDENCE = (
    *range(HTTPStatus.OK, HTTPStatus.MULTIPLE_CHOICES),
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class UnknownError(Exception):
    """Nothing can be said about an assumption; the text is the reason."""


class Call(NamedTuple):
    """A request that was sent."""

    purpose: str
    method: str
    path: str
    """Its path without ids and query."""
    status: int | None
    """The status of the response; None without a response."""
    seconds: float


class Reply(NamedTuple):
    """OTPIQ's response to a request: JSON, with a status that proves something about the request."""

    status: int
    content: Any
    headers: Mapping[str, str]
    message: str | None
    """OTPIQ's message if it refuses the request, without phone numbers; None without a message."""

    @property
    def is_success(self) -> bool:
        """Whether the request was accepted."""
        return self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def was_refused(self) -> bool:
        """Whether the request broke a rule."""
        return self.status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)

    def __str__(self) -> str:
        return f"{self.status}: {self.message}" if self.message else str(self.status)


class SafeClient(OtpiqClient):
    """
    A client that sends no messages: the guard sees every request of every method before it is sent.

    :param phone_number: the only phone number that may be attached, in the API's form; None for nobody.
    """

    def __init__(self, settings: HttpSettings, name: str, *, phone_number: str | None = None) -> None:
        super().__init__(settings, name)
        self.guard = Guard(phone_number)
        self.calls: list[Call] = []
        """The requests that were sent, in order."""
        self._purpose = ""

    def ask(self, purpose: str, method: str, path: str, body: dict[str, Any] | None = None) -> Reply:
        """
        Send a request once.

        :raises UnknownError: if it was not sent, or its response proves nothing.
        """
        self._purpose = purpose
        try:
            return _reply(self._send(method, path, body))
        except OtpiqError as error:
            raise UnknownError(describe(error)) from None

    def sanitize(self, text: str) -> str:
        """Return a text as one short line, without the API key and with masked phone numbers."""
        return sanitize(text, self._settings.password)

    def take_back(self) -> None:
        """Make the draft a draft again if it may be scheduled, with HTTP retries. The guard sees whether it worked."""
        if self.guard.may_be_scheduled:
            self._purpose = "take back"
            with suppress(OtpiqError):
                self.request("PATCH", f"{CAMPAIGNS}/{self.guard.campaign_id}", CampaignResponse, TAKE_BACK)

    def download(self, report: Report, path: Path) -> None:
        """
        Download a report's file.

        :raises OtpiqError: as the hook's ``download_report``.
        """
        start = time.monotonic()
        try:
            Download(report.download_url, report.record_count, "the report", self._settings).to_file(path)
        finally:
            self._note("download", "GET", "downloadUrl", None, start)

    def _send(self, method: str, path: str, body: dict[str, Any] | SerialisedBody | None) -> RawResponse:
        self.guard.admit(method, path, body)
        status, start = None, time.monotonic()
        try:
            response = super()._send(method, path, body)
            status = response.status
        finally:
            self._note(self._purpose, method, _ID.sub("{_id}", path.partition("?")[0]), status, start)
        self.guard.follow(method, path, body, response.status, _json(response))
        return response

    def _note(self, purpose: str, method: str, path: str, status: int | None, start: float) -> None:
        self.calls.append(Call(purpose, method, path, status, round(time.monotonic() - start, 3)))


def _reply(response: RawResponse) -> Reply:
    content = _json(response)
    message = None if response.status < HTTPStatus.MULTIPLE_CHOICES else error_from_response(response).server_message
    if response.status not in _EVIDENCE:
        raise UnknownError(f"the response is {response.status}{f': {message}' if message else ''}")
    if not isinstance(content, dict | list):
        kind = response.sanitize(response.headers.get("Content-Type", "no content type"))
        size = describe_count(len(response.content), "byte")
        raise UnknownError(f"the response is {response.status} without JSON: {size}, {kind}")
    return Reply(response.status, content, response.headers, message)


def _json(response: RawResponse) -> Any:
    try:
        return from_json(response.content, allow_inf_nan=False)
    except ValueError:
        return None


def describe(error: OtpiqError) -> str:
    """Return what happened, without the remedy, which is about a task."""
    remedy = getattr(error, "remedy", "")
    return str(error).removesuffix(remedy).strip().rstrip(".")
