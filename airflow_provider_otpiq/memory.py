"""
What a task instance remembers of the campaign that it made, from one try to the next.

Airflow 3.3+ keeps a ``task_state_store`` for each task instance, which survives a failed try, a killed worker and a
clear. Airflow before 3.3 has none, and deletes a task's XCom before each try.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

_KEY = "otpiq_campaign"


class CampaignMemory:
    """
    The campaign that a task instance made, together with what was asked for.

    The request itself is the fingerprint: where it differs, the log can say in which fields.

    :param context: the task's context.
    :param request: the rendered fields of this try.
    """

    def __init__(self, context: Context, request: Mapping[str, object]) -> None:
        from airflow_provider_otpiq.models import RememberedCampaign

        self._store = context.get("task_state_store")
        self._request = {name: _comparable(name, value) for name, value in request.items()}
        self._kept: RememberedCampaign | None = None
        if self._store is not None and (kept := self._store.get(_KEY)) is not None:
            self._kept = RememberedCampaign.read(kept)
            if self._kept is None:
                log.warning("What an earlier try remembered under %r cannot be read, and is passed over.", _KEY)

    @property
    def exists(self) -> bool:
        """Whether this Airflow can remember at all."""
        return self._store is not None

    @property
    def campaign(self) -> dict[str, Any] | None:
        """The campaign of an earlier try; None if there was none."""
        return self._kept.campaign if self._kept else None

    @property
    def changed_fields(self) -> list[str]:
        """The fields in which this try asks for something else than the earlier one did."""
        before = self._kept.request if self._kept else {}
        return sorted(name for name, value in self._request.items() if before.get(name) != value)

    def keep(self, campaign: dict[str, Any]) -> None:
        """
        Remember a campaign for as long as the task instance lives.

        :param campaign: the campaign as OTPIQ answered it.
        """
        if self._store is None:
            return
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

        kept: Any = {"request": self._request, "campaign": campaign}
        self._store.set(_KEY, kept, retention=NEVER_EXPIRE)


def _comparable(name: str, value: object) -> str | None:
    """Write a field so that two spellings of the same request are the same."""
    from airflow_provider_otpiq import times
    from airflow_provider_otpiq.models import is_given

    if not is_given(value):
        return None
    try:
        return times.as_sent(times.moment(value)) if name == "scheduled_for" else str(value)
    except ValueError:  # no request comes of it: the check that follows says why
        return f"an invalid {type(value).__name__}"
