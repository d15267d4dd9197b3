"""The strings that WhatsApp refuses as a parameter, when it sends the message."""

from __future__ import annotations

import re

LINE_BREAK_REASON = (
    "132018: There's an issue with the parameters in your template, Param text cannot have new-line/tab characters or"
    " more than 4 consecutive spaces"
)
EMPTY_REASON = "131008: Required parameter is missing, Parameter of type text is missing text value"

_REFUSED = re.compile(r"[\n\r\t\v\f\x85\u2028\u2029]| {5}")


def refusal_of(parameters: object) -> str | None:
    """Return WhatsApp's reason to refuse a message with these parameters; None if it accepts them."""
    values = [parameters]
    while values:  # no recursion, because a body may be nested deeply
        value = values.pop()
        if isinstance(value, dict):
            values += value.values()
        elif isinstance(value, list):
            values += value
        elif isinstance(value, str) and not value.strip():
            return EMPTY_REASON
        elif isinstance(value, str) and _REFUSED.search(value):
            return LINE_BREAK_REASON
    return None
