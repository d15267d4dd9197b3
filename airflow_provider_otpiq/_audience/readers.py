"""
Rows of CSV, JSON Lines, Parquet and callables: of each, the wanted columns as strings.

Python's own reader takes CSV apart, as it tells for certain where a row begins and ends, and why one cannot be read.
"""

from __future__ import annotations

import codecs
import csv
import io
import shutil
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from operator import methodcaller
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pydantic_core import from_json

from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION, is_in_api_form, normalize
from airflow_provider_otpiq._redaction import mask_phone_numbers
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_otpiq._audience.database import Database
    from airflow_provider_otpiq._audience.sources import SourceFile

    Row = Sequence[str]

UNDECODABLE = "\ufdd0"
"""Stands for bytes that are no text: Unicode sets this character aside for such uses."""
MARK = "otpiq-mark"
"""The handler of errors that puts it there."""
DELIMITER = "\x1f"
"""Between values that are not from CSV."""
MAX_LENGTH = 131_072
"""Of a value, in characters: the limit of Python's CSV reader."""

_BATCH = 1000
_PIECE = 1 << 20
_MAX_COLUMNS_LISTED = 50
_DIGITS_OF_A_PHONE_NUMBER = 9


class Malformed(NamedTuple):
    """A row that cannot be read, in its place."""

    reason: str
    row: Row | None = None
    """What can be read of it."""


class Layout(NamedTuple):
    """How rows are written."""

    delimiter: str
    width: int
    positions: tuple[int, ...]
    """Of the wanted columns, the phone number first."""


class Batch(NamedTuple):
    """Some rows."""

    layout: Layout
    size: int
    rows: str | list[Row | Malformed]
    """A string is CSV without quotes, a row on each line."""


def read_csv(file: SourceFile, columns: Sequence[str], delimiter: str, encoding: str) -> Iterator[Batch]:
    """
    Read CSV. A malformed line is one row; one that spans several lines may have swallowed others.

    :raises OtpiqValidationError: if there is such a line, or a column is missing.
    """
    with file.open() as content, _text(content, encoding) as lines:
        rows = csv.reader(lines, delimiter=delimiter, strict=True)
        header = _header(file, rows)
        require_columns(str(file), columns, header)
        layout = Layout(delimiter, len(header), tuple(map(header.index, columns)))
        line = rows.line_num
        while block := list(islice(lines, _BATCH)):
            if text := _plain(block, layout):
                yield Batch(layout, len(block), text)
                line += len(block)
            else:
                rows = csv.reader(chain(block, lines), delimiter=delimiter, strict=True)
                parsed = list(_parsed(rows, len(block), layout.width, _Place(file, line)))
                yield Batch(layout, len(parsed), parsed)
                line += rows.line_num


def _plain(block: list[str], layout: Layout) -> str | None:
    """Take lines as they are, if each is one row and nothing is quoted: parsing takes most of the time."""
    text = "".join(block).replace("\r\n", "\n")
    text = text if text.endswith("\n") else f"{text}\n"
    if layout.width == 1 or '"' in text or "\r" in text or max(map(len, block)) > MAX_LENGTH:
        return None
    delimiters = set(map(methodcaller("count", layout.delimiter), block))
    return text if delimiters == {layout.width - 1} else None


def _parsed(rows: Any, lines: int, width: int, place: _Place) -> Iterator[Row | Malformed]:
    """Parse the rows that begin in so many lines, the last of which may end further on."""
    while (before := rows.line_num) < lines:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield place.malformed(before + 1, rows.line_num, _reason(error))
            continue
        if len(row) == width:
            yield row
        elif row:  # an empty line is no row
            fields = f"has {len(row)} fields, and the header has {width}"
            yield place.malformed(before + 1, rows.line_num, fields)


class _Place(NamedTuple):
    """Where some lines are."""

    file: SourceFile
    lines_before: int

    def malformed(self, first: int, last: int, reason: str) -> Malformed:
        if first == last and reason != _NOT_CLOSED:
            return Malformed(reason)
        first, last = self.lines_before + first, self.lines_before + last
        lines = f"line {first}" if first == last else f"lines {first} to {last}"
        raise _refusal(
            f"{self.file}, {lines}: a row {reason}",
            remedy="What it holds may be several rows: a quote may be missing there. Correct the file.",
        )


def read_json_lines(file: SourceFile, columns: Sequence[str], encoding: str, default_region: str) -> Iterator[Batch]:
    """
    Read JSON Lines.

    :raises OtpiqValidationError: if no row has one of the columns.
    """
    with file.open() as content, _text(content, encoding) as lines:
        rows = (_from_json(line) for line in lines if not line.isspace())
        yield from read_dicts(str(file), rows, columns, default_region)


def read_parquet(file: SourceFile, columns: Sequence[str], default_region: str, database: Database) -> Iterator[Batch]:
    """
    Read Parquet.

    :raises OtpiqValidationError: if it is none, or a column is missing.
    """
    copy = database.folder / "source.parquet"  # DuckDB reads in its own folder only
    try:
        with file.open() as content, copy.open("wb") as target:
            shutil.copyfileobj(content, target, _PIECE)
        try:
            available = database.columns_of_parquet(copy)
        except (OSError, OtpiqError):
            raise _refusal(f"{file}: is no Parquet file, or a damaged one") from None
        require_columns(str(file), columns, available)
        rows = database.read_parquet(copy, columns)
        try:
            yield from _batches((as_text(row, default_region) for row in rows), len(columns))
        except OtpiqValidationError:
            raise
        except OtpiqError:
            raise _refusal(
                f"{file}: a value cannot be read, such as bytes that are no UTF-8",
                remedy=f"It is in one of {_listed(sorted(columns))}. Write these columns as strings.",
            ) from None
    finally:
        copy.unlink(missing_ok=True)


def read_dicts(name: str, rows: Iterable[Any], columns: Sequence[str], default_region: str) -> Iterator[Batch]:
    """
    Read rows that are dicts.

    :raises OtpiqValidationError: if what should be rows is something else, or no row has one of the columns.
    """
    if not isinstance(rows, Iterable):
        error = f"{name}: returned a {type(rows).__name__}; it must return or yield dicts, one for each row"
        raise OtpiqValidationError(error, errors=[error])
    available: dict[Any, None] = {}

    def read() -> Iterator[Row | Malformed]:
        for row in rows:
            if isinstance(row, Mapping):
                if not available.keys() >= wanted:
                    available.update(dict.fromkeys(row))
                yield as_text([row.get(column) for column in columns], default_region)
            else:
                yield Malformed("is no JSON object" if row is None else f"is a {type(row).__name__}, and no dict")

    wanted = set(columns)
    yield from _batches(read(), len(columns))
    if available:
        require_columns(name, columns, list(available))


def _batches(rows: Iterator[Row | Malformed], width: int) -> Iterator[Batch]:
    while batch := list(islice(rows, _BATCH)):
        yield Batch(Layout(DELIMITER, width, tuple(range(width))), len(batch), batch)


def as_text(values: Sequence[Any], default_region: str) -> Row | Malformed:
    """Write the values of a row as strings, the phone number first."""
    texts, errors = [], []
    for at, value in enumerate(values):
        try:
            texts.append(_as_text(value) if at else _phone_number(value, default_region))
        except ValueError as error:
            texts.append("")
            errors.append(str(error))
    return Malformed("; ".join(errors), texts) if errors else texts


def require_columns(name: str, wanted: Iterable[str], available: Sequence[str]) -> None:
    """
    Make sure that each column is there once.

    :raises OtpiqValidationError: if not; it names what there is.
    """
    errors = [
        f"{name}: has {'no column' if column not in available else 'more than one column'} {column!r}"
        for column in dict.fromkeys(wanted)
        if available.count(column) != 1
    ]
    if errors:
        raise _refusal(*errors, remedy=f"It has {_listed(available)}.")


def _listed(columns: Sequence[str]) -> str:
    if any(sum(map(str.isdecimal, column)) >= _DIGITS_OF_A_PHONE_NUMBER for column in map(str, columns)):
        return f"{len(columns)} columns, which look like a row: the first line must name the columns"
    shown = [mask_phone_numbers(repr(column)) for column in dict.fromkeys(map(str, columns))]
    return list_some(shown, _MAX_COLUMNS_LISTED)


def _text(content: BinaryIO, encoding: str) -> io.TextIOWrapper:
    is_utf8 = codecs.lookup(encoding).name == "utf-8"
    return io.TextIOWrapper(content, "utf-8-sig" if is_utf8 else encoding, errors=MARK, newline="")


def _mark(error: UnicodeError) -> tuple[str | bytes, int]:
    """Mark bytes that are no text, and half characters, which some encodings have."""
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE, error.end
    if isinstance(error, UnicodeEncodeError):
        return UNDECODABLE.encode(), error.end
    raise error


codecs.register_error(MARK, _mark)


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


def _phone_number(value: Any, default_region: str) -> str:
    if value is None or isinstance(value, str):
        return _as_text(value)
    try:
        number = normalize(value, default_region)
    except ValueError as error:
        raise ValueError(f"phoneNumber {error}") from None
    # With a plus it is not taken for a national one.
    return number if default_region == DEFAULT_REGION and is_in_api_form(number) else f"+{number}"


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | list | tuple | set | Mapping):
        raise ValueError(f"a column holds a {type(value).__name__}; a string or a number is needed")
    text = str(value)
    if len(text) > MAX_LENGTH:
        raise ValueError(f"has a value of more than {MAX_LENGTH} characters")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("holds half a character")
    return text


def _refusal(*errors: str, remedy: str = "Correct the file.") -> OtpiqValidationError:
    return OtpiqValidationError(
        f"The audience was not prepared, because of:{bullet_list(errors)}\n{remedy}", errors=errors
    )
