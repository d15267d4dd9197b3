"""A delivery report: generated at OTPIQ, downloaded, and put together in DuckDB."""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._recipients.rows import safe_reference
from airflow_provider_otpiq._redaction import mask_phone_number, sanitize
from airflow_provider_otpiq._report.members import window_of
from airflow_provider_otpiq._report.messages import MessageTable
from airflow_provider_otpiq._storage import require_writable, staged
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqDownloadError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pendulum import DateTime

    from airflow_provider_otpiq._report.members import AudienceMembers
    from airflow_provider_otpiq._report.request import AwaitDeliveryRequest, MessageSelection, ReportRequest
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

_MEMORY_LIMIT = "160MB"
_MAX_LISTED = 20


class WrittenReport(NamedTuple):
    """A report that was written."""

    destination: str
    people: AudienceMembers | None
    """Whose messages are in it; None for everybody's."""
    counts: dict[str, Any]


def write_report(hook: OtpiqHook, request: ReportRequest, people: AudienceMembers | None) -> WrittenReport:
    """
    Write what became of the messages to a file, and count them.

    :param hook: the hook of the connection.
    :param request: which messages, and where to.
    :param people: whose messages; None for everybody's.
    :raises OtpiqError: as :meth:`.OtpiqHook.generate_report` and :meth:`.OtpiqHook.download_report`.
    """
    start, end = window_of(request, people)
    require_writable(request.destination)  # before OTPIQ is asked for many reports
    with _collector(hook, request, people) as collector:
        progress = Progress()
        for part, numbers in _numbers_by_part(people, collector.table):
            collector.add(part, start=start, end=end, phone_numbers=numbers, statuses=request.statuses)
            progress.report("Made reports up to part %s.", part)
        collector.table.log_other_types()
        _log_ambiguous(collector.table)
        collector.write(request.destination, request.file_format)
        return WrittenReport(request.destination, people, collector.table.counts())


def count_messages(
    hook: OtpiqHook, request: AwaitDeliveryRequest, people: AudienceMembers | None
) -> tuple[dict[str, Any], float]:
    """
    Count what became of the messages by one report, and tell which share of them is final.

    :param hook: the hook of the connection.
    :param request: which messages.
    :param people: whose messages; None for everybody's.
    :raises OtpiqError: as :func:`write_report`.
    """
    with _collector(hook, request, people) as collector:
        for part in people or ():
            collector.table.add_people(part)
        start, end = window_of(request, people)
        collector.add(None, start=start, end=end)
        collector.table.log_other_types()
        return collector.table.counts(), collector.table.final_share()


def not_before(request: AwaitDeliveryRequest, people: AudienceMembers | None) -> DateTime | None:
    """Return when the messages can be final at the earliest: none may be missing in a report."""
    return request.end or (people and people.last_start) or None


def _numbers_by_part(
    people: AudienceMembers | None, table: MessageTable
) -> Iterator[tuple[str | None, list[str] | None]]:
    """
    Divide the people over as many reports as it takes.

    How many numbers a request may carry is not documented. A part has a thousand, as an attach: **an assumption**.
    """
    if people is None:
        yield None, None
        return
    for part in people:
        table.add_people(part)
        yield part.part, [each["phoneNumber"] for each in part.recipients]


class _Collector:
    """What collects the messages of reports in a table."""

    def __init__(self, hook: OtpiqHook, database: Database, table: MessageTable) -> None:
        self._hook = hook
        self._database = database
        self.table = table

    def add(self, part: str | None, **fields: Any) -> None:
        """Generate a report and take in its messages, if it is about a part, only those of its people."""
        path = self._database.folder / "report.csv"
        try:
            report = self._download(fields, str(path))
        except OtpiqDownloadError as error:
            error.remedy = "It is made once more."
            log.warning("%s", error)
            report = self._download(fields, str(path))
        name = f"report {sanitize(str(report['_id']))} (connection {self._hook.otpiq_conn_id!r})"
        self.table.add_messages(path, name, report["recordCount"], part)
        path.unlink()

    def _download(self, fields: dict[str, Any], path: str) -> dict[str, Any]:
        report = self._hook.generate_report(**fields)
        log.debug(
            "Report %s of %s to %s has %s messages.",
            sanitize(str(report["_id"])),
            to_api_format(fields["start"]),
            to_api_format(fields["end"]),
            f"{report['recordCount']:,}",
        )
        self._hook.download_report(report=report, destination=path)
        return report

    def write(self, destination: str, file_format: str) -> None:
        """Write the messages to a local path or URL."""
        written = self._database.folder / f"messages.{file_format}"  # DuckDB writes in its own folder only
        self.table.write(written, file_format)
        written.chmod(0o600)  # as all files of people: DuckDB lets others read them
        with staged(destination) as path:
            shutil.move(written, path)


@contextmanager
def _collector(hook: OtpiqHook, messages: MessageSelection, people: AudienceMembers | None) -> Iterator[_Collector]:
    with Database(_MEMORY_LIMIT) as database:
        table = MessageTable(database, has_people=people is not None, message_types=messages.counted_types)
        yield _Collector(hook, database, table)


def _log_ambiguous(table: MessageTable) -> None:
    names = [
        safe_reference(reference) if reference else mask_phone_number(number) for number, reference in table.ambiguous()
    ]
    if names:
        log.warning(
            "%s people have several messages in this window, so which one is the broadcast's is unknown. Theirs have no"
            " part and no campaign_id, and ambiguous is true: %s.",
            f"{len(names):,}",
            list_some(names, _MAX_LISTED),
        )
