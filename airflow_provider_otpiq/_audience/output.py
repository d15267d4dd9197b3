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
from airflow_provider_otpiq._audience.groups import NAME_OF_A_FOLDER, Group, folder_name
from airflow_provider_otpiq._audience.manifest import (
    IN_USE,
    MANIFEST,
    Audience,
    Manifest,
    Part,
    checksums_in_use,
    read_division,
)
from airflow_provider_otpiq._recipients.rows import BEGINS_A_FORMULA, SIGNED_NUMBER, safe_reference
from airflow_provider_otpiq._storage import Folder
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    Manifests = Mapping[Group, Manifest]

    from airflow_provider_otpiq._progress import Progress

EXCLUDED = "excluded.csv"
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
    """The folder of an audience. If the audience is divided into groups, it has a folder for each of them."""

    def __init__(self, location: str, *, has_groups: bool = False) -> None:
        self.folder = Folder(location)
        self._has_groups = has_groups
        self._withdrawn: dict[str, bytes] = {}

    def location_of(self, group: Group) -> str:
        """Return the local path or URL of a group's manifest."""
        return self.folder.location_of(_manifest_of(group))

    def withdraw(self) -> bool:
        """Delete the manifests, so that no task reads a mix of two audiences; False if the audience has campaigns."""
        if self._is_in_use():
            return False
        self._withdrawn = self._read_manifests()
        for path in self._withdrawn:
            self.folder.delete(path)
        if self._is_in_use():  # by a task that read one a moment before
            for path, content in self._withdrawn.items():
                self.folder.write(path, content)
            return False
        return True

    def _is_in_use(self) -> bool:
        return self.folder.read(IN_USE) is not None

    def _read_manifests(self) -> dict[str, bytes]:
        """Read the manifests that are here, by their paths: of one audience and, if there are groups, of groups."""
        folders = self.folder.list("") if self._has_groups else []
        paths = [f"{name}/{MANIFEST}" for name in folders if NAME_OF_A_FOLDER.fullmatch(name)]
        found = self.folder.read_all([MANIFEST, *paths])
        return {path: content for path, content in found.items() if path == MANIFEST or _is_of_a_group(content)}

    def write_excluded(self, excluded: Iterable[Excluded]) -> None:
        """Write the rows that get no message."""
        with self.folder.staged(EXCLUDED) as path, path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Excluded._fields)
            writer.writerows(
                row._replace(reference=_shown(row.reference), kept_reference=_shown(row.kept_reference))
                for row in excluded
            )

    def write_parts(self, parts: Iterable[tuple[Part, bytes]], progress: Progress, group: Group = None) -> list[Part]:
        """Write the parts of a group, and delete those of an earlier audience that has more."""
        prefix = _prefix(group)
        written: list[Part] = []
        remaining = iter(parts)
        with ThreadPoolExecutor(_WRITERS) as pool:
            while batch := list(islice(remaining, 2 * _WRITERS)):
                list(pool.map(lambda item: self.folder.write(prefix + item[0].path, item[1]), batch))
                written += [part for part, _ in batch]
                progress.report("Wrote %s parts.", f"{len(written):,}")
        self._delete_parts(prefix, {part.path for part in written})
        return written

    def delete_other_parts(self, groups: Iterable[Group]) -> None:
        """Delete the parts of the manifests that were withdrawn, and are not of these groups."""
        for path in self._withdrawn.keys() - set(map(_manifest_of, groups)):
            self._delete_parts(path.removesuffix(MANIFEST), set())

    def _delete_parts(self, prefix: str, kept: set[str]) -> None:
        for name in self.folder.list(f"{prefix}{_PARTS}"):
            if _NAME_OF_A_PART.fullmatch(name) and f"{_PARTS}/{name}" not in kept:
                self.folder.delete(f"{prefix}{_PARTS}/{name}")

    def publish(self, manifests: Manifests) -> None:
        """Write the manifests, unless campaigns of another audience were created here meanwhile."""
        if self._is_in_use():
            self.require_same(manifests)
        for group, manifest in manifests.items():
            self.folder.write(_manifest_of(group), manifest.to_json())

    def restore(self, parts: Iterable[tuple[Part, bytes]], manifest: Manifest, group: Group = None) -> int:
        """Write the files of a group that are missing or were changed, the manifest last, and return their number."""
        restored = 0
        files = ((_prefix(group) + part.path, content) for part, content in parts)
        for path, content in chain(files, [(_manifest_of(group), manifest.to_json())]):
            if self.folder.read(path) != content:
                self.folder.write(path, content)
                restored += 1
        return restored

    def require_same(self, manifests: Manifests) -> None:
        """Refuse the manifests of another audience than that of the campaigns, or of other groups."""
        if self._are_used(manifests):
            return
        old = self._read_manifests()
        changes = list(self._changes(old, manifests))
        changes = changes or ["the manifest of that audience is missing"]
        to_continue = (
            "clear only the tasks after this one, or prepare the same rows" if old else "prepare the same rows"
        )
        raise OtpiqValidationError(
            f"The audience was not published: {self.folder} already has campaigns of another audience:"
            f"{bullet_list(changes)}\n"
            f"To continue the broadcast of these campaigns, {to_continue}. For another broadcast, set another output;"
            " its recipients get a message again.",
            errors=changes,
        )

    def _are_used(self, manifests: Manifests) -> bool:
        """Return whether campaigns use these; if a manifest is missing or was replaced, a ledger has its checksum."""
        if (manifest := manifests.get(None)) is None:
            return read_division(self.folder) in {manifest.groups for manifest in manifests.values()}
        content = self.folder.read(MANIFEST)
        return content == manifest.to_json() or manifest.checksum in checksums_in_use(self.folder)

    def _changes(self, old: Iterable[str], manifests: Manifests) -> Iterator[str]:
        if self._has_groups != (read_division(self.folder) is not None):
            yield "group_by: is now set" if self._has_groups else "group_by: is no longer set"
            return
        new = {_manifest_of(group): manifest for group, manifest in manifests.items()}
        old = [path for path in old if self._has_groups == (path != MANIFEST)]
        for path in sorted({*old, *new}) if old else ():
            shown = "" if path == MANIFEST else f"group {path.removesuffix(f'/{MANIFEST}')}: "
            if path not in new:
                yield f"{shown}has no recipient now"
            elif path not in old:
                yield f"{shown}is new, or its manifest is missing"
            else:
                found = _describe_changes(Audience(self.folder.location_of(path)).manifest, new[path])
                yield from (f"{shown}{change}" for change in found)


def _prefix(group: Group) -> str:
    return "" if group is None else f"{folder_name(group)}/"


def _manifest_of(group: Group) -> str:
    return f"{_prefix(group)}{MANIFEST}"


def _is_of_a_group(content: bytes) -> bool:
    """Return whether a manifest is of a group, not of another audience whose output is in this one."""
    try:
        return Manifest.model_validate_json(content).groups is not None
    except ValidationError:
        return False


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
    is_formula = re.search(BEGINS_A_FORMULA, cell) and not re.fullmatch(SIGNED_NUMBER, cell)
    return f"'{cell}" if is_formula else cell


def _describe_changes(old: Manifest, new: Manifest) -> Iterator[str]:
    for name in ("source", "template_parameters", "counts"):
        before, after = (manifest.model_dump()[name] for manifest in (old, new))
        if before != after:
            yield f"{name}: was {before}, is now {after}"
    if old.parts != new.parts:
        pairs = zip(old.parts, new.parts, strict=False)
        changed = sum(before != after for before, after in pairs) + abs(len(old.parts) - len(new.parts))
        yield f"parts: other recipients in {changed} of {max(len(old.parts), len(new.parts))}"
