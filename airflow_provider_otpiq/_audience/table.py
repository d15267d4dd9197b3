"""A table of DuckDB that rows are appended to."""

from __future__ import annotations

import csv
import io
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, islice
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_otpiq._audience.staging import DECODE_ERROR_HANDLER
from airflow_provider_otpiq._duckdb import read_csv
from airflow_provider_otpiq.exceptions import OtpiqError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq._progress import Progress

    Row = Sequence[str]

MALFORMED = f"\ufdd3{secrets.token_hex(8)} "
"""Precedes the reason in place of the phone number of a row that cannot be read; no file can contain it."""

_CHUNK = 300_000  # rows that DuckDB reads at once: smaller files take it longer
_BATCH = 1000
_DELIMITER = "\x1f"
_MAX_BYTES = 2_000_000  # of a row: DuckDB's limit is 2 MiB, and it needs memory for many of the largest


class Malformed(NamedTuple):
    """Replaces a row that cannot be read."""

    reason: str
    row: Row = ()
    """The values that can be read, if any."""


class Table:
    """A table to append rows to; its SQL ``select`` has their columns as ``k0``, ``k1`` …, the phone number first."""

    def __init__(self, database: Database, name: str, select: str, progress: Progress) -> None:
        self.database = database
        self._name = name
        self._select = select
        self._progress = progress
        self._rows = 0

    def append(self, source: str, parameters: Sequence[object], expected_rows: int | None = None) -> bool:
        """Append the rows that DuckDB reads from ``source``; if it reads other than expected, append none: False."""
        insert = f"INSERT INTO {self._name} SELECT {self._select} FROM {source}"
        rows = self.database.insert_from(insert, parameters, expected_rows)
        self._rows += rows or 0
        self._progress.report("Read %s rows of %s.", f"{self._rows:,}", self._name)
        return rows is not None

    def append_rows(self, rows: Iterator[Row | Malformed], width: int) -> None:
        """Append rows of Python, in chunks to bound the disk space; DuckDB reads one while the next is written."""
        paths = (self.database.folder / f"rows{number}.csv" for number in count())
        with ThreadPoolExecutor(1) as pool:
            appended: Future[None] | None = None
            while written := _write(path := next(paths), rows, width):
                if appended:
                    appended.result()
                appended = pool.submit(self._append_file, path, written, width)
            if appended:
                appended.result()

    def _append_file(self, path: Path, rows: int, width: int) -> None:
        source = csv_source(width, range(width), "header = false, new_line = '\\n'")
        if not self.append(source, [str(path), _DELIMITER], rows):
            raise OtpiqError("The audience was not prepared: DuckDB read another number of rows than were written.")
        path.unlink()


def csv_source(width: int, positions: Sequence[int], options: str) -> str:
    """Write the SQL that reads CSV, by path and delimiter: all columns as ``c0`` …, the wanted ones as ``k0`` …."""
    wanted = ", ".join(f"c{position} AS k{index}" for index, position in enumerate(positions))
    options = f"delim = $2, force_not_null = {[f'c{index}' for index in range(width)]}, {options}"
    return f"(SELECT *, {wanted} FROM {read_csv(width, options)})"


def _write(path: Path, rows: Iterator[Row | Malformed], width: int) -> int:
    """Write a chunk of the rows as CSV, and return their number."""
    written = 0
    with path.open("w", encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="") as file:
        while written < _CHUNK and (batch := list(islice(rows, _BATCH))):
            file.write(_as_csv(batch, width))
            written += len(batch)
    return written


def _as_csv(batch: list[Row | Malformed], width: int) -> str:
    rows = [_with_reason(row, width) if isinstance(row, Malformed) else row for row in batch]
    text = _csv_of(rows)
    if len(text) > _MAX_BYTES // 4:  # a character has up to four bytes, so one of the rows may be too long
        too_long = _with_reason(Malformed(f"has more than {_MAX_BYTES:,} bytes"), width)
        text = _csv_of([too_long if _bytes_of(row) > _MAX_BYTES else row for row in rows])
    return text


def _with_reason(malformed: Malformed, width: int) -> Row:
    reason, row = malformed
    return [MALFORMED + reason, *(row or [""] * width)[1:]]


def _csv_of(rows: Sequence[Row]) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=_DELIMITER, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return file.getvalue()


def _bytes_of(row: Row) -> int:
    return len(_csv_of([row]).encode(errors=DECODE_ERROR_HANDLER))
