"""
Validate recipients one by one.

Each recipient is a person's phone number and the values of the template's parameters for this person. No string that
is made here contains either: an invalid recipient is named by its position and reference, with most of the number
masked.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._models.phone_numbers import describe_regions
from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.rows import RowParser, describe_recipient
from airflow_provider_otpiq._recipients.template_parameters import required_parameters
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from airflow_provider_otpiq._recipients.template_parameters import ParameterParser

log = logging.getLogger(__name__)

EMPTY = "is empty; at least one recipient is required"
MAX_ROWS = 100_000
"""The most rows that are read; only valid ones count towards a campaign's limit."""

_MAX_LISTED = 100


class RecipientValidator:
    """
    Sort recipients into valid and invalid ones.

    :raises OtpiqValidationError: if there are none, or more than ``MAX_ROWS``.
    """

    def __init__(self, rows: Iterable[Any], default_region: str, null_values: Collection[str] = NULL_VALUES) -> None:
        if isinstance(rows, ValidRecipients):
            null_values = ()  # its validation has decided which values mean "no value"
        self._default_region = default_region
        self._errors: dict[int, list[str]] = {}
        self._foreign: dict[int, str] = {}
        """The countries of the numbers outside the default region, by position."""
        parser = RowParser(default_region, null_values)
        self._have_same_keys = isinstance(rows, list | tuple) and len(rows) <= MAX_ROWS and parser.changes_none(rows)
        recipients = list(rows) if self._have_same_keys else self._parse_rows(rows, parser)
        self._references = {at: row["reference"] for at, row in enumerate(recipients) if "reference" in row}
        if self._references:
            recipients = [{key: row[key] for key in row if key != "reference"} for row in recipients]
        self._recipients = recipients

    def _parse_rows(self, rows: Iterable[Any], parser: RowParser) -> list[dict[str, Any]]:
        recipients = []
        for position, row in enumerate(islice(rows, MAX_ROWS + 1)):
            is_row = isinstance(row, (dict, Mapping))  # a dict is recognized faster
            recipient, errors, region = parser.parse(row if is_row else {"phoneNumber": row})
            recipients.append(recipient)
            if errors:
                self._errors[position] = errors
            elif region and region != self._default_region:
                self._foreign[position] = region
        if not recipients:
            raise refused_recipients(EMPTY, "Check their source.")
        if len(recipients) > MAX_ROWS:
            raise refused_recipients(f"more than {MAX_ROWS:,} rows; that is the limit", "Set fewer rows.")
        _log_changes(parser.parameters)
        return recipients

    @property
    def valid(self) -> dict[int, dict[str, Any]]:
        """Those without a validation error so far, by their position."""
        return {at: recipient for at, recipient in enumerate(self._recipients) if at not in self._errors}

    def __len__(self) -> int:
        return len(self._recipients) - len(self._errors)

    def require_allowed(self, is_allowed: Callable[[str], bool]) -> None:
        """Raise an OtpiqValidationError that lists the valid recipients whose number a connection does not allow."""
        errors = [self._name(position) for position, row in self.valid.items() if not is_allowed(row["phoneNumber"])]
        if errors:
            raise OtpiqValidationError(
                f"The connection's allowed_recipients do not include {len(errors)} of {len(self)} recipients. Nothing"
                f" was sent. By position, counted from 0:{bullet_list(errors)}\nRemove these recipients, or add their"
                " numbers or prefixes to allowed_recipients.",
                errors=errors,
            )

    def require(self, payload: Mapping[str, Any]) -> None:
        """Check the parameters that the template requires."""
        for parameter in required_parameters(payload):
            if self._have_same_keys and parameter.error(self._recipients[0]) is None:
                continue
            for position, recipient in enumerate(self._recipients):
                if error := parameter.error(recipient):
                    self._errors.setdefault(position, []).append(error)

    def result(self, *, skip_invalid: bool) -> ValidRecipients:
        """
        Return the valid ones, each person once: the first row is kept.

        :raises OtpiqValidationError: if some are invalid and ``skip_invalid`` is False, if none is valid, or if a
            campaign cannot hold as many people. The text lists each invalid one.
        """
        if self._errors and not (skip_invalid and len(self)):
            raise self._error()
        repeated = self._find_repeated()
        left_out = self._errors.keys() | repeated.keys()
        recipients = self._recipients
        if left_out:
            recipients = [row for at, row in enumerate(recipients) if at not in left_out]
        if len(recipients) > MAX_RECIPIENTS:
            raise refused_recipients(
                f"{len(recipients):,} recipients exceed the limit of a campaign ({MAX_RECIPIENTS:,})",
                "Divide them over several campaigns.",
            )
        self._log_skipped()
        self._log_repeated(repeated)
        self._log_foreign(left_out)
        return ValidRecipients(recipients, skipped=len(self._errors), duplicates=len(repeated))

    def _find_repeated(self) -> dict[int, int]:
        """Find the rows whose person has an earlier row, each with that row's position."""
        if not self._errors and len(set(map(itemgetter("phoneNumber"), self._recipients))) == len(self):
            return {}  # as in most lists
        first: dict[str, int] = {}
        kept = {position: first.setdefault(row["phoneNumber"], position) for position, row in self.valid.items()}
        return {position: earlier for position, earlier in kept.items() if earlier != position}

    def _log_foreign(self, left_out: Collection[int]) -> None:
        regions = Counter(region for position, region in self._foreign.items() if position not in left_out)
        if regions:
            log.info("%s.", describe_regions(regions, self._default_region))

    def _log_repeated(self, repeated: Mapping[int, int]) -> None:
        if not repeated:
            return
        names = [f"{self._name(position)} repeats recipients[{earlier}]" for position, earlier in repeated.items()]
        log.warning(
            "Left out %d of %d recipients, which repeat the phone number of an earlier one: %s.",
            len(repeated),
            len(self._recipients),
            list_some(names, _MAX_LISTED),
        )

    def _log_skipped(self) -> None:
        if not self._errors:
            return
        reasons = Counter(error for errors in self._errors.values() for error in errors)
        log.warning(
            "Skipped %d of %d recipients. %s. By position, counted from 0: %s.",
            len(self._errors),
            len(self._recipients),
            "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common()),
            list_some([self._name(position) for position in sorted(self._errors)], _MAX_LISTED),
        )

    def _error(self) -> OtpiqValidationError:
        errors = [
            f"{self._name(position)}: {'; '.join(errors)}"
            for position, errors in sorted(self._errors.items())[:MAX_RECIPIENTS]
        ]
        more = len(self._errors) - len(errors)
        listed = bullet_list(errors) + (f"\n  and {more} more" if more else "")
        return OtpiqValidationError(
            f"Nothing was sent. Invalid recipients: {len(self._errors)} of {len(self._recipients)}. By position,"
            f" counted from 0:{listed}\nCorrect these recipients in the source.",
            errors=errors,
        )

    def _name(self, position: int) -> str:
        return describe_recipient(position, self._recipients[position], self._references.get(position))


def _log_changes(parameters: ParameterParser) -> None:
    if parameters.cleaned:
        log.info(
            "Cleaned the values of template parameters (%d): whitespace, line breaks and invisible characters became"
            " one space, and were removed at the ends.",
            parameters.cleaned,
        )
    if parameters.missing:
        log.info("Left out the values of template parameters that are blank or mean no value (%d).", parameters.missing)


def refused_recipients(error: str, remedy: str = "") -> OtpiqValidationError:
    """Return the error of a list of recipients; ``remedy`` is the fix."""
    return OtpiqValidationError(
        f"recipients: {error}. Nothing was sent. {remedy}".rstrip(), errors=[f"recipients: {error}"]
    )
