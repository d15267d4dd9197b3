"""Recipients for the tests of what an attach makes of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import pytest

from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq.exceptions import OtpiqValidationError

OTHER = "9647801234567"
PAYLOAD = {
    "fields": [
        {"required": True, "templateParametersPath": "templateParameters.body.1", "label": "Body {{1}}"},
        {"required": False, "templateParametersPath": "templateParameters.body.2", "label": "Body {{2}}"},
    ]
}


def ali(number: Any = "9647701234567", **parameters: Any) -> dict[str, Any]:
    return {"phoneNumber": number, "templateParameters": {"body": {"1": "Ali"} | parameters}}


def numbers(count: int) -> list[str]:
    return [f"96477{number:08}" for number in range(count)]


def errors(rows: Any, payload: dict[str, Any] | None = None) -> tuple[str, ...]:
    recipients = RecipientValidator(rows, "IQ")
    if payload:
        recipients.require(payload)
    with pytest.raises(OtpiqValidationError) as caught:
        recipients.result(skip_invalid=False)
    return caught.value.errors


def valid_recipients(rows: Any, *, skip_invalid: bool = False) -> list[dict[str, Any]]:
    return list(RecipientValidator(rows, "IQ").result(skip_invalid=skip_invalid))


class Enumerated(StrEnum):
    ALI = "Ali"
    NOOR = "Noor \t Al Huda"
