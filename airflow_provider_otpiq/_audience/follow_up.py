"""A follow-up: an audience of the people of an earlier one whose message has a certain status in a delivery report."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, PlainValidator

from airflow_provider_otpiq._audience.file_kind import unreadable
from airflow_provider_otpiq._audience.manifest import Audience, ledgers_of
from airflow_provider_otpiq._audience.readers import read_file
from airflow_provider_otpiq._audience.request import AudienceRequest, Columns
from airflow_provider_otpiq._audience.sources import find_files
from airflow_provider_otpiq._audience.table import MALFORMED, Table
from airflow_provider_otpiq._duckdb import literal
from airflow_provider_otpiq._ledger.history import read_history
from airflow_provider_otpiq._ledger.ledger import Ledger
from airflow_provider_otpiq._models.fields import ManifestPath, String, is_set
from airflow_provider_otpiq._models.phone_numbers import API_FORM, DEFAULT_REGION
from airflow_provider_otpiq._models.reports import MESSAGE_STATUSES, strings, words
from airflow_provider_otpiq._redaction import safe_repr, sanitize
from airflow_provider_otpiq._storage import find_store
from airflow_provider_otpiq._validation_errors import list_rows, list_some
from airflow_provider_otpiq.exceptions import OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_otpiq._audience.sources import SourceFile
    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq._progress import Progress

log = logging.getLogger(__name__)

UNMATCHED = "unmatched"
"""What :class:`.DeliveryReportOperator` calls a person without a message."""

_FIELDS = ("follow_up", "audience", "follow_up_statuses", "exclude_reasons")
_OF_A_SOURCE = ("source", "phone_number", "template_parameters", "reference", "group_by")
_COLUMNS = ("phone_number", "delivery_status", "error_reason", "ambiguous", "person_messages")
_MAX_LISTED = 20
_SUFFIXES = (".parquet", ".csv")
_REMEDY = (
    "Set the unchanged file of a DeliveryReportOperator (0.9.0 or later) that has the broadcast or the audience of"
    " `audience`, and no `statuses`, which hide a person's other messages."
)


def _report_file(location: str) -> str:
    if location.endswith(_SUFFIXES):
        return location
    name = safe_repr(location.rpartition("/")[2])
    raise ValueError(f"must end in {' or '.join(_SUFFIXES)}, as the file of a delivery report; found {name}")


class FollowUpRequest(AudienceRequest):
    """An audience to prepare from a delivery report, and from the audience that the report is about."""

    source_field: ClassVar[str] = "follow_up"
    required_if_set: ClassVar[dict[str, str]] = AudienceRequest.required_if_set | {
        "follow_up": "the people of the report would be unknown",
        "audience": "the people and their parameters would be unknown",
        "follow_up_statuses": "people whose message has another status would get one again",
        "exclude_reasons": "people who opted out could get a message again",
    }

    source: Any = ()
    phone_number: String = "phoneNumber"
    follow_up: Annotated[String, AfterValidator(_report_file)]
    audience: ManifestPath
    follow_up_statuses: Annotated[list[str], PlainValidator(partial(words, allowed=(*MESSAGE_STATUSES, UNMATCHED)))] = (
        Field(default_factory=lambda: ["failed"])
    )
    exclude_reasons: Annotated[list[str], PlainValidator(partial(strings, rule="a list of strings"))] = Field(
        default_factory=list
    )

    @classmethod
    def _cross_field_errors(cls, fields: Mapping[str, object]) -> list[str]:
        errors = [
            f"{name}: cannot be combined with follow_up, whose people, parameters and references are those of audience;"
            f" remove {name}"
            for name in _OF_A_SOURCE
            if is_set(fields.get(name))
        ]
        if is_set(fields.get("suppress")) and not is_set(fields.get("suppress_phone_number")):
            errors.append("suppress_phone_number: is required with follow_up, because there is no phone_number")
        return errors

    def with_columns(self) -> Self:
        """Return the request with the audience's parameters as columns, and the report as the manifest's source."""
        sections = Audience(self.audience).manifest.template_parameters
        parameters = {section: _nested(section, keys) for section, keys in sections.items()}
        return self.model_copy(
            update={"source": (self.follow_up,), "reference": "reference", "template_parameters": parameters}
        )

    @property
    def null_values_of_source(self) -> tuple[str, ...]:
        """An empty tuple: the values were accepted when the audience was prepared."""
        return ()

    def report(self) -> SourceFile:
        """Find the report's file."""
        file, *others = find_files([self.follow_up], None)
        if others:
            raise _refusal(f"follow_up: {self.follow_up}: matches {1 + len(others)} files; expected one report")
        return file

    def paths(self) -> list[str]:
        """List the paths of the report and the manifest, each in its store."""
        return [self.report().path, find_store(self.audience)[1]]


def parse_request(**fields: Any) -> AudienceRequest:
    """
    Validate the fields of an audience, which has a source or is a follow-up.

    :raises OtpiqValidationError: if any field breaks a rule, or the audience of a follow-up cannot be read.
    """
    if any(fields.get(name) is not None for name in _FIELDS):
        return FollowUpRequest.parse(**fields).with_columns()
    return AudienceRequest.parse(**{name: value for name, value in fields.items() if name not in _FIELDS})


def _nested(section: str, keys: list[str]) -> dict[str, Any]:
    """Return the column of each parameter, as in :attr:`.Columns.template_parameters`; ``0.1`` is nested."""
    nested: dict[str, Any] = {}
    for key in keys:
        *above, last = key.split(".")
        inner = nested
        for name in above:
            inner = inner.setdefault(name, {})
        inner[last] = f"{section}.{key}"
    return nested


def load_follow_up(request: FollowUpRequest, table: Table, progress: Progress) -> None:
    """
    Load the people whose message has one of the statuses, in the audience's order; note those to leave out.

    :raises OtpiqValidationError: if the report cannot be read, or is not about the audience.
    """
    database = table.database
    _load_report(request, database, progress)
    if UNMATCHED in request.follow_up_statuses:
        _require_each_campaign(request, database)
    width = _load_members(request, database, progress)
    _require_valid(database)
    statuses = ", ".join(map(literal, request.follow_up_statuses))
    database.execute(_MESSAGES.format(statuses=statuses))
    database.execute("DROP TABLE report")
    database.execute(_LEFT_OUT.format(reasons=_reasons(request.exclude_reasons)))
    database.execute(_PEOPLE.format(has_unmatched=UNMATCHED in request.follow_up_statuses))
    database.execute("DROP TABLE messages")
    # With a plus, a foreign number is read as it is, and not as one of the default region.
    is_read_unchanged = f"{request.default_region == DEFAULT_REGION} AND regexp_full_match(k0, '{API_FORM}')"
    columns = [f"CASE WHEN {is_read_unchanged} THEN k0 ELSE '+' || k0 END AS k0", *(f"k{i}" for i in range(1, width))]
    for bounds in database.fetch(_RANGES):  # all at once would take memory for all of them
        table.append(_ROWS.format(columns=", ".join(columns)), bounds)
    database.execute("DROP TABLE members")
    database.execute("DROP TABLE people")
    _log_left_out(database)


def _require_each_campaign(request: FollowUpRequest, database: Database) -> None:
    """Refuse a report without messages from one of the campaigns: its people may have got one, or still get it."""
    audience = Audience(request.audience)
    senders: dict[str, set[str]] = {part.name: set() for part in audience.manifest.parts}
    for location in ledgers_of(audience.folder).values():
        if ledger := Ledger.open(location):
            for name, campaign_id in read_history(ledger, audience.manifest.parts).senders.items():
                senders[name].add(campaign_id)
    reported = {found for (found,) in database.fetch("SELECT DISTINCT campaign_id FROM report WHERE campaign_id <> ''")}
    if others := reported.difference(*senders.values()):
        raise _incomplete(
            f"contains campaign {sanitize(min(others))}, which belongs to no ledger of {audience.location}; expected"
            " the report of this audience"
        )
    if missing := [name for name, campaign_ids in senders.items() if not campaign_ids & reported]:
        raise _incomplete(
            "contains no messages from the campaigns of these parts:"
            f" {list_some(missing, _MAX_LISTED)}; expected some from each campaign, because people of the others may"
            " have got a message that is not in the report, or still get one"
        )


def _incomplete(problem: str) -> OtpiqValidationError:
    error = f"follow_up: the report {problem}"
    return OtpiqValidationError(
        f"The audience was not prepared: {error}. Make a report with the broadcast of this audience after its last"
        f" campaign has started, or remove {UNMATCHED} from follow_up_statuses.",
        errors=[error],
    )


def _load_report(request: FollowUpRequest, database: Database, progress: Progress) -> None:
    columns = (*_COLUMNS, "campaign_id") if UNMATCHED in request.follow_up_statuses else _COLUMNS
    table = _table("report", columns, database, progress)
    file = request.report()
    try:
        read_file(file, columns, Columns(phone_number=columns[0]), table)
    except OtpiqValidationError as error:
        if str(file) not in error.errors[0]:  # too little memory
            raise
        raise _refusal(*(f"follow_up: {text}" for text in error.errors)) from None


def _load_members(request: FollowUpRequest, database: Database, progress: Progress) -> int:
    """Load the people of the audience with their values, and return the number of columns."""
    columns = [f"k{index}" for index in range(len(request.columns))]
    paths = [column.split(".") for column in request.parameters.values()]
    audience = Audience(request.audience)
    rows = (_values(recipient, paths) for part in audience.manifest.parts for recipient in audience.read_part(part))
    _table("members", columns, database, progress).append_rows(rows, len(columns))
    return len(columns)


def _table(name: str, columns: Sequence[str], database: Database, progress: Progress) -> Table:
    database.execute(f"CREATE TABLE {name} ({', '.join(f'{column} VARCHAR' for column in columns)})")
    return Table(database, name, ", ".join(f"k{index}" for index in range(len(columns))), progress)


def _values(recipient: dict[str, Any], paths: list[list[str]]) -> list[str]:
    values = [recipient["phoneNumber"], recipient.get("reference", "")]
    for path in paths:
        value = recipient["templateParameters"]
        for key in path:
            value = value[key]
        values.append(value)
    return values


def _require_valid(database: Database) -> None:
    found = database.fetch(_WRONG_ROWS)
    if errors := [f"follow_up: {list_rows(rows)}: {problem}" for problem, rows in found]:
        raise _refusal(*errors)


def _reasons(exclude_reasons: list[str]) -> str:
    """Write the SQL of why a person is left out, or NULL."""
    cases = [
        f"WHEN contains(lower(error_reason), lower({literal(text)}))"
        f" THEN {literal(f'the error reason contains {text!r}')}"
        for text in exclude_reasons
    ]
    return f"CASE WHEN is_ambiguous THEN 'has several messages in the report' {' '.join(cases)} END"


def _log_left_out(database: Database) -> None:
    sql = "SELECT count(*), reason FROM left_out GROUP BY reason ORDER BY 1 DESC, 2"
    for count, reason in database.fetch(sql):
        log.info("Left out of the follow-up: %s, because: %s.", f"{count:,}", reason)


def _refusal(*errors: str) -> OtpiqValidationError:
    return unreadable(*errors, remedy=_REMEDY)


_WRONG_ROWS = f"""
    SELECT problem, list(row ORDER BY row) FROM (
        SELECT rowid + 1 AS row, CASE
            WHEN starts_with(phone_number, '{MALFORMED}') THEN 'the row cannot be read'
            WHEN delivery_status = '' THEN 'delivery_status is empty'
            WHEN ambiguous NOT IN ('true', 'false') THEN 'ambiguous is neither true nor false'
            WHEN coalesce(try_cast(person_messages AS BIGINT), 0) < 1 THEN 'person_messages is not a positive number'
            WHEN phone_number NOT IN (SELECT k0 FROM members) THEN 'the person is not in the audience'
        END AS problem FROM report
    ) WHERE problem IS NOT NULL GROUP BY problem ORDER BY min(row)
"""
_MESSAGES = """
    CREATE TABLE messages AS SELECT phone_number, max(error_reason) AS error_reason,
        bool_or(delivery_status IN ({statuses})) AS is_wanted,
        count(*) > 1 OR bool_or(ambiguous = 'true' OR person_messages::BIGINT > 1) AS is_ambiguous
    FROM report GROUP BY phone_number
"""
_LEFT_OUT = """
    INSERT INTO left_out SELECT * FROM (
        SELECT phone_number::BIGINT, {reasons} AS reason FROM messages WHERE is_wanted
    ) WHERE reason IS NOT NULL
"""
_PEOPLE = """
    CREATE TABLE people AS SELECT members.rowid AS id FROM members LEFT JOIN messages ON k0 = phone_number
    WHERE coalesce(is_wanted, {has_unmatched})
"""
_RANGES = "SELECT min(id), max(id) FROM people GROUP BY id // 100_000 ORDER BY 1"
_ROWS = """
    (SELECT {columns} FROM members WHERE rowid BETWEEN $1 AND $2
    AND rowid IN (SELECT id FROM people WHERE id BETWEEN $1 AND $2) ORDER BY rowid)
"""
