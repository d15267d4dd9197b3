"""
Read the rows of CSV, JSON Lines, Parquet and callables into a table: of each row, the wanted columns as strings.

DuckDB reads Parquet and CSV. If it refuses a CSV file, or reads another number of rows than were counted, Python's
reader parses it: that one reports for certain where a row begins and ends, and why it cannot be read.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from pydantic_core import from_json

from airflow_provider_otpiq._audience import staging
from airflow_provider_otpiq._audience.file_kind import require_csv, require_parquet, require_text, unreadable
from airflow_provider_otpiq._audience.staging import DECODE_ERROR_HANDLER, CsvCounter
from airflow_provider_otpiq._audience.table import Malformed, csv_source
from airflow_provider_otpiq._audience.values import TOO_LONG, as_text, float_as_text
from airflow_provider_otpiq._duckdb import identifier
from airflow_provider_otpiq._redaction import describe_type, has_phone_number, mask_phone_numbers
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._audience.request import Columns
    from airflow_provider_otpiq._audience.sources import SourceFile
    from airflow_provider_otpiq._audience.table import Row, Table
    from airflow_provider_otpiq._duckdb import Database

_MAX_COLUMNS_LISTED = 50
_LINE_BREAK = re.compile(r"\r\n|[\r\n]")
_PHONE_NUMBER = re.compile(r"(?:[a-z]{1,8}:)?(?:[^\w:]{0,5}\d){9,15}[^\w:]{0,5}(?:@\S+)?")
"""Matches what may be a phone number, valid or not, but no sentence, date or time."""
_NOT_CLOSED = "has a quote that is not closed"
_PARQUET_TEXT = re.compile(
    r"VARCHAR|BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|DATE|TIME(?:STAMP)?(?:_M?N?S)?"
    r"|UUID|ENUM\(.*\)",
    re.DOTALL,
)
"""The types of DuckDB whose values have exactly one form as text."""


def read_file(file: SourceFile, columns: Sequence[str], request: Columns, table: Table) -> None:
    """Read the wanted columns of a file, the phone number first."""
    path = table.database.folder / "source"  # DuckDB reads files in this folder only
    try:
        if file.file_format == "csv":
            _read_csv(file, path, columns, request, table)
        elif file.file_format == "jsonl":
            _read_json_lines(file, path, columns, request.encoding, table)
        else:
            _read_parquet(file, path, columns, table)
    finally:
        path.unlink(missing_ok=True)


class _Layout(NamedTuple):
    delimiter: str
    width: int
    positions: list[int]
    rows: int | None
    """The number of rows; None if it is uncertain."""


def _read_csv(file: SourceFile, path: Path, columns: Sequence[str], request: Columns, table: Table) -> None:
    layout = _stage_csv(file, path, columns, request)
    # DuckDB reads a row of delimiters alone, and Python's reader leaves it out.
    is_blank = f"k0 = '' AND concat({', '.join(f'c{index}' for index in range(layout.width))}) = ''"
    source = csv_source(layout.width, layout.positions, "header = true")
    source = f"(FROM {source} WHERE CASE WHEN {is_blank} THEN error('blank') ELSE true END)"
    if layout.rows is None or not table.append(source, [str(path), layout.delimiter], layout.rows):
        table.append_rows(_parse(file, path, layout), len(columns))


def parse_csv(file: SourceFile, path: Path, columns: Sequence[str], request: Columns) -> Iterator[Row | Malformed]:
    """Read CSV without DuckDB, by a temporary file at ``path``."""
    yield from _parse(file, path, _stage_csv(file, path, columns, request))


def _stage_csv(file: SourceFile, path: Path, columns: Sequence[str], request: Columns) -> _Layout:
    check = partial(require_csv, name=str(file), encoding=request.encoding, delimiter=request.delimiter)
    counter = CsvCounter(request.delimiter)
    staging.copy(file, path, check, request.encoding, counter.add)
    with _open(path) as lines:
        header = _header(file, csv.reader(lines, delimiter=request.delimiter, strict=True))
    require_columns(str(file), columns, header)
    positions = list(map(header.index, columns))
    return _Layout(request.delimiter, len(header), positions, counter.rows(len(header)))


def _header(file: SourceFile, rows: Iterator[list[str]]) -> list[str]:
    try:
        if header := next(rows, None):
            return header
    except csv.Error as error:
        raise unreadable(f"{file}, line 1: {_reason(error)}") from None
    raise unreadable(f"{file}: begins with an empty line; its first line must name the columns")


def _parse(file: SourceFile, path: Path, layout: _Layout) -> Iterator[Row | Malformed]:
    """Parse the rows with Python's reader, without blank ones; a malformed one is an error if it may be several."""
    with _open(path) as lines:
        rows = csv.reader(lines, delimiter=layout.delimiter, strict=True)
        _refuse_hidden_rows(file, next(rows), 1, rows.line_num, layout)
        while True:
            first = rows.line_num + 1
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield _malformed(file, first, rows.line_num, _reason(error))
                continue
            if any(row) and len(row) != layout.width:
                fields = f"has {len(row)} fields, and the header has {layout.width}"
                yield _malformed(file, first, rows.line_num, fields)
            elif any(row):
                _refuse_hidden_rows(file, row, first, rows.line_num, layout)
                yield [row[position] for position in layout.positions]


def _refuse_hidden_rows(file: SourceFile, row: list[str], first: int, last: int, layout: _Layout) -> None:
    """
    Refuse a value with a line that is another row with a phone number.

    Such a value begins with a quote that the other row closes, so a CSV reader accepts it.
    """
    if first < last and any(
        len(hidden) == layout.width and _PHONE_NUMBER.fullmatch(hidden[layout.positions[0]])
        for column, value in enumerate(row)
        for hidden in _hidden_rows(row, column, value, layout)
    ):
        _malformed(file, first, last, "has a value that seems to contain other rows")


def _hidden_rows(row: list[str], column: int, value: str, layout: _Layout) -> list[list[str]]:
    """Split a value at its line breaks into the rows that it would contain, without the one of the phone number."""
    first, *others = (line.split(layout.delimiter) for line in _LINE_BREAK.split(value))
    if not others:
        return []
    rows = [row[:column] + first, *others[:-1], others[-1] + row[column + 1 :]]
    return rows[1:] if column >= layout.positions[0] else rows[:-1]


def _malformed(file: SourceFile, first: int, last: int, reason: str) -> Malformed:
    if first == last and reason != _NOT_CLOSED:
        return Malformed(reason)
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    raise unreadable(
        f"{file}, {lines}: a row {reason}",
        remedy="A missing quote may have merged several rows. Correct the file.",
    )


def _reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return _NOT_CLOSED
    return TOO_LONG if "field larger" in text else "has a quote in the wrong place"


def _open(path: Path) -> TextIO:
    return path.open(encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="")


def _read_json_lines(file: SourceFile, path: Path, columns: Sequence[str], encoding: str, table: Table) -> None:
    staging.copy(file, path, partial(require_text, name=str(file), encoding=encoding), encoding)
    with _open(path) as lines:
        read_dicts(str(file), (_from_json(line) for line in lines if not line.isspace()), columns, table)


def _from_json(line: str) -> Any:
    try:
        return from_json(line)
    except ValueError:
        return None


def read_dicts(name: str, rows: Iterable[Any], columns: Sequence[str], table: Table) -> None:
    """Read rows that are dicts; ``name`` is what errors call their source."""
    if not isinstance(rows, Iterable):
        error = f"{name}: returned {describe_type(rows)}; expected dicts, one for each row"
        raise unreadable(error, remedy="Return or yield dicts.")
    available: dict[Any, None] = {}

    def read() -> Iterator[Row | Malformed]:
        for row in rows:
            if isinstance(row, Mapping):
                if not available.keys() >= wanted:
                    available.update(dict.fromkeys(row))
                yield _as_row(row, columns)
            else:
                yield Malformed("is not a JSON object" if row is None else f"is {describe_type(row)}, not a dict")

    wanted = set(columns)
    table.append_rows(read(), len(columns))
    if available:
        require_columns(name, columns, list(available))


def _as_row(values: Mapping[Any, Any], columns: Sequence[str]) -> Row | Malformed:
    if columns[0] not in values:  # not a blank number: the row of a suppression list may name somebody
        return Malformed(f"has no {columns[0]!r}")
    texts, errors = [], []
    for column in columns:
        value = values.get(column)
        is_float_number = column == columns[0] and isinstance(value, float)  # which may have lost its last digits
        try:
            texts.append(str(value) if is_float_number else as_text(value))
        except ValueError as error:
            texts.append("")
            errors.append(f"column {column!r} {error}")
    return Malformed("; ".join(dict.fromkeys(errors)), texts) if errors else texts


class _ParquetColumn(NamedTuple):
    name: str
    expression: str
    """The SQL that reads it; its name in DuckDB differs if several columns have the same name in any case."""
    kind: str
    """Its type in DuckDB."""


def _read_parquet(file: SourceFile, path: Path, columns: Sequence[str], table: Table) -> None:
    staging.copy(file, path, partial(require_parquet, name=str(file)))
    try:
        found = _parquet_columns(table.database, path)
        no_text = _columns_without_text(table.database, path)
    except (OSError, OtpiqError):
        raise unreadable(f"{file}: is not a valid Parquet file") from None
    require_columns(str(file), columns, [column.name for column in found], str.casefold)
    by_name = {column.name: column for column in found}
    expressions = _parquet_expressions(file, [by_name[name] for name in columns], no_text)
    wanted = ", ".join(f"{expression} AS k{index}" for index, expression in enumerate(expressions))
    try:
        table.append(f"(SELECT {wanted} FROM read_parquet($1, binary_as_string = true))", [str(path)])
    except OtpiqValidationError:
        raise
    except OtpiqError:
        raise unreadable(
            f"{file}: a value cannot be read, such as bytes that are not UTF-8",
            remedy=f"Write the columns {_shown(sorted(columns))} as strings: one of them has this value.",
        ) from None


def _parquet_columns(database: Database, path: Path) -> list[_ParquetColumn]:
    described = database.fetch("DESCRIBE FROM read_parquet($1, binary_as_string = true)", [str(path)])
    names = database.fetch("SELECT name, coalesce(num_children, 0) FROM parquet_schema($1)", [str(path)])
    return [
        _ParquetColumn(name, identifier(alias), kind)
        for name, (alias, kind, *_) in zip(_top_level(names), described, strict=True)
    ]


def _top_level(schema: Sequence[tuple[Any, ...]]) -> Iterator[str]:
    """List the names of a schema's columns without those nested in them: each is followed by its children."""
    nested = 0
    for name, children in schema[1:]:
        if not nested:
            yield name
        nested += children - (1 if nested else 0)


def _columns_without_text(database: Database, path: Path) -> dict[str, str]:
    """Find the columns that pandas has written as plain integers, because Parquet has no such type."""
    sql = "SELECT decode(value) FROM parquet_kv_metadata($1) WHERE decode(key) = 'pandas'"
    try:
        ((metadata,),) = database.fetch(sql, [str(path)])
        columns = [(column["name"], str(column["numpy_type"])) for column in from_json(metadata)["columns"]]
    except (KeyError, TypeError, ValueError):  # any program may write this metadata, or none
        return {}
    kinds = {"timedelta": "durations", "period": "periods"}
    return {name: why for name, numpy_type in columns for kind, why in kinds.items() if numpy_type.startswith(kind)}


def _parquet_expressions(file: SourceFile, columns: list[_ParquetColumn], no_text: Mapping[str, str]) -> list[str]:
    """Write the SQL that reads each column as a string, the phone number first."""
    wrong = {column.name: no_text.get(column.name) or _why_no_text(column.kind) for column in columns}
    if columns[0].kind == "FLOAT":
        wrong[columns[0].name] = "floats of 32 bits, which have lost the last digits of phone numbers"
    errors = [f"{file}: column {name!r} has {why}" for name, why in wrong.items() if why]
    if errors:
        raise unreadable(*errors, remedy="Write these columns as strings in the source, as they should be sent.")
    phone_number, *others = columns
    return [_as_written(phone_number), *map(_parquet_text, others)]


def _as_written(column: _ParquetColumn) -> str:
    return f"coalesce({column.expression}::VARCHAR, '')"


def _parquet_text(column: _ParquetColumn) -> str:
    return float_as_text(column.expression) if column.kind in ("FLOAT", "DOUBLE") else _as_written(column)


def _why_no_text(kind: str) -> str | None:
    """Return why values of a type of DuckDB have no unique text; None if they have."""
    if "TIME ZONE" in kind or "TZ" in kind:
        return "times with a timezone, which Parquet stores in UTC"
    if kind == "INTERVAL":
        return "durations"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return "nested values"
    return None if _PARQUET_TEXT.fullmatch(kind) else f"values of the type {kind}"


def require_columns(
    name: str, wanted: Iterable[str], available: Sequence[str], key: Callable[[str], str] = lambda column: column
) -> None:
    """Refuse a source without exactly one column of each name; names with the same ``key`` are ambiguous."""
    wanted = list(dict.fromkeys(wanted))
    errors = [
        f"{name}: has {'no column' if column not in available else 'more than one column'} {_masked(column)}"
        for column in wanted
        if column not in available or list(map(key, available)).count(key(column)) != 1
    ]
    if errors:
        raise unreadable(*errors, remedy=_describe(list(map(str, available)), wanted))


def _describe(columns: Sequence[str], wanted: Iterable[str]) -> str:
    # A file without a header begins with a row. Only a wanted column proves that these are the names of columns.
    if {*map(_spelling, columns)}.isdisjoint(map(_spelling, wanted)) or any(map(has_phone_number, columns)):
        return (
            "Its column names are not shown, because they may be a row of data. Check the names that you set. The first"
            " line of a CSV file must name its columns."
        )
    return f"It has {_shown(columns)}. Set one of these names, or correct the source."


def _spelling(column: str) -> str:
    return "".join(filter(str.isalnum, column.casefold()))


def _shown(columns: Iterable[str]) -> str:
    return list_some(list(map(_masked, dict.fromkeys(columns))), _MAX_COLUMNS_LISTED)


def _masked(column: str) -> str:
    return mask_phone_numbers(repr(column))
