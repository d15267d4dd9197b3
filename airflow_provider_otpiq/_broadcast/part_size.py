"""Compare the number of a campaign's recipients with its part: somebody else may have attached others."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._broadcast.process import REFUSALS
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_otpiq._audience.manifest import Part

log = logging.getLogger(__name__)


def read_number(value: object) -> int | float | None:
    """Read a number, which OTPIQ may send as a string; None if it is not one."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def read_count(campaign: Mapping[str, Any], name: str) -> int | float | None:
    """Read a number of a campaign that is not negative; None if it has none."""
    number = read_number(campaign.get(name))
    return None if number is None or number < 0 else number


def describe_size(campaign_id: str, held: float | None, part: Part) -> str:
    """Describe the sizes of a campaign and its part, for an error or a warning."""
    recipients = "recipient" if held == 1 else "recipients"
    return f"campaign {campaign_id} holds {held} {recipients}, and its part {part.name} has {part.recipients}"


def require_part_size(update: Callable[..., dict[str, Any]], campaign: Mapping[str, Any], part: Part) -> None:
    """
    Make a scheduled campaign a draft again if it holds more recipients than its part; warn if it holds fewer.

    OTPIQ returns the number only in the response to a change. So the campaign is scheduled until then.

    :raises OtpiqValidationError: if it holds more.
    :raises OtpiqApiError: if making it a draft fails and may be retried: the next try compares it again.
    """
    held, campaign_id = read_count(campaign, "totalRecipients"), str(campaign["_id"])
    if held is None:
        size = part.recipients
        log.warning(
            "OTPIQ does not report how many recipients campaign %s holds; its part has %d (assumption"
            " update-recipients).",
            campaign_id,
            size,
        )
        return
    found = describe_size(campaign_id, held, part)
    if held < part.recipients:
        log.warning("OTPIQ reports that %s.", found)
    elif held > part.recipients:
        _make_draft_again(update, campaign_id, found)
        raise OtpiqValidationError(
            f"{found}: somebody else has attached the others. It is a draft again and sends nothing. Delete it"
            f" in OTPIQ's dashboard, send {part.path} of the audience in a separate campaign, and mark this task as"
            " success: a retry would schedule the same campaign.",
            errors=[found],
        )


def _make_draft_again(update: Callable[..., dict[str, Any]], campaign_id: str, found: str) -> None:
    still = f"{found}, and it could not be made a draft again. Make it a draft in OTPIQ's dashboard before it starts."
    try:
        update(campaign_id=campaign_id, schedule_type="now")
    except REFUSALS as error:
        raise OtpiqValidationError(f"{still} OTPIQ refused: {error}", errors=[found]) from None
    except OtpiqError:
        log.error("%s", still)
        raise
