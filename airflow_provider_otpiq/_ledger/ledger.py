"""
The ledger of a broadcast: what was done for each part of its audience, in small objects beside the audience.

It survives failed tries, killed workers, clears and new DAG runs, on every version of Airflow. In its folder:

- ``broadcast.json``: the request, and the audience that it was made for;
- ``start.json``: which request starts, and when; ``stop.json``: that it was stopped; ``start_2.json``: that it starts
  again, and so on;
- ``<id of the request>/request.json``: a copy of ``broadcast.json``, which shows that this folder was not lost;
- ``<id of the request>/campaigns/00000.json``: the campaign of a part, and what it holds according to OTPIQ;
- ``<id of the request>/schedule/00000.json``: which campaign sends a part, and when; after a stop ``schedule_2``;
- ``<id of the request>/stopped/00000.json``: that a stop has made this campaign a draft again, or was too late.

What several processes could decide differently is created exclusively: the first one decides, the others follow. Which
campaign *holds* a part may change, because a draft that may hold the wrong people is given up. Which request *starts*
is decided once, and so is which campaign *sends* a part, before OTPIQ is asked to schedule it. Neither ever changes.
The starts and stops alternate, and the latest one applies: a start and a stop read it again before each request.

Up to version 0.6.0, ``start.json`` was in the folder of its request. It is still read there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pydantic import ValidationError

from airflow_provider_otpiq._ledger.records import ID_LENGTH, Broadcast, Campaign, OfPart, Record, Schedule, Start, Stop
from airflow_provider_otpiq._storage import Folder, absolute
from airflow_provider_otpiq._validation_errors import bullet_list, refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

_BROADCAST = "broadcast.json"
_REQUEST = "request.json"
_ID = re.compile(rf"[0-9a-f]{{{ID_LENGTH}}}")

AnyRecord = TypeVar("AnyRecord", bound=Record)
AnyOfPart = TypeVar("AnyOfPart", bound=OfPart)


class Part(Protocol):
    """A part of an audience."""

    @property
    def name(self) -> str:
        """Its name in the ledger, such as ``00000``."""


class Round(NamedTuple):
    """A start, and the stop that ended it; None if it was not stopped."""

    start: Start
    stop: Stop | None


class _Records:
    """The records in a ledger's folder."""

    def __init__(self, location: str) -> None:
        self.folder = Folder(location)

    def claim(self, name: str, record: AnyRecord) -> AnyRecord:
        """Create a record; if another process was earlier, return its record."""
        if self.folder.create(name, record.to_json()):
            return record
        claimed = self.read(type(record), name)
        if claimed is None:  # it was deleted meanwhile, and a process may have used it
            location = self.folder.location_of(name)
            raise FileNotFoundError(f"{location}: exists, but cannot be read. Restore it, and clear the task.")
        return claimed

    def write(self, name: str, record: Record) -> None:
        self.folder.write(name, record.to_json())

    def read(self, kind: type[AnyRecord], name: str) -> AnyRecord | None:
        return self.read_all(kind, [name]).get(name)

    def read_all(self, kind: type[AnyRecord], names: Iterable[str]) -> dict[str, AnyRecord]:
        return {name: self._parse(kind, name, content) for name, content in self.folder.read_all(names).items()}

    def start(self) -> Start | None:
        """Read the first start, of whichever request starts."""
        return self.read(Start, _numbered("start")) or self._start_below_a_request()

    def _start_below_a_request(self) -> Start | None:
        """Read the start in a ledger of version 0.6.0 or earlier, in which each request could start."""
        names = [f"{name}/{_numbered('start')}" for name in self.folder.list("") if _ID.fullmatch(name)]
        starts = self.read_all(Start, names) if names else {}
        if len(starts) > 1:
            raise refusal(
                f"{self.folder}: the starts of {len(starts)} requests have begun; expected one",
                "Compare their campaigns with OTPIQ's dashboard. Delete the start.json of each request that must not be"
                f" sent, and clear the task:{bullet_list(map(self.folder.location_of, starts))}",
            )
        found = [start.model_copy(update={"request": name.partition("/")[0]}) for name, start in starts.items()]
        return found[0] if found else None

    def _parse(self, kind: type[AnyRecord], name: str, content: bytes) -> AnyRecord:
        try:
            return kind.model_validate_json(content)
        except ValidationError:
            raise refusal(
                f"{self.folder.location_of(name)}: was edited, or belongs to another version of this provider",
                f"{_remedy_for(name)} only if you are sure that this broadcast was not started.",
            ) from None


def _remedy_for(name: str) -> str:
    """Return what to do about a record that cannot be read: a new ledger needs the requests of all marked ones."""
    if name == _BROADCAST:
        return (
            f"Restore it from its copy, */{_REQUEST}. Delete the in_use*.json of the audience that names this ledger,"
            " and set another ledger,"
        )
    return "Restore it. Set another ledger"


class Ledger:
    """A ledger that has a request: :meth:`open`, :meth:`begin` and :meth:`replace` return one."""

    def __init__(self, records: _Records, broadcast: Broadcast) -> None:
        self._records = records
        self._id = broadcast.id
        self.broadcast = broadcast
        self.location = absolute(str(self))
        """The location, which does not depend on the working directory."""

    def __str__(self) -> str:
        return str(self._records.folder)

    @classmethod
    def open(cls, location: str) -> Ledger | None:
        """Read the ledger in a folder, a local path or a URL; None if it has no request yet."""
        records = _Records(location)
        broadcast = records.read(Broadcast, _BROADCAST)
        return cls(records, broadcast) if broadcast else None

    @classmethod
    def begin(cls, location: str, broadcast: Broadcast) -> Ledger:
        """Save the request; if another process was earlier, the ledger has its request."""
        records = _Records(location)
        ledger = cls(records, records.claim(_BROADCAST, broadcast))
        records.folder.require_exclusive_creation(_BROADCAST)
        ledger._save_copy()
        return ledger

    def replace(self, broadcast: Broadcast) -> Ledger:
        """
        Save a changed request instead of the saved one, and return its ledger.

        :raises OtpiqValidationError: if the start of another request has begun, or a start is lost.
        """
        changed = Ledger(self._records, broadcast)
        if changed.start() is None and self.has_begun():
            changed.start()  # the earlier request's start has begun meanwhile, so this raises
        changed._save_copy()  # first: a ledger without it is damaged
        self._records.write(_BROADCAST, broadcast)
        return changed

    def is_intact(self) -> bool:
        """Return whether the folder of the request exists."""
        has_copy = self._records.folder.read(self._path(_REQUEST)) is not None
        return has_copy or bool(self._records.folder.list(self._path(Campaign.folder)))  # version 0.3.0 wrote no copy

    def is_replaced(self) -> bool:
        """Read the request again, and return whether it has changed."""
        return self._records.read(Broadcast, _BROADCAST) != self.broadcast

    def has_begun(self) -> bool:
        """
        Return whether a start has begun.

        :raises OtpiqValidationError: if its record is lost, or another request starts.
        """
        # Read in this order: a start begins before it saves a schedule.
        has_schedules = bool(self._records.folder.list(self._path(Schedule.folder)))
        has_start = self.start() is not None
        if has_schedules and not has_start:
            raise refusal(
                f"{self}: start.json is missing, although campaigns are scheduled",
                "Restore it, and clear the task. For another message, set another ledger.",
            )
        return has_start

    def start(self) -> Start | None:
        """
        Read when the broadcast starts for the first time; None if that is not decided yet.

        :raises OtpiqValidationError: if another request starts, so that this one never does.
        """
        start = self._records.start()
        return self._require_same_request(start) if start else None

    def rounds(self) -> list[Round]:
        """
        Read the starts, each with its stop.

        :raises OtpiqValidationError: as :meth:`start`.
        """
        rounds: list[Round] = []
        start = self.start()
        while start:
            number = len(rounds) + 1
            rounds.append(Round(start, self._records.read(Stop, _numbered("stop", number))))
            start = self._records.read(Start, _numbered("start", number + 1)) if rounds[-1].stop else None
        return rounds

    def claim_start(self, start: Start, number: int = 1) -> Start:
        """
        Decide which request starts, and when; if another process was earlier, return its decision.

        :raises OtpiqValidationError: if another request starts, so that this one never does.
        """
        return self._require_same_request(self._records.claim(_numbered("start", number), start))

    def claim_stop(self, stop: Stop, number: int) -> None:
        """Save the stop of a start, unless another process was earlier."""
        self._records.claim(_numbered("stop", number), stop)

    def is_stopped(self, number: int) -> bool:
        """Return whether the start of this number was stopped."""
        return self._records.folder.read(_numbered("stop", number)) is not None

    def is_started_again(self, number: int) -> bool:
        """Return whether a start has begun after the stop of this number."""
        return self._records.folder.read(_numbered("start", number + 1)) is not None

    def read(self, kind: type[AnyOfPart], parts: Iterable[Part], number: int = 1) -> dict[str, AnyOfPart]:
        """Read the parts' records of one start, by the name of the part; a part may have none."""
        paths = {self._path_of(part, kind, number): part.name for part in parts}
        return {paths[path]: record for path, record in self._records.read_all(kind, paths).items()}

    def claim(self, part: Part, record: AnyOfPart, number: int = 1) -> AnyOfPart:
        """
        Save the first record of a part; if another process was earlier, return its record.

        The first schedule decides which campaign sends the part.
        """
        return self._records.claim(self._path_of(part, type(record), number), record)

    def save(self, part: Part, record: OfPart, number: int = 1) -> None:
        """Save a campaign that holds its part, or a later time or the confirmation of the same schedule."""
        self._records.write(self._path_of(part, type(record), number), record)

    def _save_copy(self) -> None:
        self._records.write(self._path(_REQUEST), self.broadcast)

    def _require_same_request(self, start: Start) -> Start:
        if start.request == self._id:
            return start
        request = self._records.folder.location_of(f"{start.request}/{_REQUEST}")
        raise refusal(
            f"{self}: its start has begun with another request, {request}",
            "Set another ledger for another message. To continue the other request, set the create's fields to those in"
            " that file, with replace=True.",
        )

    def _path(self, name: str) -> str:
        return f"{self._id}/{name}"

    def _path_of(self, part: Part, kind: type[OfPart], number: int) -> str:
        return self._path(f"{_with_number(kind.folder, number)}/{part.name}.json")


def audience_checksum(location: str) -> str | None:
    """Read the checksum of the audience of a ledger's request, started or not; None if it has no request yet."""
    records = _Records(location)
    start = records.start()
    started = start and records.read(Broadcast, f"{start.request}/{_REQUEST}")
    broadcast = started or records.read(Broadcast, _BROADCAST)
    return broadcast.audience_checksum if broadcast else None


def _numbered(name: str, number: int = 1) -> str:
    return f"{_with_number(name, number)}.json"


def _with_number(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_{number}"
