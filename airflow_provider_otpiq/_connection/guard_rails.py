"""
Whom a connection may reach, how many, and when: so that a wrong DAG, or a staging one, cannot message real people.

Guard rails fail closed: a wrong one refuses every request that could reach somebody. A misspelt one is an unknown
extra, which the connection refuses altogether.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import pendulum
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airflow_provider_otpiq._connection.quiet_hours import Window, end_of_all, parse_windows
from airflow_provider_otpiq._models.datetimes import describe
from airflow_provider_otpiq._models.phone_numbers import AmbiguousNumberError, normalize
from airflow_provider_otpiq._recipients.rows import MAX_RECIPIENTS
from airflow_provider_otpiq._validation_errors import bullet_list, format_errors
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pendulum import DateTime

    from airflow_provider_otpiq._recipients.validator import RecipientValidator

_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_PUNCTUATION = re.compile(r"[\s()./-]")


def _prefixes(value: Any) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries:
        raise ValueError("must be a list, or a comma-separated string, of phone numbers or their prefixes")
    return tuple(_prefix(entry) for entry in entries)


def _prefix(entry: object) -> str:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0 else entry
    try:
        return normalize(text)  # a whole number, written in any way
    except AmbiguousNumberError as error:  # as a prefix it would allow other people
        raise ValueError(f"has an entry that {error}") from None
    except ValueError:
        pass
    prefix = re.sub(r"^(\+|00)", "", _PUNCTUATION.sub("", text)) if isinstance(text, str) else ""
    if _PREFIX.fullmatch(prefix):
        return prefix
    raise ValueError("has an entry that is neither a phone number nor the prefix of one, such as +964770")


def _count(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, and is a bool")
    return value


class GuardRails(BaseModel):
    """What a connection says of the people that it may reach."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    allowed_recipients: Annotated[tuple[str, ...] | None, BeforeValidator(_prefixes)] = None
    """The numbers, or prefixes of numbers, that may get a message: digits. None allows all."""
    max_recipients: Annotated[int | None, BeforeValidator(_count), Field(ge=1, le=1000)] = None
    """How many recipients a campaign may have. None leaves it to OTPIQ."""
    max_broadcast_recipients: Annotated[int | None, BeforeValidator(_count), Field(ge=1)] = None
    """How many recipients a broadcast may have, over all of its campaigns. None sets no limit."""
    quiet_hours: Annotated[tuple[Window, ...] | None, BeforeValidator(parse_windows)] = None
    """When no campaign may start and no sample may be sent. None allows every time."""

    @classmethod
    def from_connection(cls, connection_id: str, extras: Mapping[str, object]) -> GuardRails:
        """
        Read the guard rails among the extras of a connection.

        None, as the form sends for a blank field, means not set. An empty string is an error: it may be a variable
        that was not set, and must not allow everybody.

        :raises OtpiqConfigurationError: if any of them cannot be understood.
        """
        fields = {name: value for name, value in extras.items() if name in cls.model_fields and value is not None}
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            errors = format_errors(error)
        raise OtpiqConfigurationError(
            f"The guard rails of connection {connection_id!r} are wrong, so nobody is messaged over it:"
            + bullet_list(errors)
        )

    def check_allowed(self, recipients: RecipientValidator) -> None:
        """
        Refuse whom the connection may not reach.

        :raises OtpiqValidationError: if any number is not allowed; the text lists those.
        """
        if self.allowed_recipients is None:
            return
        errors = [
            recipients.name(position, recipient)
            for position, recipient in recipients.valid.items()
            if not recipient["phoneNumber"].startswith(self.allowed_recipients)
        ]
        if errors:
            raise OtpiqValidationError(
                f"{len(errors)} of {len(recipients)} recipients are not among the connection's allowed_recipients,"
                f" and nothing was sent. By their position, counted from 0:{bullet_list(errors)}",
                errors=errors,
            )

    def check_count(self, count: int, remedy: str = "") -> None:
        """
        Refuse more recipients than the connection may reach.

        :param remedy: what to do, as the error's last sentences.
        :raises OtpiqValidationError: if there are too many.
        """
        if self.max_recipients is not None and count > self.max_recipients:
            error = f"recipients: are {count}, and the connection's max_recipients is {self.max_recipients}"
            raise OtpiqValidationError(f"{error}; nothing was sent.{remedy}", errors=[error])

    def check_broadcast(self, recipients: int, largest_part: int) -> None:
        """
        Refuse a broadcast to more people than the connection may reach, or in larger campaigns.

        :raises OtpiqValidationError: if there are too many.
        """
        if self.max_broadcast_recipients is not None and recipients > self.max_broadcast_recipients:
            limit = f"max_broadcast_recipients is {self.max_broadcast_recipients}"
            error = f"recipients: of the broadcast are {recipients}, and the connection's {limit}"
            raise OtpiqValidationError(f"{error}; nothing was sent.", errors=[error])
        self.check_count(
            largest_part,
            f" Each campaign of a broadcast has up to {MAX_RECIPIENTS} recipients. Set a connection without"
            " max_recipients, which limits the whole broadcast by max_broadcast_recipients.",
        )

    def check_time(self, time: DateTime, what: str) -> None:
        """
        Refuse to message people in quiet hours.

        :param what: what would be at that time, as an error begins: a field, or ``the start``.
        :raises OtpiqValidationError: if the time is in quiet hours.
        """
        windows = self.quiet_hours or ()
        for window in windows:
            if time in window:
                timezone = pendulum.timezone(window.timezone)
                end = describe(end_of_all(windows, time), timezone)
                quiet = f"in the connection's quiet_hours {window}, which end at {end}"
                error = f"{what}: {describe(time, timezone)} is {quiet}"
                raise OtpiqValidationError(f"{error}; nothing was sent. Choose a time from then on.", errors=[error])

    def check_now(self, what: str) -> None:
        """
        Refuse to message people now, in quiet hours.

        :raises OtpiqValidationError: if it is in quiet hours.
        """
        self.check_time(pendulum.now("UTC").start_of("second"), what)

    def check_scheduled_time(self, scheduled_for: DateTime | None) -> None:
        """
        Refuse to let a campaign start by itself in quiet hours.

        :param scheduled_for: its time; None where the request leaves the one that it has.
        :raises OtpiqValidationError: if the time is in quiet hours, or may be.
        """
        if scheduled_for is not None:
            self.check_time(scheduled_for, "scheduled_for")
        elif self.quiet_hours:
            error = "scheduled_for: is not set, and the campaign's own time may be in the connection's quiet_hours"
            raise OtpiqValidationError(f"{error}; nothing was sent. Set scheduled_for too.", errors=[error])

    def check_total(self, campaign: Mapping[str, Any]) -> None:
        """
        Refuse a campaign to which several attaches have added more than the connection allows.

        :raises OtpiqValidationError: if it holds too many.
        """
        total = str(campaign.get("totalRecipients"))
        if self.max_recipients is not None and total.isdecimal() and int(total) > self.max_recipients:
            raise OtpiqValidationError(
                f"Campaign {campaign['_id']} now holds {total} recipients, and the connection's max_recipients is"
                f" {self.max_recipients}. They were attached, nothing was started. Do not start it, take it back to a"
                " draft if it is scheduled, and do not clear this task: OTPIQ would only say that all are there."
            )
