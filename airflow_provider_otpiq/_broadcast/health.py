"""Check the template and the sending number of a broadcast again, right before it is scheduled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_otpiq._models.resources import Resources, doubt_status
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from airflow_provider_otpiq._ledger.records import Broadcast
    from airflow_provider_otpiq._models.resources import Account, PhoneNumber, Template
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

# OTPIQ documents the fields, but not their values: assumption `resource-values`. An unknown value is a warning.
_UNUSABLE_NUMBER = frozenset({"BANNED", "DISABLED", "DELETED", "DISCONNECTED"})
_USABLE_NUMBER = frozenset({"CONNECTED", ""})
_BANNED_ACCOUNT = frozenset({"BANNED", "BAN", "DISABLED", "DISABLE"})
_USABLE_ACCOUNT = frozenset({"REINSTATE", "NONE", ""})


class _Findings(NamedTuple):
    errors: list[str]
    warnings: list[str]


def require_healthy(hook: OtpiqHook, broadcast: Broadcast) -> None:
    """
    Refuse a template that is no longer approved, and a banned number or account; warn of other risks.

    WhatsApp may pause a template or disable a number between a create and a start. Then every scheduled message fails.

    :raises OtpiqValidationError: if the broadcast would fail; the text lists why.
    :raises OtpiqError: as :meth:`.OtpiqHook.get_resources`.
    """
    resources = Resources.model_validate(hook.get_resources())
    findings = _Findings([], [])
    _check_template(findings, resources.template(broadcast.template_id), broadcast.template_id)
    _check_number(findings, resources.phone_number(broadcast.phone_number_id), broadcast.phone_number_id)
    _check_account(findings, resources.account(broadcast.template_id, broadcast.phone_number_id))
    for warning in findings.warnings:
        log.warning("%s. The start continues.", warning)
    if findings.errors:
        raise OtpiqValidationError(
            f"This task scheduled nothing:{bullet_list(findings.errors)}\nFix these problems in WhatsApp Manager,"
            " or ask OTPIQ, and clear the task. To schedule the broadcast anyway, set check_health=False.",
            errors=findings.errors,
        )


def _check_template(findings: _Findings, template: Template | None, template_id: str) -> None:
    if template is None or template.status is None:
        findings.warnings.append(f"OTPIQ does not list the status of template {template_id}")
    elif template.status.upper() != "APPROVED":
        status = f"{_plain(template.status)}; expected APPROVED{doubt_status(template)}"
        findings.errors.append(f"template_id: {template} is {status}")


def _check_number(findings: _Findings, number: PhoneNumber | None, number_id: str) -> None:
    if number is None:
        findings.warnings.append(f"OTPIQ does not list the number {number_id}")
        return
    status = _plain(number.status)
    if status in _UNUSABLE_NUMBER:
        findings.errors.append(f"phone_number_id: {number} is {status}; expected CONNECTED")
    elif status not in _USABLE_NUMBER:
        findings.warnings.append(f"The number {number} is not CONNECTED{doubt_status(number)}")
    if _plain(number.quality_rating) == "RED":
        findings.warnings.append(f"The quality of the number {number} is RED: WhatsApp may disable it at any time")


def _check_account(findings: _Findings, account: Account | None) -> None:
    state = _plain(account.ban_state) if account else ""
    if state in _BANNED_ACCOUNT:
        findings.errors.append(f"phone_number_id: its WhatsApp account has the ban state {state}; expected none")
    elif state not in _USABLE_ACCOUNT:
        findings.warnings.append(f"The WhatsApp account has the ban state {state}")


def _plain(value: object) -> str:
    """Return a value such as a status in capitals; an empty string for None."""
    return "" if value is None else sanitize(str(value)).strip().upper()
