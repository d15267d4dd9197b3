"""Compare a scheduled campaign with its part: somebody else may have attached recipients to it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._broadcast.parts import REFUSALS
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


def require_part_size(hook: OtpiqHook, campaign: Mapping[str, Any], recipients: int) -> None:
    """
    Take a scheduled campaign back to a draft if it holds more recipients than its part; warn if it holds fewer.

    The number can only be read from the response to a change. So the campaign is scheduled until then.

    :param campaign: the campaign as OTPIQ returns it.
    :param recipients: how many its part has.
    :raises OtpiqValidationError: if it holds more.
    :raises OtpiqApiError: if taking it back fails and may be retried: the next try compares and takes it back again.
    """
    held, campaign_id = _held(campaign), str(campaign["_id"])
    if held is None:
        log.warning(
            "OTPIQ does not report how many recipients campaign %s holds; its part has %d.", campaign_id, recipients
        )
    if held is None or held == recipients:
        return
    found = f"campaign {campaign_id} holds {held:.0f} recipients, and its part has {recipients}"
    if held < recipients:
        log.warning("OTPIQ reports that %s.", found)
        return
    _take_back(hook, campaign_id, found)
    raise OtpiqValidationError(
        f"{found}: somebody else has attached the others. It is a draft again, and sends nothing. Delete it in OTPIQ's"
        " dashboard, and send its part in a separate campaign.",
        errors=[found],
    )


def _take_back(hook: OtpiqHook, campaign_id: str, found: str) -> None:
    try:
        hook.update_campaign(campaign_id=campaign_id, schedule_type="now")
    except REFUSALS as error:
        raise OtpiqValidationError(f"{_still_scheduled(found)} OTPIQ refused: {error}", errors=[found]) from None
    except OtpiqError:
        log.error("%s", _still_scheduled(found))
        raise


def _still_scheduled(found: str) -> str:
    return f"{found}, and it could not be taken back to a draft. Take it back in OTPIQ's dashboard before it starts."


def _held(campaign: Mapping[str, Any]) -> float | None:
    try:
        return float(campaign["totalRecipients"])
    except (KeyError, TypeError, ValueError):
        return None
