"""
Delivery reports: the requests to generate and list them, and the responses.

The rules are the vendor's, from the pages about reports of https://docs.otpiq.com.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    RootModel,
    ValidationError,
    ValidationInfo,
)

from airflow_provider_otpiq._models.base import RequestModel, ResponseModel
from airflow_provider_otpiq._models.datetimes import to_api_format
from airflow_provider_otpiq._models.fields import Time, is_empty, is_set
from airflow_provider_otpiq._models.phone_numbers import normalize
from airflow_provider_otpiq._redaction import safe_repr
from airflow_provider_otpiq._validation_errors import list_some

if TYPE_CHECKING:
    from pendulum import DateTime

MESSAGE_STATUSES = ("pending", "sent", "delivered", "read", "failed")
"""The documented statuses of a message."""
STATUSES_ARE_LOST = "the report would include messages of every status"
_MAX_LISTED = 5
_TYPES = "a list of types of messages, such as 'WhatsApp Template'"


def words(value: object, allowed: tuple[str, ...]) -> list[str]:
    """Return one word, or several of a list, as a list."""
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple | set | frozenset) or not found:
        raise ValueError(f"must be a list of {', '.join(allowed)}; found {_describe(value)}")
    unknown = [word for word in found if word not in allowed]
    if unknown:
        raise ValueError(f"must be among {', '.join(allowed)}; found {', '.join(map(safe_repr, unknown))}")
    return [word for word in allowed if word in found]


def _describe(value: object) -> str:
    return "an empty list" if value in ([], (), set()) else safe_repr(value)


def strings(value: object, rule: str) -> list[str]:
    """Return one string, or several of a list, as a list."""
    found = [value] if isinstance(value, str) else value
    if isinstance(found, list | tuple | set | frozenset) and found and all(map(_is_text, found)):
        return list(found)
    raise ValueError(f"must be {rule}; found {_describe(value)}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and not is_empty(value)


MessageStatuses = Annotated[list[str], PlainValidator(partial(words, allowed=MESSAGE_STATUSES))]
"""Statuses of messages, from one or several."""
MessageTypes = Annotated[list[str], PlainValidator(partial(strings, rule=_TYPES))]
"""Types of messages by their names in a report, from one or several."""


def _phone_numbers(value: object) -> list[str]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ValueError(f"must be a list of phone numbers; found {safe_repr(value)}")
    numbers, errors = [], []
    for at, number in enumerate(value):
        try:
            numbers.append(f"+{normalize(number)}")
        except ValueError as error:
            errors.append(f"[{at}] {error}")
    if errors:
        raise ValueError(list_some(errors, _MAX_LISTED))
    if not numbers:
        raise ValueError("is an empty list; remove it to report on everybody's messages")
    return numbers


def after_start(end: DateTime | None, info: ValidationInfo) -> DateTime | None:
    """
    Return a period's end, which is after its start if both are set.

    :raises ValueError: if it is not.
    """
    start = info.data.get("start")
    if start and end and end <= start:
        raise ValueError(f"must be after start, {to_api_format(start)}; found {to_api_format(end)}")
    return end


class GenerateReport(RequestModel):
    """The body of a report request."""

    subject: ClassVar[str] = "The delivery report"
    failure_phrase: ClassVar[str] = "was not generated"
    required_if_set: ClassVar[dict[str, str]] = {
        "phone_numbers": "the report would include everybody",
        "statuses": STATUSES_ARE_LOST,
    }

    start: Annotated[Time, Field(serialization_alias="startDate")]
    end: Annotated[Time, AfterValidator(after_start), Field(serialization_alias="endDate")]
    phone_numbers: Annotated[list[str] | None, PlainValidator(_phone_numbers)] = None
    statuses: MessageStatuses | None = None


class ListReports(RequestModel):
    """The query of the list of reports."""

    subject: ClassVar[str] = "The reports"
    failure_phrase: ClassVar[str] = "were not listed"

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    status: Annotated[list[str] | None, PlainValidator(partial(words, allowed=("available", "expired", "deleted")))] = (
        None
    )

    @property
    def query(self) -> str:
        """The URL's query."""
        return f"limit={self.limit}" + (f"&status={','.join(self.status)}" if self.status else "")


class Report(ResponseModel, extra="allow"):
    """A report as OTPIQ returns it. Other fields may be missing, null or new."""

    assumption: ClassVar[str] = "report-shape"

    id: Annotated[str, Field(alias="_id", min_length=1)]
    download_url: Annotated[str, Field(alias="downloadUrl", min_length=1)]
    record_count: Annotated[int, Field(alias="recordCount", ge=0, strict=True)]
    status: str | None = None


class ReportList(RootModel[list[Report]]):
    """The response to a list of reports."""


def _report(value: Any) -> Report:
    try:
        report = Report.model_validate(value)
    except ValidationError:
        raise ValueError("must be a report as generate_report or list_reports returns it") from None
    if report.status not in (None, "available"):
        raise ValueError(f"must be available; found {safe_repr(report.status)}. Generate another report")
    return report


def _destination(value: object) -> str:
    if is_set(location := str(value).strip()) and not location.endswith("/"):
        return location
    raise ValueError("must be the local path or URL of a file")


Destination = Annotated[str, BeforeValidator(_destination)]


class DownloadReport(RequestModel):
    """A report to download, and its destination."""

    subject: ClassVar[str] = "The report"
    failure_phrase: ClassVar[str] = "was not downloaded"

    report: Annotated[Report, PlainValidator(_report)]
    destination: Destination
