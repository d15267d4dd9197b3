"""The rows and delimiters of a CSV file, counted by quotes and line breaks alone: a check of what a reader reads."""

from __future__ import annotations


class CsvCounter:
    """
    What counts the rows and delimiters of a CSV file as it passes. What is within quotes counts for neither.

    :param delimiter: one byte.
    """

    def __init__(self, delimiter: bytes) -> None:
        self._delimiter = delimiter
        self._other_bytes = bytes(set(range(256)) - set(b'"\n' + delimiter))
        self._line_feeds = 0
        self._delimiters = 0
        self._lone_returns = 0
        self._in_quotes = False
        self._last = b"\n"

    def add(self, chunk: bytes) -> None:
        """Count what is in the next chunk."""
        if not chunk:
            return
        self._lone_returns += chunk.count(b"\r") - chunk.count(b"\r\n")
        self._lone_returns -= self._last == b"\r" and chunk.startswith(b"\n")
        self._last = chunk[-1:]
        # Of a quoted value, the quotes that escape one included, nothing is left but line feeds and delimiters.
        left = (b'"' * self._in_quotes + chunk.translate(None, self._other_bytes)).replace(b'""', b"")
        parts = left.split(b'"')
        self._in_quotes = len(parts) % 2 == 0
        unquoted = b"".join(parts[::2])
        line_feeds = unquoted.count(b"\n")
        self._line_feeds += line_feeds
        self._delimiters += len(unquoted) - line_feeds

    def rows(self, width: int) -> int | None:
        """
        Return the number of rows below a header of so many columns.

        :return: None if it is uncertain: a quote is not closed, a line ends with a carriage return alone, or some row
            has more or fewer delimiters.
        """
        lines = self._line_feeds + (self._last != b"\n")
        is_certain = not self._in_quotes and not self._lone_returns and self._delimiters == lines * (width - 1)
        return lines - 1 if is_certain else None
