"""Prepare an audience: read its sources, classify each row, and write the recipients in parts."""

from __future__ import annotations

import logging
from contextlib import closing
from hashlib import sha256
from itertools import islice
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic_core import to_json

from airflow_provider_otpiq._audience.classify import MISSING_NUMBER, RowClassifier
from airflow_provider_otpiq._audience.follow_up import FollowUpRequest, load_follow_up
from airflow_provider_otpiq._audience.groups import MAX_GROUPS, Group, require_groups
from airflow_provider_otpiq._audience.manifest import Audience, Counts, Manifest, Part
from airflow_provider_otpiq._audience.output import EXCLUDED, Output, name_parts
from airflow_provider_otpiq._audience.readers import read_dicts, read_file
from airflow_provider_otpiq._audience.sources import find_files, without_empty
from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._models.phone_numbers import describe_regions
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._redaction import name_of_callable
from airflow_provider_otpiq._validation_errors import bullet_list, list_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_otpiq._audience.classify import TableName
    from airflow_provider_otpiq._audience.output import MappedTask
    from airflow_provider_otpiq._audience.request import AudienceRequest

log = logging.getLogger(__name__)

_MAX_LISTED = 20
_TABLES: tuple[TableName, ...] = ("source", "suppress")


class PreparedAudience(NamedTuple):
    """What was prepared."""

    counts: Counts
    """The number of all rows, also of those that are in no group."""
    audiences: dict[Group, Audience]
    """The audience of each group, in the order of the groups."""


def prepare(request: AudienceRequest, mapped_task: MappedTask | None = None) -> PreparedAudience:
    """Prepare an audience, in an instance of a mapped task if that is set."""
    with Database(request.memory_limit) as database:
        return _Preparation(request, database, mapped_task).run()


class _Preparation:
    def __init__(self, request: AudienceRequest, database: Database, mapped_task: MappedTask | None) -> None:
        self._request = request
        self._mapped_task = mapped_task
        self._progress = Progress()
        self._output = Output(request.output, has_groups=request.group_by is not None)
        self._classifier = RowClassifier(database, request)

    def run(self) -> PreparedAudience:
        """Prepare the audience."""
        self._load_all()
        counts = self._classifier.decide(self._progress)
        self._log_values()
        self._check_suppressions()
        groups = self._divide(counts)
        try:
            self._publish(counts, groups)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The audience was not prepared: cannot write to {self._request.output}: {error.strerror or error}",
            ) from error
        if self._request.group_by is not None:  # not before: a value of a wrong column may be personal data
            log.info("Groups: %s.", ", ".join(f"{group!r}: {of.recipients:,}" for group, of in groups.items()))
        if counts.rejected:
            log.warning("Rejected %s of %s rows.%s", f"{counts.rejected:,}", f"{counts.rows:,}", self._reasons())
        return PreparedAudience(counts, {group: Audience(self._output.location_of(group)) for group in groups})

    def _load_all(self) -> None:
        request = self._request
        if isinstance(request, FollowUpRequest):
            self._require_outside(request.paths())
            load_follow_up(request, self._classifier.table("source", self._progress), self._progress)
        else:
            self._load("source", request.source, request.columns)
        if request.suppress is not None:
            self._load("suppress", request.suppress, [request.suppress_phone_number or request.phone_number])
        self._require_exact_numbers()

    def _load(self, name: TableName, source: Any, columns: Sequence[str]) -> None:
        table = self._classifier.table(name, self._progress)
        if callable(source):
            read_dicts(name_of_callable(source), source(), columns, table)
            return
        files = find_files(source, self._request.file_format)
        self._require_outside([file.path for file in files])
        for file in without_empty(files, name):
            read_file(file, columns, self._request, table)

    def _require_outside(self, paths: Sequence[str]) -> None:
        folder = self._output.folder
        if inside := [path for path in paths if folder.contains(path)]:
            error = f"output: {folder} contains the source file {inside[0]}"
            raise self._request.refusal([error], "Set another output.")

    def _divide(self, counts: Counts) -> dict[Group, Counts]:
        """Divide the recipients into groups, if that is requested, and count the rows of each."""
        if self._request.group_by is None:
            return {None: counts}
        number, largest = self._classifier.count_groups(MAX_GROUPS)
        require_groups(self._request, number, largest)
        groups = sorted(largest.items())
        self._classifier.divide(dict(groups))
        return dict(groups)

    def _publish(self, counts: Counts, groups: Mapping[Group, Counts]) -> None:
        self._claim_output()
        if self._output.withdraw():
            self._output.write_excluded(self._classifier.excluded())
            self._require_recipients(counts)
            self._write(groups)
        else:
            self._keep(groups)
            self._require_recipients(counts)

    def _write(self, groups: Mapping[Group, Counts]) -> None:
        with closing(self._classifier.parts()) as contents:
            parts = {
                group: self._output.write_parts(_take(contents, counts), self._progress, group)
                for group, counts in groups.items()
            }
        self._output.delete_other_parts(groups)
        self._claim_output()  # again: another instance may have claimed it at the same moment
        self._output.publish(self._manifests(groups, parts))

    def _keep(self, groups: Mapping[Group, Counts]) -> None:
        """Restore the files of an audience that has campaigns."""
        with closing(self._classifier.parts()) as contents:
            parts = {group: [part for part, _ in _take(contents, counts)] for group, counts in groups.items()}
        manifests = self._manifests(groups, parts)
        self._output.require_same(manifests)
        with closing(self._classifier.parts()) as contents:
            restored = sum(
                self._output.restore(_take(contents, counts), manifests[group], group)
                for group, counts in groups.items()
            )
        log.info(
            "%s already has campaigns, and its audience is unchanged. Restored files: %d.",
            self._output.folder,
            restored,
        )

    def _claim_output(self) -> None:
        if self._mapped_task:
            self._mapped_task.claim(self._output.folder)

    def _manifests(self, groups: Mapping[Group, Counts], parts: Mapping[Group, list[Part]]) -> dict[Group, Manifest]:
        """Return the manifest of each group, which has the checksum of all groups."""
        source = self._request.source
        manifests = {
            group: Manifest(
                source=[name_of_callable(source)] if callable(source) else list(source),
                template_parameters=self._request.parameter_keys,
                counts=counts,
                parts=parts[group],
            )
            for group, counts in groups.items()
        }
        if self._request.group_by is None:
            return manifests
        division = sha256(to_json({group: manifest.checksum for group, manifest in manifests.items()})).hexdigest()
        return {group: manifest.model_copy(update={"groups": division}) for group, manifest in manifests.items()}

    def _require_exact_numbers(self) -> None:
        errors = [
            f"{table}: the phone numbers are floats of 32 bits, which have lost their last digits"
            for table in _TABLES
            if self._classifier.has_rounded_numbers(table)
        ]
        if errors:
            raise self._request.refusal(errors, "Write the column as strings in the source.")

    def _log_values(self) -> None:
        if changed := self._classifier.cleaned_values():
            log.info("Cleaned the whitespace of %s template parameters, as WhatsApp requires.", f"{changed:,}")
        if regions := self._classifier.regions():
            log.info("%s.", describe_regions(regions, self._request.default_region))

    def _check_suppressions(self) -> None:
        """Refuse rows of the suppression list that cannot be read, and warn of blank ones."""
        if self._request.suppress is None:
            return
        unreadable = self._classifier.rows_without_number()
        blank = unreadable.pop(MISSING_NUMBER, [])
        if errors := [f"suppress: {list_rows(rows)}: {reason}" for reason, rows in unreadable.items()]:
            raise self._request.refusal(
                errors,
                "Correct these rows of the suppression list, or delete them. Otherwise the people in them would be"
                " messaged.",
            )
        if not self._classifier.has_suppressions():
            log.warning("suppress has no phone numbers, so no row is suppressed.")
        if blank:
            log.warning("suppress: ignored %s without a phone number.", list_rows(blank))

    def _require_recipients(self, counts: Counts) -> None:
        limit = self._request.max_rejected
        rejected = counts.rejected / max(counts.rows, 1) if isinstance(limit, float) else counts.rejected
        errors = []
        if not counts.recipients:
            errors.append(
                f"{self._request.source_field}: no recipient is left; rows: {counts.rows:,},"
                f" rejected: {counts.rejected:,}, suppressed: {counts.suppressed:,}"
            )
        if rejected > limit:
            expected = f"{limit} of the rows" if isinstance(limit, float) else f"{limit:,}"
            errors.append(
                f"max_rejected: {counts.rejected:,} of {counts.rows:,} rows rejected; expected at most {expected}"
            )
        if errors:
            excluded = self._output.folder.location_of(EXCLUDED)
            remedy = f"Check {excluded}, which lists the rows that get no message."
            raise self._request.refusal(errors, f"{self._reasons()}\n{remedy}".lstrip())

    def _reasons(self) -> str:
        """List the most frequent reasons for rejected rows."""
        reasons = [f"{count:,}x {reason}" for reason, count in islice(self._classifier.reasons(), _MAX_LISTED)]
        return f"\nRejected, by reason:{bullet_list(reasons)}" if reasons else ""


def _take(contents: Iterator[tuple[int, bytes]], counts: Counts) -> Iterator[tuple[Part, bytes]]:
    """Take the parts of the next group."""
    return name_parts(islice(contents, ceil(counts.recipients / MAX_RECIPIENTS)))
