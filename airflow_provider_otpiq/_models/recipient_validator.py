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
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError

from airflow_provider_otpiq._models.recipient_rows import (
    EMPTY,
    MAX_RECIPIENTS,
    NO_JSON,
    all_in_api_form,
    describe_recipient,
    parse_row,
)
from airflow_provider_otpiq._models.template_parameters import required_parameters
from airflow_provider_otpiq._models.valid_recipients import ValidRecipients, request_body
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

MAX_ROWS = 100_000
"""How many rows are read at most, where invalid ones are skipped."""

_MAX_SKIPPED_LISTED = 100


class RecipientValidator:
    """
    Recipients of a DAG, sorted into valid and invalid ones.

    :raises OtpiqValidationError: if there are none, or far too many.
    """

    def __init__(self, rows: Iterable[Any], default_region: str) -> None:
        self._errors: dict[int, list[str]] = {}
        recipients = _in_api_form(rows, default_region) or self._parse_rows(rows, default_region)
        self._references = {at: row["reference"] for at, row in enumerate(recipients) if "reference" in row}
        self._recipients = [_without_reference(row) for row in recipients] if self._references else recipients

    def _parse_rows(self, rows: Iterable[Any], default_region: str) -> list[dict[str, Any]]:
        recipients = []
        for position, row in enumerate(islice(rows, MAX_ROWS + 1)):  # one more than the limit
            is_row = isinstance(row, (dict, Mapping))  # a dict is the quicker question
            recipient, errors = parse_row(row if is_row else {"phoneNumber": row}, default_region)
            recipients.append(recipient)
            if errors:
                self._errors[position] = errors
        if not recipients:
            raise _refusal(EMPTY)
        if len(recipients) > MAX_ROWS:
            raise _refusal(f"are more than {MAX_ROWS}, which is more than is read")
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
            for position in parameter.missing_positions(self._recipients):
                self._errors.setdefault(position, []).append(f"{parameter.name} is required, and is not set")

    def result(self, *, skip_invalid: bool) -> ValidRecipients:
        """
        Return the valid ones.

        :raises OtpiqValidationError: if there are invalid ones and they are not to be skipped, if no valid one is
            left, or if there are more than a campaign can hold. The text lists each invalid one.
        """
        body = self._encoded()
        count = len(self) if skip_invalid else len(self._recipients)
        if count > MAX_RECIPIENTS:
            raise _refusal(f"are {count}, and a campaign can hold {MAX_RECIPIENTS}; divide them over several")
        if self._errors and not (skip_invalid and len(self)):
            raise self._error()
        if self._errors:
            self._log_skipped()
        return ValidRecipients(body, count, skipped=len(self._errors))

    def _encoded(self) -> bytes:
        """Serialise the valid ones, once. What cannot be serialised is searched for only then, as it is rare."""
        recipients = list(self.valid.values()) if self._errors else self._recipients
        try:
            return request_body(recipients)
        except PydanticSerializationError:
            for position, recipient in self.valid.items():
                if not _can_be_encoded(recipient):
                    self._errors[position] = [f"templateParameters {NO_JSON}"]
            return request_body(list(self.valid.values()))

    def _log_skipped(self) -> None:
        reasons = Counter(error for errors in self._errors.values() for error in errors)
        log.warning(
            "%d of %d recipients are skipped. %s. Left out, by position from 0: %s.",
            len(self._errors),
            len(self._recipients),
            "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common()),
            ", ".join(self._list_invalid(_MAX_SKIPPED_LISTED)),
        )

    def _list_invalid(self, most: int) -> list[str]:
        names = [self.name(position, self._recipients[position]) for position in sorted(self._errors)[:most]]
        more = len(self._errors) - len(names)
        return [*names, f"and {more} more"] if more else names

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


def _in_api_form(rows: Iterable[Any], default_region: str) -> list[dict[str, Any]] | None:
    if not isinstance(rows, list | tuple) or len(rows) > MAX_RECIPIENTS:
        return None
    recipients = list(rows)
    return recipients if all_in_api_form(recipients, default_region) else None


def _without_reference(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "reference"}


def _can_be_encoded(recipient: dict[str, Any]) -> bool:
    try:
        request_body([recipient])
    except PydanticSerializationError:
        return False
    return True


def _refusal(error: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"recipients: {error}; nothing was sent.", errors=[f"recipients: {error}"])
