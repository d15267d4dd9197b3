"""Copy a source file to the temporary folder: decompressed, text as UTF-8, and the rows of CSV counted."""

from __future__ import annotations

import codecs
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_otpiq._audience.file_kind import HEAD_SIZE, is_utf_8, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from airflow_provider_otpiq._audience.sources import SourceFile

UNDECODABLE_CHARACTER = "\ufdd0"
"""Replaces bytes that are not text in their encoding: a character that Unicode reserves for such uses."""
DECODE_ERROR_HANDLER = "otpiq-undecodable"
"""The error handler of codecs that writes it."""

_PIECE = 1 << 20
_VALID_FOR_EACH_INVALID = 9
_ORDINARY = b"\0"
"""Replaces any byte that has no meaning in CSV."""


def copy(
    file: SourceFile,
    path: Path,
    check: Callable[[bytes], None],
    encoding: str | None = None,
    observe: Callable[[bytes], None] = lambda _: None,
) -> None:
    """
    Copy a file, decompressed; one of text, which has an encoding, as UTF-8 without a byte order mark.

    :param check: gets the first bytes, and refuses another kind of file.
    :param observe: gets each piece of the copy.
    """
    with file.open() as content, path.open("wb") as target:
        pieces = _pieces(content, check)
        for piece in _as_utf8(pieces, encoding, str(file)) if encoding else pieces:
            observe(piece)
            target.write(piece)


def _pieces(content: BinaryIO, check: Callable[[bytes], None]) -> Iterator[bytes]:
    first = content.read(_PIECE)
    check(first[:HEAD_SIZE])
    yield first
    yield from iter(partial(content.read, _PIECE), b"")


def _as_utf8(pieces: Iterator[bytes], encoding: str, name: str) -> Iterator[bytes]:
    text = pieces if is_utf_8(encoding) else _transcoded(pieces, encoding, name)
    yield next(text).removeprefix(codecs.BOM_UTF8)
    yield from text


def _transcoded(pieces: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(DECODE_ERROR_HANDLER)
    detector = _Utf8Detector()
    try:
        for piece in pieces:
            detector.add(piece)
            yield decoder.decode(piece).encode("utf-8", DECODE_ERROR_HANDLER)
        yield decoder.decode(b"", final=True).encode("utf-8", DECODE_ERROR_HANDLER)
    except UnicodeError:  # the encoding needs a byte order mark, which is missing
        remedy = "Set the exact `encoding`, such as utf-16-le."
        raise unreadable(f"encoding: {name} is not {encoding}", remedy=remedy) from None
    if detector.is_utf8():
        raise unreadable(f"encoding: {encoding!r} is set, but {name} is UTF-8", remedy="Remove `encoding`.")


class _Utf8Detector:
    """Detects UTF-8, even with a few damaged bytes. Text in another encoding is hardly ever valid UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._valid = 0
        self._invalid = 0

    def add(self, piece: bytes) -> None:
        if piece.isascii():
            return
        text = self._decoder.decode(piece)
        invalid = text.count("\ufffd")
        self._invalid += invalid
        self._valid += sum(not character.isascii() for character in text) - invalid

    def is_utf8(self) -> bool:
        return self._valid > _VALID_FOR_EACH_INVALID * self._invalid


class CsvCounter:
    """Counts the rows of a CSV file by quotes, delimiters and line breaks, to check the number that DuckDB reads."""

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter.encode()[:1]
        special = set(b'"\r\n' + self._delimiter)
        self._classes = bytes(code if code in special else _ORDINARY[0] for code in range(256))
        self._line_feeds = 0
        self._delimiters = 0
        self._is_regular = delimiter.isascii()
        self._open = b""
        self._last = b"\n"
        self._last_unquoted = b"\n"

    def add(self, chunk: bytes) -> None:
        """Count the rows in the next chunk."""
        if not chunk:
            return
        self._last = chunk[-1:]
        parts = (self._open + chunk.translate(self._classes)).split(b'"')
        unquoted = b'"'.join(parts[::2])  # one quote in the place of what is quoted
        self._line_feeds += unquoted.count(b"\n")
        self._delimiters += unquoted.count(self._delimiter)
        self._is_regular &= _is_regular(self._last_unquoted + unquoted) and not self._may_hide_a_row(parts[1::2])
        self._open = self._summary(parts[-1]) if len(parts) % 2 == 0 else b""
        self._last_unquoted = unquoted[-1:] or self._last_unquoted

    def _may_hide_a_row(self, quoted: list[bytes]) -> bool:
        return any(b"\n" in value and self._delimiter in value for value in quoted)

    def _summary(self, quoted: bytes) -> bytes:
        """Return what counts of a quoted value that continues in the next chunk."""
        return b'"' + b"".join(found for found in (b"\n", self._delimiter) if found in quoted)

    def rows(self, width: int) -> int | None:
        """
        Return the number of rows below a header of ``width`` columns, None if it is uncertain.

        It is if a quote is within a value or not closed, a value has a line break and a delimiter, as hidden rows have,
        a line ends with a carriage return alone, or a row has more or fewer delimiters.
        """
        lines = self._line_feeds + (self._last != b"\n")
        has_all_delimiters = self._delimiters == lines * (width - 1)
        return lines - 1 if self._is_regular and has_all_delimiters and not self._open else None


def _is_regular(unquoted: bytes) -> bool:
    """Return whether quotes enclose whole values, and a line feed follows each carriage return."""
    has_bare_quote = _ORDINARY + b'"' in unquoted or b'"' + _ORDINARY in unquoted
    returns = unquoted.count(b"\r") - unquoted.endswith(b"\r")  # the next chunk decides about the last one
    return not has_bare_quote and returns == unquoted.count(b"\r\n")


def _replace_undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace bytes that are not text, and half characters, which some encodings have."""
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE_CHARACTER, error.end
    if isinstance(error, UnicodeEncodeError):
        return UNDECODABLE_CHARACTER.encode(), error.end
    raise error


codecs.register_error(DECODE_ERROR_HANDLER, _replace_undecodable)
