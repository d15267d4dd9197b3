"""Change one campaign of a broadcast, and compare what OTPIQ returns with its part."""

from __future__ import annotations

import logging
import math
import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._broadcast.process import REFUSALS
from airflow_provider_otpiq._http.retry import wait
from airflow_provider_otpiq._ledger.records import Campaign
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq.exceptions import (
    OtpiqConfigurationError,
    OtpiqConflictError,
    OtpiqError,
    OtpiqNotFoundError,
    OtpiqValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._ledger.ledger import Ledger
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


def campaign_name(name: str, part: Part, parts: int) -> str:
    """Return the name of a part's campaign, such as ``Summer offer 3/50``."""
    return f"{name} {int(part.name) + 1}/{parts}"


def read_number(value: object) -> int | float | None:
    """Read a number, which OTPIQ may send as a string; None if it is not one."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() else number


def read_count(campaign: Mapping[str, Any], name: str) -> int | float | None:
    """Read a number of a campaign that is not negative; None if it has none."""
    number = read_number(campaign.get(name))
    return None if number is None or number < 0 else number


def describe_size(campaign_id: str, held: float | None, part: Part) -> str:
    """Describe the sizes of a campaign and its part, for an error or a warning."""
    recipients = "recipient" if held == 1 else "recipients"
    return f"campaign {campaign_id} holds {held} {recipients}, and its part {part.name} has {part.recipients}"


class Campaigns:
    """
    The campaigns of a broadcast in OTPIQ, over a connection that may belong to another project.

    :param parts: all parts of the audience.
    :param check: called before each attempt to change a campaign; it raises if this task must not change any more.
    """

    def __init__(self, hook: OtpiqHook, ledger: Ledger, parts: Sequence[Part], check: Callable[[], None]) -> None:
        self._hook, self._ledger, self._parts, self._check = hook, ledger, parts, check
        self._is_in_project: bool | None = None

    @cached_property
    def project(self) -> dict[str, Any]:
        """The connection's project."""
        return self._hook.get_project_info()

    @property
    def _other_project(self) -> str | None:
        """How the connection's project differs from the broadcast's; None if it has the same name."""
        created_in, name = self._ledger.broadcast.project, self.project["projectName"]
        if created_in in (None, name):
            return None
        return (
            f"the broadcast was created in project {sanitize(str(created_in))!r}, and connection"
            f" {self._hook.otpiq_conn_id!r} belongs to project {sanitize(name)!r}"
        )

    def compare_project(self) -> None:
        """Warn if the connection's project has another name. It is another project if it does not have a campaign."""
        if self._other_project:
            log.warning(
                "The connection may be of another project: %s. If the project was only renamed, ignore this warning.",
                self._other_project,
            )

    def update(self, campaign_id: str, **changes: Any) -> dict[str, Any]:
        """
        Change a campaign, and return it.

        :raises OtpiqNotFoundError: if it was deleted.
        :raises OtpiqConfigurationError: if OTPIQ finds no campaign of the broadcast, such as in another project.
        """
        try:
            campaign = self._update(campaign_id, **changes)
        except OtpiqNotFoundError:
            self._require_another(campaign_id)
            raise
        self._is_in_project = True
        return campaign

    def _update(self, campaign_id: str, **changes: Any) -> dict[str, Any]:
        return self._hook.update_campaign(campaign_id=campaign_id, check_before_attempt=self._check, **changes)

    def _require_another(self, deleted: str) -> None:
        """Check that a campaign was deleted: another project has none of them, and may have the same name."""
        if self._is_in_project is None:
            campaigns = self._ledger.read(Campaign, self._parts)
            self._is_in_project = any(
                self._exists(campaigns[part.name].campaign_id, part)
                for part in self._parts
                if part.name in campaigns and campaigns[part.name].campaign_id != deleted
            )
        if not self._is_in_project:
            difference = f" ({self._other_project})" if self._other_project else ""
            raise OtpiqConfigurationError(
                f"OTPIQ finds no campaign of broadcast {self._ledger} over connection {self._hook.otpiq_conn_id!r}"
                f"{difference}. Set a connection of the project in which they were created; the create's connection was"
                f" {self._ledger.broadcast.request.get('otpiq_conn_id')!r}. If all of them were deleted, they send"
                " nothing: mark this task as success."
            )

    def _exists(self, campaign_id: str, part: Part) -> bool:
        try:
            self._update(campaign_id, **self.no_change(part))
        except OtpiqNotFoundError:
            return False
        except OtpiqConflictError as error:
            if not has_started(error):
                raise
        return True

    def no_change(self, part: Part) -> dict[str, str]:
        """Return a change without effect, the name it has, because OTPIQ returns a campaign only after a change."""
        return {"name": campaign_name(self._ledger.broadcast.request["name"], part, len(self._parts))}

    def require_size(self, campaign: Mapping[str, Any], part: Part) -> None:
        """
        Make a scheduled campaign a draft again if it holds more recipients than its part; warn if it holds fewer.

        Somebody else may have attached others. OTPIQ returns the number only in the response to a change. So the
        campaign is scheduled until then. If making it a draft fails, the next try compares it again.

        :raises OtpiqValidationError: if it holds more.
        """
        held, campaign_id = read_count(campaign, "totalRecipients"), str(campaign["_id"])
        if held is None:
            log.warning(
                "OTPIQ does not report how many recipients campaign %s holds; its part has %d (assumption"
                " update-recipients).",
                campaign_id,
                part.recipients,
            )
            return
        found = describe_size(campaign_id, held, part)
        if held < part.recipients:
            log.warning("OTPIQ reports that %s.", found)
        elif held > part.recipients:
            self._make_draft_again(campaign_id, found)
            raise OtpiqValidationError(
                f"{found}: somebody else has attached the others. It is a draft again and sends nothing. Delete it"
                f" in OTPIQ's dashboard, send {part.path} of the audience in a separate campaign, and mark this task as"
                " success: a retry would schedule the same campaign.",
                errors=[found],
            )

    def _make_draft_again(self, campaign_id: str, found: str) -> None:
        still = (
            f"{found}, and it could not be made a draft again. Make it a draft in OTPIQ's dashboard before it starts."
        )
        try:
            self.update(campaign_id, schedule_type="now")
        except REFUSALS as error:
            raise OtpiqValidationError(f"{still} OTPIQ refused: {error}", errors=[found]) from None
        except OtpiqError:
            log.error("%s", still)
            raise
