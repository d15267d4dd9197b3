"""Rows on their way from Python into DuckDB's tables."""

from __future__ import annotations

import csv
import io
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow_provider_otpiq._audience.readers import MARK, Malformed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._audience.database import Database
    from airflow_provider_otpiq._audience.readers import Batch, Layout, Row
    from airflow_provider_otpiq._progress import Progress

_CHUNK = 300_000  # rows that DuckDB reads at once: smaller files cost it more
_MAX_BYTES = 2_000_000  # of a row: DuckDB takes 2 MiB, and needs memory for many of the largest


class Loader:
    """
    What appends rows to a table, in their order.

    :param table: its name; rows that cannot be read are blank there, and stand in the table ``malformed`` too.
    :param select: what becomes of the columns ``k0``, ``k1`` and so on.
    """

    def __init__(self, database: Database, table: str, select: str, progress: Progress) -> None:
        self._database = database
        self._table = table
        self._select = select
        self._progress = progress
        self._rows = 0

    def load(self, batches: Iterable[Batch]) -> None:
        """Append rows, so many at a time that little of them lies in a file; DuckDB reads one while the next grows."""
        paths = (self._database.folder / f"rows{at}.csv" for at in count())
        with ThreadPoolExecutor(1) as pool:
            appended: Future[None] | None = None
            for layout, alike in groupby(batches, key=attrgetter("layout")):
                while self._write(path := next(paths), alike):
                    if appended:
                        appended.result()
                    appended = pool.submit(self._append, path, layout)
                    self._progress.report("Read %s rows of %s.", f"{self._rows:,}", self._table)
            if appended:
                appended.result()

    def _append(self, path: Path, layout: Layout) -> None:
        self._database.append(self._table, self._select, path, layout)
        path.unlink()

    def _write(self, path: Path, batches: Iterator[Batch]) -> bool:
        first = self._rows
        with path.open("w", encoding="utf-8", errors=MARK, newline="") as file:
            for batch in batches:
                rows = batch.rows
                file.write(rows if isinstance(rows, str) else self._readable_csv(rows, batch.layout))
                self._rows += batch.size
                if self._rows - first >= _CHUNK:
                    break
        return self._rows > first

    def _readable_csv(self, rows: list[Row | Malformed], layout: Layout) -> str:
        text = _as_csv(rows, layout)
        if len(text) > _MAX_BYTES // 4:  # a character has up to four bytes, so one of the rows may be too long
            rows = [_TOO_LONG if len(_as_csv([row], layout).encode(errors=MARK)) > _MAX_BYTES else row for row in rows]
            text = _as_csv(rows, layout)
        malformed = [(at, row.reason) for at, row in enumerate(rows, self._rows) if isinstance(row, Malformed)]
        if malformed:
            self._database.insert("malformed", [(self._table, at, reason) for at, reason in malformed])
        return text


_TOO_LONG = Malformed(f"has more than {_MAX_BYTES:,} bytes")


def _as_csv(rows: Sequence[Row | Malformed], layout: Layout) -> str:
    blank = ("",) * layout.width
    file = io.StringIO()
    csv.writer(file, delimiter=layout.delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        (row.row or blank) if isinstance(row, Malformed) else row for row in rows
    )
    return file.getvalue()
