"""Count the rows of a CSV file by quotes, delimiters and line breaks, to check the number that a reader reads."""

from __future__ import annotations

_ORDINARY = b"\0"
"""Stands for any byte that has no meaning in CSV."""


class CsvCounter:
    """
    Counts the rows of a CSV file chunk by chunk.

    :param delimiter: one byte.
    """

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        special = set(b'"\r\n' + delimiter)
        self._classes = bytes(code if code in special else _ORDINARY[0] for code in range(256))
        self._line_feeds = 0
        self._delimiters = 0
        self._is_regular = delimiter != _ORDINARY
        self._in_quotes = False
        self._last = b"\n"
        self._last_unquoted = b"\n"

    def add(self, chunk: bytes) -> None:
        """Count the rows in the next chunk."""
        if not chunk:
            return
        self._last = chunk[-1:]
        parts = (b'"' * self._in_quotes + chunk.translate(self._classes)).split(b'"')
        self._in_quotes = len(parts) % 2 == 0
        unquoted = b'"'.join(parts[::2])  # one quote in the place of what is quoted
        self._line_feeds += unquoted.count(b"\n")
        self._delimiters += unquoted.count(self._delimiter)
        self._check(self._last_unquoted + unquoted)
        self._last_unquoted = unquoted[-1:] or self._last_unquoted

    def rows(self, width: int) -> int | None:
        """
        Return the number of rows below a header of ``width`` columns.

        :return: None if it is uncertain: a quote is not closed or within a value, a line ends with a carriage return
            alone, or some row has more or fewer delimiters.
        """
        lines = self._line_feeds + (self._last != b"\n")
        has_all_delimiters = self._delimiters == lines * (width - 1)
        return lines - 1 if self._is_regular and has_all_delimiters and not self._in_quotes else None

    def _check(self, unquoted: bytes) -> None:
        """Detect quotes that do not enclose a whole value, and carriage returns that no line feed follows."""
        has_bare_quote = _ORDINARY + b'"' in unquoted or b'"' + _ORDINARY in unquoted
        returns = unquoted.count(b"\r") - unquoted.endswith(b"\r")  # the next chunk decides about the last one
        self._is_regular = self._is_regular and not has_bare_quote and returns == unquoted.count(b"\r\n")
