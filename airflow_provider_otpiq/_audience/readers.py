"""
Rows of CSV, JSON Lines, Parquet and callables: of each, the wanted columns as strings.

DuckDB reads CSV. If it refuses the file, or reads another number of rows than were counted, Python's own reader parses
it, as that reports for certain where a row begins and ends, and why one cannot be read.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic_core import from_json

from airflow_provider_otpiq._audience import staging
from airflow_provider_otpiq._audience.csv_counter import CsvCounter
from airflow_provider_otpiq._audience.file_kind import refusal, require_csv, require_parquet, require_text
from airflow_provider_otpiq._audience.loading import MAX_LENGTH, Layout, Malformed
from airflow_provider_otpiq._audience.staging import DECODE_ERROR_HANDLER
from airflow_provider_otpiq._models.text import is_blank
from airflow_provider_otpiq._redaction import mask_phone_numbers
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._audience.loading import Loader, Row
    from airflow_provider_otpiq._audience.sources import SourceFile
    from airflow_provider_otpiq._duckdb import ParquetColumn

_MAX_COLUMNS_LISTED = 50
_DIGITS_OF_A_PHONE_NUMBER = 9
_WHOLE_BELOW = 1e15
"""Floats from here on are not exact to the last digit before the point."""
_PARQUET_TEXT = re.compile(
    r"VARCHAR|BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\)|DATE|TIME(?:STAMP)?(?:_M?N?S)?"
    r"|UUID|ENUM\(.*\)",
    re.DOTALL,
)
"""The types of DuckDB whose values have exactly one form as text."""
_NUMPY_KINDS = frozenset("biuf")


def read_csv(file: SourceFile, columns: Sequence[str], delimiter: str, encoding: str, loader: Loader) -> None:
    """
    Read CSV. A malformed line is one row; one that spans several lines may have swallowed others.

    :raises OtpiqValidationError: if there is such a line, or a column is missing.
    """
    path = loader.database.folder / "source.csv"
    try:
        counter = CsvCounter(delimiter.encode()[:1])
        layout = _stage_csv(file, path, columns, delimiter, encoding, observe=counter.add)
        rows = counter.rows(layout.width) if delimiter.isascii() else None
        if rows is None or not loader.append_csv(path, layout, rows):
            loader.append_rows(_parsed(file, path, layout), len(columns))
    finally:
        path.unlink(missing_ok=True)


def parse_csv(
    file: SourceFile, columns: Sequence[str], delimiter: str, encoding: str, path: Path
) -> Iterator[Row | Malformed]:
    """
    Read CSV as :func:`read_csv`, without DuckDB.

    :param path: a file in a temporary folder, which it overwrites.
    """
    yield from _parsed(file, path, _stage_csv(file, path, columns, delimiter, encoding))


def _stage_csv(
    file: SourceFile,
    path: Path,
    columns: Sequence[str],
    delimiter: str,
    encoding: str,
    *,
    observe: Callable[[bytes], None] = lambda _: None,
) -> Layout:
    check = partial(require_csv, name=str(file), encoding=encoding, delimiter=delimiter)
    staging.copy_as_utf8(file, path, encoding, check, observe)
    return _layout(file, path, columns, delimiter)


def _layout(file: SourceFile, path: Path, columns: Sequence[str], delimiter: str) -> Layout:
    with path.open(encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="") as lines:
        header = _header(file, csv.reader(lines, delimiter=delimiter, strict=True))
    require_columns(str(file), columns, header)
    return Layout(delimiter, len(header), tuple(map(header.index, columns)))


def _parsed(file: SourceFile, path: Path, layout: Layout) -> Iterator[Row | Malformed]:
    """Parse the rows with Python's reader, without blank ones."""
    with path.open(encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="") as lines:
        rows = csv.reader(lines, delimiter=layout.delimiter, strict=True)
        next(rows)
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
                yield [row[position] for position in layout.positions]


def _malformed(file: SourceFile, first: int, last: int, reason: str) -> Malformed:
    if first == last and reason != _NOT_CLOSED:
        return Malformed(reason)
    lines = f"line {first}" if first == last else f"lines {first} to {last}"
    raise _refusal(
        f"{file}, {lines}: a row {reason}",
        remedy="A missing quote may have merged several rows. Correct the file.",
    )


def read_json_lines(file: SourceFile, columns: Sequence[str], encoding: str, loader: Loader) -> None:
    """
    Read JSON Lines.

    :raises OtpiqValidationError: if no row has one of the columns.
    """
    path = loader.database.folder / "source.jsonl"
    try:
        staging.copy_as_utf8(file, path, encoding, partial(require_text, name=str(file), encoding=encoding))
        with path.open(encoding="utf-8", errors=DECODE_ERROR_HANDLER, newline="") as lines:
            rows = (_from_json(line) for line in lines if not line.isspace())
            read_dicts(str(file), rows, columns, loader)
    finally:
        path.unlink(missing_ok=True)


def read_parquet(file: SourceFile, columns: Sequence[str], loader: Loader) -> None:
    """
    Read Parquet.

    :raises OtpiqValidationError: if it is not Parquet, or a column is missing or of a type that is not text.
    """
    path = loader.database.folder / "source.parquet"  # DuckDB reads in its own folder only
    try:
        staging.copy(file, path, partial(require_parquet, name=str(file)))
        try:
            found = loader.database.columns_of_parquet(path)
            untold = _untold_by_pandas(loader.database.parquet_metadata(path, "pandas"))
        except (OSError, OtpiqError):
            raise _refusal(f"{file}: is not a valid Parquet file") from None
        require_columns(str(file), columns, [column.name for column in found], str.casefold)
        expressions = _parquet_expressions(file, [_find(found, name) for name in columns], untold)
        try:
            loader.append_parquet(path, expressions)
        except OtpiqValidationError:
            raise
        except OtpiqError:
            raise _refusal(
                f"{file}: a value cannot be read, such as bytes that are not UTF-8",
                remedy=f"Write the columns {_shown(sorted(columns))} as strings: one of them has it.",
            ) from None
    finally:
        path.unlink(missing_ok=True)


def _find(columns: Sequence[ParquetColumn], name: str) -> ParquetColumn:
    return next(column for column in columns if column.name == name)


def _parquet_expressions(file: SourceFile, columns: Sequence[ParquetColumn], untold: Mapping[str, str]) -> list[str]:
    """Write the SQL that reads each column as a string, the phone number first."""
    wrong = {column.name: untold.get(column.name) or _untold(column.kind) for column in columns}
    if columns[0].kind == "FLOAT":
        wrong[columns[0].name] = "floats of 32 bits, which have lost the last digits of phone numbers"
    errors = [f"{file}: column {name!r} holds {why}" for name, why in wrong.items() if why]
    if errors:
        raise _refusal(*errors, remedy="Write it as a string in the source, as it should be sent.")
    phone_number, *others = columns
    return [_plain_text(phone_number), *map(_parquet_text, others)]


def _untold_by_pandas(metadata: str | None) -> dict[str, str]:
    """Find the columns that pandas has written as plain integers, because Parquet has no such type."""
    try:
        columns = [(column["name"], str(column["numpy_type"])) for column in from_json(metadata or "{}")["columns"]]
    except (KeyError, TypeError, ValueError):  # any program may write this metadata
        return {}
    kinds = {"timedelta": "durations", "period": "periods"}
    return {name: why for name, numpy_type in columns for kind, why in kinds.items() if numpy_type.startswith(kind)}


def _untold(kind: str) -> str | None:
    """Return why values of a type of DuckDB have no unique form as text; None if they have."""
    if "TIME ZONE" in kind or "TZ" in kind:
        return "times with a timezone, which Parquet keeps in UTC"
    if kind == "INTERVAL":
        return "durations"
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return "nested values"
    return None if _PARQUET_TEXT.fullmatch(kind) else f"values of the type {kind}"


def _plain_text(column: ParquetColumn) -> str:
    return f"coalesce({column.expression}::VARCHAR, '')"


def _parquet_text(column: ParquetColumn) -> str:
    text, value = _plain_text(column), column.expression
    if column.kind not in ("FLOAT", "DOUBLE"):
        return text
    whole = f"abs({value}) < {_WHOLE_BELOW:.0f} AND {value} = trunc({value})"
    return f"CASE WHEN NOT isfinite({value}) THEN '' WHEN {whole} THEN {value}::BIGINT::VARCHAR ELSE {text} END"


def read_dicts(name: str, rows: Iterable[Any], columns: Sequence[str], loader: Loader) -> None:
    """
    Read rows that are dicts.

    :raises OtpiqValidationError: if what should be rows is something else, or no row has one of the columns.
    """
    if not isinstance(rows, Iterable):
        error = f"{name}: returned a {type(rows).__name__}; it must return or yield dicts, one for each row"
        raise _refusal(error, remedy="Correct the callable.")
    available: dict[Any, None] = {}

    def read() -> Iterator[Row | Malformed]:
        for row in rows:
            if isinstance(row, Mapping):
                if not available.keys() >= wanted:
                    available.update(dict.fromkeys(row))
                yield _as_row(row, columns)
            else:
                yield Malformed("is not a JSON object" if row is None else f"is a {type(row).__name__}, not a dict")

    wanted = set(columns)
    loader.append_rows(read(), len(columns))
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
            texts.append(str(value) if is_float_number else _as_text(value))
        except ValueError as error:
            texts.append("")
            errors.append(f"column {column!r} {error}")
    return Malformed("; ".join(dict.fromkeys(errors)), texts) if errors else texts


def require_columns(
    name: str, wanted: Iterable[str], available: Sequence[str], key: Callable[[str], str] = lambda column: column
) -> None:
    """
    Make sure that each column appears exactly once; names with the same key are ambiguous.

    :raises OtpiqValidationError: if not; it lists the available columns, unless they may be a row.
    """
    wanted = list(dict.fromkeys(wanted))
    errors = [
        f"{name}: has {'no column' if column not in available else 'more than one column'} {column!r}"
        for column in wanted
        if column not in available or list(map(key, available)).count(key(column)) != 1
    ]
    if errors:
        raise _refusal(*errors, remedy=f"It has {_listed(list(map(str, available)), wanted)}.")


def _listed(columns: Sequence[str], wanted: Iterable[str]) -> str:
    # A file without a header begins with a row. Only a wanted column proves that these are the names of columns.
    if {*map(_spelling, columns)}.isdisjoint(map(_spelling, wanted)) or any(map(_has_phone_number, columns)):
        return f"{len(columns)} columns, which look like a row: the first line must name the columns"
    return _shown(columns)


def _spelling(column: str) -> str:
    return "".join(filter(str.isalnum, column.casefold()))


def _has_phone_number(column: str) -> bool:
    return sum(map(str.isdecimal, column)) >= _DIGITS_OF_A_PHONE_NUMBER


def _shown(columns: Iterable[str]) -> str:
    shown = [mask_phone_numbers(repr(column)) for column in dict.fromkeys(columns)]
    return list_some(shown, _MAX_COLUMNS_LISTED)


def _header(file: SourceFile, rows: Iterator[list[str]]) -> list[str]:
    try:
        if header := next(rows, None):
            return header
    except csv.Error as error:
        raise _refusal(f"{file}, line 1: {_reason(error)}") from None
    raise _refusal(f"{file}: begins with an empty line, or is empty; its first line must name the columns")


_NOT_CLOSED = "has a quote that is not closed"


def _reason(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return _NOT_CLOSED
    if "field larger" in text:
        return f"has a value of more than {MAX_LENGTH} characters"
    return "has a quote in the wrong place"


def _from_json(line: str) -> Any:
    try:
        return from_json(line)
    except ValueError:
        return None


def _as_text(value: Any) -> str:
    if getattr(getattr(value, "dtype", None), "kind", "") in _NUMPY_KINDS and not getattr(value, "shape", ()):
        value = value.item()
    if isinstance(value, str):
        return _require_characters(value)
    if is_blank(value, ()):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_as_text(value)
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        raise ValueError("holds a time with a timezone; write it as a string, as it should be sent")
    if isinstance(value, int | Decimal | date | time | UUID):
        return _require_characters(str(value))
    raise ValueError(f"holds a {type(value).__name__}; a string, a number or a date is needed")


def _float_as_text(value: float) -> str:
    text = str(int(value) if value == math.trunc(value) and abs(value) < _WHOLE_BELOW else value)
    if "e" in text:
        raise ValueError("holds a float that is too large or too small for plain digits; write it as a string")
    return text


def _require_characters(text: str) -> str:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has a value of more than {MAX_LENGTH} characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a character")
    return text


def _refusal(*errors: str, remedy: str = "Correct the file.") -> OtpiqValidationError:
    return refusal(errors, remedy)
