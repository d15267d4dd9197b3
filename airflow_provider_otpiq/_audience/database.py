"""DuckDB, with a limit of memory, in a folder of its own that is gone afterwards: what it holds are people."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_otpiq._audience.readers import Layout

_BATCH = 2000
_MAX_THREADS = 4  # each needs memory of its own
NEVER = 3 * "\ufdd1"
"""What stands for NULL in CSV, so that an empty string does not. It must not hold the delimiter."""


def _half(size: str) -> str:
    """Take half of a size: beside its buffers, which it limits, DuckDB takes about as much again."""
    number = size.rstrip("BKMGTi ")
    return f"{float(number) / 2}{size.removeprefix(number)}"


class Database:
    """
    Tables of rows.

    :param memory_limit: what DuckDB may use, such as ``256MB``; what is more lies in the folder.
    """

    def __init__(self, memory_limit: str) -> None:
        self._memory_limit = memory_limit
        self._folder = TemporaryDirectory(prefix="otpiq-audience-")  # which nobody else can enter
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        try:
            self._connection = self._connect()
        except BaseException:
            self._folder.cleanup()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._connection.close()
        finally:
            self._folder.cleanup()

    def _connect(self) -> Any:
        try:
            import duckdb
        except ImportError:
            raise OtpiqConfigurationError(
                "DuckDB is not installed, which prepares audiences and reads delivery reports:"
                " pip install 'airflow-provider-otpiq[audience]'"
            ) from None
        connection = duckdb.connect(
            config={
                "memory_limit": _half(self._memory_limit),
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
        """Read rows as they come, also while other statements are executed."""
        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.execute(sql, parameters)
            while rows := cursor.fetchmany(_BATCH):
                yield from rows

    def fetch(self, sql: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        """Read a few rows at once, in any thread."""
        with self._clear_errors(), self._connection.cursor() as cursor:
            rows: list[tuple[Any, ...]] = cursor.execute(sql, parameters).fetchall()
            return rows

    def insert(self, table: str, rows: Sequence[Sequence[object]]) -> None:
        """Append a few rows."""
        columns = list(map(list, zip(*rows, strict=True)))
        values = ", ".join(f"unnest(${at + 1})" for at in range(len(columns)))
        self.execute(f"INSERT INTO {table} SELECT {values}", columns)

    def columns_of_parquet(self, path: Path) -> list[str]:
        """List the columns of a Parquet file."""
        return [name for name, *_ in self.query("DESCRIBE FROM read_parquet(?)", [str(path)])]

    def read_parquet(self, path: Path, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """Read columns of a Parquet file, in its order."""
        names = ", ".join('"' + column.replace('"', '""') + '"' for column in columns)
        return self.query(f"SELECT {names} FROM read_parquet(?, binary_as_string = true)", [str(path)])

    def append(self, table: str, select: str, path: Path, layout: Layout) -> None:
        """Append the rows of a file to a table, in their order; the wanted columns are called ``k0`` and so on."""
        columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(layout.width))
        wanted = ", ".join(f"c{position} AS k{at}" for at, position in enumerate(layout.positions))
        self.execute(
            f"INSERT INTO {table} SELECT {select} FROM (SELECT {wanted} FROM read_csv($1, auto_detect = false,"
            f" header = false, delim = $2, quote = '\"', escape = '\"', new_line = '\\n', nullstr = '{NEVER}',"
            f" columns = {{{columns}}}))",
            [str(path), layout.delimiter],
        )

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Say what to do; the text of an error of DuckDB's can hold what it read."""
        import duckdb

        try:
            yield
        except duckdb.OutOfMemoryException:
            error = f"memory_limit: {self._memory_limit} is too little"
            raise OtpiqValidationError(
                f"{error}, or no space is left in {self.folder.parent}. Set a larger limit, where the task has that"
                " field, or make space.",
                errors=[error],
            ) from None
        except duckdb.IOException as error:
            raise OSError(f"DuckDB cannot write to {self.folder.parent} ({type(error).__name__}).") from None
        except duckdb.Error as error:
            raise OtpiqError(f"DuckDB failed with {type(error).__name__}, and nothing was written.") from None
