"""DuckDB with a memory limit and a temporary folder, which is deleted afterwards as it contains personal data."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH = 2000
_MAX_THREADS = 4  # each needs its own memory
NULL_SENTINEL = 3 * "\ufdd1"
"""Represents NULL in CSV, so that an empty string does not. It must not contain the delimiter."""


def literal(text: str) -> str:
    """Write a string as SQL."""
    return "'" + text.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Write the name of a column as SQL."""
    return '"' + name.replace('"', '""') + '"'


def read_csv(width: int, options: str) -> str:
    """Write the SQL that reads the CSV file ``$1``: all columns as strings, by the names ``c0``, ``c1`` and so on."""
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(width))
    # In parallel, DuckDB takes some line breaks within quotes for the end of a row and rejects the file. It would save
    # only a tenth of the time.
    return (
        "read_csv($1, auto_detect = false, parallel = false, quote = '\"', escape = '\"',"
        f" columns = {{{columns}}}, {options})"
    )


class Database:
    """
    An open database.

    :param memory_limit: what DuckDB may use, such as ``256MB``; the rest goes to the folder.
    """

    def __init__(self, memory_limit: str) -> None:
        self._memory_limit = memory_limit

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            folder = stack.enter_context(TemporaryDirectory(prefix="otpiq-audience-"))  # only this user can enter it
            self.folder = Path(folder)
            self._connection = stack.enter_context(self._connect())
            self._close = stack.pop_all().close
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _connect(self) -> Any:
        try:
            import duckdb
        except ImportError:
            raise OtpiqConfigurationError(
                "DuckDB is not installed; audiences and delivery reports need it."
                " Run: pip install 'airflow-provider-otpiq[audience]'"
            ) from None
        # DuckDB limits its buffers only, and uses about as much memory besides.
        size = self._memory_limit.rstrip("BKMGTi ")
        connection = duckdb.connect(
            config={
                "memory_limit": f"{float(size) / 2}{self._memory_limit.removeprefix(size)}",
                "temp_directory": str(self.folder),
                "threads": min(_MAX_THREADS, os.cpu_count() or 1),
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            }
        )
        connection.execute("SET allowed_directories = [?]", [str(self.folder)])
        connection.execute("SET enable_external_access = false")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        return connection

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> None:
        """Execute a statement, in any thread."""
        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)

    def query(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Read rows in batches, also while other statements are executed."""
        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(_BATCH):
                yield from rows

    def fetch(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Read a few rows at once, in any thread."""
        return list(self.query(sql, parameters))

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Append a few rows."""
        columns = list(map(list, zip(*rows, strict=True)))
        values = ", ".join(f"unnest(${index + 1})" for index in range(len(columns)))
        self.execute(f"INSERT INTO {table} SELECT {values}", columns)

    def insert_from(self, sql: str, parameters: Sequence[object], expected_rows: int | None = None) -> int | None:
        """
        Execute an ``INSERT`` of the rows of a file, in any thread.

        :param expected_rows: if DuckDB reads another number of rows, or refuses to read them, it inserts none.
        :return: the number of rows that were inserted; None if they are not as expected.
        """
        import duckdb

        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.begin()
            try:
                ((rows,),) = cursor.execute(sql, parameters).fetchall()
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                if expected_rows is None:
                    raise
                rows = None
            if expected_rows in (None, rows):
                cursor.commit()
                return int(rows)
            cursor.rollback()
            return None

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Replace DuckDB's errors, whose texts may contain what it read."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException:
            error = f"memory_limit: {self._memory_limit} is too little, or {self.folder.parent} is full"
            raise OtpiqValidationError(
                f"{error}. Set a larger `memory_limit` if the task has that field, or free disk space.",
                errors=[error],
            ) from None
        except duckdb.IOException as error:
            raise OSError(
                f"DuckDB cannot write to {self.folder.parent} ({type(error).__name__}). Check its free space."
            ) from None
        except duckdb.Error as error:
            raise OtpiqError(f"DuckDB failed with {type(error).__name__}; the output is not complete.") from None
