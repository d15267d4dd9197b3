"""The manifest of a prepared audience: its counts, and its parts with their checksums. And the ledgers that use it."""

from __future__ import annotations

from hashlib import sha256
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import from_json

from airflow_provider_otpiq._ledger.ledger import audience_checksum
from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._storage import Folder, find_object, split_location
from airflow_provider_otpiq._validation_errors import refusal

MANIFEST = "manifest.json"
IN_USE = "in_use.json"
"""
An object beside the manifest: the audience has campaigns, so it must not change anymore.

It names the ledger; those of further ledgers are ``in_use_….json``. In the folder above those of groups, it also has
the checksum of the division that is used.
"""
_Count = Annotated[int, Field(ge=0)]


class Counts(BaseModel):
    """The number of rows, and of each outcome: ``rows`` is the sum of the others."""

    model_config = ConfigDict(frozen=True)

    rows: _Count
    recipients: _Count
    duplicates: _Count
    suppressed: _Count
    rejected: _Count

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if self.rows != self.recipients + self.duplicates + self.suppressed + self.rejected:
            raise ValueError("rows must be the sum of the others")
        return self


class Part(BaseModel):
    """A file of at most 1000 recipients."""

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, Field(pattern=r"^parts/[0-9]{5,9}\.json$")]
    """Its path in the manifest's folder, such as ``parts/00000.json``, never outside of it."""
    recipients: Annotated[int, Field(ge=1, le=MAX_RECIPIENTS)]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    @property
    def name(self) -> str:
        """Its name in a ledger, such as ``00000``."""
        return PurePosixPath(self.path).stem


class Manifest(BaseModel):
    """The content of an audience."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    version: Literal[1] = 1
    source: list[str]
    """The paths as they were set, or the name of a callable."""
    template_parameters: dict[str, list[str]]
    """The parameters that each recipient has, by section: ``{"body": ["1"]}``."""
    counts: Counts
    parts: Annotated[list[Part], Field(min_length=1)]
    groups: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """
    Of a group: the checksum of the audience's division, which is all groups and the people in them.

    None if the audience is not divided into groups.
    """

    @model_validator(mode="after")
    def _has_each_recipient_once(self) -> Self:
        if len({part.path for part in self.parts}) < len(self.parts):
            raise ValueError("a part is listed twice")  # both would have the same campaign
        if sum(part.recipients for part in self.parts) != self.counts.recipients:
            raise ValueError("the recipients of the parts must add up to the count")
        return self

    def to_json(self) -> bytes:
        """Return the manifest as it is stored."""
        return self.model_dump_json(indent=1, exclude_none=True).encode()

    @property
    def checksum(self) -> str:
        """Differs if anything in the audience does."""
        return sha256(self.to_json()).hexdigest()


class Audience:
    """
    A prepared audience.

    :param location: the local path or URL of its manifest.
    :raises OtpiqValidationError: if the manifest is missing or was edited.
    """

    def __init__(self, location: str) -> None:
        self.location = location
        self.folder, name = find_object(location)
        self.manifest = _read_manifest(self.folder, name)

    def read_part(self, part: Part) -> list[dict[str, Any]]:
        """Read the recipients of a part, with their ``reference``; refuse one that was changed."""
        content = self.folder.read(part.path)
        if content is None or sha256(content).hexdigest() != part.sha256:
            problem = "is missing" if content is None else "was changed after it was prepared (its checksum differs)"
            raise refusal(
                f"{self.folder.location_of(part.path)}: {problem}",
                "Clear the task that prepares the audience; the same input restores the part.",
            )
        recipients: list[dict[str, Any]] = from_json(content)
        return recipients


def _read_manifest(folder: Folder, name: str) -> Manifest:
    location = folder.location_of(name)
    try:
        content = folder.read(name)
    except IsADirectoryError:
        raise refusal(f"audience: {location} is a folder", f"Set the path of the audience's {MANIFEST}.") from None
    if content is None:
        raise refusal(f"audience: {location} does not exist", "Run the task that prepares the audience first.")
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        raise refusal(
            f"{location}: is not the manifest of an audience (version 1), or was edited",
            "Prepare the audience again.",
        ) from None


class _InUse(BaseModel):
    ledger: str
    groups: str | None = None


def ledgers_of(folder: Folder) -> dict[str, str]:
    """
    Read the locations of the ledgers that use the audience in a folder, by the objects that name them.

    :raises OtpiqValidationError: if one of the objects was edited.
    """
    names = [name for name in folder.list("") if name.startswith("in_use") and name.endswith(".json")]
    return {name: _parse_in_use(folder, name, content).ledger for name, content in folder.read_all(names).items()}


def checksums_in_use(folder: Folder) -> set[str]:
    """
    Read the checksums of the audiences of the ledgers' requests, started or not.

    :raises OtpiqValidationError: if a ledger, or an object that names one, was edited.
    """
    checksums = map(audience_checksum, ledgers_of(folder).values())
    return {checksum for checksum in checksums if checksum}


def claim_division(audience: Audience, ledger: str) -> None:
    """
    Decide how the people of an output are divided into groups, if at all; the first create decides it for all others.

    A division has each person once. So no person gets a message of two groups, whatever was prepared in between.

    :param ledger: the location of the broadcast's ledger.
    :raises OtpiqValidationError: if another division is used.
    """
    groups, folder = audience.manifest.groups, audience.folder
    if groups is not None:
        folder = Folder(split_location(str(folder))[0])
        folder.create(IN_USE, _InUse(ledger=ledger, groups=groups).model_dump_json().encode())
        folder.require_exclusive_creation(IN_USE)
    if read_division(folder) != groups:
        raise refusal(
            f"audience: {audience.location} is not of the groups in {folder} that already have campaigns",
            "Clear the task that prepares the audience, and use the manifests that it returns.",
            "created nothing",
        )


def read_division(folder: Folder) -> str | None:
    """Read which division of an output is used; None if its audience is not divided, or not used."""
    content = folder.read(IN_USE)
    return None if content is None else _parse_in_use(folder, IN_USE, content).groups


def _parse_in_use(folder: Folder, name: str, content: bytes) -> _InUse:
    try:
        return _InUse.model_validate_json(content)
    except ValidationError:
        error = f"{folder.location_of(name)}: was edited; expected the location of a ledger"
        raise refusal(error, "Restore it.") from None
