"""Generate delivery reports, download them, and write or count their messages."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._recipients.rows import safe_reference
from airflow_provider_otpiq._redaction import mask_phone_number, sanitize
from airflow_provider_otpiq._report.members import period_of
from airflow_provider_otpiq._report.messages import MessageTable
from airflow_provider_otpiq._storage import find_object
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqDownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq._report.members import AudienceMembers
    from airflow_provider_otpiq._report.request import AwaitDeliveryRequest, MessageSelection, ReportRequest
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

_MEMORY_LIMIT = "160MB"
_MAX_LISTED = 20


class WrittenReport(NamedTuple):
    """A report that was written; ``members`` is None if it has everybody's messages."""

    destination: str
    members: AudienceMembers | None
    counts: dict[str, Any]


def write_report(hook: OtpiqHook, request: ReportRequest, members: AudienceMembers | None) -> WrittenReport:
    """
    Write the messages of the members, or everybody's, to a file, and count them.

    :raises OtpiqError: as :meth:`.OtpiqHook.generate_report` and :meth:`.OtpiqHook.download_report`.
    """
    start, end = period_of(request, members)
    folder, name = find_object(request.destination)
    folder.require_writable(name)  # before many reports are generated
    with _message_table(request, members) as table:
        progress = Progress()
        for part, numbers in _numbers_by_part(members, table):
            _add_report(hook, table, part, start=start, end=end, phone_numbers=numbers, statuses=request.statuses)
            if part:
                progress.report("Generated the reports of all parts up to %s.", part)
        table.log_other_types()
        table.log_missing()
        _log_ambiguous(table)
        with folder.staged(name) as path:
            table.write(path, request.file_format, has_all_statuses=not request.statuses)
        return WrittenReport(request.destination, members, table.counts())


def count_messages(
    hook: OtpiqHook, request: AwaitDeliveryRequest, members: AudienceMembers | None
) -> tuple[dict[str, Any], float]:
    """
    Count the messages of the members, or everybody's, by one report; return the counts and the share that is final.

    Members whose campaigns were stopped do not count.

    :raises OtpiqError: as :func:`write_report`.
    """
    start, end = period_of(request, members)
    with _message_table(request, members) as table:
        for part in members.awaited() if members else ():
            table.add_members(part)
        _add_report(hook, table, None, start=start, end=end)
        table.log_other_types()
        table.log_missing()
        return table.counts(), table.final_share()


@contextmanager
def _message_table(selection: MessageSelection, members: AudienceMembers | None) -> Iterator[MessageTable]:
    with Database(_MEMORY_LIMIT) as database:
        yield MessageTable(database, has_members=members is not None, message_types=selection.counted_types)


def _numbers_by_part(
    members: AudienceMembers | None, table: MessageTable
) -> Iterator[tuple[str | None, list[str] | None]]:
    """
    Add the members to the table, and yield the phone numbers of each report.

    The maximum of numbers in a request is not documented. A part has at most 1,000: assumption
    ``report-1000-numbers``.
    """
    if members is None:
        yield None, None
        return
    for part in members:
        table.add_members(part)
        yield part.part, [recipient["phoneNumber"] for recipient in part.recipients]


def _add_report(hook: OtpiqHook, table: MessageTable, part: str | None, **fields: Any) -> None:
    """Generate a report and add its messages to the table; one of a part may only have messages of its members."""
    path = table.folder / "report.csv"
    try:
        report = _download(hook, str(path), fields)
    except OtpiqDownloadError as error:
        error.remedy = "Generating the report again."
        log.warning("%s", error)
        report = _download(hook, str(path), fields)
    name = f"report {sanitize(str(report['_id']))} (connection {hook.otpiq_conn_id!r})"
    table.add_messages(path, name, report["recordCount"], part)
    path.unlink()


def _download(hook: OtpiqHook, path: str, fields: dict[str, Any]) -> dict[str, Any]:
    report = hook.generate_report(**fields)
    hook.download_report(report=report, destination=path)
    return report


def _log_ambiguous(table: MessageTable) -> None:
    names = [
        safe_reference(reference) if reference else mask_phone_number(number) for number, reference in table.ambiguous()
    ]
    if names:
        log.warning(
            "Recipients with several messages in this period: %s (%s). Which campaign sent which message is unknown, so"
            " their messages have no part and no campaign_id, and ambiguous is true.",
            f"{len(names):,}",
            list_some(names, _MAX_LISTED),
        )
