"""Write an audience: its parts, the rows that get no message, and last the manifest, which completes it."""

from __future__ import annotations

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import chain, islice
from typing import TYPE_CHECKING

from airflow_provider_otpiq._audience.classify import Excluded
from airflow_provider_otpiq._audience.in_use import checksums_in_use
from airflow_provider_otpiq._audience.manifest import IN_USE, MANIFEST, Audience, Manifest, Part
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
_WRITERS = 4  # to an object store, each takes its time
# With what a killed process has left of one that it was writing.
_NAME_OF_A_PART = re.compile(r"\d{5,}\.json|\..*\.part")


def name_parts(contents: Iterable[tuple[int, bytes]]) -> Iterator[tuple[Part, bytes]]:
    """Name the parts of an audience; ``contents`` has the number of recipients and the JSON of each."""
    for number, (recipients, content) in enumerate(contents):
        path = f"{_PARTS}/{number:05}.json"
        yield Part(path=path, recipients=recipients, sha256=sha256(content).hexdigest()), content


class Output:
    """
    The folder of an audience.

    :param location: its local path or URL.
    """

    def __init__(self, location: str) -> None:
        self.folder = Folder(location)
        self.location = self.folder.location_of(MANIFEST)

    def withdraw(self) -> bool:
        """Take the manifest away, so that nobody reads a mix of two audiences; False if there are campaigns of it."""
        if self._is_in_use():
            return False
        manifest = self.folder.read(MANIFEST)
        self.folder.delete(MANIFEST)
        if manifest is not None and self._is_in_use():  # by a task that had read it a moment before
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
                row._replace(
                    reference=row.reference and _as_text(safe_reference(row.reference)),
                    kept_reference=row.kept_reference and _as_text(safe_reference(row.kept_reference)),
                )
                for row in excluded
            )

    def write_parts(self, parts: Iterable[tuple[Part, bytes]], progress: Progress) -> list[Part]:
        """Write the parts, and delete those of an earlier audience that has more."""
        written: list[Part] = []
        remaining = iter(parts)
        with ThreadPoolExecutor(_WRITERS) as pool:
            while some := list(islice(remaining, 2 * _WRITERS)):
                for part in pool.map(self._write, some):
                    written.append(part)
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
        """
        Write the manifest.

        :raises OtpiqValidationError: if campaigns of another audience were created here meanwhile.
        """
        if self._is_in_use():
            self.require_same(manifest)
        self.folder.write(MANIFEST, manifest.to_json())

    def restore(self, parts: Iterable[tuple[Part, bytes]], manifest: Manifest) -> int:
        """Write again what is missing or was changed, the manifest last, and tell how many files that were."""
        restored = 0
        files = ((part.path, content) for part, content in parts)
        for name, content in chain(files, [(MANIFEST, manifest.to_json())]):
            if self.folder.read(name) != content:
                self.folder.write(name, content)
                restored += 1
        return restored

    def require_same(self, manifest: Manifest) -> None:
        """
        Make sure that an audience which has campaigns stays as it is.

        If the manifest is missing or was replaced, the ledgers have the checksum of the audience of the campaigns.

        :raises OtpiqValidationError: if the manifest is of another audience.
        """
        content = self.folder.read(MANIFEST)
        if content == manifest.to_json() or manifest.checksum in checksums_in_use(self.folder):
            return
        lost = f"{MANIFEST} is missing, and the campaigns were created from another audience than this one"
        changes = [lost] if content is None else list(_changes(Audience(self.location).manifest, manifest))
        raise OtpiqValidationError(
            f"{self.folder} has campaigns already, and what was prepared now differs from them:{bullet_list(changes)}\n"
            "It was not published. To continue the broadcast of these campaigns, clear only the tasks after this one."
            " Set another output only for another broadcast: its recipients get a message again.",
            errors=changes,
        )


def _as_text(cell: str) -> str:
    """Put an apostrophe before a cell that a spreadsheet would run as a formula."""
    is_formula = cell.startswith(_BEGIN_A_FORMULA) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def _changes(old: Manifest, new: Manifest) -> Iterator[str]:
    for name in ("source", "template_parameters", "counts"):
        before, after = (manifest.model_dump()[name] for manifest in (old, new))
        if before != after:
            yield f"{name}: {before}, and now {after}"
    if old.parts != new.parts:
        pairs = zip(old.parts, new.parts, strict=False)
        changed = sum(before != after for before, after in pairs) + abs(len(old.parts) - len(new.parts))
        yield f"parts: {changed} of {max(len(old.parts), len(new.parts))} have other recipients"
