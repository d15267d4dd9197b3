"""Load rows into DuckDB's tables."""

from __future__ import annotations

import csv
import io
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_otpiq._audience.staging import DECODE_ERROR_HANDLER
from airflow_provider_otpiq.exceptions import OtpiqError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq._progress import Progress

    Row = Sequence[str]

MAX_LENGTH = 131_072
"""The most characters of a value: the limit of Python's CSV reader."""

_CHUNK = 300_000  # rows that DuckDB reads at once: smaller files cost it more
_BATCH = 1000
_DELIMITER = "\x1f"
_MAX_BYTES = 2_000_000  # of a row: DuckDB takes 2 MiB, and needs memory for many of the largest


class Malformed(NamedTuple):
    """Replaces a row that cannot be read."""

    reason: str
    row: Row | None = None
    """The values that can be read."""


class Layout(NamedTuple):
    """The columns of a CSV file."""

    delimiter: str
    width: int
    positions: tuple[int, ...]
    """The positions of the wanted columns, the phone number first."""


class Loader:
    """
    What appends rows to a table, in their order.

    :param table: its name; rows that cannot be read are blank there, and stand in the table ``malformed`` too.
    :param select: what becomes of the columns ``k0``, ``k1`` and so on.
    """

    def __init__(self, database: Database, table: str, select: str, progress: Progress) -> None:
        self.database = database
        self._table = table
        self._select = select
        self._progress = progress
        self._rows = 0

    def append_rows(self, rows: Iterator[Row | Malformed], width: int) -> None:
        """Append rows of Python, in chunks to bound the disk space; DuckDB reads one while the next is written."""
        paths = (self.database.folder / f"rows{number}.csv" for number in count())
        layout = Layout(_DELIMITER, width, tuple(range(width)))
        with ThreadPoolExecutor(1) as pool:
            appended: Future[None] | None = None
            while written := self._write(path := next(paths), rows, width):
                if appended:
                    appended.result()
                appended = pool.submit(self._append, path, layout, written)
                self._report()
            if appended:
                appended.result()

    def append_csv(self, path: Path, layout: Layout, expected_rows: int) -> bool:
        """
        Append the rows below the header of a CSV file, if DuckDB reads exactly the expected number.

        :return: False if the number differs, DuckDB refuses the file, or a row is blank. Nothing is appended then.
        """
        is_blank = f"k0 = '' AND concat({', '.join(f'c{position}' for position in range(layout.width))}) = ''"
        source = f"(FROM {_csv(layout, has_header=True)} WHERE CASE WHEN {is_blank} THEN error('blank') ELSE true END)"
        parameters = [str(path), layout.delimiter]
        rows = self.database.append(self._table, self._select, source, parameters, expected_rows)
        self._rows += rows
        self._report()
        return rows == expected_rows

    def append_parquet(self, path: Path, columns: Sequence[str]) -> None:
        """Append the rows of a Parquet file, of which ``columns`` are SQL expressions."""
        wanted = ", ".join(f"{column} AS k{index}" for index, column in enumerate(columns))
        source = f"(SELECT {wanted} FROM read_parquet($1, binary_as_string = true))"
        self._rows += self.database.append(self._table, self._select, source, [str(path)])
        self._report()

    def _report(self) -> None:
        self._progress.report("Read %s rows of %s.", f"{self._rows:,}", self._table)

    def _append(self, path: Path, layout: Layout, rows: int) -> None:
        source, parameters = _csv(layout, has_header=False), [str(path), layout.delimiter]
        if self.database.append(self._table, self._select, source, parameters, rows) != rows:
            raise OtpiqError("The audience was not prepared: DuckDB read another number of rows than were written.")
        path.unlink()

    def _write(self, path: Path, rows: Iterator[Row | Malformed], width: int) -> int:
        first = self._rows
        with path.open("w", encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="") as file:
            while self._rows - first < _CHUNK and (batch := list(islice(rows, _BATCH))):
                file.write(self._readable_csv(batch, width))
                self._rows += len(batch)
        return self._rows - first

    def _readable_csv(self, rows: list[Row | Malformed], width: int) -> str:
        text = _as_csv(rows, width)
        if len(text) > _MAX_BYTES // 4:  # a character has up to four bytes, so one of the rows may be too long
            rows = [_TOO_LONG if _bytes_of(row, width) > _MAX_BYTES else row for row in rows]
            text = _as_csv(rows, width)
        malformed = [(id_, row.reason) for id_, row in enumerate(rows, self._rows) if isinstance(row, Malformed)]
        if malformed:
            self.database.insert("malformed", [(self._table, id_, reason) for id_, reason in malformed])
        return text


_TOO_LONG = Malformed(f"has more than {_MAX_BYTES:,} bytes")


def _csv(layout: Layout, *, has_header: bool) -> str:
    """Write the SQL that reads a CSV file: all columns as ``c0`` and so on, and the wanted ones as ``k0`` and so on."""
    columns = [f"c{position}" for position in range(layout.width)]
    wanted = ", ".join(f"c{position} AS k{index}" for index, position in enumerate(layout.positions))
    types = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    new_line = "" if has_header else ", new_line = '\\n'"
    return (
        f"(SELECT *, {wanted} FROM read_csv($1, auto_detect = false, header = {has_header}, delim = $2, quote = '\"',"
        f" escape = '\"', strict_mode = true, parallel = false, columns = {{{types}}}, force_not_null = {columns}"
        f"{new_line}))"
    )


def _bytes_of(row: Row | Malformed, width: int) -> int:
    return len(_as_csv([row], width).encode(errors=DECODE_ERROR_HANDLER))


def _as_csv(rows: Sequence[Row | Malformed], width: int) -> str:
    blank = ("",) * width
    file = io.StringIO()
    csv.writer(file, delimiter=_DELIMITER, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        (row.row or blank) if isinstance(row, Malformed) else row for row in rows
    )
    return file.getvalue()
