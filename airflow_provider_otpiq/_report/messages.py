"""The messages of reports in DuckDB: read, validated, joined with their recipients, counted and written."""

from __future__ import annotations

import logging
import shutil
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._duckdb import NULL_SENTINEL, identifier, literal, read_csv
from airflow_provider_otpiq._models.reports import MESSAGE_STATUSES
from airflow_provider_otpiq._recipients.rows import BEGINS_A_FORMULA, SIGNED_NUMBER
from airflow_provider_otpiq._redaction import sanitize
from airflow_provider_otpiq._report.columns import COLUMNS, read_header
from airflow_provider_otpiq._validation_errors import list_some
from airflow_provider_otpiq.exceptions import OtpiqError, OtpiqReportError, OtpiqValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq._report.columns import Header
    from airflow_provider_otpiq._report.members import PartMembers

log = logging.getLogger(__name__)

_TIME_IN_CSV = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {0}"  # the database is in UTC
_BUFFER = 4_000_000  # bytes, twice the longest line; DuckDB's default is 32 MB for each thread
_TIMES = ("created_at", "sent_at")
_REFERENCE_IN_CSV = (  # an apostrophe before a value keeps spreadsheets from running it as a formula
    f"CASE WHEN regexp_matches({{0}}, '{BEGINS_A_FORMULA}') AND NOT regexp_full_match({{0}}, '{SIGNED_NUMBER}')"
    " THEN chr(39) || {0} ELSE {0} END AS {0}"
)
_FINAL = "delivery_status IN ('delivered', 'read', 'failed')"
_TYPE = "lower(trim(message_type))"
_MAX_LISTED = 5


class MessageTable:
    """
    The messages of one or several reports.

    :param has_members: whether only messages to the members that are added count.
    :param message_types: which types of messages count, in any case; None for all.
    """

    def __init__(self, database: Database, *, has_members: bool, message_types: Sequence[str] | None = None) -> None:
        self._database = database
        self._has_members = has_members
        self._message_types = message_types
        self._header: Header | None = None
        self.folder = database.folder
        database.execute(
            "CREATE TABLE members (phone_number VARCHAR, reference VARCHAR, part VARCHAR, campaign_id VARCHAR)"
        )

    def add_members(self, members: PartMembers) -> None:
        """Add the members in one part."""
        self._database.insert(
            "members",
            [
                (recipient["phoneNumber"], _text(recipient.get("reference")), members.part, members.campaign_id)
                for recipient in members.recipients
            ],
        )

    def add_messages(self, path: Path, report: str, rows: int, part: str | None = None) -> None:
        """
        Add the messages of a report's file, of which only those to the members count, or to the members of a part.

        :raises OtpiqReportError: if the file has another number of rows, or is not as documented.
        """
        header = read_header(path, report)
        self._require_valid(header, path, report, rows)
        select, parameters = f"{_select(header)} FROM {_read_csv(header)}", [str(path)]
        if self._header is None:
            self._header = header
            self._database.execute(f"CREATE TABLE received AS {select} LIMIT 0", parameters)
            self._database.execute(f"CREATE VIEW messages AS FROM received WHERE {self._is_counted()}")
        elif header != self._header:
            raise OtpiqReportError(f"The file of {report} has other columns than the report before it.")
        if self._has_members:
            members = "SELECT phone_number FROM members" + (" WHERE part = $2" if part else "")
            select = f"SELECT * FROM ({select}) SEMI JOIN ({members}) members USING (phone_number)"
            parameters += [part] if part else []
        ((added,),) = self._database.fetch(f"INSERT INTO received {select}", parameters)
        if others := rows - added:
            log.info("Ignored %s of %s messages in %s: sent to other people.", f"{others:,}", f"{rows:,}", report)

    def _require_valid(self, header: Header, path: Path, report: str, rows: int) -> None:
        checked = {column: text for column, text in header.documented.items() if column.rule}
        invalid = ", ".join(
            f"count(*) FILTER (({column.is_valid.format(text)}) IS NOT true)" for column, text in checked.items()
        )
        try:
            ((found, *counts),) = self._database.fetch(
                f"SELECT count(*), {invalid} FROM {_read_csv(header)}", [str(path)]
            )
        except OtpiqValidationError:  # too little memory
            raise
        except OtpiqError:  # DuckDB's own text would follow
            raise OtpiqReportError(f"The file of {report} has a row that is not valid CSV or not UTF-8.") from None
        errors = [
            f"{column.title}: not {column.rule} in {count:,} of {found:,} rows"
            for column, count in zip(checked, counts, strict=True)
            if count
        ]
        if found != rows:
            errors.append(f"only {found:,} of {rows:,} rows can be read")
        if errors:
            raise OtpiqReportError(f"The file of {report} is not as documented: {'; '.join(errors)}.")

    def _is_counted(self) -> str:
        """Return the SQL condition that a received message is of a type that counts."""
        if self._message_types is None:
            return "true"
        return f"{_TYPE} IN ({', '.join(f'lower(trim({literal(name)}))' for name in self._message_types)})"

    def log_other_types(self) -> None:
        """Log how many messages are of types that do not count; warn if all are, because the types may be wrong."""
        others = dict(
            self._database.fetch(
                f"SELECT message_type, count(*) FROM received WHERE ({self._is_counted()}) IS NOT true"
                " GROUP BY message_type ORDER BY count(*) DESC, message_type"
            )
        )
        if not others:
            return
        ignored, received = sum(others.values()), self._single("SELECT count(*) FROM received")
        types = " or ".join(map(repr, self._message_types or ()))
        found = list_some([f"{sanitize(str(name))!r} ({count:,})" for name, count in others.items()], _MAX_LISTED)
        log.info(
            "Ignored %s of %s messages, of other types than %s: %s.", f"{ignored:,}", f"{received:,}", types, found
        )
        if ignored == received:
            log.warning(
                "message_types: no message is of type %s, so none was counted; found %s. OTPIQ does not document the"
                " type of a campaign's messages (assumption report-message-type): if one of the types found is the"
                " right one, set message_types to it.",
                types,
                found,
            )

    def log_missing(self) -> None:
        """Warn if there is no message to any of the members: their messages may be reported in another way."""
        members, received = self._database.fetch(
            "SELECT (SELECT count(*) FROM members), (SELECT count(*) FROM received)"
        )[0]
        if members and not received:
            log.warning(
                "No message to any of the %s recipients is in this period. If OTPIQ's dashboard shows their messages,"
                " OTPIQ reports another time or form of the numbers (assumptions report-created-at,"
                " report-phone-numbers).",
                f"{members:,}",
            )

    def counts(self) -> dict[str, Any]:
        """Count the messages by status, and sum their costs."""
        by_status = ", ".join(f"count(*) FILTER (delivery_status = '{status}')" for status in MESSAGE_STATUSES)
        ((messages, refunded, cost, has_unknown_costs, *statuses),) = self._database.fetch(
            "SELECT count(*), count(*) FILTER (refunded), coalesce(sum(cost_iqd) FILTER (NOT refunded), 0)::BIGINT,"
            f" count(*) > count(cost_iqd), {by_status} FROM messages"
        )
        if others := messages - sum(statuses):
            log.warning(
                "Messages with an undocumented status, which is not final: %s (assumption report-statuses).",
                f"{others:,}",
            )
        return {
            "messages": messages,
            **dict(zip(MESSAGE_STATUSES, statuses, strict=True)),
            "refunded": refunded,
            "cost_iqd": None if has_unknown_costs else cost,
            "unmatched": self._single("SELECT count(*) FROM members ANTI JOIN messages USING (phone_number)"),
        }

    def final_share(self) -> float:
        """Return the share of the members, or else of the messages, whose status no longer changes."""
        if not self._has_members:  # without messages all are final, unless they are of types that may be wrong
            empty = "(SELECT (count(*) = 0)::INT FROM received)"
            return float(self._single(f"SELECT coalesce(avg(({_FINAL})::INT), {empty}) FROM messages"))
        return float(
            self._single(
                "SELECT avg(coalesce(is_final, false)::INT) FROM members LEFT JOIN"
                f" (SELECT phone_number, bool_and({_FINAL}) AS is_final FROM messages GROUP BY phone_number)"
                " USING (phone_number)"
            )
        )

    def _single(self, sql: str) -> Any:
        return self._database.fetch(sql)[0][0]

    def ambiguous(self) -> Iterator[tuple[str, str | None]]:
        """Yield the phone number and the reference of each member with several messages."""
        return self._database.query(
            "SELECT phone_number, any_value(reference) FROM messages JOIN members USING (phone_number)"
            " GROUP BY phone_number HAVING count(*) > 1 ORDER BY phone_number"
        )

    def write(self, path: Path, file_format: str, *, has_all_statuses: bool = True) -> None:
        """Write the messages as CSV or Parquet, with the columns of their members."""
        columns = [self._written(name, file_format) for name in self._columns()]
        source = "messages"
        if self._has_members:
            columns += [self._written("reference", file_format)]
            columns += [
                f"CASE WHEN person_messages IS NULL THEN {name} END AS {name}" for name in ("part", "campaign_id")
            ]
            columns += ["person_messages IS NOT NULL AS ambiguous"]
            if has_all_statuses:  # otherwise the number is unknown; a follow-up refuses a report without it
                columns += ["coalesce(person_messages, 1) AS person_messages"]
            source += (
                " JOIN members USING (phone_number) LEFT JOIN (SELECT phone_number, count(*) AS person_messages"
                " FROM messages GROUP BY phone_number HAVING count(*) > 1) USING (phone_number)"
            )
        options = "FORMAT csv, HEADER" if file_format == "csv" else "FORMAT parquet"
        written = self.folder / "messages"  # DuckDB may only write in its own folder
        target = literal(str(written))
        self._database.execute(f"COPY (SELECT {', '.join(columns)} FROM {source}) TO {target} ({options})")
        written.chmod(0o600)  # DuckDB lets other users read its files, and this one has personal data
        shutil.move(written, path)

    def _columns(self) -> list[str]:
        extra = self._header.extra_columns if self._header else {}
        return [*(column.name for column in COLUMNS), *extra]

    def _written(self, name: str, file_format: str) -> str:
        quoted = identifier(name)
        in_csv = _TIME_IN_CSV if name in _TIMES else _REFERENCE_IN_CSV if name == "reference" else "{0}"
        return in_csv.format(quoted) if file_format == "csv" else quoted


def _select(header: Header) -> str:
    documented = [f"{column.value.format(text)} AS {column.name}" for column, text in header.documented.items()]
    extra = [f"{text} AS {identifier(name)}" for name, text in header.extra_columns.items()]
    return f"SELECT {', '.join(documented + extra)}"


def _read_csv(header: Header) -> str:
    return read_csv(
        len(header.titles), f"header = false, skip = 1, nullstr = '{NULL_SENTINEL}', buffer_size = {_BUFFER}"
    )


def _text(reference: str | int | None) -> str | None:
    return None if reference is None else str(reference)
