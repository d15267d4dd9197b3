"""Which messages a task reports on or waits for, validated before anything is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from airflow_provider_otpiq._broadcast.request import unwrap_mapped_path
from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import ManifestPath, String, Time
from airflow_provider_otpiq._models.reports import (
    STATUSES_ARE_LOST,
    Destination,
    MessageStatuses,
    MessageTypes,
    after_start,
)
from airflow_provider_otpiq._redaction import safe_repr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pendulum import DateTime

_FORMATS = {".parquet": "parquet", ".csv": "csv"}
_MIN_POKE_INTERVAL = 60  # seconds
_EVERYBODY = "the report would be about everybody"


class MessageSelection(RequestModel):
    """The messages of a period, of a broadcast, or of an audience in a period."""

    subject: ClassVar[str] = "The delivery report"
    failure_phrase: ClassVar[str] = "was not generated"
    required_if_set: ClassVar[dict[str, str]] = {
        "broadcast": _EVERYBODY,
        "audience": _EVERYBODY,
        "message_types": "messages of other types would be counted",
    }

    broadcast: Annotated[String | None, BeforeValidator(unwrap_mapped_path)] = None
    audience: ManifestPath | None = None
    start: Annotated[Time | None, Field(validate_default=True)] = None
    end: Annotated[Time | None, AfterValidator(after_start), Field(validate_default=True)] = None
    message_types: MessageTypes | None = None

    @property
    def counted_types(self) -> Sequence[str] | None:
        """The types of messages that count; None for all. A broadcast's is assumption ``report-message-type``."""
        return self.message_types or (["WhatsApp Template"] if self.broadcast else None)

    @field_validator("audience")
    @classmethod
    def _not_together_with_a_broadcast(cls, audience: str | None, info: ValidationInfo) -> str | None:
        if audience is not None and info.data.get("broadcast") is not None:
            raise ValueError("cannot be combined with broadcast, which has its own audience; set only one of them")
        return audience

    @field_validator("start", "end")
    @classmethod
    def _required_without_a_broadcast(cls, time: DateTime | None, info: ValidationInfo) -> DateTime | None:
        if time is None and info.data.get("broadcast", "wrong itself") is None:
            raise ValueError("is required: set it, or set broadcast, which has its own period")
        return time


def _known_format(location: str) -> str:
    if location.endswith(tuple(_FORMATS)):
        return location
    raise ValueError(f"must end in {' or '.join(_FORMATS)}, which selects the file format; found {safe_repr(location)}")


class ReportRequest(MessageSelection):
    """A report that is written to a file."""

    required_if_set: ClassVar[dict[str, str]] = {**MessageSelection.required_if_set, "statuses": STATUSES_ARE_LOST}

    statuses: MessageStatuses | None = None
    destination: Annotated[Destination, AfterValidator(_known_format)]

    @property
    def file_format(self) -> str:
        """The format of the file: ``parquet`` or ``csv``."""
        return next(name for suffix, name in _FORMATS.items() if self.destination.endswith(suffix))


def _share(value: Any) -> float:
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = -1.0
    if isinstance(value, bool) or not 0 < share <= 1:
        raise ValueError(f"must be above 0.0 and at most 1.0, such as 0.98 for 98 %; found {safe_repr(str(value))}")
    return share


def _interval(seconds: float) -> float:
    if seconds < _MIN_POKE_INTERVAL:
        raise ValueError(
            f"must be at least {_MIN_POKE_INTERVAL} seconds, because each poke generates a report; found {seconds:g}"
        )
    return seconds


class AwaitDeliveryRequest(MessageSelection):
    """The messages that a sensor waits for."""

    subject: ClassVar[str] = "The sensor"
    failure_phrase: ClassVar[str] = "generated no report"

    min_final: Annotated[float, PlainValidator(_share)]
    max_failed_pokes: Annotated[int, Field(ge=0)]
    poke_interval: Annotated[float, AfterValidator(_interval)]
