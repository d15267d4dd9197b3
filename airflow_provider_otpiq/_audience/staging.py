"""Copy a source file to the temporary folder: decompressed, and text as UTF-8."""

from __future__ import annotations

import codecs
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from airflow_provider_otpiq._audience.file_kind import HEAD_SIZE, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from airflow_provider_otpiq._audience.sources import SourceFile

UNDECODABLE_CHARACTER = "\ufdd0"
"""Stands for bytes that are not text in their encoding: Unicode sets this character aside for such uses."""
DECODE_ERROR_HANDLER = "otpiq-undecodable"
"""The codecs' error handler that puts it there."""

_PIECE = 1 << 20
_VALID_FOR_EACH_INVALID = 9


def copy(file: SourceFile, path: Path, check: Callable[[bytes], None]) -> None:
    """
    Copy a file without changes, decompressed.

    :param check: is called with the first bytes, and raises an error if they are not of the expected kind of file.
    """
    with file.open() as content:
        _write(path, _pieces(content, check))


def copy_as_utf8(
    file: SourceFile,
    path: Path,
    encoding: str,
    check: Callable[[bytes], None],
    observe: Callable[[bytes], None] = lambda _: None,
) -> None:
    """
    Copy a text file as UTF-8 without a byte order mark.

    :param check: as of :func:`copy`.
    :param observe: is called with each piece of the copy.
    :raises OtpiqValidationError: if another encoding is set, and the file is UTF-8.
    """
    with file.open() as content:
        pieces = _pieces(content, check)
        is_utf8 = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
        text = _without_bom(pieces if is_utf8 else _transcoded(pieces, encoding, str(file)))
        _write(path, _observed(text, observe))


def _pieces(content: BinaryIO, check: Callable[[bytes], None]) -> Iterator[bytes]:
    first = content.read(_PIECE)
    check(first[:HEAD_SIZE])
    yield first
    yield from iter(partial(content.read, _PIECE), b"")


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with path.open("wb") as target:
        target.writelines(pieces)


def _observed(pieces: Iterable[bytes], observe: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        observe(piece)
        yield piece


def _without_bom(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield next(pieces, b"").removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _transcoded(pieces: Iterable[bytes], encoding: str, name: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(DECODE_ERROR_HANDLER)
    detector = _Utf8Detector()
    try:
        for piece in pieces:
            detector.add(piece)
            yield decoder.decode(piece).encode("utf-8", DECODE_ERROR_HANDLER)
        yield decoder.decode(b"", final=True).encode("utf-8", DECODE_ERROR_HANDLER)
    except UnicodeError:  # the encoding needs a byte order mark, which is missing
        raise refusal([f"encoding: {name} is not {encoding}"], "Set the exact encoding, such as utf-16-le.") from None
    if detector.is_utf8():
        raise refusal([f"encoding: {encoding!r} is set, but {name} is UTF-8"], "Remove `encoding`.")


class _Utf8Detector:
    """Detects UTF-8, even with a few damaged bytes: text in another encoding is hardly ever valid UTF-8."""

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


def _replace_undecodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace bytes that are not text, and half characters, which some encodings have."""
    if isinstance(error, UnicodeDecodeError):
        return UNDECODABLE_CHARACTER, error.end
    if isinstance(error, UnicodeEncodeError):
        return UNDECODABLE_CHARACTER.encode(), error.end
    raise error


codecs.register_error(DECODE_ERROR_HANDLER, _replace_undecodable)
