"""Write an audience: its parts, the rows that get no message, and last the manifest, which completes it."""

from __future__ import annotations

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import chain, islice
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_otpiq._audience.classify import Excluded
from airflow_provider_otpiq._audience.manifest import IN_USE, MANIFEST, Audience, Manifest, Part, checksums_in_use
from airflow_provider_otpiq._recipients.rows import safe_reference
from airflow_provider_otpiq._storage import Folder
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_otpiq._progress import Progress

EXCLUDED = "excluded.csv"
_BEGIN_A_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBER = re.compile(r"[+-]\d+(\.\d+)?", re.ASCII)
_PARTS = "parts"
_MAPPED_TASK = "mapped_task.json"
_WRITERS = 4  # an object store takes its time for each
# Also what a killed process has left of a part that it was writing.
_NAME_OF_A_PART = re.compile(r"\d{5,}\.json|\..*\.part")


def name_parts(contents: Iterable[tuple[int, bytes]]) -> Iterator[tuple[Part, bytes]]:
    """Name the parts of an audience; ``contents`` has the number of recipients and the JSON of each."""
    for number, (recipients, content) in enumerate(contents):
        path = f"{_PARTS}/{number:05}.json"
        yield Part(path=path, recipients=recipients, sha256=sha256(content).hexdigest()), content


class Output:
    """The folder of an audience."""

    def __init__(self, location: str) -> None:
        self.folder = Folder(location)
        self.location = self.folder.location_of(MANIFEST)

    def withdraw(self) -> bool:
        """Delete the manifest, so that no task reads a mix of two audiences; False if the audience has campaigns."""
        if self._is_in_use():
            return False
        manifest = self.folder.read(MANIFEST)
        self.folder.delete(MANIFEST)
        if manifest is not None and self._is_in_use():  # by a task that read it a moment before
            self.folder.write(MANIFEST, manifest)
            return False
        return True

    def _is_in_use(self) -> bool:
        return self.folder.read(IN_USE) is not None

    def write_excluded(self, excluded: Iterable[Excluded]) -> None:
        """Write the rows that get no message."""
        with self.folder.staged(EXCLUDED) as path, path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Excluded._fields)
            writer.writerows(
                row._replace(reference=_shown(row.reference), kept_reference=_shown(row.kept_reference))
                for row in excluded
            )

    def write_parts(self, parts: Iterable[tuple[Part, bytes]], progress: Progress) -> list[Part]:
        """Write the parts, and delete those of an earlier audience that has more."""
        written: list[Part] = []
        remaining = iter(parts)
        with ThreadPoolExecutor(_WRITERS) as pool:
            while batch := list(islice(remaining, 2 * _WRITERS)):
                written += pool.map(self._write, batch)
                progress.report("Wrote %s parts.", f"{len(written):,}")
        names = {part.path for part in written}
        for name in self.folder.list(_PARTS):
            if _NAME_OF_A_PART.fullmatch(name) and f"{_PARTS}/{name}" not in names:
                self.folder.delete(f"{_PARTS}/{name}")
        return written

    def _write(self, part_and_content: tuple[Part, bytes]) -> Part:
        part, content = part_and_content
        self.folder.write(part.path, content)
        return part

    def publish(self, manifest: Manifest) -> None:
        """Write the manifest, unless campaigns of another audience were created here meanwhile."""
        if self._is_in_use():
            self.require_same(manifest)
        self.folder.write(MANIFEST, manifest.to_json())

    def restore(self, parts: Iterable[tuple[Part, bytes]], manifest: Manifest) -> int:
        """Write the files that are missing or were changed, the manifest last, and return their number."""
        restored = 0
        files = ((part.path, content) for part, content in parts)
        for name, content in chain(files, [(MANIFEST, manifest.to_json())]):
            if self.folder.read(name) != content:
                self.folder.write(name, content)
                restored += 1
        return restored

    def require_same(self, manifest: Manifest) -> None:
        """
        Refuse the manifest of another audience than that of the campaigns.

        If the published manifest is missing or was replaced, the ledgers have the checksum.
        """
        content = self.folder.read(MANIFEST)
        if content == manifest.to_json() or manifest.checksum in checksums_in_use(self.folder):
            return
        missing = f"{MANIFEST} is missing, and the campaigns were created from another audience"
        to_continue = "prepare the same rows" if content is None else "clear only the tasks after this one"
        changes = [missing] if content is None else list(describe_changes(Audience(self.location).manifest, manifest))
        raise OtpiqValidationError(
            f"The audience was not published: {self.folder} already has campaigns of another audience:"
            f"{bullet_list(changes)}\n"
            f"To continue the broadcast of these campaigns, {to_continue}. For another broadcast, set another output;"
            " its recipients get a message again.",
            errors=changes,
        )


class MappedTask(BaseModel):
    """An instance of a mapped task, which must not prepare its audience in the folder of another."""

    model_config = ConfigDict(frozen=True)

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    request_checksum: str | None
    """
    Differs if the request does: a cleared run may find the same request under another map index.
    None if requests cannot be compared.
    """

    def claim(self, folder: Folder) -> None:
        """Write the instance to the folder, in place of an earlier run's, but not of another one of the same run."""
        content = self.model_dump_json(indent=1).encode()
        if folder.create(_MAPPED_TASK, content):
            return
        found = _parse_task(folder.read(_MAPPED_TASK))
        if found and self._collides_with(found):
            error = f"output: map index {found.map_index} of this task prepares its audience in {folder} too"
            raise OtpiqValidationError(
                f"{error}; one would replace the other. Add {{{{ ti.map_index }}}}, or the mapped value, to `output`."
                f" If the mapped input has changed, delete {folder.location_of(_MAPPED_TASK)} and clear the task.",
                errors=[error],
            )
        folder.write(_MAPPED_TASK, content)

    def _collides_with(self, other: MappedTask) -> bool:
        is_same_task = (self.dag_id, self.task_id, self.run_id) == (other.dag_id, other.task_id, other.run_id)
        is_same_request = self.request_checksum is not None and self.request_checksum == other.request_checksum
        return is_same_task and self.map_index != other.map_index and not is_same_request


def _parse_task(content: bytes | None) -> MappedTask | None:
    try:
        return MappedTask.model_validate_json(content or b"")
    except ValidationError:
        return None


def _shown(reference: str) -> str:
    """Mask a reference that may be a phone number, and put an apostrophe before a formula of spreadsheets."""
    cell = safe_reference(reference)
    is_formula = cell.startswith(_BEGIN_A_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def describe_changes(old: Manifest, new: Manifest) -> Iterator[str]:
    for name in ("source", "template_parameters", "counts"):
        before, after = (manifest.model_dump()[name] for manifest in (old, new))
        if before != after:
            yield f"{name}: was {before}, is now {after}"
    if old.parts != new.parts:
        pairs = zip(old.parts, new.parts, strict=False)
        changed = sum(before != after for before, after in pairs) + abs(len(old.parts) - len(new.parts))
        yield f"parts: other recipients in {changed} of {max(len(old.parts), len(new.parts))}"
