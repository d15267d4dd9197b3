"""The parts of an audience, worked through one after the other."""

from __future__ import annotations

import logging
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.manifest import MANIFEST, Audience
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._recipients.validator import RecipientValidator
from airflow_provider_otpiq._storage import split_location
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
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._ledger import Broadcast, Campaign, Ledger
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

MAX_LISTED = 20

REFUSALS = (OtpiqRequestError, OtpiqConflictError, OtpiqNotFoundError, OtpiqValidationError)
"""What concerns a single campaign. Everything else would meet the next one too, so it ends the try."""


def read_broadcast(ledger: Ledger) -> tuple[Broadcast, Audience]:
    """
    Read which broadcast a ledger is about, and its audience.

    :raises OtpiqValidationError: if there is none, or its audience is another one by now.
    """
    if split_location(ledger.location)[1] == MANIFEST:
        raise _unusable(
            f"broadcast: {ledger} is the manifest of an audience",
            "Set the path of the broadcast's ledger, which is the output of the task that creates or starts it.",
        )
    broadcast = ledger.read()
    if broadcast is None:
        raise _unusable(
            f"there is no broadcast in {ledger}",
            "Run the task that creates it first, or correct the path of its ledger.",
        )
    audience = Audience(broadcast.audience)
    if audience.manifest.checksum != broadcast.audience_checksum:
        raise _unusable(
            f"audience {broadcast.audience} was prepared anew after broadcast {ledger} was created",
            "Prepare the same rows again, or create a broadcast in another ledger.",
        )
    return broadcast, audience


def _unusable(error: str, remedy: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"Nothing was sent: {error}. {remedy}", errors=[error])


def part_name(part: Part) -> str:
    """Return what a part is called in the ledger, such as ``00000``."""
    return PurePosixPath(part.path).stem


def is_attached(part: Part, campaigns: Mapping[str, Campaign]) -> bool:
    """Tell whether one of the campaigns holds the part."""
    campaign = campaigns.get(part_name(part))
    return campaign is not None and campaign.attached


def campaign_name(name: str, part: Part, parts: int) -> str:
    """Return what a part's campaign is called, such as ``Summer offer 3/50``."""
    return f"{name} {int(part_name(part)) + 1}/{parts}"


def process_parts(parts: Sequence[Part], work: Callable[[Part], None], done: str) -> None:
    """
    Work on each part, whatever OTPIQ says of the others, and log the progress every few seconds.

    :raises OtpiqRequestError: at the end, if OTPIQ refuses some of them; the text lists those.
    """
    progress, campaigns, recipients = Progress(), 0, 0
    refused: dict[str, list[str]] = {}
    for count, part in enumerate(parts, start=1):
        try:
            work(part)
            campaigns += 1
            recipients += part.recipients
        except REFUSALS as error:
            refused.setdefault(_without_remedy(error), []).append(part_name(part))
            log.warning("Refused: part %s: %s", part_name(part), error)
        so_far = done, campaigns, len(parts), f"{recipients:,}"
        progress.report("%s %d of %d campaigns, %s recipients.", *so_far, now=count == len(parts))
    if refused:
        lines = [
            f"{'part' if len(names) == 1 else 'parts'} {list_some(names, MAX_LISTED)}: {why}"
            for why, names in refused.items()
        ]
        if len(lines) > MAX_LISTED:
            lines[MAX_LISTED:] = [f"and {len(lines) - MAX_LISTED} more, which the log has"]
        raise OtpiqRequestError(
            f"{len(parts) - campaigns} of {len(parts)} campaigns were refused; the others are done:"
            f"{bullet_list(lines)}\n",
            remedy="Fix what is said of them, then clear the task: it takes up only these.",
        )


def totals(parts: Sequence[Part], campaigns: Mapping[str, Campaign]) -> dict[str, Any]:
    """Add up what the campaigns of some parts hold and cost; the cost is None where OTPIQ does not tell one of them."""
    recipients, costs = 0, []
    for part in parts:
        campaign = campaigns[part_name(part)]
        recipients += part.recipients if campaign.recipients is None else campaign.recipients
        costs.append(campaign.estimated_cost)
    known = [cost for cost in costs if cost is not None]
    return {"recipients": recipients, "estimated_cost": sum(known) if len(known) == len(costs) else None}


def require_allowed(hook: OtpiqHook, audience: Audience, parts: Sequence[Part]) -> None:
    """
    Check whom the parts reach, before anything is sent.

    :raises OtpiqValidationError: if the connection does not allow one of them, or so many.
    """
    sizes = [part.recipients for part in audience.manifest.parts]
    hook.guard_rails.check_broadcast(sum(sizes), max(sizes))
    if hook.guard_rails.allowed_recipients is not None:
        for part in parts:
            RecipientValidator(audience.read_part(part), DEFAULT_REGION).require_allowed(hook.guard_rails.is_allowed)


def _without_remedy(error: OtpiqError) -> str:
    if isinstance(error, OtpiqApiError):
        error.remedy = ""
    return str(error).rstrip()
