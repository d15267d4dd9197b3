"""The response to an attach, which OTPIQ does not document: see assumption ``attach-shape``."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from airflow_provider_otpiq._models.base import ResponseModel

if TYPE_CHECKING:
    from airflow_provider_otpiq.exceptions import OtpiqRequestError


class AttachedCampaign(dict[str, Any]):
    """The campaign that an attach returns, and the counts of its recipients."""

    attached: int | None = None
    """How many numbers were added; None if unknown, as no documented response has it."""
    already_attached: int | None = None
    """How many of the numbers were on the campaign before; None if unknown."""

    @classmethod
    def unchanged(cls, campaign_id: str, already_attached: int) -> Self:
        """Return a campaign that had all of the numbers before."""
        campaign = cls(_id=campaign_id)
        campaign.attached, campaign.already_attached = 0, already_attached
        return campaign


class AttachResponse(ResponseModel, extra="allow"):
    """The response to an attach: any JSON object that reports no error, assumption ``attach-shape``."""

    assumption: ClassVar[str] = "attach-shape"

    success: Literal[True] = True
    data: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _reports_no_error(cls, body: object) -> object:
        if not body:
            raise ValueError("must be a JSON object that is not empty")
        if isinstance(body, dict) and (body.get("error") or body.get("errors")):
            raise ValueError("reports an error")
        return body


def all_already_attached(error: OtpiqRequestError) -> bool:
    """
    Return whether OTPIQ refuses an attach only because every number is on the campaign already.

    That this is a 400 is documented, its wording is not: assumption ``attach-all-present``. If it is wrong, a retried
    attach fails and nothing is lost. The words are narrow, so that no other error is taken for it.
    """
    return error.status_code == HTTPStatus.BAD_REQUEST and says_all_already_attached(error.server_message or "")


def may_be_all_attached(error: OtpiqRequestError) -> bool:
    """Return whether OTPIQ may refuse an attach because every number is on the campaign, in words nobody has seen."""
    message = (error.server_message or "").lower()
    may_be = _NOTHING_NEW.search(message) and not _OTHER_REASONS.search(message)
    return error.status_code == HTTPStatus.BAD_REQUEST and bool(may_be)


def says_all_already_attached(text: str) -> bool:
    """Return whether a message states only that every number is on the campaign already."""
    message = text.lower()
    every = re.search(r"\b(all|every|each)\b.*\b(recipients?|numbers?|contacts?)\b", message)
    already = re.search(r"\balready (been )?(on|in|added|attached|part of|exists?)\b", message)
    other = _OTHER_REASONS.search(message)
    return bool(every and already and not other)


_NOTHING_NEW = re.compile("already|exist|present|duplicate|added|no new")
_OTHER_REASONS = re.compile(
    "start|running|complet|status|sent|messag|receiv|limit|maxim|exceed|invalid|must|required|opt|block|unsubscri"
    "|archiv|clos|cancel|paus|lock|another|other|previous|at most"
)
