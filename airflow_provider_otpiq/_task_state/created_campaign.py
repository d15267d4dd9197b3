"""The campaign that a task instance created, so that a later try does not create another one."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._task_state.saved_state import SavedState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class CreatedCampaignState:
    """
    The campaign that a task instance created, saved with its request.

    The complete request is the fingerprint, so that the log can name the fields that differ.
    """

    def __init__(self, context: Context, request: Mapping[str, object], *, durable: bool) -> None:
        self._state = SavedState(
            context,
            "otpiq_campaign",
            durable=durable,
            if_missing="If a try created a campaign and then failed, this try creates another one. The first has no"
            " recipients and sends nothing.",
        )
        self._request = {name: _comparable(name, value) for name, value in request.items()}
        self._saved = self._load()

    def _load(self) -> dict[str, Any]:
        from airflow_provider_otpiq._models.fields import is_object_id

        match self._state.load():
            case None:
                return {}
            case {"request": dict(), "campaign": {"_id": campaign_id}} as saved if is_object_id(campaign_id):
                return dict(saved)
        log.warning(
            "The saved state %r cannot be read and is ignored, so this try creates a campaign.", self._state.key
        )
        return {}

    @property
    def campaign(self) -> dict[str, Any] | None:
        """The campaign that an earlier try created with the same request; None without one."""
        return None if self._changed_fields else self._saved.get("campaign")

    def save(self, campaign: dict[str, Any]) -> None:
        """Save the new campaign, and warn if it replaces one of an earlier try."""
        self._state.save_best_effort({"request": self._request, "campaign": campaign})
        if self._saved:
            log.warning(
                "An earlier try created campaign %s with other values of %s, so this try created a new campaign. The"
                " earlier campaign is unchanged: if it is scheduled, it will start.",
                self._saved["campaign"]["_id"],
                ", ".join(self._changed_fields),
            )

    @property
    def _changed_fields(self) -> list[str]:
        before = self._saved.get("request", {})
        return sorted(name for name, value in self._request.items() if before.get(name) != value)


def _comparable(name: str, value: object) -> str | None:
    """Return a field as a string, in which two spellings of the same time are equal."""
    from airflow_provider_otpiq._models.datetimes import parse_datetime, to_api_format
    from airflow_provider_otpiq._models.fields import is_set

    if not is_set(value):
        return None
    try:
        return to_api_format(parse_datetime(value)) if name == "scheduled_for" else str(value)
    except ValueError:  # the validation follows, and raises
        return f"an invalid {type(value).__name__}"
