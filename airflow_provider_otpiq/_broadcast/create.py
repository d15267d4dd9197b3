"""Create a broadcast: one draft for each part of the audience, with the part's recipients attached."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.manifest import Audience
from airflow_provider_otpiq._broadcast.begin import begin_broadcast
from airflow_provider_otpiq._broadcast.campaigns import campaign_name, describe_size, read_count
from airflow_provider_otpiq._broadcast.checks import list_unattached, require_allowed
from airflow_provider_otpiq._broadcast.process import REFUSALS, describe_parts, process_parts
from airflow_provider_otpiq._broadcast.result import BroadcastResult, add_up
from airflow_provider_otpiq._ledger.records import Campaign
from airflow_provider_otpiq._models.fields import MAX_NAME_LENGTH
from airflow_provider_otpiq._validation_errors import refusal
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqRequestError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._broadcast.process import Result
    from airflow_provider_otpiq._broadcast.request import CreateBroadcast
    from airflow_provider_otpiq._ledger.ledger import Ledger
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


def create_broadcast(hook: OtpiqHook, request: CreateBroadcast, *, replace: bool = False) -> BroadcastResult:
    """
    Create and attach the drafts that are missing. The errors are those of the operator.

    :param replace: whether a changed request replaces the saved one, if no start has begun.
    """
    audience = Audience(request.audience)
    parts = request.parts_of_shard(audience.manifest.parts)
    require_allowed(hook, audience, parts)
    _require_short_name(request.name, audience.manifest.parts)
    ledger = begin_broadcast(hook, request, audience, replace=replace)
    has_begun = ledger.has_begun()  # read before the campaigns: a start begins only if each part has one
    campaigns = ledger.read(Campaign, parts)
    missing = list_unattached(parts, campaigns)
    if has_begun:
        _require_none_lost(ledger, missing)
    if len(missing) < len(parts):
        log.info(
            "Campaigns that already have the recipients of their part: %d of %d.", len(parts) - len(missing), len(parts)
        )
    drafts = _Drafts(hook, audience, ledger, campaigns)
    campaigns |= process_parts(missing, drafts.attach, "Created and attached")
    totals = {"campaigns": len(campaigns), **add_up(parts, campaigns)}
    return BroadcastResult(ledger, [campaigns[part.name] for part in parts], totals)


def _require_short_name(name: str, parts: Sequence[Part]) -> None:
    longest = campaign_name(name, parts[-1], len(parts))
    if len(longest) > MAX_NAME_LENGTH:
        raise refusal(
            f"name: must leave room for the campaign's number; {longest!r} has {len(longest)} characters, expected at"
            f" most {MAX_NAME_LENGTH}",
            "Set a shorter name.",
            "created nothing",
        )


def _require_none_lost(ledger: Ledger, missing: Sequence[Part]) -> None:
    if missing:
        raise refusal(
            f"{ledger}: the campaigns of {describe_parts(missing)} are missing, and the start has begun, so they may"
            " have been sent",
            "Restore the ledger. Set another ledger only if OTPIQ's dashboard shows that no campaign of this broadcast"
            " was sent.",
            "created nothing",
        )


class _Drafts:
    """The drafts of a broadcast."""

    def __init__(self, hook: OtpiqHook, audience: Audience, ledger: Ledger, saved: Mapping[str, Campaign]) -> None:
        self._hook, self._audience, self._ledger, self._saved = hook, audience, ledger, saved

    def attach(self, part: Part) -> Campaign:
        """Attach a part to its saved campaign, or to a new one, and return that."""
        saved = self._saved.get(part.name)
        campaign, is_new = (saved, False) if saved else self._claim_draft(part)
        try:
            campaign = self._attach(campaign.campaign_id, part)
        except REFUSALS as error:
            if is_new or isinstance(error, OtpiqValidationError):
                raise
            # An earlier try or another process created the draft, so its recipients are unknown: never schedule it.
            log.warning("Campaign %s is replaced by a new draft: %s", campaign.campaign_id, error)
            # It is saved once it is full, because another process may have finished meanwhile.
            campaign = self._attach(self._create_draft(part), part)
        self._ledger.save(part, campaign)
        return campaign

    def _claim_draft(self, part: Part) -> tuple[Campaign, bool]:
        own = Campaign(campaign_id=self._create_draft(part))
        claimed = self._ledger.claim(part, own)
        is_own = claimed.campaign_id == own.campaign_id
        if not is_own:
            log.info(
                "Another process has created campaign %s for part %s; draft %s stays empty.",
                claimed.campaign_id,
                part.name,
                own.campaign_id,
            )
        return claimed, is_own

    def _create_draft(self, part: Part) -> str:
        broadcast = self._ledger.broadcast
        campaign = _send_again_if_outcome_unknown(
            lambda: self._hook.create_campaign(
                name=self._name(part), template_id=broadcast.template_id, phone_number_id=broadcast.phone_number_id
            )
        )
        return str(campaign["_id"])

    def _name(self, part: Part) -> str:
        return campaign_name(self._ledger.broadcast.request["name"], part, len(self._audience.manifest.parts))

    def _attach(self, campaign_id: str, part: Part) -> Campaign:
        recipients = self._hook.check_recipients(
            campaign_id=campaign_id,
            recipients=self._audience.read_part(part),
            validate_parameters=False,
            null_values=[],  # the prepare has removed them
        )
        response = _send_again_if_outcome_unknown(
            lambda: self._hook.attach_recipients(campaign_id=campaign_id, recipients=recipients)
        )
        return self._require_size(_attached_campaign(campaign_id, response), part)

    def _require_size(self, campaign: Campaign, part: Part) -> Campaign:
        """Compare the number of recipients with the part's; read it back if the attach has not returned it."""
        campaign_id = campaign.campaign_id
        if campaign.recipients is None or campaign.estimated_cost is None:
            # OTPIQ returns a campaign only after a change, so set the name that it has.
            response = self._hook.update_campaign(campaign_id=campaign_id, name=self._name(part))
            campaign = _attached_campaign(campaign_id, response)
        held, found = campaign.recipients, describe_size(campaign_id, campaign.recipients, part)
        if held is not None and (held > part.recipients or not held):
            raise OtpiqRequestError(f"{found}{'' if held else ' (assumption attach-counts-at-once)'}.")
        if held is not None and held < part.recipients:
            log.warning("OTPIQ reports that %s.", found)
        return campaign


def _attached_campaign(campaign_id: str, response: Mapping[str, Any]) -> Campaign:
    held = read_count(response, "totalRecipients")
    return Campaign(
        campaign_id=campaign_id,
        attached=True,
        recipients=None if held is None else math.ceil(held),
        estimated_cost=read_count(response, "estimatedTotalCost"),
    )


def _send_again_if_outcome_unknown(send: Callable[[], Result]) -> Result:
    """Send a request again if its outcome is unknown: another empty draft, or a second attach, is harmless."""
    try:
        return send()
    except OtpiqApiError as error:
        if not error.may_have_taken_effect:
            raise
        log.warning("%s Sending the request again.", error)
    return send()
