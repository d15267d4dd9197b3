"""Recipients, validated both ways: all at once as a list, and row by row as an iterator. Both must give the same."""

from collections.abc import Collection
from enum import StrEnum
from typing import Any

import pytest

from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.valid_recipients import ValidRecipients
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError

NUMBER = "9647701234567"
OTHER = "9647801234567"
PAYLOAD = {
    "fields": [
        {"required": True, "templateParametersPath": "templateParameters.body.1", "label": "Body {{1}}"},
        {"required": False, "templateParametersPath": "templateParameters.body.2", "label": "Body {{2}}"},
    ]
}
MISSING = "templateParameters.body.1 (Body {{1}}) is required"


def with_parameters(parameters: Any, number: Any = NUMBER) -> dict[str, Any]:
    return {"phoneNumber": number, "templateParameters": parameters}


def ali(number: Any = NUMBER, **parameters: Any) -> dict[str, Any]:
    return with_parameters({"body": {"1": "Ali"} | parameters}, number)


def numbers(count: int) -> list[str]:
    return [f"96477{number:08}" for number in range(count)]


def validated(
    rows: Any,
    payload: dict[str, Any] | None = None,
    **options: Any,
) -> ValidRecipients:
    at_once, one_by_one = (_validate(way, payload, **options) for way in (rows, iter(rows)))
    assert at_once.body == one_by_one.body
    assert (at_once.skipped, at_once.duplicates) == (one_by_one.skipped, one_by_one.duplicates)
    return at_once


def sent(rows: Any, payload: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
    return list(validated(rows, payload, **options))


def errors(rows: Any, payload: dict[str, Any] | None = None) -> tuple[str, ...]:
    at_once, one_by_one = (error_of(rows, payload) for rows in (rows, iter(rows)))
    assert at_once.errors == one_by_one.errors
    return at_once.errors


def error_of(rows: Any, payload: dict[str, Any] | None = None) -> OtpiqValidationError:
    with pytest.raises(OtpiqValidationError) as caught:
        _validate(rows, payload)
    return caught.value


def _validate(
    rows: Any,
    payload: dict[str, Any] | None,
    *,
    skip_invalid: bool = False,
    null_values: Collection[str] = NULL_VALUES,
) -> ValidRecipients:
    recipients = RecipientValidator(rows, "IQ", null_values)
    if payload:
        recipients.require(payload)
    return recipients.result(skip_invalid=skip_invalid)


class Enumerated(StrEnum):
    ALI = "Ali"
    NOOR = "Noor \t Al Huda"
