"""A file with the recipients of one campaign: CSV, or a JSON list such as a part of a prepared audience."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from airflow_provider_otpiq._audience.file_kind import unreadable
from airflow_provider_otpiq._audience.readers import parse_csv
from airflow_provider_otpiq._audience.request import Columns, fill
from airflow_provider_otpiq._audience.sources import find_files, without_empty
from airflow_provider_otpiq._audience.table import Malformed
from airflow_provider_otpiq._audience.values import unreadable_characters
from airflow_provider_otpiq._recipients.validator import MAX_ROWS, refused_recipients
from airflow_provider_otpiq._storage import find_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MAX_LISTED = 100


def read_rows(location: str, **fields: object) -> list[dict[str, Any]]:
    """
    Read recipients from CSV files, by the rules of :class:`.PrepareAudienceOperator`.

    It reads one row more than a list of recipients may have. Values are not validated yet.

    :param location: a local path or URL, plain or compressed, or a glob.
    :param fields: those of :class:`.Columns`.
    :return: dicts in the shape that :class:`.AttachRecipientsOperator` accepts.
    :raises OSError: if the file does not exist or cannot be read.
    :raises OtpiqValidationError: if a field is wrong, or a row cannot be read; the text lists each such row.
    """
    columns = Columns.parse(**fields)
    with TemporaryDirectory(prefix="otpiq-recipients-") as folder:
        rows = list(islice(_parse_files(location, columns, Path(folder) / "source.csv"), MAX_ROWS + 1))
    reasons = ((number, _problem(row, columns.encoding)) for number, row in enumerate(rows, 1))
    errors = [f"{location}, row {number}: {reason}" for number, reason in reasons if reason]
    if more := len(errors[_MAX_LISTED:]):
        errors = [*errors[:_MAX_LISTED], f"and {more:,} more"]
    if errors:
        raise unreadable(*errors)
    return [_as_recipient(row, columns) for row in rows if not isinstance(row, Malformed)]


def _parse_files(location: str, columns: Columns, path: Path) -> Iterator[Sequence[str] | Malformed]:
    for file in without_empty(find_files([location], "csv"), "recipients"):
        yield from parse_csv(file, path, columns.columns, columns)


def _problem(row: Sequence[str] | Malformed, encoding: str) -> str | None:
    if isinstance(row, Malformed):
        return row.reason
    text = "".join(row)
    return next((reason for character, reason in unreadable_characters(encoding).items() if character in text), None)


def _as_recipient(row: Sequence[str], columns: Columns) -> dict[str, Any]:
    values = iter(row)
    recipient: dict[str, Any] = {"phoneNumber": next(values)}
    if columns.reference:
        recipient["reference"] = next(values)
    if columns.template_parameters:
        recipient["templateParameters"] = fill(columns.template_parameters, values)
    return recipient


def read_recipients(location: str) -> list[Any]:
    """Read the recipients of a JSON file; refuse one that does not exist or is not a list."""
    folder, name = find_object(location)
    try:
        content = folder.read(name)
    except IsADirectoryError:
        raise refused_recipients(f"{location}: is a folder; set the path of a file in it") from None
    if content is None:
        raise refused_recipients(f"{location}: does not exist")
    try:
        recipients = from_json(content)
    except ValueError:  # its text would repeat what is there
        recipients = None
    if not isinstance(recipients, list):
        raise refused_recipients(
            f"{location}: must be a JSON list of recipients, as each part of a prepared audience is"
        )
    return recipients
