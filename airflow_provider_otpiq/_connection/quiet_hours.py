"""Quiet hours: daily windows in which no messages are sent, such as ``21:00-09:00 Asia/Baghdad``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time as TimeOfDay  # noqa: N812
from typing import TYPE_CHECKING, Self

import pendulum

from airflow_provider_otpiq._redaction import safe_repr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pendulum import DateTime

# Only Python 3.14 and later accept 24:00 as a time.
_TIME = r"((?:[01]\d|2[0-3]):[0-5]\d)"
_WINDOW = re.compile(rf"\s*{_TIME}\s*-\s*{_TIME}\s+(\S+)\s*", re.ASCII)


@dataclass(frozen=True)
class Window:
    """A daily window in a timezone: its start is included, its end is not. It may span midnight."""

    start: TimeOfDay
    end: TimeOfDay
    timezone: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a window, or raise a ValueError."""
        match = _WINDOW.fullmatch(text)
        if not match:
            raise ValueError(
                "must be windows such as '21:00-09:00 Asia/Baghdad', separated by commas;"
                f" found {safe_repr(text.strip())}"
            )
        start, end, timezone = TimeOfDay.fromisoformat(match[1]), TimeOfDay.fromisoformat(match[2]), match[3]
        if start == end:
            raise ValueError(f"must have different start and end times; found {safe_repr(text.strip())}")
        try:
            pendulum.timezone(timezone)
        except (ValueError, OSError):  # a folder of timezones is an OSError
            raise ValueError(f"must have an IANA timezone such as Asia/Baghdad; found {safe_repr(timezone)}") from None
        return cls(start, end, timezone)

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.timezone}"

    def __contains__(self, time: DateTime) -> bool:
        local = time.in_timezone(self.timezone).time()
        if self.start < self.end:
            return self.start <= local < self.end
        return local >= self.start or local < self.end

    def end_after(self, time: DateTime) -> DateTime:
        """Return the next time at which it ends."""
        today = time.in_timezone(self.timezone).date()
        days = (today.add(days=days) for days in range(3))
        ends = (
            pendulum.datetime(day.year, day.month, day.day, self.end.hour, self.end.minute, tz=self.timezone)
            for day in days
        )
        return next(end for end in ends if end > time)


def parse_windows(value: object) -> tuple[Window, ...]:
    """Read windows that are separated by commas, or raise a ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string such as '21:00-09:00 Asia/Baghdad', not {type(value).__name__}")
    return tuple(map(Window.parse, value.split(",")))


def end_of_all(windows: Sequence[Window], time: DateTime) -> DateTime:
    """Return when the windows end that a time is in; they may overlap or follow each other."""
    for _ in range(len(windows) + 1):  # once more, because a change of the clock may skip an end
        for window in windows:
            if time in window:
                time = window.end_after(time)
    return time
