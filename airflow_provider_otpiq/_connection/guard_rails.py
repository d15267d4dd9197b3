"""
Whom a connection may reach, and how many: so that a wrong DAG, or a staging one, cannot message real people.

Guard rails fail closed. What cannot be understood, or has a name that is nearly right, refuses every request that
could reach somebody.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from airflow_provider_otpiq._models.phone_numbers import in_api_form
from airflow_provider_otpiq._redaction import presentable
from airflow_provider_otpiq._validation_errors import as_lines, listed_problems
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError
from airflow_provider_otpiq.get_provider_info import CONNECTION_FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_provider_otpiq._models.recipients import Recipients
    from airflow_provider_otpiq._models.valid_recipients import ValidRecipients

_PREFIX = re.compile(r"[1-9][0-9]{0,14}")
_PUNCTUATION = re.compile(r"[\s()./-]")
_ALIKE = 0.75


def _prefixes(value: Any) -> tuple[str, ...]:
    entries = value.split(",") if isinstance(value, str) else value
    if not isinstance(entries, list) or not entries:
        raise ValueError("must be a list, or a comma-separated text, of phone numbers or their beginnings")
    return tuple(_prefix(entry) for entry in entries)


def _prefix(entry: object) -> str:
    text = str(entry) if isinstance(entry, int) and not isinstance(entry, bool) and entry > 0 else entry
    with suppress(ValueError):
        return in_api_form(text)  # a whole number, written in any way
    beginning = re.sub(r"^(\+|00)", "", _PUNCTUATION.sub("", text)) if isinstance(text, str) else ""
    if _PREFIX.fullmatch(beginning):
        return beginning
    raise ValueError("has an entry that is neither a phone number nor the beginning of one, such as +964770")


def _count(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, and is a bool")
    return value


class GuardRails(BaseModel):
    """What a connection says of the people that it may reach."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    allowed_recipients: Annotated[tuple[str, ...] | None, BeforeValidator(_prefixes)] = None
    """The numbers, or beginnings of numbers, that may get a message: digits. None allows all."""
    max_recipients: Annotated[int | None, BeforeValidator(_count), Field(ge=1, le=1000)] = None
    """How many recipients a campaign may have. None leaves it to OTPIQ."""

    @classmethod
    def of(cls, connection_id: str, extras: Mapping[str, object]) -> GuardRails:
        """
        Read them.

        :param connection_id: the connection that they belong to.
        :param extras: its extras; None stands for a field of the form that was left blank.
        :return: the guard rails.
        :raises OtpiqConfigurationError: if any of them cannot be understood.
        """
        given = {name: value for name, value in extras.items() if name in cls.model_fields and value is not None}
        problems = [f"{name}: is no guard rail; is {right} meant?" for name, right in _nearly_right_names(extras)]
        try:
            rails = cls.model_validate(given)
        except ValidationError as error:
            problems += listed_problems(error)
        if not problems:
            return rails
        raise OtpiqConfigurationError(
            f"The guard rails of connection {connection_id!r} cannot be understood, so nobody is messaged over it:"
            + as_lines(problems)
        )

    def allow(self, recipients: Recipients | ValidRecipients) -> None:
        """
        Refuse whom the connection may not reach.

        :param recipients: the recipients.
        :raises OtpiqValidationError: if any number is not allowed; the text lists those.
        """
        if self.allowed_recipients is None:
            return
        problems = [
            recipients.name(position, recipient)
            for position, recipient in recipients.items()
            if not recipient["phoneNumber"].startswith(self.allowed_recipients)
        ]
        if problems:
            raise OtpiqValidationError(
                f"{len(problems)} of {len(recipients)} recipients are not among the connection's allowed_recipients,"
                f" and nothing was sent. By their position, counted from 0:{as_lines(problems)}",
                problems=problems,
            )

    def allow_count(self, count: int) -> None:
        """
        Refuse more recipients than the connection may reach.

        :param count: how many there are.
        :raises OtpiqValidationError: if there are too many.
        """
        if self.max_recipients is not None and count > self.max_recipients:
            problem = f"recipients: are {count}, and the connection's max_recipients is {self.max_recipients}"
            raise OtpiqValidationError(f"{problem}; nothing was sent.", problems=[problem])

    def allow_total(self, campaign: Mapping[str, Any]) -> None:
        """
        Refuse a campaign that several attaches have filled beyond what the connection allows.

        :param campaign: the campaign as OTPIQ answers it; without ``totalRecipients`` nothing is known.
        :raises OtpiqValidationError: if it holds too many.
        """
        total = str(campaign.get("totalRecipients"))
        if self.max_recipients is not None and total.isdecimal() and int(total) > self.max_recipients:
            raise OtpiqValidationError(
                f"Campaign {campaign['_id']} now holds {total} recipients, and the connection's max_recipients is"
                f" {self.max_recipients}. They were attached, nothing was started. Do not start it, take it back to a"
                " draft if it is scheduled, and do not clear this task: OTPIQ would only say that all are there."
            )


def _nearly_right_names(extras: Mapping[str, object]) -> list[tuple[str, str]]:
    """Find the extras that look like a guard rail and are none, each with the name that is probably meant."""
    found = []
    for name, is_deeper in _names(extras, is_deeper=False):
        if name in CONNECTION_FIELDS and not is_deeper:
            continue
        letters = re.sub(r"[^a-z]", "", name.lower())
        is_surely_meant = "recipient" in letters or "whitelist" in letters or letters.startswith("allow")
        alike = get_close_matches(letters, _LETTERS, n=1, cutoff=0 if is_surely_meant else _ALIKE)
        found += [(presentable(name), _LETTERS[right]) for right in alike]
    return sorted(found)


def _names(extras: Mapping[str, object], *, is_deeper: bool) -> Iterator[tuple[str, bool]]:
    """Name the extras, and those that were put a level too deep."""
    for name, value in extras.items():
        yield name, is_deeper
        with suppress(ValueError):
            inner = json.loads(value) if isinstance(value, str) else value
            if isinstance(inner, dict):
                yield from _names(inner, is_deeper=True)


_LETTERS = {name.replace("_", ""): name for name in GuardRails.model_fields}
