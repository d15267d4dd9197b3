"""Change the campaigns of a broadcast, with a connection that may belong to another project."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._http.retry import wait
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_otpiq._ledger.records import Broadcast
    from airflow_provider_otpiq.exceptions import OtpiqConflictError
    from airflow_provider_otpiq.hooks.otpiq import OtpiqHook

log = logging.getLogger(__name__)

# The documentation's words, assumption `state-refusal`: without them, a start or a stop fails.
_STARTED = re.compile(r"draft or scheduled|started|running|completed", re.IGNORECASE)


def has_started(error: OtpiqConflictError) -> bool:
    """Return whether OTPIQ refuses a change because the campaign has started."""
    return bool(_STARTED.search(error.server_message or ""))


def wait_for_requests_in_flight(hook: OtpiqHook, reason: str) -> None:
    """Wait until no request that another process or a killed try has sent can take effect any more."""
    seconds = hook.settings.max_seconds_in_flight
    log.info("Waiting %.0f s, because %s.", seconds, reason)
    wait(seconds)


class Campaigns:
    """
    The campaigns of a broadcast in OTPIQ.

    ``check`` is called before each attempt to change one, and raises if this task must not change them any more.
    """

    def __init__(self, hook: OtpiqHook, broadcast: Broadcast, check: Callable[[], None]) -> None:
        self._hook, self._broadcast, self._check = hook, broadcast, check
        self._other_project: str | None = None

    def compare_project(self, name: str) -> None:
        """Warn if the connection's project has another name. It is another project if it does not have a campaign."""
        created_in = self._broadcast.project
        if created_in not in (None, name):
            self._other_project = (
                f"the broadcast was created in project {sanitize(str(created_in))!r}, and connection"
                f" {self._hook.otpiq_conn_id!r} belongs to project {sanitize(name)!r}"
            )
            log.warning(
                "The connection may be of another project: %s. If the project was only renamed, ignore this warning.",
                self._other_project,
            )

    def update(self, *, campaign_id: str, **changes: Any) -> dict[str, Any]:
        """
        Change a campaign, and return it.

        :raises OtpiqConfigurationError: if the connection's project does not have it, and is another one.
        :raises OtpiqError: as :meth:`.OtpiqHook.update_campaign`.
        """
        try:
            return self._hook.update_campaign(campaign_id=campaign_id, check_before_attempt=self._check, **changes)
        except OtpiqNotFoundError:
            if self._other_project is None:
                raise
            raise OtpiqConfigurationError(
                f"Campaign {campaign_id} was not changed: {self._other_project}, which does not have this campaign. Set"
                " a connection of the first project; the create's connection was"
                f" {self._broadcast.request.get('otpiq_conn_id')!r}."
            ) from None
