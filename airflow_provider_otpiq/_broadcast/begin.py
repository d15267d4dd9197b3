"""Begin a broadcast: check and save its request, and mark its audience as in use."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from airflow_provider_otpiq._audience.manifest import IN_USE, Audience, claim_division, ledgers_of
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._ledger.records import Broadcast
from airflow_provider_otpiq._models.resources import Resources
from airflow_provider_otpiq._recipients.template_parameters import required_parameters
from airflow_provider_otpiq._storage import split_location
from airflow_provider_otpiq._validation_errors import bullet_list, refusal
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_otpiq._audience.manifest import Manifest
    from airflow_provider_otpiq._broadcast.request import CreateBroadcast
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)


def begin_broadcast(hook: OtpiqHook, request: CreateBroadcast, audience: Audience, *, replace: bool) -> Ledger:
    """Save the request before the first campaign, or check that it is the saved one."""
    marks = ledgers_of(audience.folder)  # a mark is written after its ledger, so it is read before
    ledger = _open_or_begin(hook, request, audience, marks)
    changes = ledger.broadcast.changes(**_identity(hook, request, audience))
    if changes and not replace:
        raise OtpiqValidationError(
            f"This task created nothing: ledger {ledger} has another request:{bullet_list(changes)}\nRestore the"
            " earlier fields. For another message, set another ledger. To replace the request, set replace=True, which"
            " works until its start has begun.",
            errors=changes,
        )
    if changes:
        _require_no_other_group(ledger, audience)
        ledger = ledger.replace(_checked_request(hook, request, audience))
        log.warning("The request was replaced: %s. Earlier drafts remain but are never sent.", "; ".join(changes))
    if ledger.location not in marks.values():
        _mark_in_use(audience, ledger)
    claim_division(audience, ledger.location)
    return ledger


def _require_no_other_group(ledger: Ledger, audience: Audience) -> None:
    """Refuse to replace a group by another one of the same audience: only the last one would get its message."""
    try:
        replaced = Audience(ledger.broadcast.audience)
    except OtpiqValidationError:
        return  # its manifest does not exist any more
    new, old = audience.manifest, replaced.manifest
    if new.groups is not None and new.groups == old.groups and new.checksum != old.checksum:
        raise refusal(
            f"ledger: {ledger} belongs to another group of the same audience, {replaced.location}",
            "Set a separate ledger for each group, or remove ledger: each group then has its own.",
            "created nothing",
        )


def _open_or_begin(hook: OtpiqHook, request: CreateBroadcast, audience: Audience, marks: Mapping[str, str]) -> Ledger:
    location = request.ledger or f"{split_location(request.audience)[0]}/ledger"
    ledger = Ledger.open(location)
    if ledger is None or not ledger.is_intact():
        _require_no_lost_ledger(audience, marks)
        ledger = Ledger.begin(location, ledger.broadcast if ledger else _checked_request(hook, request, audience))
    return ledger


def _identity(hook: OtpiqHook, request: CreateBroadcast, audience: Audience) -> dict[str, Any]:
    """Return what must not change between the tries of a broadcast."""
    fields = request.identity | {"otpiq_conn_id": hook.otpiq_conn_id}
    return {"request": fields, "audience": request.audience, "audience_checksum": audience.manifest.checksum}


def _checked_request(hook: OtpiqHook, request: CreateBroadcast, audience: Audience) -> Broadcast:
    """Ask OTPIQ for the ids, for the parameters that the template requires, and for the number's limit."""
    resources = hook.get_resources()
    ids = request.resolve_ids(resources)
    template_id, phone_number_id = str(ids.template_id), str(ids.phone_number_id)
    _require_parameters(hook.get_recipient_payload(template_id=template_id), audience.manifest)
    _warn_of_daily_limit(Resources.model_validate(resources), phone_number_id, audience.manifest.counts.recipients)
    return Broadcast(
        **_identity(hook, request, audience),
        template_id=template_id,
        phone_number_id=phone_number_id,
        project=hook.get_project_info()["projectName"],
    )


def _require_parameters(payload: dict[str, Any], manifest: Manifest) -> None:
    paths = {f"templateParameters.{name}.{key}" for name, keys in manifest.template_parameters.items() for key in keys}
    errors = [
        f"audience: lacks {parameter.name}, which the template requires"
        for parameter in required_parameters(payload)
        if parameter.path not in paths
    ]
    if errors:
        raise OtpiqValidationError(
            f"This task created nothing:{bullet_list(errors)}\nAdd these template_parameters to the"
            " task that prepares the audience, and clear it.",
            errors=errors,
        )


def _warn_of_daily_limit(resources: Resources, phone_number_id: str, recipients: int) -> None:
    number = resources.phone_number(phone_number_id)
    if number and number.max_people_a_day is not None and number.max_people_a_day < recipients:
        log.warning(
            "The number %s may reach %s people in 24 hours (%s), and the audience has %s. The others may not get the"
            " message.",
            number,
            f"{number.max_people_a_day:,}",
            number.messaging_limit,
            f"{recipients:,}",
        )


def _require_no_lost_ledger(audience: Audience, marks: Mapping[str, str]) -> None:
    """
    Refuse a new ledger if files of another one are missing: people could get the message again.

    The new location may be another spelling of the lost one, so every mark counts.
    """
    for mark, location in marks.items():
        ledger = Ledger.open(location)
        if ledger is None or not ledger.is_intact():
            raise refusal(
                f"{location}: the files of this ledger are missing, and its campaigns may have been started",
                "Restore them. If you are sure that none of its campaigns was started, delete"
                f" {audience.folder.location_of(mark)} and clear the task.",
                "created nothing",
            )


def _mark_in_use(audience: Audience, ledger: Ledger) -> None:
    """Mark the audience as in use, so that no task replaces it, and check that none has just replaced it."""
    content, folder = to_json({"ledger": ledger.location}), audience.folder
    if not folder.create(IN_USE, content) and folder.read(IN_USE) != content:  # another ledger's mark
        folder.create(f"in_use_{sha256(content).hexdigest()[:12]}.json", content)
    if Audience(audience.location).manifest != audience.manifest:
        raise refusal(
            f"audience: {audience.location} was prepared again at the same time",
            "Set replace=True and clear the task.",
            "created nothing",
        )
