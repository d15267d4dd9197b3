"""The results of a sensor's earlier pokes, also across reschedules."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._task_state.saved_state import SavedState

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class PokeHistory:
    """
    The number of failed pokes in a row, and the counts of the last successful one.

    In mode ``reschedule``, each poke is a new process, and Airflow deletes the XCom before it. So both are saved in
    ``task_state_store``, with the try's number: a reschedule keeps them; a retry or a clear resets them. Airflow before
    3.3 has no such store: there, only the pokes of one process are known.
    """

    def __init__(self, context: Context) -> None:
        self._state = SavedState(context, "otpiq_pokes")
        self._try_number = context["ti"].try_number
        saved = self._load()
        is_of_this_try = saved.get("try_number") == self._try_number
        self.failed: int = saved["failed"] if is_of_this_try else 0
        """The number of failed pokes in a row."""
        self.counts: dict[str, Any] | None = saved["counts"] if is_of_this_try else None
        """The counts of the last successful poke; None without one."""

    def _load(self) -> dict[str, Any]:
        try:
            return self._state.load() or {}
        except Exception:  # a poke sends no messages, so a count that begins again is safe
            log.warning("The number of failed pokes cannot be read, so it starts at 0 again.", exc_info=True)
            return {}

    @property
    def is_saved(self) -> bool:
        """Whether it survives a reschedule."""
        return self._state.is_available

    def succeed(self, counts: dict[str, Any]) -> None:
        """Save a poke's counts."""
        self.failed, self.counts = 0, counts
        self._save()

    def fail(self) -> None:
        """Save that a poke has failed."""
        self.failed += 1
        self._save()

    def _save(self) -> None:
        self._state.save_best_effort({"try_number": self._try_number, "failed": self.failed, "counts": self.counts})
