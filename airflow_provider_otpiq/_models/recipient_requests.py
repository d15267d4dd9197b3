"""What is asked for around recipients: which parameters they need, to attach them, and to send them a sample."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
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

from airflow_provider_otpiq._models.fields import ObjectId, one_of
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.recipient_rows import EMPTY
from airflow_provider_otpiq._models.request import RequestModel
from airflow_provider_otpiq._redaction import safe_repr

if TYPE_CHECKING:
    from airflow_provider_otpiq.exceptions import OtpiqRequestError


def _iterable(recipients: object) -> Iterable[Any]:
    if isinstance(recipients, str | bytes):
        raise ValueError(
            "must be a list, an XComArg or a callable; found a string of"
            f" {len(recipients)} characters (a template renders to a string unless the DAG has"
            " render_template_as_native_obj)"
        )
    if isinstance(recipients, Mapping) or hasattr(recipients, "iterrows") or not _can_be_iterated(recipients):
        raise ValueError(
            f"must be a list of recipients; found a {type(recipients).__name__} (a data frame's is .to_dict('records'))"
        )
    if isinstance(recipients, Sized) and not len(recipients):
        raise ValueError(EMPTY)
    return recipients  # type: ignore[return-value]  # _can_be_iterated has tried


def _can_be_iterated(recipients: Any) -> bool:
    try:
        iter(recipients)
    except TypeError:  # an XComArg has the method, and refuses
        return False
    return True


def _region(region: str) -> str:
    if not re.fullmatch("[A-Z]{2}", region):
        raise ValueError(
            f"must be a country's two capital letters, such as {DEFAULT_REGION}; found {safe_repr(region)}"
        )
    return region


class RecipientsRequest(RequestModel):
    """Recipients for a campaign, and how they are validated."""

    title = "The list of recipients"

    campaign_id: ObjectId
    on_invalid: Annotated[Literal["fail", "skip"], one_of("fail", "skip")] = "fail"
    default_region: Annotated[str, AfterValidator(_region)] = DEFAULT_REGION
    # Not read yet: that runs code of the DAG's author, whose errors are not to become ours.
    recipients: Annotated[Iterable[Any], PlainValidator(_iterable)]


class RecipientPayload(RequestModel):
    """The query of what each recipient must carry."""

    title = "The request for the recipient payload"

    campaign_id: ObjectId | None = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_id")
    @classmethod
    def _one_of_both(cls, template_id: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("campaign_id", "wrong itself") is not None and template_id is not None:
            raise ValueError("is set, and so is campaign_id; keep one of them")
        if info.data.get("campaign_id", "wrong itself") is None and template_id is None:
            raise ValueError("is required, and is not set, nor is campaign_id")
        return template_id

    @property
    def query(self) -> str:
        """The URL's query, by the API's names: a campaign's is its ``_id``."""
        return f"_id={self.campaign_id}" if self.campaign_id else f"templateId={self.template_id}"


class AttachedCampaign(dict[str, Any]):
    """The campaign that an attach returns, and beside it what the response tells of the recipients."""

    attached: int | None = None
    """How many numbers were added; None if the response does not tell, and no documented one does."""
    already_attached: int | None = None
    """How many of the numbers were on the campaign before; None if the response does not tell."""


class AttachResponse(BaseModel):
    """
    The response to an attach. OTPIQ does not document it, so any JSON object is accepted: **an assumption**.

    The documented fields of a campaign are read where they are there.
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


def all_already_attached(error: OtpiqRequestError) -> bool:
    """
    Tell whether OTPIQ refuses an attach only because every number is on the campaign already.

    That this is a 400 is documented, its wording is not: **these words are an assumption**. Where they are wrong, a
    retried attach fails and nothing is lost. They are narrow, so that no other error passes for it.
    """
    message = (error.server_message or "").lower()
    every = re.search(r"\b(all|every|each)\b.*\b(recipients?|numbers?|contacts?)\b", message)
    already = re.search(r"\balready (been )?(on|in|added|attached|part of|exists?)\b", message)
    otherwise = _OTHER_REASONS.search(message)
    return error.status_code == 400 and bool(every and already and not otherwise)  # noqa: PLR2004


_OTHER_REASONS = re.compile(
    "start|running|complet|status|sent|messag|receiv|limit|maxim|exceed|invalid|must|required|opt|block|unsubscri"
    "|archiv|clos|cancel|paus|lock|another|other|previous"
)
