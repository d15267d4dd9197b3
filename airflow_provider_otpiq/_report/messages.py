"""Messages in DuckDB: read from a report's file, checked, joined to their people, counted and written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_provider_otpiq._duckdb import NULL_SENTINEL
from airflow_provider_otpiq._models.reports import MESSAGE_STATUSES
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

_TIME_IN_CSV = "strftime({0}, '%Y-%m-%dT%H:%M:%S.%fZ') AS {0}"  # of a database in UTC
_BUFFER = 4_000_000  # bytes, of which DuckDB takes 32 MB by default, for each thread; twice its longest line
_TIMES = ("created_at", "sent_at")
_REFERENCE_IN_CSV = (  # with an apostrophe before a value that a spreadsheet would run as a formula
    r"CASE WHEN regexp_matches({0}, '^[=+@\t\r\x{{FF1D}}\x{{FF0B}}\x{{FF0D}}\x{{FF20}}-]')"
    " AND NOT regexp_full_match({0}, '[+-][0-9]+([.][0-9]+)?') THEN chr(39) || {0} ELSE {0} END AS {0}"
)
_FINAL = "delivery_status IN ('delivered', 'read', 'failed')"
_TYPE = "lower(trim(message_type))"
_MAX_LISTED = 5


class MessageTable:
    """
    The messages of one or several reports, and the people that they are meant for.

    :param database: where they are.
    :param has_people: whether only messages to certain people count.
    :param message_types: which types of messages count, in any case of their letters; None for all.
    """

    def __init__(self, database: Database, *, has_people: bool, message_types: Sequence[str] | None = None) -> None:
        self._database = database
        self._has_people = has_people
        self._message_types = message_types
        self._header: Header | None = None
        database.execute(
            "CREATE TABLE people (phone_number VARCHAR, reference VARCHAR, part VARCHAR, campaign_id VARCHAR)"
        )

    def add_people(self, people: PartMembers) -> None:
        """Add the people of a part."""
        self._database.insert(
            "people",
            [
                (each["phoneNumber"], _text(each.get("reference")), people.part, people.campaign_id)
                for each in people.recipients
            ],
        )

    def add_messages(self, path: Path, name: str, rows: int, part: str | None = None) -> None:
        """
        Add the messages of a report's file; where the people are known, theirs only, or those of a part.

        :param name: what errors call the report.
        :param rows: how many messages there are in the file.
        :raises OtpiqReportError: if the columns are not those that OTPIQ documents, or a value cannot be read.
        """
        header = read_header(path, name)
        self._create(header, name)
        self._require_valid(header, path, name, rows)
        before = self._count()
        whose, parameters = self._whose(part)
        select = f"SELECT * FROM ({_select(header)} FROM {_read_csv(header)}){whose}"
        self._database.execute(f"INSERT INTO received {select}", [str(path), *parameters])
        if others := rows - (self._count() - before):
            log.info("%s messages of %s are to others, and left out.", f"{others:,}", name)

    def _create(self, header: Header, name: str) -> None:
        if self._header is None:
            self._header = header
            self._database.execute(f"CREATE TABLE received AS {_select(header)} FROM ({_no_row(header)}) LIMIT 0")
            self._database.execute(f"CREATE VIEW messages AS FROM received WHERE {self._is_counted()}")
        elif header != self._header:
            raise OtpiqReportError(f"The file of {name} has other columns than the one before it.")

    def _require_valid(self, header: Header, path: Path, name: str, rows: int) -> None:
        checked = {column: text for column, text in header.documented.items() if column.rule}
        wrong = ", ".join(
            f"count(*) FILTER (({column.is_valid.format(text)}) IS NOT true)" for column, text in checked.items()
        )
        try:
            ((found, *counts),) = self._database.fetch(
                f"SELECT count(*), {wrong} FROM {_read_csv(header)}", [str(path)]
            )
        except OtpiqValidationError:  # there is too little memory
            raise
        except OtpiqError:  # its text would be DuckDB's own
            raise OtpiqReportError(f"The file of {name} holds a row that is no CSV, or no UTF-8.") from None
        errors = [
            f"{column.title}: {count:,} values are not {column.rule}"
            for column, count in zip(checked, counts, strict=True)
            if count
        ]
        if found != rows:
            errors.append(f"{found:,} of its {rows:,} rows can be read")
        if errors:
            raise OtpiqReportError(f"The file of {name} is not what OTPIQ documents: {'; '.join(errors)}.")

    def _whose(self, part: str | None) -> tuple[str, list[str]]:
        """Return SQL that keeps the messages to the people, or to those of a part, and its parameters."""
        if not self._has_people:
            return "", []
        only = "" if part is None else " WHERE part = ?"
        people = f"(SELECT phone_number FROM people{only}) people"
        return f" SEMI JOIN {people} USING (phone_number)", [] if part is None else [part]

    def _is_counted(self) -> str:
        """Return the SQL condition that a received message is of a type that counts."""
        if self._message_types is None:
            return "true"
        return f"{_TYPE} IN ({', '.join(f'lower(trim({_literal(name)}))' for name in self._message_types)})"

    def _count(self) -> int:
        return int(self._single("SELECT count(*) FROM received"))

    def log_other_types(self) -> None:
        """Log how many messages are of types that do not count; warn if all are, as the types may be wrong."""
        others = dict(
            self._database.fetch(
                f"SELECT message_type, count(*) FROM received WHERE ({self._is_counted()}) IS NOT true"
                " GROUP BY message_type ORDER BY count(*) DESC, message_type",
                [],
            )
        )
        if not others:
            return
        counted = " or ".join(map(repr, self._message_types or ()))
        found = list_some([f"{sanitize(str(name))!r} {count:,}" for name, count in others.items()], _MAX_LISTED)
        log.info("Left out %s messages whose type is not %s: %s.", f"{sum(others.values()):,}", counted, found)
        if self._count() == sum(others.values()):
            log.warning(
                "No message is of type %s, so none is counted. That type is an assumption and may be wrong. If one of"
                " the types above is the right one, set message_types to it.",
                counted,
            )

    def counts(self) -> dict[str, Any]:
        """Count the messages, by status, and add up what they cost."""
        by_status = ", ".join(f"count(*) FILTER (delivery_status = '{each}')" for each in MESSAGE_STATUSES)
        ((messages, refunded, cost, has_unknown_costs, *statuses),) = self._database.fetch(
            "SELECT count(*), count(*) FILTER (refunded), coalesce(sum(cost_iqd) FILTER (NOT refunded), 0)::BIGINT,"
            f" count(*) > count(cost_iqd), {by_status} FROM messages",
            [],
        )
        if others := messages - sum(statuses):
            log.warning("%s messages have a status that OTPIQ does not document, which is not final.", f"{others:,}")
        return {
            "messages": messages,
            **dict(zip(MESSAGE_STATUSES, statuses, strict=True)),
            "refunded": refunded,
            "cost_iqd": None if has_unknown_costs else cost,
            "unmatched": self._single("SELECT count(*) FROM people ANTI JOIN messages USING (phone_number)"),
        }

    def final_share(self) -> float:
        """Tell for which share of the people, or of the messages, nothing is to come any more."""
        if not self._has_people:
            return float(self._single(f"SELECT coalesce(avg(({_FINAL})::INT), 1) FROM messages"))
        return float(
            self._single(
                "SELECT avg(coalesce(is_final, false)::INT) FROM people LEFT JOIN"
                f" (SELECT phone_number, bool_and({_FINAL}) AS is_final FROM messages GROUP BY phone_number)"
                " USING (phone_number)"
            )
        )

    def _single(self, sql: str) -> Any:
        return self._database.fetch(sql, [])[0][0]

    def ambiguous(self) -> Iterator[tuple[str, str | None]]:
        """Find who has several messages, so that which of them is the broadcast's is unknown."""
        return self._database.query(
            "SELECT phone_number, any_value(reference) FROM messages JOIN people USING (phone_number)"
            " GROUP BY phone_number HAVING count(*) > 1 ORDER BY phone_number"
        )

    def write(self, path: Path, file_format: str) -> None:
        """Write the messages as CSV or Parquet, with what is known of their people."""
        columns = [self._written(name, file_format) for name in self._columns()]
        source = "messages"
        if self._has_people:
            columns += [self._written("reference", file_format)]
            columns += [f"CASE WHEN ambiguous IS NULL THEN {name} END AS {name}" for name in ("part", "campaign_id")]
            columns += ["ambiguous IS NOT NULL AS ambiguous"]
            source += (
                " JOIN people USING (phone_number) LEFT JOIN (SELECT phone_number, true AS ambiguous FROM messages"
                " GROUP BY phone_number HAVING count(*) > 1) USING (phone_number)"
            )
        options = "FORMAT csv, HEADER" if file_format == "csv" else "FORMAT parquet"
        self._database.execute(f"COPY (SELECT {', '.join(columns)} FROM {source}) TO {_literal(path)} ({options})")

    def _columns(self) -> list[str]:
        extra = self._header.extra_columns if self._header else {}
        return [*(column.name for column in COLUMNS), *extra]

    def _written(self, name: str, file_format: str) -> str:
        quoted = _quoted(name)
        in_csv = _TIME_IN_CSV if name in _TIMES else _REFERENCE_IN_CSV if name == "reference" else "{0}"
        return in_csv.format(quoted) if file_format == "csv" else quoted


def _select(header: Header) -> str:
    documented = [column.select(text) for column, text in header.documented.items()]
    extra = [f"{text} AS {_quoted(name)}" for name, text in header.extra_columns.items()]
    return f"SELECT {', '.join(documented + extra)}"


def _no_row(header: Header) -> str:
    return "SELECT " + ", ".join(f"'' AS c{at}" for at in range(len(header.titles)))


def _read_csv(header: Header) -> str:
    columns = ", ".join(f"'c{at}': 'VARCHAR'" for at in range(len(header.titles)))
    # In parallel, DuckDB reads some line breaks within quotes as the end of a row, and refuses the file. It would save
    # a tenth of the time: on two cores, 1.2 to 1.45 instead of 1.45 to 1.5 seconds for a million rows.
    return (
        "read_csv(?, auto_detect = false, parallel = false, header = false, skip = 1, delim = ',', quote = '\"',"
        f" escape = '\"', nullstr = '{NULL_SENTINEL}', buffer_size = {_BUFFER}, columns = {{{columns}}})"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _text(reference: str | int | None) -> str | None:
    return None if reference is None else str(reference)
