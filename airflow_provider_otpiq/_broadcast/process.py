"""Process the parts of an audience, one after the other."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._redaction import describe_count
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import (
    OtpiqApiError,
    OtpiqConflictError,
    OtpiqError,
    OtpiqNotFoundError,
    OtpiqRequestError,
    OtpiqValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_otpiq._audience.manifest import Part

log = logging.getLogger(__name__)

MAX_LISTED = 20

Result = TypeVar("Result")

REFUSALS = (OtpiqRequestError, OtpiqConflictError, OtpiqNotFoundError, OtpiqValidationError)
"""Errors that concern a single campaign. Any other would concern the next one too, so it ends the try."""


def process_parts(parts: Sequence[Part], work: Callable[[Part], Result], done: str) -> dict[str, Result]:
    """
    Process each part, even if OTPIQ refuses others, and return the results by the part's name.

    It logs the progress every few seconds.

    :raises OtpiqRequestError: at the end, if OTPIQ refuses some of them; the text lists those.
    """
    progress, recipients = Progress(), 0
    results: dict[str, Result] = {}
    refused: dict[str, list[Part]] = {}
    for count, part in enumerate(parts, start=1):
        try:
            results[part.name] = work(part)
            recipients += part.recipients
        except REFUSALS as error:
            refused.setdefault(_without_remedy(error), []).append(part)
            log.warning("Part %s was refused: %s", part.name, error)
        so_far = done, len(results), len(parts), describe_count(recipients, "recipient")
        progress.report("%s %d of %d campaigns, %s.", *so_far, now=count == len(parts))
    if refused:
        others = "; the others are done" if results else ""
        problems = f"Refused campaigns: {len(parts) - len(results)} of {len(parts)}{others}:"
        remedy = "Fix the problems above and clear the task; only these campaigns are retried."
        raise OtpiqRequestError(f"{problems}{bullet_list(_lines(refused))}\n{remedy}", remedy=remedy)
    return results


def describe_parts(parts: Sequence[Part]) -> str:
    """List the names of parts, as errors do: ``parts 00001, 00002 and 7 more``."""
    return f"part{'s' if len(parts) > 1 else ''} {list_some([part.name for part in parts], MAX_LISTED)}"


def _lines(refused: dict[str, list[Part]]) -> list[str]:
    lines = [f"{describe_parts(parts)}: {reason}" for reason, parts in refused.items()]
    more = len(lines) - MAX_LISTED
    return [*lines[:MAX_LISTED], f"and {more} more, which the log lists"] if more > 0 else lines


def _without_remedy(error: OtpiqError) -> str:
    if isinstance(error, OtpiqApiError):
        error.remedy = ""
    return str(error).rstrip()
