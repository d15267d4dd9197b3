"""
What a task instance remembers of the campaign that it made, from one try to the next.

Airflow 3.3+ keeps a ``task_state_store`` for each task instance, which survives a failed try, a killed worker and a
clear. Airflow before 3.3 has none, and deletes a task's XCom before each try.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.providers.common.compat.sdk import Context

_KEY = "otpiq_campaign"


class CampaignMemory:
    """
    The campaign that a task instance made, together with what was asked for.

    The request itself is the fingerprint: where it differs, the log can say in which fields.

    :param context: the task's context.
    :param request: the rendered fields of this try.
    """

    def __init__(self, context: Context, request: Mapping[str, object]) -> None:
        self._store: Any = context.get("task_state_store")
        self._request = {name: None if value is None else str(value) for name, value in request.items()}
        kept = self._store.get(_KEY) if self._store is not None else None
        self._kept: dict[str, Any] = kept if isinstance(kept, dict) else {}

    @property
    def exists(self) -> bool:
        """Whether this Airflow can remember at all."""
        return self._store is not None

    @property
    def campaign(self) -> dict[str, Any] | None:
        """The campaign of an earlier try; None if there was none."""
        return self._kept.get("campaign")

    @property
    def changed_fields(self) -> list[str]:
        """The fields in which this try asks for something else than the earlier one did."""
        before = self._kept.get("request", {})
        return sorted(name for name, value in self._request.items() if before.get(name) != value)

    def keep(self, campaign: dict[str, Any]) -> None:
        """
        Remember a campaign for as long as the task instance lives.

        :param campaign: the campaign as OTPIQ answered it.
        """
        if self._store is None:
            return
        from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

        self._store.set(_KEY, {"request": self._request, "campaign": campaign}, retention=NEVER_EXPIRE)
