"""The groups of an audience: the names of their folders, and which values of a column can be groups."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_otpiq._redaction import describe_count, may_be_phone_number, safe_repr

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_otpiq._audience.manifest import Counts
    from airflow_provider_otpiq._audience.request import AudienceRequest

Group = str | None
"""The name of a group; None for an audience that is not divided."""

MAX_GROUPS = 100

_MAX_NAME_LENGTH = 200  # file systems allow 255
_MAX_LISTED = 5
_MIN_LISTED = 10
"""The fewest recipients of a value that is shown: a value of fewer may be personal data."""
_USED_BY_THE_OUTPUT = ("parts", "ledger")
NAME_OF_A_FOLDER = re.compile(r"(?:[\w-]|%[0-9A-F]{2})+", re.ASCII)


def folder_name(group: str) -> str:
    """
    Return the name of a group's folder: letters, digits, ``-`` and ``_`` are kept, all else is percent-encoded.

    It has no dot, so it is not the name of a file of the output, ``.`` or ``..``.
    """
    name = quote(group, safe="").replace(".", "%2E").replace("~", "%7E")
    return f"%{ord(name[0]):02X}{name[1:]}" if name.lower() in _USED_BY_THE_OUTPUT else name


def require_groups(request: AudienceRequest, number: int, largest: Mapping[str, Counts]) -> None:
    """
    Check the groups of a column: their number, and the counts of the largest ones.

    :raises OtpiqValidationError: if there are too many, or if one of them cannot be a folder.
    """
    column = f"group_by: column {request.group_by!r} has"
    if number > MAX_GROUPS:
        error = f"{column} {number:,} values{_examples(largest)}; expected at most {MAX_GROUPS}"
        raise request.refusal([error], "Set a column with few values, such as a language.")
    # Without repetition: many phone numbers of the same length are described alike.
    if errors := list(dict.fromkeys(f"{column} {error}" for error in _wrong_values(largest))):
        raise request.refusal(errors, "Change these values in the source, or set another column.")


def _examples(largest: Mapping[str, Counts]) -> str:
    """List the largest groups, but no value that only a few people have."""
    shown = [
        f"{safe_repr(group)} ({describe_count(counts.recipients, 'recipient')})"
        for group, counts in islice(largest.items(), _MAX_LISTED)
        if counts.recipients >= _MIN_LISTED
    ]
    return f", such as {', '.join(shown)}" if shown else f", each with fewer than {_MIN_LISTED} recipients"


def _wrong_values(groups: Iterable[str]) -> Iterator[str]:
    names: dict[str, str] = {}
    for group in groups:
        name = folder_name(group)
        if may_be_phone_number(group):
            yield f"values that may be phone numbers ({safe_repr(group)}); they would be in paths and XCom"
        elif len(name) > _MAX_NAME_LENGTH:
            yield f"a value whose folder's name has {len(name):,} characters; expected at most {_MAX_NAME_LENGTH}"
        elif (other := names.setdefault(name.lower(), group)) != group:
            yield f"values that differ only in case: {safe_repr(other)} and {safe_repr(group)}; expected one spelling"
