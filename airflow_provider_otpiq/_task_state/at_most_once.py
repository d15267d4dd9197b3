"""A start or a sample, which a task instance sends at most once for a campaign."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._task_state.saved_state import SavedState
from airflow_provider_otpiq.exceptions import OtpiqOutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context


class AtMostOnce:
    """
    The saved state of a request that is not idempotent: a pending attempt, or the response.

    A pending marker is saved before each attempt and replaced by the response. It is deleted if the attempt provably
    had no effect, so no marker exists during the delay before an HTTP retry: a process that dies meanwhile has sent
    nothing, and one that Airflow has given up cannot save a new marker, so it cannot send either.

    An unmapped task has one key for each campaign: a cleared task with another campaign may send. A mapped task has a
    single key, because Airflow keys state by map index. If the mapped input changes its order or length, an index has
    another campaign's state. So the index is claimed for its campaign first, and stays claimed if nothing is sent.
    """

    def __init__(self, context: Context, action: str, campaign_id: object, *, durable: bool) -> None:
        from airflow_provider_otpiq._models.fields import is_object_id

        self._ti = context["ti"]
        self._campaign_id = str(campaign_id).lower() if is_object_id(campaign_id) else ""
        self._action = action
        self._in_flight_until = ""
        key = f"otpiq_{action}" if self._is_mapped else f"otpiq_{action}_{self._campaign_id}"
        self._state = SavedState(
            context,
            key,
            durable=durable and bool(self._campaign_id),  # an invalid id is refused before anything is sent
            if_missing=f"If a try was killed during this {action}, its messages may be sent and paid for again.",
        )

    def previous_result(self) -> dict[str, Any] | None:
        """
        Return an earlier try's response; None if nothing was sent.

        :raises OtpiqOutcomeUnknownError: if the response, or whether anything was sent, is unknown.
        """
        saved = self._state.load()
        if saved is None:
            if self._nothing_sent:
                self._state.save(self._nothing_sent)
            return None
        saved = saved if isinstance(saved, dict) else {}
        if saved.get("campaign_id", self._campaign_id) != self._campaign_id:
            raise self._unknown(self._other_campaign(saved))
        if saved == self._nothing_sent:
            return None
        campaign = saved.get("campaign")
        if isinstance(campaign, dict) and campaign.get("_id"):
            return campaign
        raise self._unknown(
            f"an earlier try of this task may have sent the {self._action} of campaign {self._campaign_id}, and no"
            " response was saved.",
            saved.get("in_flight_until"),
        )

    def save_pending_marker(self, in_flight_for: float) -> None:
        """Save that an attempt is about to be sent, and may be in flight for ``in_flight_for`` seconds."""
        import pendulum

        until = pendulum.now("UTC").add(seconds=math.ceil(in_flight_for))
        self._in_flight_until = until.format("YYYY-MM-DD HH:mm:ss [UTC]")
        self._state.save(
            {
                "campaign_id": self._campaign_id,
                "try_number": self._ti.try_number,
                "in_flight_until": self._in_flight_until,
            }
        )

    def delete_pending_marker(self) -> None:
        """Delete the marker of an attempt without effect."""
        self._state.save_best_effort(self._nothing_sent)

    def run_once(self, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """
        Send the request and save the response.

        :raises OtpiqOutcomeUnknownError: if the outcome is unknown; the pending marker stays.
        """
        try:
            campaign = send()
        except OtpiqOutcomeUnknownError as error:
            error.remedy = self._steps(self._in_flight_until)
            raise
        self._state.save_best_effort({"campaign_id": self._campaign_id, "campaign": campaign})
        return campaign

    @property
    def _nothing_sent(self) -> dict[str, Any] | None:
        """The state if nothing was sent: None, or a mapped task's claim of its index."""
        return {"campaign_id": self._campaign_id, "sent": False} if self._is_mapped else None

    @property
    def _is_mapped(self) -> bool:
        return self._ti.map_index is not None and self._ti.map_index >= 0

    def _unknown(self, message: str, in_flight_until: str | None = None) -> OtpiqOutcomeUnknownError:
        return OtpiqOutcomeUnknownError(f"This try sent nothing: {message}", remedy=self._steps(in_flight_until))

    def _other_campaign(self, saved: dict[str, Any]) -> str:
        return (
            f"an earlier try may have sent the {self._action} of campaign {self._campaign_id}. Airflow keys this task's"
            f" state by map index, and index {self._ti.map_index} has the state of campaign {_describe(saved)}: the"
            f" mapped input changed its order or length, so another index may have sent it."
        )

    def _steps(self, in_flight_until: str | None) -> str:
        """Return the runbook: most installations do not have the documentation at hand."""
        wait = f"Wait until {in_flight_until}: OTPIQ may still be processing it. " if in_flight_until else ""
        effect = "whether a sample of it exists" if self._action == "sample" else "whether it has started"
        return (
            f"What to do:\n  1. {wait}Check campaign {self._campaign_id} in OTPIQ's dashboard: {effect}."
            f" If the dashboard does not show it, ask OTPIQ.\n  2. If the {self._action} took effect, mark this task as"
            " success. The DAG run then continues downstream. This task has no XCom; the campaign's id is in the XCom"
            f" of the task that created it.\n  3. If it did not, {self._release}."
        )

    @property
    def _release(self) -> str:
        if not self._state.is_available:
            return "clear the task"
        ti, key = self._ti, self._state.key
        path = f"/api/v2/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/state-store/{key}"
        return (
            f"delete {key!r} from this task's Task State Store, in Airflow's UI or by DELETE"
            f" {path}?map_index={ti.map_index}, and clear the task"
        )


def _describe(saved: dict[str, Any]) -> str:
    """Return a campaign's id and, if a response was saved, its names in OTPIQ's dashboard."""
    campaign = saved.get("campaign") or {}
    names = [str(campaign[key]) for key in ("name", "campaignId") if campaign.get(key)]
    return f"{saved['campaign_id']} ({', '.join(names)})" if names else str(saved["campaign_id"])
