"""The requests of ``otpiq-check --create``: one draft, what is tried with it, and three reports."""

from __future__ import annotations

import csv
import tempfile
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pendulum
from pydantic import ValidationError

from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._models.reports import Report
from airflow_provider_otpiq.check.client import UnknownError, describe
from airflow_provider_otpiq.check.evidence import NEEDS_NUMBER, ReportFile
from airflow_provider_otpiq.check.guard import CAMPAIGNS, GENERATE, TAKE_BACK, UNKNOWN_CAMPAIGN, UNKNOWN_FIELD
from airflow_provider_otpiq.check.project import choose_message
from airflow_provider_otpiq.exceptions import OtpiqDownloadError, OtpiqError, OtpiqReportError

if TYPE_CHECKING:
    from airflow_provider_otpiq.check.evidence import Evidence

EMPTY, LAST_DAY, MANY_NUMBERS = "report of no messages", "report of the last day", "report for 1,000 numbers"
_WITH_LINE_BREAK = "attach with a line break"
_DISTANCE = timedelta(days=370)
"""How far away schedules are: more than the guard requires, so that a slow clock does not matter."""
_BEFORE_OTPIQ = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2020-01-01T00:01:00Z"}
_NUMBERS = [f"+964770{number:07}" for number in range(1000)]
_MAX_ROWS = 1000


def try_campaign(evidence: Evidence, name: str, phone_number: str | None) -> None:
    """
    Create a draft, and try what can be tried without a message. A schedule is always taken back.

    :param name: the draft's name.
    :param phone_number: the user's own number in the API's form; None to attach nobody.
    """
    try:
        message = choose_message(evidence)
    except UnknownError as error:
        evidence.default_reason = f"no draft was created: {error}"
        return
    body = {"name": name, "templateId": message.template_id, "phoneNumberId": message.phone_number_id}
    reply = evidence.ask("create", "POST", CAMPAIGNS, body)
    if not evidence.client.guard.campaign_id:
        seen = f"the create returned {reply}" if reply else evidence.reasons["create"]
        evidence.default_reason = f"no draft with a valid _id: {seen}"
        return
    try:
        _try_updates(evidence, name)
        _try_schedules(evidence)
        if phone_number:
            _try_attaches(evidence, name, phone_number, message.parameters)
        else:
            evidence.default_reason = NEEDS_NUMBER
    finally:
        evidence.client.take_back()


def try_reports(evidence: Evidence) -> None:
    """Generate three reports, and download the files of two. They are deleted from this machine at once."""
    now = pendulum.now("UTC")
    last_day = {"startDate": to_api_format(now.subtract(days=1)), "endDate": to_api_format(now)}
    evidence.ask(EMPTY, "POST", GENERATE, _BEFORE_OTPIQ)
    evidence.ask(LAST_DAY, "POST", GENERATE, last_day)
    evidence.ask(MANY_NUMBERS, "POST", GENERATE, {**_BEFORE_OTPIQ, "phoneNumbers": _NUMBERS})
    with tempfile.TemporaryDirectory(prefix="otpiq-check-") as folder:
        for index, name in enumerate((EMPTY, LAST_DAY)):
            _download(evidence, name, Path(folder) / f"{index}.csv")


def _update(evidence: Evidence, request: str, **body: Any) -> None:
    evidence.ask(request, "PATCH", f"{CAMPAIGNS}/{evidence.client.guard.campaign_id}", body)


def _try_updates(evidence: Evidence, name: str) -> None:
    _update(evidence, "unknown field", **{"name": name, UNKNOWN_FIELD: True})
    _update(evidence, "name of 2 characters", name="ab")
    _update(evidence, "name of 81 characters", name="otpiq-check".ljust(81, "x"))
    evidence.ask("unknown campaign", "PATCH", f"{CAMPAIGNS}/{UNKNOWN_CAMPAIGN}", {"name": name})
    _update(evidence, "update", name=name)


def _try_schedules(evidence: Evidence) -> None:
    now = pendulum.now("UTC").start_of("minute")
    _update(evidence, "time alone", scheduledFor=to_api_format(now + _DISTANCE + timedelta(hours=1)))
    evidence.scheduled_for = to_api_format(now + _DISTANCE)
    _update(evidence, "schedule", scheduleType="schedule", scheduledFor=evidence.scheduled_for)
    _update(evidence, "schedule alone", scheduleType="schedule")
    _update(evidence, "back to draft", **TAKE_BACK)
    # The last one: if OTPIQ accepts it, the campaign starts, without recipients.
    _update(evidence, "time in the past", scheduleType="schedule", scheduledFor=to_api_format(now - _DISTANCE))


def _try_attaches(evidence: Evidence, name: str, phone_number: str, parameters: dict[str, Any]) -> None:
    body = parameters.get("body")
    if isinstance(body, dict) and body:
        key = next(iter(body))
        with_line_break = {**parameters, "body": {**body, key: "otpiq\ncheck"}}
        _attach(evidence, _WITH_LINE_BREAK, phone_number, with_line_break)
    else:
        evidence.reasons[_WITH_LINE_BREAK] = "the template has no parameter in its body"
    if evidence.was_accepted(_WITH_LINE_BREAK):
        evidence.replies["attach"] = evidence[_WITH_LINE_BREAK]
    else:
        _attach(evidence, "attach", phone_number, parameters)
    _update(evidence, "update after the attach", name=name)
    _attach(evidence, "attach again", phone_number, parameters)
    _attach(evidence, "attach with a plus", f"+{phone_number}", parameters)


def _attach(evidence: Evidence, request: str, phone_number: str, parameters: dict[str, Any]) -> None:
    recipient = {"phoneNumber": phone_number, "templateParameters": parameters}
    path = f"{CAMPAIGNS}/{evidence.client.guard.campaign_id}/recipients"
    evidence.ask(request, "POST", path, {"recipients": [recipient]})


def _download(evidence: Evidence, name: str, path: Path) -> None:
    reply = evidence.replies.get(name)
    try:
        report = Report.model_validate(reply.content if reply else None)
    except ValidationError:
        evidence.reasons[name] = evidence.reasons.get(name, "OTPIQ returned no report")
        return
    path.touch()
    try:
        evidence.client.download(report, path)
    except OtpiqReportError as error:
        evidence.contradictions["report-host"] = describe(error)
        return
    except OtpiqDownloadError as error:
        assumption = "report-download" if error.status_code else "report-record-count"
        evidence.contradictions[assumption] = describe(error)
    except OtpiqError as error:
        evidence.reasons[f"file of the {name}"] = describe(error)
        return
    _read(evidence, name, path)


def _read(evidence: Evidence, name: str, path: Path) -> None:
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            reader = csv.DictReader(file, restkey="", restval="")
            rows = [dict(row) for row in islice(reader, _MAX_ROWS)]
            columns = list(reader.fieldnames or ())
            count = len(rows) + sum(1 for _ in reader)
    except csv.Error as error:
        evidence.reasons[f"file of the {name}"] = f"the file is not CSV: {error}"
        return
    if columns:
        evidence.files[name] = ReportFile(columns, rows, count)
