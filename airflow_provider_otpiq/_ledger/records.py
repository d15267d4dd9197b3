"""The records of a ledger: the content of its objects."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_provider_otpiq._models.fields import ObjectId, Time

ID_LENGTH = 12
"""The length of a request's id."""


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


class Broadcast(Record):
    """The request of a broadcast."""

    request: dict[str, str]
    """The fields as they were set, and the connection."""
    audience: str
    """The location of the audience's manifest."""
    audience_checksum: str
    template_id: ObjectId
    phone_number_id: ObjectId
    project: str | None = None
    """OTPIQ's name of the connection's project; None in a ledger of version 0.3.0."""

    @property
    def id(self) -> str:
        """The id of the request, which differs for another request or another audience."""
        content = self.model_dump_json(include={"request", "audience_checksum"})
        return sha256(content.encode()).hexdigest()[:ID_LENGTH]

    def changes(self, request: dict[str, str], audience: str, audience_checksum: str) -> list[str]:
        """List how a new request differs from this one."""
        found = [
            f"{name}: was {self.request.get(name)!r}, is now {request.get(name)!r}"
            for name in sorted({*self.request, *request})
            if self.request.get(name) != request.get(name)
        ]
        if self.audience_checksum != audience_checksum:
            found.append(
                f"audience: {audience} was prepared again from other rows"
                if audience == self.audience
                else f"audience: was {self.audience!r}, is now {audience!r}, with other rows"
            )
        return found


class OfPart(Record):
    folder: ClassVar[str]


class Campaign(OfPart):
    """The campaign of a part."""

    folder = "campaigns"
    campaign_id: ObjectId
    attached: bool = False
    """Whether it holds the part's recipients."""
    recipients: Annotated[int | None, Field(ge=0)] = None
    """The number of recipients that OTPIQ reports; None if unknown."""
    estimated_cost: int | float | None = None
    """The cost in IQD that OTPIQ reports; None if unknown."""


class Start(Record):
    """Which request of a ledger starts, and when. All starts of a ledger are of the same request."""

    request: str = ""
    """The request's id; empty in a ledger of version 0.6.0 or earlier, where the folder's name is the id."""
    requested: Time | None
    """The time as it was set; None if it was not set, so that the lead time applied."""
    scheduled_for: Time
    """When the first wave starts."""
    wave_size: int | None = None
    """The maximum number of recipients of a wave; None if all campaigns start at once."""
    wave_interval: timedelta | None = None
    run_id: str | None = None
    """The DAG and its run that decided it; None in a ledger of an earlier version."""


class Stop(Record):
    """The end of a start, which schedules nothing from then on."""

    run_id: str | None = None
    """The DAG and its run that decided it."""


class Schedule(OfPart):
    """The campaign that sends a part, and when."""

    folder = "schedule"
    campaign_id: ObjectId
    scheduled_for: Time
    """The last time that was requested from OTPIQ."""
    first_scheduled_for: Time
    """The first time that was requested: once it has passed, the campaign may have started."""
    confirmed: bool = False
    """Whether OTPIQ has confirmed it, or that the campaign has started."""


class Stopped(Schedule):
    """A campaign that a stop has made a draft again, or that had started."""

    folder = "stopped"
    too_late: bool
    """Whether it had started, so that its people get the message."""
