"""Recipients that have passed every check: the bytes that are sent, and nothing that could come to differ from them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json

from airflow_provider_otpiq._recipients.attach_response import says_all_already_attached
from airflow_provider_otpiq._redaction import repeats_value, sanitize

if TYPE_CHECKING:
    from collections.abc import Iterator

# Alone, each of these is not personal data; a refusal that contains one must stay readable.
_ORDINARY_WORDS = frozenset({
    "all", "every", "each", "recipient", "recipients", "number", "numbers", "contact", "contacts",
    "already", "been", "added", "attached", "part", "exist", "exists",
})  # fmt: skip

_WITHHELD = "OTPIQ's message repeats a recipient's data and is not shown"
# A value such as "Ready" is in "already", and a retried attach must be recognized nevertheless.
_WITHHELD_ALL_ATTACHED = "All recipients are already on the campaign; the words repeat a recipient's data"


class ValidRecipients:
    """
    Recipients that have passed every check, as the bytes that are sent.

    Going through it gives copies in the API's form: whatever is done with them, what was checked is what is sent.
    """

    def __init__(self, recipients: list[dict[str, Any]], *, skipped: int, duplicates: int) -> None:
        self.body = to_json({"recipients": recipients})
        self.skipped = skipped
        """How many invalid rows were left out."""
        self.duplicates = duplicates
        """How many rows were left out because an earlier one has the same person."""
        self.allowed_by: object = None
        """The guard rails that allow them; None if none were checked."""
        self._count = len(recipients)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        yield from from_json(self.body)["recipients"]

    def substitute_for(self, text: str) -> str:
        """Return what is shown instead of a server's text that repeats a recipient's data; empty for others."""
        if not self._is_repeated_in(text):
            return ""
        return _WITHHELD_ALL_ATTACHED if says_all_already_attached(sanitize(text)) else _WITHHELD

    def _is_repeated_in(self, text: str) -> bool:
        values = [value for recipient in self for value in _scalars(recipient.get("templateParameters"))]
        names = (word for value in values for word in value.split() if _may_be_a_name(word))
        return repeats_value(text, (value for value in chain(values, names) if value.lower() not in _ORDINARY_WORDS))


def _may_be_a_name(word: str) -> bool:
    return len(word) > 2 and (word[0].isupper() or not word.isascii())  # noqa: PLR2004


def _scalars(value: Any) -> Iterator[str]:
    """Find the strings and numbers in a JSON value, numbers as JSON writes them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _scalars(inner)
