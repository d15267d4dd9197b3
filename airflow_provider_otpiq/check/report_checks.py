"""The checks of what is assumed about WhatsApp's resources and delivery reports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from airflow_provider_otpiq._models.reports import MESSAGE_STATUSES, Report
from airflow_provider_otpiq._models.resources import doubt_status
from airflow_provider_otpiq._redaction import describe_count, sanitize
from airflow_provider_otpiq._report.columns import COLUMNS
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.check.client import UnknownError
from airflow_provider_otpiq.check.finding import finding, keys_of
from airflow_provider_otpiq.check.project import accounts_of
from airflow_provider_otpiq.check.requests import EMPTY, LAST_DAY, MANY_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_otpiq._models.resources import PhoneNumber, Template
    from airflow_provider_otpiq.check.evidence import Evidence, ReportFile
    from airflow_provider_otpiq.check.finding import Check, Finding

_TIME = re.compile(r".*[T ].*(Z|[+-]\d\d(:?\d\d)?)")
_PHONE_NUMBER = re.compile(r"\+?[1-9]\d{9,14}", re.ASCII)
_MAX_LISTED = 12
_MAX_FORM = 40


def _resource_values(evidence: Evidence) -> Finding:
    accounts = accounts_of(evidence)
    templates = [template for account in accounts for template in account.templates]
    numbers = [number for account in accounts for number in account.numbers]
    if not templates and not numbers:
        raise UnknownError("the project has neither templates nor numbers")
    doubts = filter(None, (*map(doubt_status, templates), *map(doubt_status, numbers)))
    return finding(not any(doubts), f"templates {_statuses(templates)}; numbers {_statuses(numbers)}")


def _report_shape(evidence: Evidence) -> Finding:
    reply = evidence.accepted(EMPTY if evidence.was_accepted(EMPTY) else LAST_DAY)
    return finding(_is_report(reply.content), keys_of(reply.content))


def _report_empty(evidence: Evidence) -> Finding:
    reply = evidence[EMPTY]
    if not reply.is_success:
        return finding(False, reply)
    report = _report_of(reply.content)
    rows = _file(evidence, EMPTY).row_count
    if report.record_count != rows:
        raise UnknownError(f"recordCount {report.record_count} with {describe_count(rows, 'row')}")
    return finding(rows == 0, f"recordCount {report.record_count} with {describe_count(rows, 'row')}")


def _report_columns(evidence: Evidence) -> Finding:
    columns = _any_file(evidence).columns
    documented = [column.title for column in COLUMNS]
    if not set(documented).intersection(columns):  # so the first line may be somebody's message
        return finding(False, f"{describe_count(len(columns), 'column')}, and none of the documented ones")
    holds = all(columns.count(title) == 1 for title in documented)
    return finding(holds, list_some(columns, _MAX_LISTED))


def _report_times(evidence: Evidence) -> Finding:
    wrong = [time for time in _values(evidence, "Created At") if not _TIME.fullmatch(time)]
    return finding(not wrong, f"such as {_form(wrong[0])}" if wrong else "with an offset")


def _report_host(evidence: Evidence) -> Finding:
    if seen := evidence.contradictions.get("report-host"):
        return finding(False, seen)
    _any_file(evidence)
    url = urlsplit(_report_of(evidence[_downloaded(evidence)].content).download_url)
    return finding(True, f"{url.scheme} on {url.hostname}")


def _report_download(evidence: Evidence) -> Finding:
    if seen := evidence.contradictions.get("report-download"):
        return finding(False, seen)
    _any_file(evidence)
    return finding(True, "downloaded without the key")


def _report_record_count(evidence: Evidence) -> Finding:
    if seen := evidence.contradictions.get("report-record-count"):
        return finding(False, seen)
    counts = [describe_count(file.row_count, "row") for file in evidence.files.values()]
    _any_file(evidence)
    return finding(True, ", ".join(counts))


def _report_phone_numbers(evidence: Evidence) -> Finding:
    numbers = _values(evidence, "Phone Number")
    wrong = [number for number in numbers if not _PHONE_NUMBER.fullmatch(number)]
    return finding(not wrong, f"such as {_form((wrong or numbers)[0])}")


def _report_statuses(evidence: Evidence) -> Finding:
    statuses = [status.strip().lower() for status in _values(evidence, "Delivery Status")]
    return finding(set(MESSAGE_STATUSES).issuperset(statuses), _words(statuses))


def _report_1000_numbers(evidence: Evidence) -> Finding:
    reply = evidence[MANY_NUMBERS]
    if not reply.is_success and evidence[EMPTY].status == reply.status:
        raise UnknownError(f"a report of no messages is refused too: {reply}")
    return finding(reply.is_success, reply)


def _is_report(content: object) -> bool:
    try:
        _report_of(content)
    except UnknownError:
        return False
    return True


def _report_of(content: object) -> Report:
    try:
        return Report.model_validate(content)
    except ValidationError:
        raise UnknownError("OTPIQ returned no report") from None


def _file(evidence: Evidence, name: str) -> ReportFile:
    if name in evidence.files:
        return evidence.files[name]
    evidence.accepted(name)
    raise UnknownError(evidence.reasons.get(f"file of the {name}", "the file was not downloaded"))


def _any_file(evidence: Evidence) -> ReportFile:
    return _file(evidence, _downloaded(evidence))


def _downloaded(evidence: Evidence) -> str:
    return LAST_DAY if LAST_DAY in evidence.files else EMPTY


def _values(evidence: Evidence, column: str) -> list[str]:
    file = _file(evidence, LAST_DAY)
    if column not in file.columns:
        raise UnknownError(f"the file has no column {column}")
    if not file.rows:
        raise UnknownError("no message was sent in the last day")
    return [row[column] for row in file.rows]


def _form(value: str) -> str:
    """Describe the form of a phone number or a time: ``dddd-dd-ddTdd:dd:ddZ``."""
    return re.sub(r"\d", "d", re.sub(r"[^\W\dTZ]", "x", value[:_MAX_FORM]))


def _statuses(listed: Iterable[Template | PhoneNumber]) -> str:
    return _words(str(resource.status) for resource in listed)


def _words(values: Iterable[str]) -> str:
    return list_some(sorted({sanitize(value) for value in values}), _MAX_LISTED) or "none"


REPORT_CHECKS: dict[str, Check] = {
    "resource-values": _resource_values,
    "report-shape": _report_shape,
    "report-empty": _report_empty,
    "report-columns": _report_columns,
    "report-times": _report_times,
    "report-host": _report_host,
    "report-download": _report_download,
    "report-record-count": _report_record_count,
    "report-phone-numbers": _report_phone_numbers,
    "report-statuses": _report_statuses,
    "report-1000-numbers": _report_1000_numbers,
}
"""The checks by the assumption's id."""
