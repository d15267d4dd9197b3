"""The requests about recipients: who they are, and which parameters they need."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
from os import PathLike
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import ObjectId, Region, String
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.text import NULL_VALUES, clean
from airflow_provider_otpiq._recipients.validator import EMPTY
from airflow_provider_otpiq._redaction import describe_count

_OTHER_FILE = re.compile(r"\S.*?((\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx?|gz|zst))+)", re.IGNORECASE)
"""The path of a file that is not read: what reaches this module was not read by an operator."""


def _iterable(recipients: object) -> Iterable[Any]:
    if isinstance(recipients, str | PathLike) and (path := _OTHER_FILE.fullmatch(str(recipients))):
        raise ValueError(
            f"a {path[1].lower()} file cannot be read; the operators read .json and .csv files (.csv.gz, .csv.zst)."
            " Prepare other files with PrepareAudienceOperator, and set the path of a part (…/parts/00000.json)"
        )
    if isinstance(recipients, str | bytes):
        raise ValueError(
            "must be a list of recipients, an XComArg, a callable, or the path of a .json or .csv file; found a string"
            f" of {describe_count(len(recipients), 'character')}. If a template renders to a list, set"
            " render_template_as_native_obj=True on the DAG"
        )
    if isinstance(recipients, Mapping) or hasattr(recipients, "iterrows") or not _can_be_iterated(recipients):
        raise ValueError(
            f"must be a list of recipients, not {type(recipients).__name__}; convert a data frame with"
            " .to_dict('records')"
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


class RecipientsRequest(RequestModel):
    """Recipients for a campaign, and how they are validated."""

    subject = "The list of recipients"
    required_if_set: ClassVar[dict[str, str]] = {
        "default_region": "national numbers would be read as those of another country",
        "null_values": "other strings would mean that a value is missing",
    }

    campaign_id: ObjectId
    on_invalid: Literal["fail", "skip"] = "fail"
    default_region: Region = DEFAULT_REGION
    null_values: tuple[Annotated[String, AfterValidator(clean)], ...] = NULL_VALUES
    # Not iterated over here: that runs the DAG author's code, whose errors must not become ours.
    recipients: Annotated[Iterable[Any], PlainValidator(_iterable)]


class RecipientPayload(RequestModel):
    """The query of what each recipient must carry."""

    subject = "The request for the recipient payload"

    campaign_id: ObjectId | None = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_id")
    @classmethod
    def _exactly_one(cls, template_id: str | None, info: ValidationInfo) -> str | None:
        campaign_id = info.data.get("campaign_id", "invalid")
        if campaign_id is not None and template_id is not None:
            raise ValueError("cannot be combined with campaign_id; set only one of them")
        if campaign_id is None and template_id is None:
            raise ValueError("is required: set it or campaign_id")
        return template_id

    @property
    def query(self) -> str:
        """The URL's query, with the API's names: a campaign's is ``_id``."""
        return f"_id={self.campaign_id}" if self.campaign_id else f"templateId={self.template_id}"
