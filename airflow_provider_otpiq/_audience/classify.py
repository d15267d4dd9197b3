"""Classify each row: it is rejected, suppressed, a duplicate or a recipient, in this order."""

from __future__ import annotations

import math
import secrets
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain, islice, repeat, starmap
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic_core import to_json

from airflow_provider_otpiq._audience import values
from airflow_provider_otpiq._audience.manifest import Counts
from airflow_provider_otpiq._audience.request import fill
from airflow_provider_otpiq._audience.table import MALFORMED, Table
from airflow_provider_otpiq._duckdb import literal
from airflow_provider_otpiq._models.fields import MAX_RECIPIENTS
from airflow_provider_otpiq._models.phone_numbers import API_FORM, DEFAULT_REGION, MISSING, parse_phone_number
from airflow_provider_otpiq._models.text import is_blank

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq._progress import Progress

TableName = Literal["source", "suppress"]

_ENOUGH_FLOATS = 3
_FLOAT_STEP = 512  # of floats of 32 bits with ten digits, beyond 2^32; with thirteen, the step is a multiple of it
MISSING_NUMBER = f"phoneNumber {MISSING}"
"""The reason for rejecting a row without a phone number."""

_GROUP = "audience_group"
"""The column of a row's group."""
_SLOT = secrets.token_hex(8)
"""Stands for a value in a recipient's JSON; no constant contains it."""
_PARTS_AT_ONCE = 50
_ROWS_AT_ONCE = 100_000
_QUERIES_AT_ONCE = 2
_BATCH = 10_000


class Excluded(NamedTuple):
    """A row that gets no message. Rows are counted from 1 over all files."""

    row: int
    reference: str
    outcome: Literal["rejected", "suppressed", "duplicate"]
    reason: str
    """Why a row is rejected, or left out of a follow-up; otherwise empty."""
    kept_row: int | None
    """The row of the same person that is a recipient; None unless the outcome is ``duplicate``."""
    kept_reference: str


class RowClassifier:
    """
    The tables that decide about each row; load them before :meth:`decide`.

    They are ``source`` and ``suppress``, and of a follow-up ``left_out``: the rows that the report suppresses, and why.
    """

    def __init__(self, database: Database, request: AudienceRequest) -> None:
        self._database = database
        self._request = request
        self._parameters = {f"p{index}": name for index, name in enumerate(request.parameters)}
        self._required = self._parameters | ({_GROUP: f"column {request.group_by!r}"} if request.group_by else {})
        self._columns = ["phone", *(["reference"] if request.reference else []), *self._required]
        for table, columns in {
            "source": ", ".join(f"{column} VARCHAR" for column in self._columns) + ", number BIGINT, cleaned TINYINT",
            "suppress": "phone VARCHAR, number BIGINT",
            "left_out": "number BIGINT, reason VARCHAR",
            "numbers": "written VARCHAR, number BIGINT, region VARCHAR, reason VARCHAR",
        }.items():
            database.execute(f"CREATE TABLE {table} ({columns})")

    def table(self, name: TableName, progress: Progress) -> Table:
        """Return a table to load; its rows have the columns of :attr:`.AudienceRequest.columns`, in this order."""
        is_iraq = self._request.default_region == DEFAULT_REGION
        number = f"CASE WHEN regexp_full_match(k0, '{API_FORM}') THEN k0::BIGINT END" if is_iraq else "NULL"
        if name == "suppress":
            return Table(self._database, name, f"k0, {number}", progress)
        read = {column: f"k{index}" for index, column in enumerate(self._columns)}
        cleaned = [values.cleaned(text) if column in self._required else text for column, text in read.items()]
        changed = " + ".join(f"{values.needs_cleaning(read[column])}::TINYINT" for column in self._parameters) or "0"
        return Table(self._database, name, ", ".join([*cleaned, number, changed]), progress)

    def decide(self, progress: Progress) -> Counts:
        """Classify the rows, and count them."""
        encoding = self._request.encoding
        self._normalize_numbers(progress)
        self._read_rows("source", values.unreadable(self._columns, encoding), self._missing())
        self._read_rows("suppress", values.unreadable(["phone"], encoding), "NULL")
        self._database.execute(_EXCLUDED)
        self._database.execute(_RECIPIENTS)
        return _counts(*self._database.fetch(f"SELECT {_COUNTS}")[0])

    def count_groups(self, most: int) -> tuple[int, dict[str, Counts]]:
        """
        Count the groups that have recipients, and in each of the largest ones the rows by their outcome.

        A row counts in the group that it names, also a duplicate of a recipient of another group.
        """
        found = self._database.fetch(_GROUPS, [most])
        return (found[0][0] if found else 0), {group: _counts(*counts) for _, group, *counts in found}

    def divide(self, groups: Mapping[str, Counts]) -> None:
        """Let each part have the recipients of one group, in the order of the groups, which must be all."""
        sizes = [math.ceil(counts.recipients / MAX_RECIPIENTS) for counts in groups.values()]
        self._database.execute("CREATE TABLE groups (name VARCHAR, first_part BIGINT)")
        if groups:
            self._database.insert("groups", list(zip(groups, accumulate(sizes, initial=0), strict=False)))
        self._database.execute(_DIVIDE)

    def parts(self) -> Generator[tuple[int, bytes], None, None]:
        """
        Write the recipients as JSON: each part's number of recipients and content.

        They are in the order of their rows, or of their groups. Close it: it has threads, which the garbage collector
        may wait for in a thread that is just starting, forever.
        """
        ranges = iter(self._database.fetch(_PART_RANGES))
        sql = (
            f"SELECT count(*), encode('[' || string_agg({self._as_json()}, ',\n' ORDER BY id) || ']\n')"
            " FROM source JOIN recipients ON id = source.rowid"
            " WHERE part BETWEEN $1 AND $2 AND id BETWEEN $3 AND $4 AND source.rowid BETWEEN $3 AND $4"
            " GROUP BY part ORDER BY part"
        )
        with ThreadPoolExecutor(_QUERIES_AT_ONCE) as pool:
            fetched = deque(
                pool.submit(self._database.fetch, sql, bounds) for bounds in islice(ranges, _QUERIES_AT_ONCE)
            )
            while fetched:
                yield from fetched.popleft().result()
                fetched.extend(pool.submit(self._database.fetch, sql, bounds) for bounds in islice(ranges, 1))

    def excluded(self) -> Iterator[Excluded]:
        """List the rows that get no message, in their order."""
        reference, kept = ("row.reference", "kept_row.reference") if self._request.reference else ("''", "''")
        sql = (
            f"SELECT id + 1, {reference}, outcome, coalesce(reason, ''), kept + 1, coalesce({kept}, '')"
            " FROM excluded JOIN source AS row ON id = row.rowid"
            " LEFT JOIN source AS kept_row ON kept = kept_row.rowid"
            " WHERE id BETWEEN $1 AND $2 AND row.rowid BETWEEN $1 AND $2 ORDER BY id"
        )
        for bounds in self._database.fetch(_EXCLUDED_RANGES):  # all at once would take memory for all of them
            yield from starmap(Excluded, self._database.query(sql, bounds))

    def reasons(self) -> Iterator[tuple[str, int]]:
        """Count the rejected rows by reason, the most frequent first."""
        sql = "SELECT reason, count(*) FROM excluded WHERE outcome = 'rejected' GROUP BY reason ORDER BY 2 DESC, 1"
        yield from self._database.query(sql)

    def cleaned_values(self) -> int:
        """Count the template parameters whose whitespace was changed."""
        return int(self._database.fetch("SELECT coalesce(sum(cleaned), 0) FROM source")[0][0])

    def regions(self) -> Counter[str]:
        """Count the recipients outside the default region by their country."""
        sql = (
            "SELECT region, count(*) FROM source_rows WHERE region <> $1 AND id NOT IN (SELECT id FROM excluded)"
            " GROUP BY region"
        )
        return Counter(dict(self._database.query(sql, [self._request.default_region])))

    def has_rounded_numbers(self, table: TableName) -> bool:
        """Return whether the phone numbers of a table are floats of 32 bits, which have lost the last digits."""
        sql = (
            f"SELECT count(*) >= {_ENOUGH_FLOATS} AND bool_and(replace(phone, '.0', '')::BIGINT % {_FLOAT_STEP} = 0)"
            f" FROM {table} WHERE regexp_full_match(phone, '[0-9]{{9,13}}\\.0')"
        )
        return bool(self._database.fetch(sql)[0][0])

    def has_suppressions(self) -> bool:
        """Return whether ``suppress`` has any phone number."""
        return bool(self._database.fetch("FROM suppress_rows WHERE number IS NOT NULL LIMIT 1"))

    def rows_without_number(self) -> dict[str, list[int]]:
        """List the rows of ``suppress`` without a phone number, counted from 1, by reason."""
        rows: dict[str, list[int]] = {}
        sql = "SELECT reason, id + 1 FROM suppress_rows WHERE reason IS NOT NULL ORDER BY id"
        for reason, row in self._database.query(sql):
            rows.setdefault(reason, []).append(row)
        return rows

    def _normalize_numbers(self, progress: Progress) -> None:
        """Parse each number that is not in the API's form once, however often it occurs."""
        written = self._database.query(
            "SELECT phone FROM source WHERE number IS NULL UNION SELECT phone FROM suppress WHERE number IS NULL"
        )
        count = 0
        while batch := [self._normalized(text) for (text,) in islice(written, _BATCH)]:
            self._database.insert("numbers", batch)
            count += len(batch)
            progress.report("Parsed %s numbers that are not in the API's form.", f"{count:,}")

    def _normalized(self, text: str) -> tuple[str, int | None, str | None, str | None]:
        if text.startswith(MALFORMED):
            return text, None, None, text.removeprefix(MALFORMED)
        if is_blank(text, self._request.null_values):
            return text, None, None, MISSING_NUMBER
        try:
            digits, region = parse_phone_number(text, self._request.default_region)
        except ValueError as error:
            return text, None, None, f"phoneNumber {error}"
        return text, int(digits), region, None

    def _read_rows(self, table: str, unreadable: str, missing: str) -> None:
        # The values themselves are not joined: rows of megabytes would need as much memory.
        rows = f"SELECT rowid AS id, phone, number, {unreadable} AS unreadable, {missing} AS missing FROM {table}"
        self._database.execute(
            f"CREATE TABLE {table}_rows AS SELECT rows.id, coalesce(rows.number, numbers.number) AS number, region,"
            f" CASE WHEN starts_with(phone, '{MALFORMED}') THEN numbers.reason"
            " ELSE coalesce(unreadable, nullif(concat_ws('; ', numbers.reason, missing), '')) END AS reason"
            f" FROM ({rows}) AS rows LEFT JOIN numbers ON phone = written AND rows.number IS NULL"
        )

    def _missing(self) -> str:
        """Write the SQL that names the parameters, and the group, without a value."""
        names = [
            f"CASE WHEN {values.is_blank_sql(column, self._request.null_values_of_source)}"
            f" THEN {literal(f'{name} is required')} END"
            for column, name in self._required.items()
        ]
        return f"nullif(concat_ws('; ', {', '.join(names)}), '')" if names else "NULL"

    def _as_json(self) -> str:
        """Write the SQL that writes a recipient; of all ways to make JSON in DuckDB this measured fastest."""
        recipient: dict[str, Any] = {"phoneNumber": _SLOT}
        if sections := self._request.template_parameters:
            recipient["templateParameters"] = fill(sections, repeat(_SLOT))
        constant = map(literal, to_json(recipient).decode().removesuffix("}").split(f'"{_SLOT}"'))
        written = ["'\"' || recipients.number || '\"'", *map(_json_of, self._parameters), self._reference_as_json()]
        return " || ".join([*chain.from_iterable(zip(constant, written, strict=True)), "'}'"])

    def _reference_as_json(self) -> str:
        if not self._request.reference:
            return "''"
        has_reference = f"NOT {values.is_blank_sql('reference', self._request.null_values_of_source)}"
        return f"CASE WHEN {has_reference} THEN ',\"reference\":' || {_json_of('reference')} ELSE '' END"


def _counts(*numbers: int) -> Counts:
    return Counts(**dict(zip(Counts.model_fields, numbers, strict=True)))


def _json_of(column: str) -> str:
    return f"to_json({column})::VARCHAR"


_EXCLUDED = """
    CREATE TABLE excluded AS
    WITH good AS (SELECT id, number FROM source_rows WHERE reason IS NULL),
    suppressed AS (
        SELECT id, left_out.reason FROM good LEFT JOIN left_out USING (number) WHERE left_out.number IS NOT NULL
        OR number IN (SELECT number FROM suppress_rows WHERE number IS NOT NULL)
    ),
    remaining AS (SELECT * FROM good WHERE id NOT IN (SELECT id FROM suppressed)),
    repeated AS (SELECT number, min(id) AS first FROM remaining GROUP BY number HAVING count(*) > 1)
    SELECT id, 'rejected' AS outcome, reason, NULL AS kept FROM source_rows WHERE reason IS NOT NULL
    UNION ALL SELECT id, 'suppressed', reason, NULL FROM suppressed
    UNION ALL SELECT id, 'duplicate', NULL, first FROM remaining JOIN repeated USING (number) WHERE id <> first
"""
_RECIPIENTS = f"""
    CREATE TABLE recipients AS
    SELECT id, number, (row_number() OVER (ORDER BY id) - 1) // {MAX_RECIPIENTS} AS part
    FROM source_rows WHERE id NOT IN (SELECT id FROM excluded)
"""
_COUNTS = """
    count(*), count(*) FILTER (outcome IS NULL) AS recipients, count(*) FILTER (outcome = 'duplicate'),
    count(*) FILTER (outcome = 'suppressed'), count(*) FILTER (outcome = 'rejected')
    FROM source LEFT JOIN excluded ON id = source.rowid
"""
"""The rows, and those of each outcome, in the order of :class:`.Counts`."""
_GROUPS = f"""
    SELECT count(*) OVER (), {_GROUP}, {_COUNTS}
    GROUP BY {_GROUP} HAVING recipients > 0 ORDER BY recipients DESC, {_GROUP} LIMIT $1
"""
_DIVIDE = f"""
    CREATE OR REPLACE TABLE recipients AS
    SELECT id, recipients.number,
    first_part + (row_number() OVER (PARTITION BY first_part ORDER BY id) - 1) // {MAX_RECIPIENTS} AS part
    FROM recipients JOIN source ON id = source.rowid JOIN groups ON name = {_GROUP}
"""
_EXCLUDED_RANGES = f"SELECT min(id), max(id) FROM excluded GROUP BY id // {_ROWS_AT_ONCE} ORDER BY 1"
_PART_RANGES = f"""
    SELECT min(part), max(part), min(id), max(id) FROM recipients GROUP BY part // {_PARTS_AT_ONCE} ORDER BY 1
"""
