"""A start or a sample, sent at most once for a campaign by a task instance."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._task_state.saved_state import SavedState
from airflow_provider_otpiq.exceptions import OtpiqOutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.providers.common.compat.sdk import Context

RUNBOOK = "docs/unknown-outcome.md"


class AtMostOnce:
    """
    What a task instance knows of a non-idempotent request: that an attempt is pending, or the response.

    A pending marker is saved before each attempt and replaced by the response after it. It is deleted where the
    attempt provably had no effect, so that there is none during the delay before an HTTP retry: who dies in
    it has sent nothing, and a process that Airflow has given up cannot save a new marker, so it cannot send either.

    An unmapped task has a key for each campaign: a cleared task with another campaign may send. A mapped one has a
    single key, because Airflow keys state by map index: where the mapped input changed its order or length, the index
    holds another campaign's state, while the state of this one may be under another index. So the index is claimed for
    its campaign before anything else happens, and stays so where nothing was sent.
    """

    def __init__(self, context: Context, action: str, campaign_id: object, *, durable: bool) -> None:
        from airflow_provider_otpiq._models.fields import is_object_id

        self._ti = context["ti"]
        self._campaign_id = str(campaign_id).lower() if is_object_id(campaign_id) else ""
        self._action = action
        self._in_flight_until = ""
        key = f"otpiq_{action}" if self._is_mapped else f"otpiq_{action}_{self._campaign_id}"
        # An invalid id is refused before anything is sent, so there is nothing to save.
        self._state = SavedState(context, key, durable=durable and bool(self._campaign_id))
        self._state.warn_if_missing(f"If one was killed during this {action}, it may now be sent and paid for again.")

    def previous_result(self) -> dict[str, Any] | None:
        """
        Look for the response that an earlier try got.

        :raises OtpiqOutcomeUnknownError: if something was sent and its response is not known, or if it cannot be
            known whether something was sent.
        """
        saved = self._state.load()
        if saved is None:
            if self._nothing_sent:
                self._state.save(self._nothing_sent)
            return None
        saved = saved if isinstance(saved, dict) else {}
        if saved.get("campaign_id", self._campaign_id) != self._campaign_id:
            raise self._unknown(self._of_another_campaign(saved))
        if saved == self._nothing_sent:
            return None
        campaign = saved.get("campaign")
        if isinstance(campaign, dict) and campaign.get("_id"):
            return campaign
        raise self._unknown(self._still_pending(saved))

    def save_pending_marker(self, in_flight_for: float) -> None:
        """Save that an attempt is about to be sent, whose outcome is settled after so many seconds."""
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
        """Delete the marker of an attempt that provably had no effect."""
        self._state.save_best_effort(self._nothing_sent)

    def run_once(self, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """
        Send the request and save the response.

        :raises OtpiqOutcomeUnknownError: if the outcome is unknown; the pending marker stays.
        """
        try:
            campaign = send()
        except OtpiqOutcomeUnknownError as error:
            wait = f"Wait until {self._in_flight_until}: OTPIQ may still be processing it."
            error.remedy = f"{wait} {error.remedy} {self._how_to_go_on}"
            raise
        self._state.save_best_effort({"campaign_id": self._campaign_id, "campaign": campaign})
        return campaign

    @property
    def _nothing_sent(self) -> dict[str, Any] | None:
        """The state where nothing was sent: none, or for a mapped task the claim of its index."""
        return {"campaign_id": self._campaign_id, "sent": False} if self._is_mapped else None

    @property
    def _is_mapped(self) -> bool:
        return self._ti.map_index is not None and self._ti.map_index >= 0

    def _unknown(self, message: str) -> OtpiqOutcomeUnknownError:
        remedy = f"{OtpiqOutcomeUnknownError.remedy} {self._how_to_go_on}"
        return OtpiqOutcomeUnknownError(f"Nothing was sent now: {message}", remedy=remedy)

    def _still_pending(self, saved: dict[str, Any]) -> str:
        until = saved.get("in_flight_until")
        wait = f" Look after {until}: until then that attempt may still be in flight." if until else ""
        return (
            f"an earlier try of this task may have sent the {self._action} of campaign {self._campaign_id}, and no"
            f" response was saved.{wait}"
        )

    def _of_another_campaign(self, saved: dict[str, Any]) -> str:
        return (
            f"whether the {self._action} of campaign {self._campaign_id} was sent before is unknown. Airflow keys this"
            f" task's state by map index, and index {self._ti.map_index} holds that of campaign"
            f" {_describe(saved)}:"
            " the mapped input changed its order or length since, so another index may have sent this one."
        )

    @property
    def _how_to_go_on(self) -> str:
        if not self._state.is_available:
            release = "clear it"
        else:
            ti, key = self._ti, self._state.key
            task = f"/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/state-store"
            release = (
                f"delete {key!r} from its Task State Store, in Airflow's UI or API (DELETE /api/v2{task}/{key}"
                f"?map_index={ti.map_index}), and clear the task"
            )
        return (
            "If it took effect, mark this task as success: the DAG run then goes on with the tasks downstream. This"
            " task has no XCom then; the id of the campaign is in the XCom of the task that created it. If it did not,"
            f" {release}. Runbook: {RUNBOOK}."
        )


def _describe(saved: dict[str, Any]) -> str:
    """Name a campaign by its id and, where a response was saved, by what OTPIQ's dashboard shows."""
    campaign = saved.get("campaign") or {}
    names = [str(campaign[key]) for key in ("name", "campaignId") if campaign.get(key)]
    return f"{saved['campaign_id']} ({', '.join(names)})" if names else str(saved["campaign_id"])
