"""The fields of the operators of a broadcast, which is one message in as many campaigns as needed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import PurePath
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, ValidationInfo, field_validator

from airflow_provider_otpiq._models.base import RequestModel
from airflow_provider_otpiq._models.fields import CampaignName, ManifestPath, String, Time
from airflow_provider_otpiq._models.template_and_sender import TemplateAndSender
from airflow_provider_otpiq._redaction import describe_count, safe_repr

MIN_LEAD_TIME = timedelta(minutes=2)


def unwrap_mapped_path(value: object) -> object:
    """
    Return the path that all instances of a mapped task return.

    :raises ValueError: if they return several.
    """
    if isinstance(value, str | bytes) or not hasattr(value, "__iter__"):
        return value
    if isinstance(value, Mapping):
        raise ValueError("must be one path; found a dict. Set the output of the task, not another XCom")
    found = set(map(type, value)) - {str}
    if found:
        raise ValueError("must be one path; found a list of other values. Set the output of the task, not another XCom")
    paths = set(value)
    if len(paths) != 1:
        found_paths = describe_count(len(paths), "path")
        raise ValueError(f"must be one path, the same of all instances of the mapped task; found {found_paths}")
    return paths.pop()


def _whole(value: object) -> object:
    if isinstance(value, bool) or (isinstance(value, str) and not value.strip().isdecimal()):
        raise ValueError(f"must be a whole number; found {safe_repr(value)}")
    return value


def _duration(value: Any) -> timedelta:
    if not isinstance(value, timedelta):
        raise ValueError(f"must be a timedelta, such as timedelta(minutes=10); found {safe_repr(value)}")
    if value < timedelta():
        raise ValueError("must be zero or longer, such as timedelta(minutes=10); found a negative timedelta")
    # The ledger saves a fixed duration; pendulum would add its months as calendar months.
    return timedelta(value.days, value.seconds, value.microseconds)


def _at_least_the_minimum(value: timedelta) -> timedelta:
    if value < MIN_LEAD_TIME:
        raise ValueError("must be at least two minutes, because the request must arrive before the time")
    return value


def _not_zero(value: timedelta) -> timedelta:
    if not value:
        raise ValueError("must be longer than zero, such as timedelta(minutes=30)")
    return value


def _absolute(location: str) -> str:
    """Refuse a relative path, which depends on the working directory."""
    if "://" in location or PurePath(location).is_absolute():
        return location
    raise ValueError(f"must be an absolute path or a URL; found {safe_repr(location)}")


_Whole = Annotated[int, BeforeValidator(_whole)]
_Duration = Annotated[timedelta, PlainValidator(_duration)]
_Interval = Annotated[_Duration, AfterValidator(_not_zero)]
_SHARDS_ARE_LOST = {"shards": "this task would work on all parts"}


class _Sharded(RequestModel):
    shards: Annotated[_Whole, Field(ge=1)] = 1
    shard: Annotated[Annotated[_Whole, Field(ge=0)] | None, Field(validate_default=True)] = None

    @field_validator("shard")
    @classmethod
    def _is_a_shard(cls, shard: int | None, info: ValidationInfo) -> int | None:
        shards = info.data.get("shards", 1)
        if shard is None and shards > 1:  # the people of the other shards would get nothing
            example = f".partial(shards={shards}, …).expand(shard=list(range({shards})))"
            raise ValueError(f"is required, because shards is {shards}. Map the task: {example}")
        if shard is not None and "shards" in info.data and shard >= shards:
            raise ValueError(f"must be 0 to {shards - 1}, because shards is {shards}; found {shard}")
        return shard

    def parts_of_shard(self, parts: list[Any]) -> list[Any]:
        """Select the parts of this shard."""
        return parts[self.shard :: self.shards]


class CreateBroadcast(TemplateAndSender, _Sharded):
    """The message of a broadcast, its sending number and its audience."""

    subject = "This task"
    failure_phrase = "created nothing"
    requires_template_and_sender = True
    required_if_set: ClassVar[dict[str, str]] = {
        **_SHARDS_ARE_LOST,
        "ledger": "a second broadcast would send to the same people again",
    }

    audience: ManifestPath
    ledger: Annotated[String, AfterValidator(_absolute)] | None = None
    name: CampaignName

    @property
    def identity(self) -> dict[str, str]:
        """The fields that must stay the same in all tries of a broadcast."""
        fields = ("name", "template_id", "template_name", "template_language", "phone_number_id", "phone_number")
        return {field: str(getattr(self, field)) for field in fields if getattr(self, field) is not None}


class StartBroadcast(_Sharded):
    """When the campaigns of a broadcast start."""

    subject = "This task"
    failure_phrase = "scheduled nothing"
    required_if_set: ClassVar[dict[str, str]] = {
        **_SHARDS_ARE_LOST,
        "scheduled_for": "the messages would go out as soon as possible",
        "wave_size": "all campaigns would start at once",
    }

    broadcast: Annotated[String, BeforeValidator(unwrap_mapped_path)]
    scheduled_for: Time | None = None
    lead_time: Annotated[_Duration, AfterValidator(_at_least_the_minimum)]
    max_delay: _Duration
    wave_size: Annotated[_Whole, Field(ge=1)] | None = None
    wave_interval: Annotated[_Interval | None, Field(validate_default=True)] = None
    check_health: bool = True

    @field_validator("wave_interval")
    @classmethod
    def _together_with_its_size(cls, interval: timedelta | None, info: ValidationInfo) -> timedelta | None:
        if "wave_size" in info.data and (interval is None) != (info.data["wave_size"] is None):
            raise ValueError("must be set if wave_size is set, and only then")
        max_delay = info.data.get("max_delay", timedelta())
        if interval is not None and interval < max_delay:  # late waves would start together
            minutes = max_delay / timedelta(minutes=1)
            raise ValueError(f"must be at least max_delay ({minutes:g} minutes); set a shorter max_delay")
        return interval


class StopBroadcast(_Sharded):
    """The broadcast to stop."""

    subject = "This task"
    failure_phrase = "stopped nothing"
    required_if_set: ClassVar[dict[str, str]] = _SHARDS_ARE_LOST

    broadcast: Annotated[String, BeforeValidator(unwrap_mapped_path)]
    fail_if_too_late: bool = True
