"""
What a task instance remembers from one try to the next: the campaign that it made, and what it has spent money on.

Airflow 3.3+ keeps a ``task_state_store`` for each task instance, which survives a failed try, a killed worker and a
clear. Airflow before 3.3 has none, and deletes a task's XCom before each try.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqOutcomeUnknownError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
        if self._store is not None:
            _keep(self._store, _KEY, {"request": self._request, "campaign": campaign})


class SpendingMemory:
    """
    What a task instance remembers of a request that spends money: that it was sent, and what was answered.

    There is one for each campaign, so that a cleared task with another campaign is free to send. A mark goes before
    the request and the answer after it; what ends the task in between, be it a timeout in a pause after a 429, leaves
    the mark alone. Two processes at the same moment, of which Airflow has given up one, are not kept apart.

    :param context: the task's context.
    :param action: what is done with the campaign: ``start`` or ``sample``.
    :param campaign_id: the campaign.
    :param durable: whether to remember anything.
    """

    def __init__(self, context: Context, action: str, campaign_id: object, *, durable: bool) -> None:
        from airflow_provider_otpiq.models import is_object_id

        # What is no id is refused before anything is sent, so there is nothing to remember.
        durable = durable and is_object_id(campaign_id)
        self._store = context.get("task_state_store") if durable else None
        self._key = f"otpiq_{action}_{str(campaign_id).lower()}" if durable else ""
        self._ti = context["ti"]
        if durable and self._store is None and self._ti.try_number > 1:
            log.warning(
                "Airflow before 3.3 cannot remember what an earlier try did. If one was killed during this %s, it may"
                " now be sent and paid for again.",
                action,
            )

    def answer(self) -> dict[str, Any] | None:
        """
        Look for what an earlier try was answered.

        :return: the campaign; None if none was sent.
        :raises OtpiqOutcomeUnknownError: if one was sent, and its answer is not known.
        """
        kept = None if self._store is None else self._store.get(self._key)
        if kept is None:
            return None
        if isinstance(kept, dict) and isinstance(campaign := kept.get("campaign"), dict) and campaign.get("_id"):
            return campaign
        raise OtpiqOutcomeUnknownError(
            "Nothing was sent now: an earlier try of this task asked OTPIQ for the same, and ended before it kept an"
            f" answer. {OtpiqOutcomeUnknownError.remedy} {self._how_to_go_on}"
        )

    def once(self, send: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """
        Send a request, with a mark before it and the answer after it.

        :param send: sends it, and returns the campaign. Any error of ours but the one below means that it had no
            effect, which takes the mark back.
        :return: the campaign.
        :raises OtpiqOutcomeUnknownError: if nobody knows whether it took effect; the mark stays.
        """
        if self._store is not None:
            _keep(self._store, self._key, {"try_number": self._ti.try_number})
        try:
            campaign = send()
        except OtpiqOutcomeUnknownError as error:
            raise error.followed_by(self._how_to_go_on) from error.__cause__
        except OtpiqError:
            self._or_warn(lambda store: store.delete(self._key))
            raise
        self._or_warn(lambda store: _keep(store, self._key, {"campaign": campaign}))
        return campaign

    def _or_warn(self, remember: Callable[[Any], None]) -> None:
        if self._store is None:
            return
        try:
            remember(self._store)
        except Exception:  # OTPIQ has answered, and what it said counts
            log.warning("OTPIQ's answer could not be remembered: a later try will not know it.", exc_info=True)

    @property
    def _how_to_go_on(self) -> str:
        if self._store is None:
            return "If it did happen, mark this task as success. If not, clear it."
        ti = self._ti
        task = f"/dags/{ti.dag_id}/dagRuns/{ti.run_id}/taskInstances/{ti.task_id}/state-store"
        return (
            f"If it did happen, mark this task as success. If not, delete {self._key!r} from its Task State Store, in"
            f" Airflow's UI or API (DELETE /api/v2{task}/{self._key}?map_index={ti.map_index}), and clear the task;"
            " or set durable=False."
        )


def _keep(store: Any, key: str, value: Any) -> None:
    from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

    store.set(key, value, retention=NEVER_EXPIRE)


def _comparable(name: str, value: object) -> str | None:
    """Write a field so that two spellings of the same time are the same."""
    from airflow_provider_otpiq import times
    from airflow_provider_otpiq.models import is_given

    if not is_given(value):
        return None
    try:
        return times.as_sent(times.moment(value)) if name == "scheduled_for" else str(value)
    except ValueError:  # no request comes of it: the check that follows says why
        return f"an invalid {type(value).__name__}"
