"""Detect the kind of a file by its first bytes. If another one was expected, the error names the field to set."""

from __future__ import annotations

import codecs
import re

from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

HEAD_SIZE = 1 << 16
"""The most bytes of a file, after decompression, that the functions need."""

_BLANK = b" \t\r\n"
_BYTE_ORDER_MARKS = {  # those of UTF-32 begin with those of UTF-16
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
    codecs.BOM_UTF8: "utf-8",
}
_GUESS = "cp1256"
"""The encoding that Excel in Arabic writes, guessed if bytes are not UTF-8."""
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"[^"]*"?')
_FIRST_LINE = re.compile(rb"[^\n]*\n?\0{0,3}")  # of UTF-16 and UTF-32 too
_PARQUET = b"PAR1"
_BINARIES = {
    _PARQUET: ("a Parquet file", "Set file_format='parquet', or rename it to end in .parquet."),
    b"\x1f\x8b": ("a gzip file", "Rename it to end in .gz, or decompress it."),
    b"\x28\xb5\x2f\xfd": ("a zstd file", "Rename it to end in .zst, or decompress it."),
    b"PK\x03\x04": ("an Excel workbook (.xlsx), or another zip archive", "Save it as CSV, or extract it."),
    b"\xd0\xcf\x11\xe0": ("an old Excel workbook (.xls)", "Save it as CSV."),
}


def is_blank(content: bytes) -> bool:
    """Return whether a text file has no rows: no bytes, only a byte order mark, or only blank lines."""
    mark, encoding = _byte_order_mark(content)
    # A null byte is a part of a line break in UTF-16 and UTF-32 only; elsewhere it is damage.
    blank = _BLANK + b"\0" if _is_wide(encoding) else _BLANK
    return not content.removeprefix(mark).strip(blank)


def undecodable_reason(encoding: str) -> str:
    """Return the reason for rejecting a row that has bytes which are not text in an encoding."""
    remedy = f"set encoding, such as {_GUESS} for Arabic from Excel" if is_utf_8(encoding) else "set another encoding"
    return f"has bytes that are not valid {codecs.lookup(encoding).name}; {remedy}"


def require_parquet(head: bytes, name: str) -> None:
    """Refuse a file that cannot be Parquet; the error names the field to set."""
    if head.startswith(_PARQUET):
        return
    _refuse_binary(head, name)
    remedy = "Set file_format='csv' or file_format='jsonl'."
    raise unreadable(f"{name}: looks like text; expected a Parquet file", remedy=remedy)


def require_text(head: bytes, name: str, encoding: str) -> None:
    """Refuse a file that cannot be text of the encoding, such as JSON Lines."""
    _refuse_binary(head, name)
    if found := _other_encoding(next(_FIRST_LINE.finditer(head))[0], encoding):
        raise _refusal_of_fields(name, {"encoding": (encoding, found)})


def require_csv(head: bytes, name: str, encoding: str, delimiter: str) -> None:
    """Refuse a file that cannot be CSV of the encoding and delimiter; bytes below the header only reject their rows."""
    _refuse_binary(head, name)
    line = next(_FIRST_LINE.finditer(head))[0]
    if line.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b'{"'):
        raise unreadable(f"{name}: looks like JSON Lines; expected CSV", remedy="Set file_format='jsonl'.")
    found_encoding = _other_encoding(line, encoding)
    found_delimiter = _other_delimiter(line.decode(found_encoding or encoding, "replace"), delimiter)
    if found_delimiter and not found_encoding:  # so that one error names both
        found_encoding = _other_8_bit_encoding(head, encoding)
    if found_encoding or found_delimiter:
        fields = {"encoding": (encoding, found_encoding), "delimiter": (delimiter, found_delimiter)}
        raise _refusal_of_fields(name, fields)


def _refuse_binary(head: bytes, name: str) -> None:
    for magic, (looks_like, remedy) in _BINARIES.items():
        if head.startswith(magic):
            raise unreadable(f"{name}: looks like {looks_like}", remedy=remedy)


def _byte_order_mark(content: bytes) -> tuple[bytes, str]:
    found = ((mark, encoding) for mark, encoding in _BYTE_ORDER_MARKS.items() if content.startswith(mark))
    return next(found, (b"", ""))


def _other_encoding(line: bytes, encoding: str) -> str | None:
    """Guess the encoding of a line that cannot be in the expected one."""
    _, marked = _byte_order_mark(line)
    if marked:
        return None if _family(marked) == _family(encoding) else marked
    if b"\0" in line:
        return None if _is_wide(encoding) else _utf_16_by_null_bytes(line)
    if _is_wide(encoding) and line:
        return "utf-8" if _is_utf_8_text(line) else _GUESS
    return _other_8_bit_encoding(line, encoding)


def _other_8_bit_encoding(content: bytes, encoding: str) -> str | None:
    return _GUESS if is_utf_8(encoding) and not _is_utf_8_text(content) else None


def _utf_16_by_null_bytes(line: bytes) -> str:
    """Guess the byte order by the position of the null byte in Latin letters, delimiters and line breaks."""
    return "utf-16-le" if line[1::2].count(0) >= line[::2].count(0) else "utf-16-be"


def _other_delimiter(header: str, delimiter: str) -> str | None:
    """Find the delimiter of a header in which the expected one does not occur outside of quotes."""
    bare = _QUOTED.sub("", header)
    found = [other for other in _DELIMITERS if other in bare]
    return None if delimiter in bare else max(found, key=bare.count, default=None)


def _family(encoding: str) -> str:
    """Return ``utf-16`` for ``UTF_16-LE`` too, because a byte order mark states the byte order."""
    return "-".join(codecs.lookup(encoding).name.split("-")[:2])


def _is_wide(encoding: str) -> bool:
    return bool(encoding) and _family(encoding) in ("utf-16", "utf-32")


def is_utf_8(encoding: str) -> bool:
    """Return whether an encoding is UTF-8, with or without a byte order mark."""
    return _family(encoding) == "utf-8"


def _is_utf_8_text(content: bytes) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content)  # which may end within a character
    except UnicodeDecodeError:
        return False
    return True


def _refusal_of_fields(name: str, fields: dict[str, tuple[str, str | None]]) -> OtpiqValidationError:
    """Return the error of fields that do not fit the file; each has the set and, if it is wrong, the found value."""
    wrong = {field: values for field, values in fields.items() if values[1]}
    errors = [f"{field}: {set_!r} is set, but {name} seems to use {found!r}" for field, (set_, found) in wrong.items()]
    remedy = " and ".join(f"{field}={found!r}" for field, (_, found) in wrong.items())
    is_guess = wrong.get("encoding", ("", ""))[1] == _GUESS
    return unreadable(*errors, remedy=f"Set {remedy}{', or the encoding that the file has' if is_guess else ''}.")


def unreadable(*errors: str, remedy: str = "Correct the file.") -> OtpiqValidationError:
    """Return the error of rows that cannot be read, whatever they are read for."""
    return OtpiqValidationError(f"The rows cannot be read:{bullet_list(errors)}\n{remedy}", errors=errors)
