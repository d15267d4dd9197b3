"""The columns of a report's CSV file, as OTPIQ documents them, and how each is read."""

from __future__ import annotations

import csv
import re
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqReportError

if TYPE_CHECKING:
    from collections.abc import Sequence, Set
    from pathlib import Path

_MAX_LISTED = 20
_MAX_COLUMNS = 100
_MAX_HEADER = 64 * 1024  # characters: an endless line would fill the memory
_WITH_OFFSET = r"'.*[T ].*(Z|[+-]\d\d(:?\d\d)?)'"


class Column(NamedTuple):
    """A documented column. In its SQL, ``{0}`` is the text of the file."""

    title: str
    name: str
    value: str = "{0}"
    """SQL of the value."""
    is_valid: str = "true"
    """SQL condition that the text can be read."""
    rule: str = ""
    """What a valid text is, for errors."""


def _time(title: str, name: str, *, required: bool) -> Column:
    blank = "" if required else "{0} = '' OR "
    return Column(
        title,
        name,
        "try_cast({0} AS TIMESTAMPTZ)",
        f"{blank}(regexp_full_match({{0}}, {_WITH_OFFSET}) AND try_cast({{0}} AS TIMESTAMPTZ) IS NOT NULL)",
        "a time with an offset (assumption report-times)",
    )


COLUMNS = (
    Column("Message ID", "message_id"),
    Column("Phone Number", "phone_number", "ltrim({0}, '+')"),
    Column("Sender ID", "sender_id"),
    Column(
        "Cost (IQD)",
        "cost_iqd",
        "try_cast(try_cast({0} AS DOUBLE) AS BIGINT)",
        "{0} = '' OR try_cast({0} AS DOUBLE) = try_cast(try_cast({0} AS DOUBLE) AS BIGINT)",
        "a whole number",
    ),
    Column("Message Type", "message_type"),
    Column("Delivery Status", "delivery_status", "lower(trim({0}))"),
    Column("Error Reason", "error_reason", "nullif({0}, '')"),
    Column("Refunded", "refunded", "lower({0}) = 'yes'", "lower({0}) IN ('yes', 'no')", "Yes or No"),
    _time("Created At", "created_at", required=True),
    _time("Sent At", "sent_at", required=False),
)
MEMBER_COLUMNS = ("reference", "part", "campaign_id", "ambiguous", "person_messages")
"""What a report of known recipients has beside OTPIQ's columns."""


class Header(NamedTuple):
    """The titles of a file's columns, in its order. SQL calls the texts ``c0``, ``c1`` and so on."""

    titles: tuple[str, ...]

    @property
    def documented(self) -> dict[Column, str]:
        """The documented columns with SQL's names of their texts."""
        return {column: f"c{self.titles.index(column.title)}" for column in COLUMNS}

    @property
    def extra_columns(self) -> dict[str, str]:
        """The names of all other columns, in snake_case, with SQL's names of their texts."""
        documented = {column.title for column in COLUMNS}
        taken = {*(column.name for column in COLUMNS), *MEMBER_COLUMNS}
        names: dict[str, str] = {}
        for index, title in enumerate(self.titles):
            if title not in documented:
                names[_unused(_snake_case(title), taken | names.keys())] = f"c{index}"
        return names


def read_header(path: Path, report: str) -> Header:
    """
    Read the header of a report's file.

    :raises OtpiqReportError: if a documented column does not appear exactly once, or if there are too many columns.
    """
    titles = _titles(path)
    if len(titles) > _MAX_COLUMNS:
        raise OtpiqReportError(
            f"The file of {report} has {len(titles):,} columns; expected at most {_MAX_COLUMNS}. Its columns are:"
            f" {_listed(titles)}."
        )
    wrong = [column.title for column in COLUMNS if titles.count(column.title) != 1]
    if wrong:
        raise OtpiqReportError(
            f"The file of {report} does not have each documented column exactly once; missing or repeated:"
            f" {', '.join(wrong)} (assumption report-columns). Its columns are: {_listed(titles)}."
        )
    return Header(tuple(titles))


def _titles(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            row = next(csv.reader([file.readline(_MAX_HEADER)], strict=True), [])
    except (UnicodeDecodeError, csv.Error):
        return []
    return [title.strip() for title in row]


def _listed(titles: Sequence[str]) -> str:
    return list_some([repr(sanitize(title)) for title in titles], _MAX_LISTED) or "none that can be read"


def _snake_case(title: str) -> str:
    return "_".join(re.findall(r"\w+", title.lower())) or "column"


def _unused(name: str, taken: Set[str]) -> str:
    number = 2
    unused = name
    while unused in taken:
        unused, number = f"{name}_{number}", number + 1
    return unused
