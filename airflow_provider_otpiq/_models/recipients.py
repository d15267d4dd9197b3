"""
Recipients: read, checked one by one, and never shown; and what OTPIQ asks and answers about them.

Each recipient is a person's phone number and the values that fill the template for this person. No text that is made
here holds either of them: a wrong recipient is named by its position, with most of the number masked.
"""

from __future__ import annotations

import logging
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sized
from copy import deepcopy
from itertools import islice
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
from pydantic_core import PydanticSerializationError, to_json

from airflow_provider_otpiq._models.campaigns import CheckedRequest, ObjectId, one_of
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION, in_api_form
from airflow_provider_otpiq._redaction import masked_number, presentable, shown
from airflow_provider_otpiq._validation_errors import as_lines
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.exceptions import OtpiqRequestError

log = logging.getLogger(__name__)

MOST_RECIPIENTS = 1000
"""What a campaign can hold, and what one request can carry."""
MOST_ROWS = 100_000
"""What is read at the most, where wrong ones are to be skipped."""

_EMPTY = "is empty: at least one recipient is needed"
_BLANK = ("", "None", "nan")  # the text of None, and of what pandas has for a missing value


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


class CheckedRecipients(tuple[dict[str, Any], ...]):
    """Recipients in the API's shape that have passed every check, as they are sent."""

    __slots__ = ()


class Recipients:
    """
    Recipients as they were given, sorted into good and wrong ones.

    :param given: dicts in the API's shape, or phone numbers. What going through them raises is left as it is.
    :param default_region: the country of national phone numbers, two letters.
    :raises OtpiqValidationError: if there are none, or far too many.
    """

    def __init__(self, given: Iterable[Any], default_region: str) -> None:
        self.good: dict[int, dict[str, Any]] = {}
        self._problems: dict[int, list[str]] = {}
        self._given: list[Mapping[Any, Any]] = []
        for position, row in enumerate(_rows(given)):
            recipient, problems = _checked(row, default_region)
            self._given.append(row)
            if problems:
                self._problems[position] = problems
            else:
                self.good[position] = recipient
        if not self._given:
            raise _refusal(_EMPTY)
        if len(self._given) > MOST_ROWS:
            raise _refusal(f"are more than {MOST_ROWS}, which is more than is read")

    def require(self, payload: Mapping[str, Any]) -> None:
        """
        Check the template's own required parameters.

        :param payload: OTPIQ's recipient payload.
        """
        fields = Payload.model_validate(payload).fields
        for parameter in [_RequiredParameter(field) for field in fields if field.required]:
            for position, given in enumerate(self._given):
                if parameter.is_missing_in(given):
                    self.good.pop(position, None)
                    self._problems.setdefault(position, []).append(f"{parameter.name} is required, and was not given")

    def taken(self, *, skip_invalid: bool) -> CheckedRecipients:
        """
        Take the good ones.

        :param skip_invalid: whether to leave out the wrong ones, which is logged, instead of refusing them all.
        :return: the recipients in the API's shape.
        :raises OtpiqValidationError: if there are wrong ones and they are not to be skipped, if no good one is left,
            or if there are more than a campaign can hold. The text lists each wrong one.
        """
        self._refuse_what_is_no_json()
        count = len(self.good if skip_invalid else self._given)
        if count > MOST_RECIPIENTS:
            raise _refusal(f"are {count}, and a campaign can hold {MOST_RECIPIENTS}; divide them over several")
        if self._problems and not (skip_invalid and self.good):
            raise self._error()
        if self._problems:
            reasons = Counter(problem for problems in self._problems.values() for problem in problems)
            listed = "; ".join(f"{count}x {reason}" for reason, count in reasons.most_common())
            log.warning("%d of %d recipients are skipped. %s", len(self._problems), len(self._given), listed)
        return CheckedRecipients(self.good.values())

    def _refuse_what_is_no_json(self) -> None:
        if not _is_json(list(self.good.values())):  # all at once, as it is rare
            for position in [at for at, recipient in self.good.items() if not _is_json(recipient)]:
                del self.good[position]
                self._problems[position] = ["templateParameters holds what is no JSON, or half a character"]

    def _error(self) -> OtpiqValidationError:
        problems = [
            f"recipients[{position}] ({masked_number(self._given[position].get('phoneNumber'))}): {'; '.join(found)}"
            for position, found in sorted(self._problems.items())[:MOST_RECIPIENTS]
        ]
        more = len(self._problems) - len(problems)
        return OtpiqValidationError(
            f"{len(self._problems)} of {len(self._given)} recipients are wrong, and nothing was sent. By their"
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

    def is_missing_in(self, recipient: Mapping[Any, Any]) -> bool:
        value: Any = recipient
        try:
            for key in self._keys:
                value = value[key]
        except (KeyError, TypeError):
            return True
        if isinstance(value, str):
            return value.strip() in _BLANK
        # Asked for a key, a defaultdict makes an empty value up.
        return value is None or value in ([], {}) or (isinstance(value, float) and math.isnan(value))


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


def _rows(given: Iterable[Any]) -> Iterator[Mapping[Any, Any]]:
    """Go through the recipients as mappings, one more than is read at the most."""
    kept_by_others = isinstance(given, list | tuple)
    for value in islice(given, MOST_ROWS + 1):
        if not isinstance(value, (dict, Mapping)):
            yield {"phoneNumber": value}
        else:
            yield value if kept_by_others else deepcopy(value)  # whoever yields may use the same dict again


def _refusal(problem: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"recipients: {problem}; nothing was sent.", problems=[f"recipients: {problem}"])


def _checked(given: Mapping[Any, Any], default_region: str) -> tuple[dict[str, Any], list[str]]:
    number, parameters = given.get("phoneNumber"), given.get("templateParameters")
    problems = []
    try:
        number = in_api_form(number, default_region)
    except ValueError as error:
        problems.append(f"phoneNumber {error}")
    if parameters is not None and not _are_sections(parameters):
        problems.append('templateParameters must be like {"body": {"1": "Ali"}}')
    if others := len(given) - ("phoneNumber" in given) - ("templateParameters" in given):
        problems.append(f"has {others} other keys than phoneNumber and templateParameters")
    if parameters is None:
        return {"phoneNumber": number}, problems
    return {"phoneNumber": number, "templateParameters": parameters}, problems


def _are_sections(parameters: object) -> bool:
    if not isinstance(parameters, dict):
        return False
    for section in parameters.values():  # noqa: SIM110  # `all` would cost a third of the whole check
        if not isinstance(section, dict):
            return False
    return True


def _is_json(value: Any) -> bool:
    try:
        to_json(value)
    except PydanticSerializationError:
        return False
    return True


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
