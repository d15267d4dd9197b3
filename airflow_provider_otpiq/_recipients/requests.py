"""The requests about recipients: which parameters they need, and who they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sized
from os import PathLike
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import ObjectId, Region, String
from airflow_provider_otpiq._models.phone_numbers import DEFAULT_REGION
from airflow_provider_otpiq._models.text import NULL_VALUES, clean
from airflow_provider_otpiq._recipients.rows import EMPTY

_TABLE = re.compile(r"\S.*?(?!\.json$)((\.(csv|tsv|txt|json|jsonl|ndjson|parquet|xlsx?|gz|zst))+)", re.IGNORECASE)
"""The path of a file of rows, which is not a JSON list of recipients."""


def _iterable(recipients: object) -> Iterable[Any]:
    if isinstance(recipients, str | PathLike) and (suffix := _suffix_of_table(str(recipients))):
        raise ValueError(
            f"must be a list, an XComArg, a callable, or the path of a .json file; found the path of a {suffix} file."
            " Prepare that file with PrepareAudienceOperator, which reads CSV, JSON Lines and Parquet, and set the path"
            " of a part that it writes (…/parts/00000.json)"
        )
    if isinstance(recipients, str | bytes):
        raise ValueError(
            "must be a list, an XComArg, a callable, or an operator's path of a .json file; found a string of"
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


def _suffix_of_table(text: str) -> str | None:
    found = _TABLE.fullmatch(text)
    return found[1].lower() if found else None


def _can_be_iterated(recipients: Any) -> bool:
    try:
        iter(recipients)
    except TypeError:  # an XComArg has the method, and refuses
        return False
    return True


class RecipientsRequest(RequestModel):
    """Recipients for a campaign, and how they are validated."""

    subject = "The list of recipients"

    campaign_id: ObjectId
    on_invalid: Literal["fail", "skip"] = "fail"
    default_region: Region = DEFAULT_REGION
    null_values: tuple[Annotated[String, AfterValidator(clean)], ...] = NULL_VALUES
    # Not read yet: that runs code of the DAG's author, whose errors are not to become ours.
    recipients: Annotated[Iterable[Any], PlainValidator(_iterable)]


class RecipientPayload(RequestModel):
    """The query of what each recipient must carry."""

    subject = "The request for the recipient payload"

    campaign_id: ObjectId | None = None
    template_id: ObjectId | None = Field(default=None, validate_default=True)

    @field_validator("template_id")
    @classmethod
    def _one_of_both(cls, template_id: str | None, info: ValidationInfo) -> str | None:
        if info.data.get("campaign_id", "wrong itself") is not None and template_id is not None:
            raise ValueError("is set, and so is `campaign_id`; keep one of them")
        if info.data.get("campaign_id", "wrong itself") is None and template_id is None:
            raise ValueError("is required: set it or `campaign_id`")
        return template_id

    @property
    def query(self) -> str:
        """The URL's query, by the API's names: a campaign's is its ``_id``."""
        return f"_id={self.campaign_id}" if self.campaign_id else f"templateId={self.template_id}"
