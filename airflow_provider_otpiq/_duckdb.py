"""DuckDB, with a limit of memory, in a folder of its own that is gone afterwards: what it holds are people."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_BATCH = 2000
_MAX_THREADS = 4  # each needs memory of its own
NULL_SENTINEL = 3 * "\ufdd1"
"""What stands for NULL in CSV, so that an empty string does not. It must not hold the delimiter."""


class ParquetColumn(NamedTuple):
    """A column of a Parquet file."""

    name: str
    alias: str
    """Its name in DuckDB, which differs if several columns have the same name, in upper or lower case."""
    kind: str
    """Its type, as DuckDB writes it."""

    @property
    def expression(self) -> str:
        """The SQL that reads it."""
        return '"' + self.alias.replace('"', '""') + '"'


def _top_level(schema: Sequence[tuple[str, int]]) -> Iterator[str]:
    """List the names of a schema's columns without those nested in them: each is followed by its children."""
    nested = 0
    for name, children in schema[1:]:
        if not nested:
            yield name
        nested += children - (1 if nested else 0)


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

    def columns_of_parquet(self, path: Path) -> list[ParquetColumn]:
        """List the columns of a Parquet file."""
        described = self.query("DESCRIBE FROM read_parquet(?, binary_as_string = true)", [str(path)])
        schema = self.fetch("SELECT name, coalesce(num_children, 0) FROM parquet_schema($1)", [str(path)])
        names = iter(_top_level(schema))
        return [ParquetColumn(next(names), alias, kind) for alias, kind, *_ in described]

    def parquet_metadata(self, path: Path, key: str) -> str | None:
        """Read a value of the metadata of a Parquet file; None if there is no such key."""
        rows = self.fetch("SELECT decode(value) FROM parquet_kv_metadata($1) WHERE decode(key) = $2", [str(path), key])
        return rows[0][0] if rows else None

    def append(
        self, table: str, select: str, source: str, parameters: Sequence[object], expected_rows: int | None = None
    ) -> int:
        """
        Append the rows of a source to a table, in their order, in any thread.

        :param expected_rows: if DuckDB reads another number of rows, or refuses to read them, nothing is appended.
        :return: how many rows were appended.
        """
        import duckdb

        with self._clear_errors(), self._connection.cursor() as cursor:
            cursor.begin()
            try:
                ((rows,),) = cursor.execute(f"INSERT INTO {table} SELECT {select} FROM {source}", parameters).fetchall()
                is_expected = expected_rows in (None, rows)
            except (duckdb.InvalidInputException, duckdb.ConversionException):
                if expected_rows is None:
                    raise
                is_expected = False
            if is_expected:
                cursor.commit()
                return int(rows)
            cursor.rollback()
            return 0

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
