"""
Recipients: read, checked one by one, and never shown; and what OTPIQ asks and answers about them.

Each recipient is a person's phone number and the values that fill the template for this person. No text that is made
here holds either of them: a wrong recipient is named by its position, with most of the number masked.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sized
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticSerializationError

from airflow_provider_otpiq._models.campaigns import CheckedRequest, ObjectId, one_of
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.recipient_rows import (
    BLANK,
    MOST_RECIPIENTS,
    NO_JSON,
    all_in_api_form,
    checked,
    is_missing,
    named,
)
from airflow_provider_otpiq._models.valid_recipients import ValidRecipients, request_body
from airflow_provider_otpiq._redaction import presentable, shown
from airflow_provider_otpiq._validation_errors import as_lines
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from airflow_provider_otpiq.exceptions import OtpiqRequestError

log = logging.getLogger(__name__)

MOST_ROWS = 100_000
"""What is read at the most, where wrong ones are to be skipped."""

_EMPTY = "is empty: at least one recipient is needed"
_MOST_SKIPPED_NAMED = 100


class PayloadField(BaseModel):
    """A parameter that each recipient may, or must, carry."""

    model_config = ConfigDict(hide_input_in_errors=True)

    required: bool = False
    path: Annotated[str, Field(alias="templateParametersPath")]
    label: str | None = None


class Payload(BaseModel):
    """What each recipient must carry for a template."""

    fields: list[PayloadField]


class PayloadAnswer(BaseModel):
    """The answer to the question for the recipient payload."""

    model_config = ConfigDict(hide_input_in_errors=True)

    data: Payload


class Recipients:
    """
    Recipients as they were given, sorted into good and wrong ones.

    :param given: dicts in the API's shape, or phone numbers. What going through them raises is left as it is.
    :param default_region: the country of national phone numbers, two letters.
    :raises OtpiqValidationError: if there are none, or far too many.
    """

    def __init__(self, given: Iterable[Any], default_region: str) -> None:
        self._errors: dict[int, list[str]] = {}
        rows = _as_it_stands(given, default_region) or self._one_by_one(given, default_region)
        self._references = {position: row["reference"] for position, row in enumerate(rows) if "reference" in row}
        self._recipients = [_without_reference(row) for row in rows] if self._references else rows

    def _one_by_one(self, given: Iterable[Any], default_region: str) -> list[dict[str, Any]]:
        recipients = []
        for position, row in enumerate(islice(given, MOST_ROWS + 1)):  # one more than is read at the most
            is_row = isinstance(row, (dict, Mapping))  # a dict is the quicker question
            recipient, errors = checked(row if is_row else {"phoneNumber": row}, default_region)
            recipients.append(recipient)
            if errors:
                self._errors[position] = errors
        if not recipients:
            raise _refusal(_EMPTY)
        if len(recipients) > MOST_ROWS:
            raise _refusal(f"are more than {MOST_ROWS}, which is more than is read")
        return recipients

    @property
    def good(self) -> dict[int, dict[str, Any]]:
        """Those in which nothing wrong was found yet, by their position."""
        return {at: recipient for at, recipient in enumerate(self._recipients) if at not in self._errors}

    def __len__(self) -> int:
        return len(self._recipients) - len(self._errors)

    def items(self) -> Iterable[tuple[int, dict[str, Any]]]:
        """Give each good recipient with its position."""
        return self.good.items()

    def name(self, position: int, recipient: dict[str, Any]) -> str:
        """
        Name a recipient in an error or a log line.

        :param position: its position in what was given.
        :param recipient: the recipient.
        :return: its position, its reference if it has one, and its masked number.
        """
        return named(position, recipient, self._references.get(position))

    def require(self, payload: Mapping[str, Any]) -> None:
        """
        Check the template's own required parameters.

        :param payload: OTPIQ's recipient payload.
        """
        fields = Payload.model_validate(payload).fields
        for parameter in [_RequiredParameter(field) for field in fields if field.required]:
            for position in parameter.missing_positions(self._recipients):
                self._errors.setdefault(position, []).append(f"{parameter.name} is required, and was not given")

    def taken(self, *, skip_invalid: bool) -> ValidRecipients:
        """
        Take the good ones.

        :param skip_invalid: whether to leave out the wrong ones, which is logged, instead of refusing them all.
        :return: the recipients as they are sent.
        :raises OtpiqValidationError: if there are wrong ones and they are not to be skipped, if no good one is left,
            or if there are more than a campaign can hold. The text lists each wrong one.
        """
        body = self._encoded()
        count = len(self) if skip_invalid else len(self._recipients)
        if count > MOST_RECIPIENTS:
            raise _refusal(f"are {count}, and a campaign can hold {MOST_RECIPIENTS}; divide them over several")
        if self._errors and not (skip_invalid and len(self)):
            raise self._error()
        if self._errors:
            self._log_skipped()
        return ValidRecipients(body, count, skipped=len(self._errors))

    def _encoded(self) -> bytes:
        """Write the good ones as they are sent, once. What cannot be written is searched only then, as it is rare."""
        recipients = list(self.good.values()) if self._errors else self._recipients
        try:
            return request_body(recipients)
        except PydanticSerializationError:
            for position, recipient in self.good.items():
                if not _can_be_encoded(recipient):
                    self._errors[position] = [f"templateParameters {NO_JSON}"]
            return request_body(list(self.good.values()))

    def _log_skipped(self) -> None:
        reasons = Counter(error for errors in self._errors.values() for error in errors)
        log.warning(
            "%d of %d recipients are skipped. %s. Left out, by position from 0: %s.",
            len(self._errors),
            len(self._recipients),
            "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common()),
            ", ".join(self._named_wrong_ones(_MOST_SKIPPED_NAMED)),
        )

    def _named_wrong_ones(self, most: int) -> list[str]:
        names = [self.name(position, self._recipients[position]) for position in sorted(self._errors)[:most]]
        more = len(self._errors) - len(names)
        return [*names, f"and {more} more"] if more else names

    def _error(self) -> OtpiqValidationError:
        problems = [
            f"{self.name(position, self._recipients[position])}: {'; '.join(errors)}"
            for position, errors in sorted(self._errors.items())[:MOST_RECIPIENTS]
        ]
        more = len(self._errors) - len(problems)
        return OtpiqValidationError(
            f"{len(self._errors)} of {len(self._recipients)} recipients are wrong, and nothing was sent. By their"
            " position, counted from 0:" + as_lines(problems) + (f"\n  and {more} more" if more else ""),
            problems=problems,
        )


def were_all_attached_before(error: OtpiqRequestError) -> bool:
    """
    Tell whether OTPIQ refuses an attach only because every number is on the campaign already.

    That this is a 400 is documented, its wording is not: **these words are an assumption**. Where they are wrong, a
    repeated attach fails and nothing is lost; so that no other refusal passes for it, they are narrow.

    :param error: the refusal of an attach.
    :return: whether there was nothing left to add.
    """
    said = (error.server_message or "").lower()
    every = re.search(r"\b(all|every|each)\b.*\b(recipients?|numbers?|contacts?)\b", said)
    already = re.search(r"\balready (been )?(on|in|added|attached|part of|exists?)\b", said)
    otherwise = _OTHER_REASONS.search(said)
    return error.status_code == 400 and bool(every and already and not otherwise)  # noqa: PLR2004


_OTHER_REASONS = re.compile(
    "start|running|complet|status|sent|messag|receiv|limit|maxim|exceed|invalid|must|required|opt|block|unsubscri"
    "|archiv|clos|cancel|paus|lock|another|other|previous"
)


class _RequiredParameter:
    """A required parameter of a template."""

    def __init__(self, field: PayloadField) -> None:
        self._keys = field.path.split(".")
        self.name = presentable(f"{field.path} ({field.label})" if field.label else field.path)

    def missing_positions(self, recipients: list[dict[str, Any]]) -> list[int]:
        if self._all_have_some_text(recipients):
            return []
        return [position for position, recipient in enumerate(recipients) if self._is_missing_in(recipient)]

    def _all_have_some_text(self, recipients: Iterable[Any]) -> bool:
        """Look at all of them at once, which is quick, and enough where each has a string."""
        values = recipients
        for key in self._keys:
            values = map(itemgetter(key), values)
        try:
            return BLANK.isdisjoint(map(str.strip, values))
        except (KeyError, TypeError):
            return False

    def _is_missing_in(self, recipient: Mapping[Any, Any]) -> bool:
        value: Any = recipient
        try:
            for key in self._keys:
                value = value[key]
        except (KeyError, TypeError):
            return True
        return is_missing(value)


def _iterable(given: object) -> Iterable[Any]:
    if isinstance(given, str | bytes):
        raise ValueError(
            f"must be a list, an XComArg or a callable; found a text of {len(given)} characters (a template renders to"
            " text unless the DAG has render_template_as_native_obj)"
        )
    if isinstance(given, Mapping) or hasattr(given, "iterrows") or not _can_be_gone_through(given):
        raise ValueError(
            f"must be a list of recipients; found a {type(given).__name__} (a data frame's is .to_dict('records'))"
        )
    if isinstance(given, Sized) and not len(given):
        raise ValueError(_EMPTY)
    return given  # type: ignore[return-value]  # _can_be_gone_through has tried


def _can_be_gone_through(given: Any) -> bool:
    try:
        iter(given)
    except TypeError:  # an XComArg has the method, and refuses
        return False
    return True


def _as_it_stands(given: Iterable[Any], default_region: str) -> list[dict[str, Any]] | None:
    if not isinstance(given, list | tuple) or len(given) > MOST_RECIPIENTS:
        return None
    rows = list(given)
    return rows if all_in_api_form(rows, default_region) else None


def _without_reference(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "reference"}


def _can_be_encoded(recipient: dict[str, Any]) -> bool:
    try:
        request_body([recipient])
    except PydanticSerializationError:
        return False
    return True


def _refusal(problem: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"recipients: {problem}; nothing was sent.", problems=[f"recipients: {problem}"])


def _region(region: str) -> str:
    if not re.fullmatch("[A-Z]{2}", region):
        raise ValueError(f"must be a country's two capital letters, such as {DEFAULT_REGION}; found {shown(region)}")
    return region


class RecipientsRequest(CheckedRequest):
    """Recipients for a campaign, and how they are to be checked."""

    title = "The list of recipients"

    campaign_id: ObjectId
    on_invalid: Annotated[Literal["fail", "skip"], one_of("fail", "skip")] = "fail"
    default_region: Annotated[str, AfterValidator(_region)] = DEFAULT_REGION
    # Not read yet: that runs code of the DAG's author, whose errors are not to become ours.
    recipients: Annotated[Iterable[Any], PlainValidator(_iterable)]


class RecipientPayload(CheckedRequest):
    """The query of what each recipient must carry."""

    title = "The question for the recipient payload"

    campaign_id: ObjectId | None = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_id")
    @classmethod
    def _one_of_both(cls, template_id: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("campaign_id", "wrong itself") is not None and template_id is not None:
            raise ValueError("is given, and so is campaign_id; keep one of them")
        if info.data.get("campaign_id", "wrong itself") is None and template_id is None:
            raise ValueError("is required, and was not given, nor was campaign_id")
        return template_id

    @property
    def query(self) -> str:
        """The URL's query, by the API's names: a campaign's is its ``_id``."""
        return f"_id={self.campaign_id}" if self.campaign_id else f"templateId={self.template_id}"


class AttachedCampaign(dict[str, Any]):
    """The campaign that an attach gives back, and beside it what the response tells of the recipients."""

    attached: int | None = None
    """How many numbers were added; None if the response does not tell, and no documented one does."""
    already_attached: int | None = None
    """How many of the numbers were on the campaign before; None if the response does not tell."""


class AttachAnswer(BaseModel):
    """
    The answer to an attach. OTPIQ does not document it, so that any JSON object is taken: **an assumption**.

    What is documented of a campaign is read where it is there.
    """

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    success: Literal[True] = True
    data: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _says_something(cls, body: object) -> object:
        if not body:
            raise ValueError("it is no JSON object, or an empty one")
        if isinstance(body, dict) and (body.get("error") or body.get("errors")):
            raise ValueError("it tells of an error")
        return body
