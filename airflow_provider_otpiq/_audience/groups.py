"""
Divide an audience into groups by the values of a column, with a manifest in a folder of the output for each.

The groups are one audience: its rows are classified once, so a person is in one group. Each manifest has the checksum
of all groups and their people, the division. The first create of a group decides which division is used, and prepares
of another one fail from then on.
"""

from __future__ import annotations

import logging
import math
import re
from contextlib import closing
from hashlib import sha256
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from pydantic import ValidationError
from pydantic_core import to_json

from airflow_provider_otpiq._audience.manifest import MANIFEST, Audience, Counts, Manifest, read_division
from airflow_provider_otpiq._audience.output import Output, describe_changes, name_parts
from airflow_provider_otpiq._audience.prepare import Preparation, refusal
from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._redaction import describe_count, may_be_phone_number, safe_repr
from airflow_provider_otpiq._validation_errors import bullet_list
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_otpiq._audience.manifest import Part
    from airflow_provider_otpiq._audience.output import MappedTask
    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq._progress import Progress

log = logging.getLogger(__name__)

MAX_GROUPS = 100

_MAX_NAME_LENGTH = 200  # file systems allow 255
_MAX_LISTED = 5
_MIN_LISTED = 10
"""The fewest recipients of a value that is shown: a value of fewer may be personal data."""
_USED_BY_THE_OUTPUT = ("parts", "ledger")
_NAME = re.compile(r"(?:[\w-]|%[0-9A-F]{2})+", re.ASCII)


class GroupedAudience(NamedTuple):
    """An audience that is divided into groups."""

    counts: Counts
    """The number of rows of all groups, and of those that are in none."""
    groups: dict[str, Audience]
    """The audience of each group, in the order of the groups."""


def prepare_groups(request: AudienceRequest, mapped_task: MappedTask | None = None) -> GroupedAudience:
    """Prepare an audience that is divided by ``group_by``, in an instance of a mapped task if that is set."""
    with Database(request.memory_limit) as database:
        preparation = _GroupedPreparation(request, database, mapped_task)
        counts = preparation.run()
        locations = {group: preparation.output.group(group).location for group in preparation.groups}
        return GroupedAudience(counts, {group: Audience(location) for group, location in locations.items()})


def folder_name(group: str) -> str:
    """
    Return the name of a group's folder: letters, digits, ``-`` and ``_`` are kept, all else is percent-encoded.

    It has no dot, so it is not the name of a file of the output, ``.`` or ``..``.
    """
    name = quote(group, safe="").replace(".", "%2E").replace("~", "%7E")
    return f"%{ord(name[0]):02X}{name[1:]}" if name.lower() in _USED_BY_THE_OUTPUT else name


class _GroupedPreparation(Preparation):
    def __init__(self, request: AudienceRequest, database: Database, mapped_task: MappedTask | None) -> None:
        super().__init__(request, database, mapped_task)
        self.output: GroupedOutput = GroupedOutput(request.output)
        self.groups: dict[str, Counts] = {}

    def _publish(self, counts: Counts) -> None:
        self.groups = self._find_groups()
        self._classifier.divide(self.groups)
        super()._publish(counts)
        log.info("Groups: %s.", ", ".join(f"{group!r}: {of.recipients:,}" for group, of in self.groups.items()))

    def _find_groups(self) -> dict[str, Counts]:
        number, largest = self._classifier.count_groups(MAX_GROUPS)
        column = repr(self._request.group_by)
        if number > MAX_GROUPS:
            error = (
                f"group_by: column {column} has {number:,} values{_examples(largest)}; expected at most {MAX_GROUPS}"
            )
            raise refusal([error], "Set a column with few values, such as a language.")
        if errors := [f"group_by: column {column} has {error}" for error in _wrong_values(largest)]:
            raise refusal(errors, "Change these values in the source, or set another column.")
        return dict(sorted(largest.items()))

    def _write(self, counts: Counts) -> None:
        self.output.write_excluded(self._classifier.excluded())
        self._require_recipients(counts)
        with closing(self._classifier.parts()) as contents:
            parts = {
                group: self.output.group(group).write_parts(_take(contents, of_group), self._progress)
                for group, of_group in self.groups.items()
            }
        self.output.delete_other_parts(self.groups, self._progress)
        self._claim_output()  # again: another instance may have claimed it at the same moment
        self.output.publish_groups(self._manifests(parts))

    def _keep(self, _: Counts) -> None:
        with closing(self._classifier.parts()) as contents:
            parts = {group: [part for part, _ in _take(contents, counts)] for group, counts in self.groups.items()}
        manifests = self._manifests(parts)
        self.output.require_same_division(manifests)
        with closing(self._classifier.parts()) as contents:
            restored = sum(
                self.output.group(group).restore(_take(contents, counts), manifests[group])
                for group, counts in self.groups.items()
            )
        self._log_kept(restored)

    def _manifests(self, parts: Mapping[str, list[Part]]) -> dict[str, Manifest]:
        """Return the manifests of the groups, each with the checksum of all."""
        manifests = {group: self._manifest(self.groups[group], parts[group]) for group in self.groups}
        division = _checksum(manifests)
        return {group: manifest.model_copy(update={"groups": division}) for group, manifest in manifests.items()}


class GroupedOutput(Output):
    """The folder of an audience that is divided into groups; each group has a folder in it."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self._withdrawn: dict[str, bytes] = {}

    def group(self, group: str) -> Output:
        """Return the folder of a group."""
        return Output(self.folder.location_of(folder_name(group)))

    def withdraw(self) -> bool:
        """Delete the manifests of all groups that are here; False if some of these have campaigns."""
        if self._is_in_use():
            return False
        self._withdrawn = self._read_manifests()
        for name in self._withdrawn:
            self.folder.delete(name)
        if self._is_in_use():  # by a task that read one a moment before
            for name, content in self._withdrawn.items():
                self.folder.write(name, content)
            return False
        return True

    def delete_other_parts(self, groups: Iterable[str], progress: Progress) -> None:
        """Delete the parts of the manifests that were withdrawn, and are not of these groups."""
        kept = {f"{folder_name(group)}/{MANIFEST}" for group in groups}
        for name in self._withdrawn.keys() - kept:
            Output(self.folder.location_of(name.removesuffix(MANIFEST))).write_parts((), progress)

    def publish_groups(self, manifests: Mapping[str, Manifest]) -> None:
        """Write the manifests, unless campaigns of other groups were created here meanwhile."""
        if self._is_in_use():
            self.require_same_division(manifests)
        for group, manifest in manifests.items():
            self.folder.write(f"{folder_name(group)}/{MANIFEST}", manifest.to_json())

    def require_same_division(self, manifests: Mapping[str, Manifest]) -> None:
        """Refuse other groups than those of the campaigns, or other people in one of them."""
        used = read_division(self.folder)
        if used in {manifest.groups for manifest in manifests.values()}:
            return
        changes = list(self._changes(manifests)) if used else []
        changes = changes or ["these campaigns are not of these groups"]
        raise OtpiqValidationError(
            f"The audience was not published: {self.folder} already has campaigns of another audience:"
            f"{bullet_list(changes)}\n"
            "To continue the broadcasts of these campaigns, clear only the tasks after this one, or prepare the same"
            " rows. For other broadcasts, set another output; its recipients get a message again.",
            errors=changes,
        )

    def _changes(self, manifests: Mapping[str, Manifest]) -> Iterator[str]:
        new = {f"{folder_name(group)}/{MANIFEST}": manifest for group, manifest in manifests.items()}
        old = self._read_manifests()
        for name in sorted({*old, *new}):
            shown = f"group {name.removesuffix(f'/{MANIFEST}')}"
            if name not in new:
                yield f"{shown}: has no recipient now"
            elif name not in old:
                yield f"{shown}: is new, or its manifest is missing"
            else:
                found = describe_changes(Manifest.model_validate_json(old[name]), new[name])
                yield from (f"{shown}: {change}" for change in found)

    def _read_manifests(self) -> dict[str, bytes]:
        """Read the manifests of the groups that are here, and of an audience that is not divided."""
        names = [f"{name}/{MANIFEST}" for name in self.folder.list("") if _NAME.fullmatch(name)]
        found = self.folder.read_all([MANIFEST, *names])
        return {name: content for name, content in found.items() if name == MANIFEST or _is_of_a_group(content)}


def _take(contents: Iterator[tuple[int, bytes]], counts: Counts) -> Iterator[tuple[Part, bytes]]:
    """Take the parts of the next group."""
    return name_parts(islice(contents, math.ceil(counts.recipients / MAX_RECIPIENTS)))


def _checksum(manifests: Mapping[str, Manifest]) -> str:
    return sha256(to_json({group: manifest.checksum for group, manifest in manifests.items()})).hexdigest()


def _is_of_a_group(content: bytes) -> bool:
    """Return whether a manifest is of a group, not of another audience whose output is in this one."""
    try:
        return Manifest.model_validate_json(content).groups is not None
    except ValidationError:
        return False


def _examples(largest: Mapping[str, Counts]) -> str:
    """List the largest groups, but no value that only a few people have."""
    shown = [
        f"{safe_repr(group)} ({describe_count(counts.recipients, 'recipient')})"
        for group, counts in islice(largest.items(), _MAX_LISTED)
        if counts.recipients >= _MIN_LISTED
    ]
    return f", such as {', '.join(shown)}" if shown else f", each with fewer than {_MIN_LISTED} recipients"


def _wrong_values(groups: Iterable[str]) -> Iterator[str]:
    names: dict[str, str] = {}
    for group in groups:
        name = folder_name(group)
        if may_be_phone_number(group):
            yield f"values that may be phone numbers ({safe_repr(group)}); they would be in paths and XCom"
        elif len(name) > _MAX_NAME_LENGTH:
            yield f"a value whose folder's name has {len(name):,} characters; expected at most {_MAX_NAME_LENGTH}"
        elif (other := names.setdefault(name.lower(), group)) != group:
            yield f"values that differ only in case: {safe_repr(other)} and {safe_repr(group)}; expected one spelling"
