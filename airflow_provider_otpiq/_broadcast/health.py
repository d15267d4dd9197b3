"""Check the template and the sending number of a broadcast again, right before it is scheduled."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_otpiq._models.resources import Resources, doubt_status
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq._ledger.records import Broadcast
    from airflow_provider_otpiq._models.resources import Account, PhoneNumber, Template
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

# OTPIQ documents the fields, but not their values: assumption `resource-values`. An unknown value is a warning.
_UNUSABLE_NUMBER = frozenset({"BANNED", "DISABLED", "DELETED", "DISCONNECTED"})
_USABLE_NUMBER = frozenset({"CONNECTED", ""})
_BANNED_ACCOUNT = frozenset({"BANNED", "BAN", "DISABLED", "DISABLE"})
_USABLE_ACCOUNT = frozenset({"REINSTATE", "NONE", ""})


def require_healthy(hook: OtpiqHook, broadcast: Broadcast) -> None:
    """
    Refuse a template that is no longer approved, and a banned number or account; warn of other risks.

    WhatsApp may pause a template or disable a number between a create and a start. Then every scheduled message fails.
    """
    resources = Resources.model_validate(hook.get_resources())
    template_id, number_id = broadcast.template_id, broadcast.phone_number_id
    errors = [
        *_template_errors(resources.template(template_id), template_id),
        *_number_errors(resources.phone_number(number_id), number_id),
        *_account_errors(resources.account(template_id, number_id)),
    ]
    if errors:
        raise OtpiqValidationError(
            f"This task scheduled nothing:{bullet_list(errors)}\nFix these problems in WhatsApp Manager,"
            " or ask OTPIQ, and clear the task. To schedule the broadcast anyway, set check_health=False.",
            errors=errors,
        )


def _template_errors(template: Template | None, template_id: str) -> Iterator[str]:
    if template is None or template.status is None:
        _warn(f"OTPIQ does not list the status of template {template_id}")
    elif template.status.upper() != "APPROVED":
        status = f"{_plain(template.status)}; expected APPROVED{doubt_status(template)}"
        yield f"template_id: {template} is {status}"


def _number_errors(number: PhoneNumber | None, number_id: str) -> Iterator[str]:
    if number is None:
        _warn(f"OTPIQ does not list the number {number_id}")
        return
    status = _plain(number.status)
    if status in _UNUSABLE_NUMBER:
        yield f"phone_number_id: {number} is {status}; expected CONNECTED"
    elif status not in _USABLE_NUMBER:
        _warn(f"The number {number} is not CONNECTED{doubt_status(number)}")
    if _plain(number.quality_rating) == "RED":
        _warn(f"The quality of the number {number} is RED: WhatsApp may disable it at any time")


def _account_errors(account: Account | None) -> Iterator[str]:
    state = _plain(account.ban_state) if account else ""
    if state in _BANNED_ACCOUNT:
        yield f"phone_number_id: its WhatsApp account has the ban state {state}; expected none"
    elif state not in _USABLE_ACCOUNT:
        _warn(f"The WhatsApp account has the ban state {state}")


def _warn(problem: str) -> None:
    log.warning("%s. The start continues.", problem)


def _plain(value: object) -> str:
    """Return a value such as a status in capitals; an empty string for None."""
    return "" if value is None else sanitize(str(value)).strip().upper()
