"""
Guard rails: who may get a message over a connection, how many, and when. They protect real people from a wrong DAG.

They fail closed: an invalid one refuses every request that could reach a person. A misspelled one is an unknown extra,
which the connection refuses altogether.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Annotated, Any

import pendulum
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airflow_provider_otpiq._connection.quiet_hours import Window, end_of_all, parse_windows
from airflow_provider_otpiq._models.datetimes import describe
from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._models.phone_numbers import AmbiguousNumberError, normalize
from airflow_provider_otpiq._validation_errors import bullet_list, format_errors
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pendulum import DateTime

log = logging.getLogger(__name__)

_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_PUNCTUATION = re.compile(r"[\s()./-]")
_FEWER = " Send to fewer recipients, or raise the limit in the connection."


def _prefixes(value: Any) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries:
        raise ValueError("must be a list, or a comma-separated string, of phone numbers or their prefixes")
    return tuple(_prefix(entry) for entry in entries)


def _prefix(entry: object) -> str:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0 else entry
    try:
        return normalize(text)  # a whole number, in any spelling
    except AmbiguousNumberError as error:  # as a prefix it would allow other people
        raise ValueError(f"has an entry that {error}") from None
    except ValueError:
        pass
    prefix = re.sub(r"^(\+|00)", "", _PUNCTUATION.sub("", text)) if isinstance(text, str) else ""
    if _PREFIX.fullmatch(prefix):
        return prefix
    raise ValueError("has an entry that is neither a phone number nor a prefix of one, such as +964770")


def _count(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not bool")
    return value


class GuardRails(BaseModel):
    """The guard rails of a connection."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    allowed_recipients: Annotated[tuple[str, ...] | None, BeforeValidator(_prefixes)] = None
    """
    The numbers, or prefixes of numbers, that may get a message: digits. None allows all.

    In production, set ``["+964"]``: then a number that was read as another country's gets no message.
    """
    max_recipients: Annotated[int | None, BeforeValidator(_count), Field(ge=1, le=MAX_RECIPIENTS)] = None
    """The most recipients of a campaign. None leaves the limit to OTPIQ."""
    max_broadcast_recipients: Annotated[int | None, BeforeValidator(_count), Field(ge=1)] = None
    """The most recipients of a broadcast, over all of its campaigns. None sets no limit."""
    quiet_hours: Annotated[tuple[Window, ...] | None, BeforeValidator(parse_windows)] = None
    """When no campaign may start and no sample may be sent. None allows every time."""

    @classmethod
    def from_connection(cls, connection_id: str, extras: Mapping[str, object]) -> GuardRails:
        """
        Read the guard rails from the extras of a connection.

        None, as the form sends for a blank field, means not set. An empty string is an error: it may be a variable
        that was not set, and must not allow everyone.

        :raises OtpiqConfigurationError: if one of them is invalid.
        """
        fields = {name: value for name, value in extras.items() if name in cls.model_fields and value is not None}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            errors = format_errors(error)
        raise OtpiqConfigurationError(
            f"The guard rails of connection {connection_id!r} are invalid, so it sends no messages:"
            + bullet_list(errors)
        )

    def is_allowed(self, phone_number: str) -> bool:
        """Return whether a phone number in the API's form may get a message."""
        return self.allowed_recipients is None or phone_number.startswith(self.allowed_recipients)

    def check_count(self, count: int, remedy: str = _FEWER) -> None:
        """Raise an OtpiqValidationError, which ends with the remedy, if a campaign's recipients exceed the limit."""
        if self.max_recipients is not None and count > self.max_recipients:
            raise _refusal(
                f"recipients: {count:,} exceed the connection's max_recipients ({self.max_recipients:,})", remedy
            )

    def check_broadcast(self, recipients: int, largest_part: int) -> None:
        """Raise an OtpiqValidationError if a broadcast's recipients, or those of its largest campaign, are too many."""
        limit = self.max_broadcast_recipients
        if limit is not None and recipients > limit:
            raise _refusal(
                f"recipients: {recipients:,} exceed the connection's max_broadcast_recipients ({limit:,})", _FEWER
            )
        self.check_count(
            largest_part,
            f" Each campaign of a broadcast has up to {MAX_RECIPIENTS:,} recipients. Use a connection that sets"
            " max_broadcast_recipients, which limits the whole broadcast, instead of max_recipients.",
        )

    def check_time(self, time: DateTime, subject: str) -> None:
        """
        Raise an OtpiqValidationError if a time at which people would get a message is in quiet hours.

        :param subject: what would happen at that time, as the error begins: a field, or ``the start``.
        """
        windows = self.quiet_hours or ()
        for window in windows:
            if time in window:
                timezone = pendulum.timezone(window.timezone)
                end = describe(end_of_all(windows, time), timezone)
                quiet = f"in the connection's quiet_hours {window}, which end at {end}"
                raise _refusal(f"{subject}: {describe(time, timezone)} is {quiet}", " Choose that time or a later one.")

    def check_now(self, subject: str) -> None:
        """Check the current time, as :meth:`check_time` does."""
        self.check_time(pendulum.now("UTC").start_of("second"), subject)

    def check_scheduled_time(self, scheduled_for: DateTime | None) -> None:
        """
        Raise an OtpiqValidationError if a campaign would start automatically in quiet hours, or could.

        :param scheduled_for: its time; None if the request leaves the campaign's own.
        """
        if scheduled_for is not None:
            self.check_time(scheduled_for, "scheduled_for")
        elif self.quiet_hours:
            raise _refusal(
                "scheduled_for: is not set, and the campaign's own time could be in the connection's quiet_hours",
                " Set scheduled_for too.",
            )

    def check_total(self, campaign: Mapping[str, Any]) -> None:
        """Raise an OtpiqValidationError if several attaches have added more recipients than allowed."""
        if self.max_recipients is None:
            return
        total = str(campaign.get("totalRecipients"))
        if not total.isdecimal():
            log.warning(
                "OTPIQ does not report how many recipients campaign %s has, so max_recipients (%s) limits each attach,"
                " but not their sum (assumption attach-shape).",
                campaign["_id"],
                f"{self.max_recipients:,}",
            )
        elif int(total) > self.max_recipients:
            error = (
                f"Campaign {campaign['_id']} now has {int(total):,} recipients, which exceed the connection's"
                f" max_recipients ({self.max_recipients:,})"
            )
            raise OtpiqValidationError(
                f"{error}. The recipients are attached, but this task sent no messages. Do not start the campaign; if"
                " it is scheduled, make it a draft again with an UpdateCampaignOperator (schedule_type='now'). Do not"
                " clear this task: it would succeed, because OTPIQ would report that all recipients are attached.",
                errors=[error],
            )


def _refusal(error: str, remedy: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"{error}. Nothing was sent.{remedy}", errors=[error])
