"""
Recipients, validated one by one.

Each recipient is a person's phone number and the values of the template's parameters for this person. No string that
is made here holds either of them: an invalid recipient is named by its position and reference, with most of the number
masked.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._models.phone_numbers import describe_regions
from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.rows import (
    EMPTY,
    MAX_RECIPIENTS,
    RowParser,
    all_in_api_form,
    describe_recipient,
)
from airflow_provider_otpiq._recipients.template_parameters import required_parameters
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients, request_body
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_otpiq._recipients.parameter_values import ParameterParser

log = logging.getLogger(__name__)

MAX_ROWS = 100_000
"""How many rows are read at most, where invalid ones are skipped."""

_MAX_LISTED = 100


class RecipientValidator:
    """
    Recipients of a DAG, sorted into valid and invalid ones.

    :raises OtpiqValidationError: if there are none, or far too many.
    """

    def __init__(self, rows: Iterable[Any], default_region: str, null_values: Collection[str] = NULL_VALUES) -> None:
        if isinstance(rows, ValidRecipients):
            null_values = ()  # the validation has decided already which values mean "no value"
        self._default_region = default_region
        self._errors: dict[int, list[str]] = {}
        self._foreign: dict[int, str] = {}
        """The countries of the numbers outside the default region, by position."""
        recipients = _in_api_form(rows, default_region, null_values) or self._parse_rows(rows, null_values)
        self._references = {at: row["reference"] for at, row in enumerate(recipients) if "reference" in row}
        self._recipients = [_without_reference(row) for row in recipients] if self._references else recipients

    def _parse_rows(self, rows: Iterable[Any], null_values: Collection[str]) -> list[dict[str, Any]]:
        recipients = []
        parser = RowParser(self._default_region, null_values)
        for position, row in enumerate(islice(rows, MAX_ROWS + 1)):  # one more than the limit
            is_row = isinstance(row, (dict, Mapping))  # a dict is the quicker question
            recipient, errors, region = parser.parse(row if is_row else {"phoneNumber": row})
            recipients.append(recipient)
            if errors:
                self._errors[position] = errors
            elif region and region != self._default_region:
                self._foreign[position] = region
        if not recipients:
            raise _refusal(EMPTY)
        if len(recipients) > MAX_ROWS:
            raise _refusal(f"are more than {MAX_ROWS}, which is more than is read")
        _log_changes(parser.parameters)
        return recipients

    @property
    def valid(self) -> dict[int, dict[str, Any]]:
        """Those without a validation error so far, by their position."""
        return {at: recipient for at, recipient in enumerate(self._recipients) if at not in self._errors}

    def __len__(self) -> int:
        return len(self._recipients) - len(self._errors)

    def name(self, position: int, recipient: dict[str, Any]) -> str:
        """Name a recipient in an error or a log line."""
        return describe_recipient(position, recipient, self._references.get(position))

    def require(self, payload: Mapping[str, Any]) -> None:
        """Check the template's own required parameters."""
        for parameter in required_parameters(payload):
            for position, problem in parameter.problems(self._recipients).items():
                self._errors.setdefault(position, []).append(problem)

    def result(self, *, skip_invalid: bool) -> ValidRecipients:
        """
        Return the valid ones, each person once: the first row is kept.

        :raises OtpiqValidationError: if there are invalid ones and they are not to be skipped, if no valid one is
            left, or if there are more people than a campaign can hold. The text lists each invalid one.
        """
        if self._errors and not (skip_invalid and len(self)):
            raise self._error()
        repeated = self._find_repeated()
        left_out = self._errors.keys() | repeated.keys()
        recipients = self._recipients
        if left_out:
            recipients = [row for at, row in enumerate(recipients) if at not in left_out]
        if len(recipients) > MAX_RECIPIENTS:
            raise _refusal(f"are {len(recipients)}, and a campaign can hold {MAX_RECIPIENTS}; divide them over several")
        if self._errors:
            self._log_skipped()
        if repeated:
            self._log_repeated(repeated)
        self._log_foreign(left_out)
        return ValidRecipients(
            request_body(recipients), len(recipients), skipped=len(self._errors), duplicates=len(repeated)
        )

    def _find_repeated(self) -> dict[int, int]:
        """Find the rows whose person has an earlier row, each with the position of that one."""
        if not self._errors and len(set(map(itemgetter("phoneNumber"), self._recipients))) == len(self):
            return {}  # most lists have none
        first: dict[str, int] = {}
        kept = {position: first.setdefault(row["phoneNumber"], position) for position, row in self.valid.items()}
        return {position: earlier for position, earlier in kept.items() if earlier != position}

    def _log_foreign(self, left_out: Collection[int]) -> None:
        regions = Counter(region for position, region in self._foreign.items() if position not in left_out)
        if regions:
            log.info("%s.", describe_regions(regions, self._default_region))

    def _log_repeated(self, repeated: Mapping[int, int]) -> None:
        names = [
            f"{self.name(position, self._recipients[position])} repeats recipients[{earlier}]"
            for position, earlier in islice(repeated.items(), _MAX_LISTED)
        ]
        log.warning(
            "%d of %d recipients repeat the phone number of an earlier one and are left out: %s.",
            len(repeated),
            len(self._recipients),
            ", ".join(_with_more(names, len(repeated))),
        )

    def _log_skipped(self) -> None:
        reasons = Counter(error for errors in self._errors.values() for error in errors)
        log.warning(
            "%d of %d recipients are skipped. %s. Left out, by position from 0: %s.",
            len(self._errors),
            len(self._recipients),
            "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common()),
            ", ".join(self._list_invalid(_MAX_LISTED)),
        )

    def _list_invalid(self, most: int) -> list[str]:
        names = [self.name(position, self._recipients[position]) for position in sorted(self._errors)[:most]]
        return _with_more(names, len(self._errors))

    def _error(self) -> OtpiqValidationError:
        errors = [
            f"{self.name(position, self._recipients[position])}: {'; '.join(errors)}"
            for position, errors in sorted(self._errors.items())[:MAX_RECIPIENTS]
        ]
        more = len(self._errors) - len(errors)
        return OtpiqValidationError(
            f"{len(self._errors)} of {len(self._recipients)} recipients are wrong, and nothing was sent. By their"
            " position, counted from 0:" + bullet_list(errors) + (f"\n  and {more} more" if more else ""),
            errors=errors,
        )


def _in_api_form(rows: Iterable[Any], default_region: str, null_values: Collection[str]) -> list[dict[str, Any]] | None:
    if not isinstance(rows, list | tuple) or len(rows) > MAX_RECIPIENTS:
        return None
    recipients = list(rows)
    return recipients if all_in_api_form(recipients, default_region, null_values) else None


def _log_changes(parameters: ParameterParser) -> None:
    if parameters.cleaned:
        log.info(
            "Cleaned %d values of template parameters: whitespace, line breaks and invisible characters became one"
            " space, and were removed at the ends.",
            parameters.cleaned,
        )
    if parameters.missing:
        log.info("Left out %d values of template parameters that are blank or mean no value.", parameters.missing)


def _with_more(names: list[str], total: int) -> list[str]:
    more = total - len(names)
    return [*names, f"and {more} more"] if more else names


def _without_reference(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "reference"}


def _refusal(error: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"recipients: {error}; nothing was sent.", errors=[f"recipients: {error}"])
