"""Prepare an audience: read its sources, classify each row, and write the recipients in parts."""

from __future__ import annotations

import logging
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._audience.classify import MISSING_NUMBER, RowClassifier
from airflow_provider_otpiq._audience.follow_up import FollowUpRequest, load_follow_up
from airflow_provider_otpiq._audience.manifest import Audience, Counts, Manifest, Part
from airflow_provider_otpiq._audience.output import EXCLUDED, Output, name_parts
from airflow_provider_otpiq._audience.readers import read_dicts, read_file
from airflow_provider_otpiq._audience.sources import find_files, without_empty
from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._models.phone_numbers import describe_regions
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._redaction import name_of_callable
from airflow_provider_otpiq._validation_errors import bullet_list, list_rows
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_otpiq._audience.classify import TableName
    from airflow_provider_otpiq._audience.output import MappedTask
    from airflow_provider_otpiq._audience.request import AudienceRequest

log = logging.getLogger(__name__)

_MAX_LISTED = 20
_TABLES: tuple[TableName, ...] = ("source", "suppress")


def prepare(request: AudienceRequest, mapped_task: MappedTask | None = None) -> Audience:
    """Prepare an audience, in an instance of a mapped task if that is set."""
    with Database(request.memory_limit) as database:
        preparation = Preparation(request, database, mapped_task)
        preparation.run()
        return Audience(preparation.output.location)


class Preparation:
    """Prepares an audience that is not divided into groups."""

    def __init__(self, request: AudienceRequest, database: Database, mapped_task: MappedTask | None) -> None:
        self._request = request
        self._mapped_task = mapped_task
        self._progress = Progress()
        self.output = Output(request.output)
        self._classifier = RowClassifier(database, request)

    def run(self) -> Counts:
        """Prepare the audience, and count its rows."""
        request = self._request
        if isinstance(request, FollowUpRequest):
            self._require_outside(request.paths())
            load_follow_up(request, self._classifier.table("source", self._progress), self._progress)
        else:
            self._load("source", request.source, request.columns)
        if request.suppress is not None:
            self._load("suppress", request.suppress, [request.suppress_phone_number or request.phone_number])
        self._require_exact_numbers()
        counts = self._classifier.decide(self._progress)
        self._log_values()
        self._check_suppressions()
        try:
            self._publish(counts)
        except OSError as error:
            raise OSError(
                error.errno,
                f"The audience was not prepared: cannot write to {self._request.output}: {error.strerror or error}",
            ) from error
        if counts.rejected:
            log.warning("Rejected %s of %s rows.%s", f"{counts.rejected:,}", f"{counts.rows:,}", self._reasons())
        return counts

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
        folder = self.output.folder
        if inside := [path for path in paths if folder.contains(path)]:
            raise refusal([f"output: {folder} contains the source file {inside[0]}"], "Set another output.")

    def _publish(self, counts: Counts) -> None:
        self._claim_output()
        if self.output.withdraw():
            self._write(counts)
        else:
            self._keep(counts)

    def _write(self, counts: Counts) -> None:
        self.output.write_excluded(self._classifier.excluded())
        self._require_recipients(counts)
        with closing(self._classifier.parts()) as contents:
            parts = self.output.write_parts(name_parts(contents), self._progress)
        self._claim_output()  # again: another instance may have claimed it at the same moment
        self.output.publish(self._manifest(counts, parts))

    def _keep(self, counts: Counts) -> None:
        """Restore the files of an audience that has campaigns."""
        self._require_recipients(counts)
        with closing(self._classifier.parts()) as contents:
            manifest = self._manifest(counts, [part for part, _ in name_parts(contents)])
        self.output.require_same(manifest)
        with closing(self._classifier.parts()) as contents:
            restored = self.output.restore(name_parts(contents), manifest)
        self._log_kept(restored)

    def _log_kept(self, restored: int) -> None:
        log.info(
            "%s already has campaigns, and its audience is unchanged. Restored files: %d.",
            self.output.folder,
            restored,
        )

    def _claim_output(self) -> None:
        if self._mapped_task:
            self._mapped_task.claim(self.output.folder)

    def _manifest(self, counts: Counts, parts: list[Part]) -> Manifest:
        source = self._request.source
        return Manifest(
            source=[name_of_callable(source)] if callable(source) else list(source),
            template_parameters=self._request.parameter_keys,
            counts=counts,
            parts=parts,
        )

    def _require_exact_numbers(self) -> None:
        errors = [
            f"{table}: the phone numbers are floats of 32 bits, which have lost their last digits"
            for table in _TABLES
            if self._classifier.has_rounded_numbers(table)
        ]
        if errors:
            raise refusal(errors, "Write the column as strings in the source.")

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
            raise refusal(
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
            excluded = self.output.folder.location_of(EXCLUDED)
            remedy = f"Check {excluded}, which lists the rows that get no message."
            raise refusal(errors, f"{self._reasons()}\n{remedy}".lstrip())

    def _reasons(self) -> str:
        """List the most frequent reasons for rejected rows."""
        reasons = [f"{count:,}x {reason}" for reason, count in islice(self._classifier.reasons(), _MAX_LISTED)]
        return f"\nRejected, by reason:{bullet_list(reasons)}" if reasons else ""


def refusal(errors: Sequence[str], remedy: str) -> OtpiqValidationError:
    return OtpiqValidationError(f"The audience was not prepared:{bullet_list(errors)}\n{remedy}", errors=errors)
