"""Prepare an audience: read its sources, decide about each row, and write the recipients in parts."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_otpiq._audience.classify import RowClassifier
from airflow_provider_otpiq._audience.manifest import Audience, Counts, Manifest, Part
from airflow_provider_otpiq._audience.output import EXCLUDED, Output, name_parts
from airflow_provider_otpiq._audience.readers import read_csv, read_dicts, read_json_lines, read_parquet
from airflow_provider_otpiq._audience.sources import find_files, without_empty
from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._models.phone_numbers import describe_regions
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq._redaction import name_of_callable
from airflow_provider_otpiq._validation_errors import bullet_list, list_some
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_otpiq._audience.loading import Loader
    from airflow_provider_otpiq._audience.mapped_task import MappedTask
    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq._audience.sources import SourceFile

log = logging.getLogger(__name__)

_MAX_LISTED = 20


def prepare(request: AudienceRequest, mapped_task: MappedTask | None = None) -> Audience:
    """
    Prepare an audience.

    :param request: what it is prepared from.
    :param mapped_task: the instance of a mapped task that does it, if it is one.
    :raises OSError: if a source cannot be read, or the output cannot be written.
    :raises OtpiqValidationError: if a source is wrong, too many rows are, or nobody is left; or if the audience has
        campaigns and would be another one; or if another instance of a mapped task prepares its own there.
    """
    with Database(request.memory_limit) as database:
        return _Preparation(request, database, mapped_task).run()


class _Preparation:
    def __init__(self, request: AudienceRequest, database: Database, mapped_task: MappedTask | None) -> None:
        self._request = request
        self._database = database
        self._mapped_task = mapped_task
        self._progress = Progress()
        self._output = Output(request.output)
        self._classifier = RowClassifier(database, request)

    def run(self) -> Audience:
        self._load("source", self._request.source, self._request.columns)
        if self._request.suppress is not None:
            self._load("suppress", self._request.suppress, [self._request.suppress_column])
        self._require_exact_numbers()
        counts = self._classifier.decide(self._progress)
        self._log_values()
        self._require_readable_suppressions()
        self._warn_of_rows_without_number()
        with _clear_errors(self._request.output):
            self._claim_output()
            if self._output.withdraw():
                self._write(counts)
            else:
                self._keep(counts)
        self._warn_of_rejected(counts)
        return Audience(self._output.location)

    def _load(self, table: Literal["source", "suppress"], source: Any, columns: Sequence[str]) -> None:
        loader = self._classifier.loader(table, self._progress)
        if callable(source):
            read_dicts(name_of_callable(source), source(), columns, loader)
        else:
            files = find_files(source, self._request.file_format)
            _refuse_own_output(files, self._output)
            for file in without_empty(files, table):
                self._load_file(file, columns, loader)

    def _load_file(self, file: SourceFile, columns: Sequence[str], loader: Loader) -> None:
        if file.file_format == "csv":
            read_csv(file, columns, self._request.delimiter, self._request.encoding, loader)
        elif file.file_format == "jsonl":
            read_json_lines(file, columns, self._request.encoding, loader)
        else:
            read_parquet(file, columns, loader)

    def _write(self, counts: Counts) -> None:
        self._output.write_excluded(self._classifier.excluded())
        self._require_recipients(counts)
        parts = self._output.write_parts(name_parts(self._classifier.parts()), self._progress)
        self._claim_output()  # once more, as another may have had the same idea at the same moment
        self._output.publish(self._manifest(counts, parts))

    def _claim_output(self) -> None:
        if self._mapped_task:
            self._mapped_task.claim(self._output.folder)

    def _keep(self, counts: Counts) -> None:
        parts = [part for part, _ in name_parts(self._classifier.parts())]
        manifest = self._manifest(counts, parts)
        self._output.require_same(manifest)
        restored = self._output.restore(name_parts(self._classifier.parts()), manifest)
        log.info(
            "%s has campaigns already, and is what was prepared now: %d files were restored.",
            self._output.folder,
            restored,
        )

    def _manifest(self, counts: Counts, parts: list[Part]) -> Manifest:
        source = self._request.source
        paths = [path.split(".", 1) for path in self._request.parameter_paths]
        return Manifest(
            source=[name_of_callable(source)] if callable(source) else list(source),
            template_parameters={
                section: [key for name, key in paths if name == section]
                for section in self._request.template_parameters
            },
            counts=counts,
            parts=parts,
        )

    def _require_exact_numbers(self) -> None:
        tables: tuple[Literal["source", "suppress"], ...] = ("source", "suppress")
        errors = [
            f"{table}: the phone numbers are floats of 32 bits, whose last digits are lost"
            for table in tables
            if self._classifier.has_rounded_numbers(table)
        ]
        if errors:
            raise OtpiqValidationError(
                f"The audience was not prepared, because of:{bullet_list(errors)}\nWrite the column as strings.",
                errors=errors,
            )

    def _log_values(self) -> None:
        if cleaned := self._classifier.cleaned_values():
            log.info("Cleaned the whitespace of %s template parameters, as WhatsApp requires.", f"{cleaned:,}")
        if regions := self._classifier.regions():
            log.info("%s.", describe_regions(regions, self._request.default_region))

    def _require_recipients(self, counts: Counts) -> None:
        limit = self._request.max_rejected
        rejected = counts.rejected / max(counts.rows, 1) if isinstance(limit, float) else counts.rejected
        errors = []
        if not counts.recipients:
            errors.append(f"source: nobody is left of {counts.rows:,} rows{_left_out(counts)}")
        if rejected > limit:
            errors.append(
                f"max_rejected: {counts.rejected:,} of {counts.rows:,} rows are rejected; at most {limit} may be"
            )
        if errors:
            raise OtpiqValidationError(
                f"The audience was not prepared, because of:{bullet_list(errors)}{self._by_reason()}"
                f"\n{self._output.folder.location_of(EXCLUDED)} lists the rejected rows.",
                errors=errors,
            )

    def _warn_of_rejected(self, counts: Counts) -> None:
        if counts.rejected:
            log.warning("%s of %s rows are rejected.%s", f"{counts.rejected:,}", f"{counts.rows:,}", self._by_reason())

    def _by_reason(self) -> str:
        """List the most frequent reasons for rejected rows."""
        reasons = [f"{count:,} rows: {reason}" for reason, count in islice(self._classifier.reasons(), _MAX_LISTED)]
        return f"\nRejected, by reason:{bullet_list(reasons)}" if reasons else ""

    def _require_readable_suppressions(self) -> None:
        unreadable = self._classifier.unreadable_suppressions().items()
        errors = [f"suppress: rows {list_some(list(map(str, rows)), _MAX_LISTED)}: {why}" for why, rows in unreadable]
        if errors:
            raise OtpiqValidationError(
                f"The audience was not prepared, because whom these rows name would get the message:"
                f"{bullet_list(errors)}\nCorrect them in the suppression list, or take them out of it.",
                errors=errors,
            )

    def _warn_of_rows_without_number(self) -> None:
        if self._request.suppress is not None and not self._classifier.has_suppressions():
            log.warning("suppress holds no phone number at all: nobody is suppressed.")
        if useless := self._classifier.rows_without_number():
            listed = list_some(list(map(str, useless)), _MAX_LISTED)
            log.warning("%d rows of suppress hold no phone number, and suppress nobody: rows %s.", len(useless), listed)


def _left_out(counts: Counts) -> str:
    numbers = {name: getattr(counts, name) for name in ("rejected", "suppressed")}
    return "".join(f", {count:,} {name}" for name, count in numbers.items() if count)


def _refuse_own_output(files: list[SourceFile], output: Output) -> None:
    inside = [str(file) for file in files if output.folder.contains(file.path)]
    if inside:
        error = f"output: {output.folder} holds a file that is to be read, {inside[0]}"
        raise OtpiqValidationError(f"{error}. Set a folder of its own.", errors=[error])


@contextmanager
def _clear_errors(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno, f"The audience cannot be written to {location}: {error.strerror or error}. There is none yet"
        ) from error
