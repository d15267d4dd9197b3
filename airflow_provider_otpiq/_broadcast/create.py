"""The drafts of a broadcast: one for each part of the audience, with the part's recipients attached."""

from __future__ import annotations

import logging
import math
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import to_json

from airflow_provider_otpiq._audience.in_use import ledgers_of
from airflow_provider_otpiq._audience.manifest import IN_USE, Audience
from airflow_provider_otpiq._broadcast.parts import (
    MAX_LISTED,
    REFUSALS,
    campaign_name,
    is_attached,
    part_name,
    process_parts,
    require_allowed,
    totals,
)
from airflow_provider_otpiq._ledger import Broadcast, Campaign, Ledger
from airflow_provider_otpiq._models.fields import MAX_NAME_LENGTH
from airflow_provider_otpiq._models.resources import Resources
from airflow_provider_otpiq._recipients.template_parameters import required_parameters
from airflow_provider_otpiq._storage import split_location
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import OtpiqApiError, OtpiqRequestError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_otpiq._audience.manifest import Manifest, Part
    from airflow_provider_otpiq._broadcast.request import CreateBroadcast
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class BroadcastDrafts:
    """
    The drafts of a broadcast.

    :param hook: the hook of the connection.
    :param request: what the broadcast says, and to whom.
    :param replace: whether a changed request replaces the saved one, if no start has begun.
    """

    def __init__(self, hook: OtpiqHook, request: CreateBroadcast, *, replace: bool) -> None:
        self._hook = hook
        self._request = request
        self._replace = replace
        self._audience = Audience(request.audience)
        self._own: list[Part] = request.parts_of_shard(self._audience.manifest.parts)
        self.ledger = Ledger(request.ledger or f"{split_location(request.audience)[0]}/ledger")
        self.campaigns: dict[str, Campaign] = {}
        """Those of this shard, by part."""

    def create(self) -> None:
        """
        Create and attach the drafts that are missing.

        :raises OtpiqValidationError: if the request is not the one of the ledger, or OTPIQ's rules or the connection's
            guard rails do not allow it.
        :raises OtpiqRequestError: if OTPIQ refuses some of them; the text lists those.
        :raises OtpiqApiError: if a request fails that may be retried: the next try carries on.
        """
        require_allowed(self._hook, self._audience, self._own)
        self._require_short_name()
        self.broadcast = self._begin()
        # Before the campaigns: a start begins only if each part has one.
        has_begun = self.ledger.start() is not None or self.ledger.has_schedules()
        self.campaigns = self.ledger.campaigns(map(part_name, self._own))
        missing = [part for part in self._own if not is_attached(part, self.campaigns)]
        if has_begun:
            self._require_none_lost(missing)
        if len(missing) < len(self._own):
            log.info("%d of %d campaigns hold their part already.", len(self._own) - len(missing), len(self._own))
        process_parts(missing, self._ensure_attached, "Created and attached")

    @property
    def totals(self) -> dict[str, Any]:
        """What XCom tells of this shard."""
        return {"campaigns": len(self.campaigns), **totals(self._own, self.campaigns)}

    def _require_short_name(self) -> None:
        longest = self._name(self._audience.manifest.parts[-1])
        if len(longest) > MAX_NAME_LENGTH:
            error = f"name: must leave room for the campaign's number; {longest!r} is longer than {MAX_NAME_LENGTH}"
            raise OtpiqValidationError(f"Nothing was sent: {error}.", errors=[error])

    def _begin(self) -> Broadcast:
        """Save the request before the first campaign, or make sure that it is the saved one."""
        marks = ledgers_of(self._audience.folder)  # are written after their ledgers, so they are read before
        saved = self.ledger.read()
        if saved is None or not self.ledger.is_intact():
            self._require_no_lost_ledger(marks)
            saved = self.ledger.begin(saved or self._checked_request())
        if self.ledger.location not in marks.values():
            self._mark_audience_in_use()
        changes = self._describe(saved.template_id, saved.phone_number_id).changes(saved)
        if not changes:
            return saved
        if not self._replace:
            raise _changed(self.ledger, changes)
        wanted = self._checked_request()
        self.ledger.replace(wanted)
        log.warning("%s. The drafts that were made before stay behind, and send nothing.", "; ".join(changes))
        return wanted

    def _describe(self, template_id: str, phone_number_id: str, project: str | None = None) -> Broadcast:
        return Broadcast(
            request=self._request.identity | {"otpiq_conn_id": self._hook.otpiq_conn_id},
            audience=self._request.audience,
            audience_checksum=self._audience.manifest.checksum,
            template_id=template_id,
            phone_number_id=phone_number_id,
            project=project,
        )

    def _checked_request(self) -> Broadcast:
        """Ask OTPIQ for the ids, for the parameters that the template requires, and for the number's limit."""
        resources = self._hook.get_resources()
        ids = self._request.resolve_ids(resources)
        template_id, phone_number_id = str(ids.template_id), str(ids.phone_number_id)
        payload = self._hook.get_recipient_payload(template_id=template_id)
        _require_parameters(payload, self._audience.manifest)
        self._warn_of_the_limit(Resources.model_validate(resources), phone_number_id)
        return self._describe(template_id, phone_number_id, self._hook.get_project_info()["projectName"])

    def _warn_of_the_limit(self, resources: Resources, phone_number_id: str) -> None:
        number = resources.phone_number(phone_number_id)
        recipients = self._audience.manifest.counts.recipients
        if number and number.max_people_a_day is not None and number.max_people_a_day < recipients:
            log.warning(
                "The number %s may reach %s people in 24 hours (%s), and the audience has %s: the others may not get"
                " it.",
                number,
                f"{number.max_people_a_day:,}",
                number.messaging_limit,
                f"{recipients:,}",
            )

    def _require_no_lost_ledger(self, marks: Mapping[str, str]) -> None:
        """
        Make sure that none of the audience's ledgers is lost, in whole or in part: people would get the message again.

        The new one may be a lost one whose folder is spelled in another way, so it does not matter which one it is.
        """
        for mark, location in marks.items():
            ledger = Ledger(location)
            ledger.read()
            if not ledger.is_intact():
                error = f"the ledger {location} is lost: campaigns may have been created from it"
                raise OtpiqValidationError(
                    f"Nothing was sent: {error}, and may have been started. Restore it. If you are sure that none of"
                    f" them was started, delete {self._audience.folder.location_of(mark)} and clear the task.",
                    errors=[error],
                )

    def _require_none_lost(self, missing: list[Part]) -> None:
        if missing:
            names = list_some([part_name(part) for part in missing], MAX_LISTED)
            error = f"the ledger {self.ledger} has lost the campaigns of parts {names}: its start had begun"
            raise OtpiqValidationError(
                f"Nothing was sent: {error}, so they may have been sent. Restore it, or set another ledger after making"
                " sure that this broadcast was not started.",
                errors=[error],
            )

    @property
    def _marker_name(self) -> str:
        """What marks the audience where another ledger has done so before."""
        return f"in_use_{sha256(self._marker_body).hexdigest()[:12]}.json"

    @property
    def _marker_body(self) -> bytes:
        return to_json({"ledger": self.ledger.location})

    def _mark_audience_in_use(self) -> None:
        """Mark the audience, so that nothing prepares another one in its place, and see that nothing just has."""
        folder = self._audience.folder
        if not folder.create(IN_USE, self._marker_body) and folder.read(IN_USE) != self._marker_body:
            folder.create(self._marker_name, self._marker_body)
        if Audience(self._request.audience).manifest != self._audience.manifest:
            error = f"audience: {self._request.audience} was prepared again at the same time"
            raise OtpiqValidationError(
                f"Nothing was sent: {error}. Set replace=True and clear the task.", errors=[error]
            )

    def _ensure_attached(self, part: Part) -> None:
        name = part_name(part)
        campaign, is_new = self.campaigns.get(name), False
        if campaign is None:
            campaign, is_new = self._claim_draft(part)
        try:
            campaign = self._attach(campaign.campaign_id, part)
        except REFUSALS as error:
            if is_new or isinstance(error, OtpiqValidationError):
                raise
            # The draft is of an earlier try, or another process: what it holds cannot be known. It is never scheduled.
            log.warning("Campaign %s is given up for a new draft: %s", campaign.campaign_id, error)
            # It is saved once it is full, as another process may have finished meanwhile.
            campaign = self._attach(self._create_draft(part), part)
        self.ledger.save_campaign(name, campaign)
        self.campaigns[name] = campaign

    def _claim_draft(self, part: Part) -> tuple[Campaign, bool]:
        own = Campaign(campaign_id=self._create_draft(part))
        claimed = self.ledger.claim_campaign(part_name(part), own)
        if claimed.campaign_id != own.campaign_id:
            log.info(
                "Another process has campaign %s for part %s; the draft %s stays empty.",
                claimed.campaign_id,
                part_name(part),
                own.campaign_id,
            )
        return claimed, claimed.campaign_id == own.campaign_id

    def _create_draft(self, part: Part) -> str:
        campaign = self._send_again_if_outcome_unknown(
            lambda: self._hook.create_campaign(
                name=self._name(part),
                template_id=self.broadcast.template_id,
                phone_number_id=self.broadcast.phone_number_id,
            )
        )
        return str(campaign["_id"])

    def _name(self, part: Part) -> str:
        return campaign_name(self._request.name, part, len(self._audience.manifest.parts))

    def _attach(self, campaign_id: str, part: Part) -> Campaign:
        # The prepare has decided already which values mean "no value".
        recipients = self._hook.check_recipients(
            campaign_id=campaign_id,
            recipients=self._audience.read_part(part),
            validate_parameters=False,
            null_values=[],
        )
        campaign: dict[str, Any] = self._send_again_if_outcome_unknown(
            lambda: self._hook.attach_recipients(campaign_id=campaign_id, recipients=recipients)
        )
        held, cost = _held_and_cost(campaign)
        if held is None or cost is None:
            # A change to what it is already: the documented way to read a campaign back.
            held, cost = _held_and_cost(self._hook.update_campaign(campaign_id=campaign_id, name=self._name(part)))
        if held is not None and (held > part.recipients or not held):
            raise OtpiqRequestError(f"campaign {campaign_id} holds {held} recipients, and the part {part.recipients}.")
        if held is not None and held < part.recipients:
            log.warning(
                "OTPIQ reports that campaign %s holds %s of the %d recipients of part %s.",
                campaign_id,
                held,
                part.recipients,
                part_name(part),
            )
        return Campaign(
            campaign_id=campaign_id,
            attached=True,
            recipients=None if held is None else int(held),
            estimated_cost=cost,
        )

    def _send_again_if_outcome_unknown(self, send: Callable[[], Result]) -> Result:
        """Send it again where its outcome is unknown: an empty draft more, or an attach once more, is harmless."""
        try:
            return send()
        except OtpiqApiError as error:
            if not error.may_have_taken_effect:
                raise
            log.warning("%s It is sent once more.", error)
        return send()


def _require_parameters(payload: dict[str, Any], manifest: Manifest) -> None:
    """
    Make sure that the audience has what the template requires.

    :raises OtpiqValidationError: if it has not.
    """
    has = {"templateParameters": {section: _nested(keys) for section, keys in manifest.template_parameters.items()}}
    errors = [
        f"the template requires {parameter.name}, which the audience does not have"
        for parameter in required_parameters(payload)
        if parameter.error(has)
    ]
    if errors:
        raise OtpiqValidationError(
            f"Nothing was sent, because of:{bullet_list(errors)}\nPrepare the audience with these template_parameters.",
            errors=errors,
        )


def _nested(paths: Iterable[str]) -> dict[str, Any]:
    """Convert the paths of parameters, such as ``0.1`` of a button, to nested dicts."""
    nested: dict[str, Any] = {}
    for path in paths:
        *above, last = path.split(".")
        parameters = nested
        for key in above:
            parameters = parameters.setdefault(key, {})
        parameters[last] = "-"
    return nested


def _changed(ledger: Ledger, changes: list[str]) -> OtpiqValidationError:
    return OtpiqValidationError(
        f"Nothing was sent: the broadcast in {ledger} was created with another request:{bullet_list(changes)}\nRestore"
        " the earlier fields, set another ledger for another message, or set replace=True, which works until a start"
        " has begun.",
        errors=changes,
    )


def _held_and_cost(campaign: Mapping[str, Any]) -> tuple[int | float | None, int | float | None]:
    return _number(campaign.get("totalRecipients")), _number(campaign.get("estimatedTotalCost"))


def _number(value: object) -> int | float | None:
    """Read a number, which OTPIQ may send as a string."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number) or number < 0:
        return None
    return int(number) if number.is_integer() else number
