"""
The ledger of a broadcast: what was done for each part of its audience, in small objects beside the audience.

It survives failed tries, killed workers, clears and new DAG runs, on every version of Airflow. Below its folder:

- ``broadcast.json``: the request, and the audience that it was made for;
- ``start.json``: which request starts, and when;
- ``<id of the request>/request.json``: the same as ``broadcast.json``, which shows that this folder was not lost;
- ``<id of the request>/campaigns/00000.json``: the campaign of a part, and what OTPIQ says that it holds;
- ``<id of the request>/schedule/00000.json``: which campaign sends a part, and when.

What several processes could decide differently is created exclusively: the first one decides, the others follow. Which
campaign *holds* a part may still change, as a draft that may hold the wrong people is given up. Which request *starts*
is decided once, and so is which campaign *sends* a part, before OTPIQ is asked to schedule it. Neither ever changes.

Up to version 0.6.0, ``start.json`` was in the folder of its request. It is still read there.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from airflow_provider_otpiq._models.fields import ObjectId, Time
from airflow_provider_otpiq._storage import Folder, absolute
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BROADCAST = "broadcast.json"
_START = "start.json"
_REQUEST = "request"
_ID_LENGTH = 12
_ID = re.compile(rf"[0-9a-f]{{{_ID_LENGTH}}}")


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=1).encode()


class Broadcast(_Record):
    """The request of a broadcast."""

    request: dict[str, str]
    """The fields as they were set, and the connection."""
    audience: str
    """Where the audience's manifest is."""
    audience_checksum: str
    template_id: ObjectId
    phone_number_id: ObjectId
    project: str | None = None
    """What OTPIQ calls the project of the connection; None in a ledger of version 0.3.0."""

    @property
    def id(self) -> str:
        """What differs where another request, or another audience, is meant."""
        meant = self.model_dump_json(include={"request", "audience_checksum"})
        return sha256(meant.encode()).hexdigest()[:_ID_LENGTH]

    def changes(self, saved: Broadcast) -> list[str]:
        """List what differs from the one that was saved before."""
        names = sorted({*self.request, *saved.request})
        found = [
            f"{name} was {saved.request.get(name)!r}, and is {self.request.get(name)!r}"
            for name in names
            if self.request.get(name) != saved.request.get(name)
        ]
        changed = self.audience_checksum != saved.audience_checksum
        return [*found, f"audience {self.audience} was prepared anew from other rows"] if changed else found


class Campaign(_Record):
    """The campaign of a part."""

    campaign_id: ObjectId
    attached: bool = False
    """Whether it holds the part's recipients."""
    recipients: Annotated[int | None, Field(ge=0)] = None
    """How many it holds, as OTPIQ says; None where it does not."""
    estimated_cost: int | float | None = None
    """In IQD, as OTPIQ says; None where it does not."""


class Start(_Record):
    """Which request of a ledger starts, and when."""

    request: str = ""
    """The request's id; empty in a ledger of version 0.6.0 or earlier, where the folder's name is the id."""
    requested: Time | None
    """The time as it was set; None where it was left to the lead time."""
    scheduled_for: Time
    run_id: str | None = None
    """The DAG and its run that decided it; None in a ledger of an earlier version."""


class Schedule(_Record):
    """The campaign that sends a part, and when."""

    campaign_id: ObjectId
    scheduled_for: Time
    """The time that OTPIQ was asked for last."""
    first_scheduled_for: Time
    """The time that OTPIQ was asked for first: once it has passed, the campaign may have started."""
    confirmed: bool = False
    """Whether OTPIQ has confirmed it, or that the campaign has started."""


Record = TypeVar("Record", bound=_Record)


class Ledger:
    """
    The ledger in a folder.

    :param location: a local path or a URL.
    """

    def __init__(self, location: str) -> None:
        self._folder = Folder(location)
        self._id = ""

    def __str__(self) -> str:
        return str(self._folder)

    @property
    def location(self) -> str:
        """Where it is, from wherever that is asked."""
        return absolute(str(self))

    def read(self) -> Broadcast | None:
        """Read the request that it is about; None if it is about none yet."""
        broadcast = self._read(Broadcast, _BROADCAST)
        if broadcast:
            self._id = broadcast.id
        return broadcast

    def is_intact(self) -> bool:
        """Tell whether it has a request, as it was read, and what belongs to that is there."""
        if not self._id:
            return False
        has_request = self._folder.read(self._place(_REQUEST)) is not None
        return has_request or bool(self._folder.list(f"{self._id}/campaigns"))  # version 0.3.0 wrote no request there

    def begin(self, broadcast: Broadcast) -> Broadcast:
        """Save the request, unless another process has: then that one's is returned."""
        saved = self._claim(_BROADCAST, broadcast)
        self._folder.require_exclusive_creation(_BROADCAST)
        self._save_id(saved)
        return saved

    def replace(self, broadcast: Broadcast) -> None:
        """
        Save a changed request instead of the saved one.

        :raises OtpiqValidationError: if the start of another request has begun.
        """
        self._require_no_lost_start()
        self._id = broadcast.id
        self.start()
        self._save_id(broadcast)  # first: a ledger without it is damaged
        self._write(_BROADCAST, broadcast)

    def has_schedules(self) -> bool:
        """Return whether some campaign is scheduled or may be, which a start has decided."""
        return bool(self._folder.list(f"{self._id}/schedule"))

    def _require_no_lost_start(self) -> None:
        if self.has_schedules() and self.start() is None:
            error = f"the ledger {self} has lost its start"
            raise OtpiqValidationError(
                f"Nothing was changed: {error}, and campaigns are scheduled. Restore it, or set another ledger for"
                " another message.",
                errors=[error],
            )

    def _save_id(self, broadcast: Broadcast) -> None:
        self._id = broadcast.id
        self._write(self._place(_REQUEST), broadcast)

    def campaigns(self, parts: Iterable[str]) -> dict[str, Campaign]:
        """Read the campaigns of those parts that have one."""
        return self._read_all(Campaign, "campaigns", parts)

    def claim_campaign(self, part: str, campaign: Campaign) -> Campaign:
        """Save the first campaign of a part; where another process was earlier, that one's is returned."""
        return self._claim(self._place("campaigns", part), campaign)

    def save_campaign(self, part: str, campaign: Campaign) -> None:
        """Save a campaign that holds its part, the first one or another in its place."""
        self._write(self._place("campaigns", part), campaign)

    def start(self) -> Start | None:
        """
        Read when the broadcast starts; None if that was not decided yet.

        :raises OtpiqValidationError: if another request starts, so that this one never does.
        """
        start = self._any_start()
        return self._require_same_request(start) if start else None

    def claim_start(self, start: Start) -> Start:
        """
        Decide which request starts, and when; if another process was earlier, return its decision.

        :raises OtpiqValidationError: if another request starts, so that this one never does.
        """
        return self._require_same_request(self._claim(_START, start))

    def audience_checksum(self) -> str | None:
        """Read the checksum of the request's audience, started or not; None if there is no request yet."""
        start = self._any_start()
        started = start and self._read(Broadcast, f"{start.request}/{_REQUEST}.json")
        broadcast = started or self._read(Broadcast, _BROADCAST)
        return broadcast.audience_checksum if broadcast else None

    def _any_start(self) -> Start | None:
        return self._read(Start, _START) or self._start_below_a_request()

    def _start_below_a_request(self) -> Start | None:
        """Read the start in a ledger of version 0.6.0 or earlier; of several, one of another request."""
        ids = [name for name in self._folder.list("") if _ID.fullmatch(name)]
        for request in sorted(ids, key=self._id.__eq__):
            if start := self._read(Start, f"{request}/{_START}"):
                return start.model_copy(update={"request": request})
        return None

    def _require_same_request(self, start: Start) -> Start:
        if start.request == self._id:
            return start
        request = self._folder.location_of(f"{start.request}/{_REQUEST}.json")
        error = f"the start of {self} has begun with another request: {request}"
        raise OtpiqValidationError(
            f"Nothing was sent: {error}. Set another ledger for another message. To continue the other request, set"
            " the create's fields to those in that file, with replace=True.",
            errors=[error],
        )

    def schedules(self, parts: Iterable[str]) -> dict[str, Schedule]:
        """Read when and by which campaign those parts are sent for which that was decided."""
        return self._read_all(Schedule, "schedule", parts)

    def claim_schedule(self, part: str, schedule: Schedule) -> Schedule:
        """Decide which campaign sends a part; where another process was earlier, its decision is returned."""
        return self._claim(self._place("schedule", part), schedule)

    def save_schedule(self, part: str, schedule: Schedule) -> None:
        """Save another time of the same campaign, or that OTPIQ has confirmed it."""
        self._write(self._place("schedule", part), schedule)

    def _place(self, *names: str) -> str:
        return f"{'/'.join([self._id, *names])}.json"

    def _claim(self, name: str, record: Record) -> Record:
        if self._folder.create(name, record.to_json()):
            return record
        claimed = self._read(type(record), name)
        if claimed is None:  # to go on with the own one would be another process's too
            location = self._folder.location_of(name)
            raise FileNotFoundError(f"{location} was there, and is gone. Restore it, or clear the task if it is there.")
        return claimed

    def _write(self, name: str, record: _Record) -> None:
        self._folder.write(name, record.to_json())

    def _read(self, kind: type[Record], name: str) -> Record | None:
        content = self._folder.read(name)
        return None if content is None else self._parse(kind, name, content)

    def _read_all(self, kind: type[Record], folder: str, parts: Iterable[str]) -> dict[str, Record]:
        parts_by_name = {self._place(folder, part): part for part in parts}
        contents: Mapping[str, bytes] = self._folder.read_all(parts_by_name)
        return {parts_by_name[name]: self._parse(kind, name, content) for name, content in contents.items()}

    def _parse(self, kind: type[Record], name: str, content: bytes) -> Record:
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            error = f"{self._folder.location_of(name)}: was changed, or is of another version of this provider"
            raise OtpiqValidationError(
                f"{error}. Restore it, or set another ledger after making sure that this broadcast was not started.",
                errors=[error],
            ) from None
