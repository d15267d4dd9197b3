"""One key of Airflow's task state store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class SavedState:
    """
    One value in a task instance's ``task_state_store``, which Airflow keys by DAG run, task and map index.

    Airflow before 3.3 has no such store, and deletes a task's XCom before each try: nothing is saved there. A later
    try then warns of the consequence.
    """

    def __init__(self, context: Context, key: str, *, durable: bool = True, if_missing: str = "") -> None:
        self.key = key
        self._store = context.get("task_state_store") if durable else None
        if if_missing and durable and self._store is None and context["ti"].try_number > 1:
            log.warning("Airflow before 3.3 does not save the results of earlier tries. %s", if_missing)

    @property
    def is_available(self) -> bool:
        """Whether state can be saved."""
        return self._store is not None

    def load(self) -> Any:
        """Return the saved value; None if nothing is saved."""
        return None if self._store is None else self._store.get(self.key)

    def save(self, value: dict[str, Any]) -> None:
        """Save a value for the lifetime of the task instance."""
        if self._store is not None:
            from airflow.sdk import NEVER_EXPIRE  # type: ignore[attr-defined]  # missing in its stub

            self._store.set(self.key, value, retention=NEVER_EXPIRE)

    def save_best_effort(self, value: dict[str, Any] | None) -> None:
        """Save what a response proved, or delete the value (None). A failure is only logged: the response counts."""
        try:
            if value:
                self.save(value)
            elif self._store is not None:
                self._store.delete(self.key)
        except Exception:
            log.warning(
                "The task state %r could not be saved: a later try will not know OTPIQ's response.",
                self.key,
                exc_info=True,
            )
