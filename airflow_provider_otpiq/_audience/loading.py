"""Rows on their way from Python into DuckDB's tables."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, TypeGuard

from airflow_provider_otpiq._audience.database import DELIMITER
from airflow_provider_otpiq._audience.readers import Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._audience.database import Database
    from airflow_provider_otpiq._audience.progress import Progress
    from airflow_provider_otpiq._audience.readers import Batch, Row

_CHUNK = 100_000


class Loader:
    """
    What appends rows to a table, in their order.

    :param table: its name; rows that cannot be read are blank there, and stand in the table ``malformed`` too.
    :param select: what becomes of the columns ``c0``, ``c1`` and so on.
    :param width: how many of them there are.
    """

    def __init__(self, database: Database, table: str, select: str, width: int) -> None:
        self._database = database
        self._table = table
        self._select = select
        self._width = width
        self._rows = 0

    def load(self, batches: Iterable[Batch], progress: Progress) -> None:
        """Append rows, so many at a time that little of them lies in a file."""
        path = self._database.folder / "rows.csv"
        remaining = iter(batches)
        while self._write(path, remaining):
            self._database.append(self._table, self._select, path, self._width)
            progress.report("Read %s rows of %s.", f"{self._rows:,}", self._table)
        path.unlink()

    def _write(self, path: Path, batches: Iterator[Batch]) -> bool:
        first = self._rows
        with path.open("w", encoding="utf-8", newline="") as file:
            for batch in batches:
                file.write(_as_csv(self._without_malformed(batch)))
                self._rows += len(batch)
                if self._rows - first >= _CHUNK:
                    break
        return self._rows > first

    def _without_malformed(self, batch: Batch) -> Sequence[Row]:
        malformed = [(self._table, self._rows + at, row.reason) for at, row in enumerate(batch) if _is_malformed(row)]
        if not malformed:
            return batch
        self._database.insert("malformed", malformed)
        blank = ("",) * self._width
        return [(row.row or blank) if _is_malformed(row) else row for row in batch]


def _is_malformed(row: Row | Malformed) -> TypeGuard[Malformed]:
    return type(row) is Malformed


def _as_csv(rows: Sequence[Row]) -> str:
    """Write rows for DuckDB. Where nothing needs quotes, a join takes half the time of Python's writer."""
    if not rows:
        return ""
    text = "\n".join(map(DELIMITER.join, rows))
    delimiters = len(rows) * (len(rows[0]) - 1)
    if delimiters and text.count(DELIMITER) == delimiters and text.count("\n") == len(rows) - 1:
        if '"' not in text and "\r" not in text:
            return f"{text}\n"
    file = io.StringIO()
    csv.writer(file, delimiter=DELIMITER, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return file.getvalue()
