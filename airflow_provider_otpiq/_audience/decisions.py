"""What becomes of each row: it is rejected, suppressed, a duplicate or a recipient, asked in this order."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, NamedTuple

from airflow_provider_otpiq._audience.loading import Loader
from airflow_provider_otpiq._audience.manifest import Counts
from airflow_provider_otpiq._audience.readers import UNDECODABLE
from airflow_provider_otpiq._models.phone_numbers import API_FORM, DEFAULT_REGION, normalize
from airflow_provider_otpiq._models.recipient_rows import BLANK

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_otpiq._audience.database import Database
    from airflow_provider_otpiq._audience.readers import Batch
    from airflow_provider_otpiq._audience.request import AudienceRequest
    from airflow_provider_otpiq._progress import Progress

_CHUNK = 20_000  # rows that are sorted at once
_BATCH = 10_000
# What Python's str.strip takes away: DuckDB's trim takes twenty times as long with a list of characters.
_SPACE = "".join(f"\\x{{{code:x}}}" for code in range(0x3001) if chr(code).isspace())
_BLANK = f"[{_SPACE}]*({'|'.join(sorted(BLANK))})[{_SPACE}]*"


class Rejected(NamedTuple):
    """A row that is wrong itself."""

    row: int
    """Its position, counted from 1 over all files."""
    reference: str
    reason: str


class Decisions:
    """
    The tables in which it is decided: ``source`` and ``suppress`` are to be loaded first.

    :param database: where they are made.
    :param request: what is prepared.
    """

    def __init__(self, database: Database, request: AudienceRequest) -> None:
        self._database = database
        self._request = request
        self._parameters = {f"p{at}": name for at, name in enumerate(request.parameters)}
        self._columns = ["phone", *(["reference"] if request.reference else []), *self._parameters]
        for table, columns in {
            "source": ", ".join(f"{column} VARCHAR" for column in self._columns) + ", number BIGINT",
            "suppress": "phone VARCHAR, number BIGINT",
            "malformed": "origin VARCHAR, id BIGINT, reason VARCHAR",
            "numbers": "written VARCHAR, number BIGINT, reason VARCHAR",
        }.items():
            database.execute(f"CREATE TABLE {table} ({columns})")

    def load(self, table: Literal["source", "suppress"], batches: Iterable[Batch], progress: Progress) -> None:
        """Load rows: the columns in the order of :attr:`.AudienceRequest.columns`."""
        is_iraq = self._request.default_region == DEFAULT_REGION
        number = f"CASE WHEN regexp_full_match(k0, '{API_FORM}') THEN k0::BIGINT END" if is_iraq else "NULL"
        Loader(self._database, table, f"*, {number}", progress).load(batches)

    def decide(self, progress: Progress) -> Counts:
        """Decide about each row."""
        self._normalize_numbers(progress)
        self._read_rows("source", f"{_wrong_text(self._columns)}, {self._reasons()}")
        self._read_rows("suppress", f"{_wrong_text(['phone'])}, {_PHONE_NUMBER}")
        self._database.execute(_EXCLUDED)
        outcomes = dict(self._database.query("SELECT outcome, count(*) FROM excluded GROUP BY outcome"))
        ((rows,),) = self._database.query("SELECT count(*) FROM source")
        rejected, suppressed, duplicates = (outcomes.get(name, 0) for name in ("rejected", "suppressed", "duplicate"))
        return Counts(
            rows=rows,
            recipients=rows - rejected - suppressed - duplicates,
            duplicates=duplicates,
            suppressed=suppressed,
            rejected=rejected,
        )

    def recipients(self) -> Iterator[bytes]:
        """Write the recipients as JSON, in the order of their rows."""
        ((rows,),) = self._database.query("SELECT count(*) FROM source")
        sql = (
            f"SELECT encode({self._as_json()}) FROM source JOIN source_rows ON id = source.rowid"
            " WHERE source.rowid BETWEEN $1 AND $2 AND id BETWEEN $1 AND $2"
            " AND id NOT IN (SELECT id FROM excluded WHERE id BETWEEN $1 AND $2) ORDER BY id"
        )
        with ThreadPoolExecutor(1) as pool:  # which fetches some while those before them are written
            fetched: Future[list[tuple[bytes]]] | None = None
            for first in range(0, rows, _CHUNK):
                following = pool.submit(self._database.fetch, sql, [first, first + _CHUNK - 1])
                yield from chain.from_iterable(fetched.result() if fetched else [])
                fetched = following
            yield from chain.from_iterable(fetched.result() if fetched else [])

    def rejected(self) -> Iterator[Rejected]:
        """List the rejected rows, in their order."""
        reference = "source.reference" if self._request.reference else "''"
        yield from (
            Rejected(*row)
            for row in self._database.query(
                f"SELECT id + 1, {reference}, reason FROM excluded JOIN source ON id = source.rowid"
                " WHERE outcome = 'rejected' ORDER BY id"
            )
        )

    def reasons(self) -> Iterator[tuple[str, int]]:
        """Count the rejected rows by reason, the most frequent first."""
        yield from self._database.query(
            "SELECT reason, count(*) FROM excluded WHERE outcome = 'rejected' GROUP BY reason ORDER BY 2 DESC, 1"
        )

    def has_suppressions(self) -> bool:
        """Tell whether ``suppress`` holds any phone number."""
        return any(True for _ in self._database.query("FROM suppress_rows WHERE number IS NOT NULL LIMIT 1"))

    def useless_suppressions(self) -> list[int]:
        """List the rows of ``suppress`` that hold no phone number, counted from 1."""
        sql = f"SELECT id + 1 FROM ({_NO_SUPPRESSIONS}) WHERE NOT may_name_somebody ORDER BY 1"
        return [row for (row,) in self._database.query(sql)]

    def unreadable_suppressions(self) -> dict[str, list[int]]:
        """List, by reason, the rows of ``suppress`` whose number cannot be read, counted from 1."""
        rows: dict[str, list[int]] = {}
        sql = f"SELECT reason, id + 1 FROM ({_NO_SUPPRESSIONS}) WHERE may_name_somebody ORDER BY 2"
        for reason, row in self._database.query(sql):
            rows.setdefault(reason, []).append(row)
        return rows

    def _normalize_numbers(self, progress: Progress) -> None:
        """Look at each number that is not in the API's form, once, however often it is there."""
        written = self._database.query(
            "SELECT phone FROM source WHERE number IS NULL UNION SELECT phone FROM suppress WHERE number IS NULL"
        )
        count = 0
        while batch := [self._normalized(text) for (text,) in islice(written, _BATCH)]:
            self._database.insert("numbers", batch)
            count += len(batch)
            progress.report("Read %s numbers that are not in the API's form.", f"{count:,}")

    def _normalized(self, text: str) -> tuple[str, int | None, str | None]:
        try:
            return text, int(normalize(text, self._request.default_region)), None
        except ValueError as error:
            return text, None, f"phoneNumber {error}"

    def _read_rows(self, table: str, reasons: str) -> None:
        self._database.execute(
            f"CREATE TABLE {table}_rows AS SELECT {table}.rowid AS id,"
            f" coalesce({table}.number, numbers.number) AS number, coalesce(malformed.reason, {reasons}) AS reason"
            f" FROM {table} LEFT JOIN numbers ON phone = written AND {table}.number IS NULL"
            f" LEFT JOIN malformed ON origin = '{table}' AND malformed.id = {table}.rowid"
        )

    def _reasons(self) -> str:
        missing = [
            f"CASE WHEN {_is_blank(column)} THEN {_literal(f'{name} is required, and is not set')} END"
            for column, name in self._parameters.items()
        ]
        return f"nullif(concat_ws('; ', {', '.join([_PHONE_NUMBER, *missing])}), '')"

    def _as_json(self) -> str:
        """Write the SQL that writes a recipient; of all ways to make JSON in DuckDB this measured fastest."""
        columns = iter(self._parameters)
        sections = {
            section: {
                key: _json_of(next(columns) if isinstance(value, str) else _literal(value.value))
                for key, value in parameters.items()
            }
            for section, parameters in self._request.template_parameters.items()
        }
        written = _object({section: _object(values) for section, values in sections.items()})
        parameters = f" || ',\"templateParameters\":' || {written}" if sections else ""
        reference = f"CASE WHEN {_is_blank('reference')} THEN '' ELSE ',\"reference\":' || {_json_of('reference')} END"
        return (
            f"""'{{"phoneNumber":"' || source_rows.number || '"'{parameters}"""
            f" || {reference if self._request.reference else _literal('')} || '}}'"
        )


def _wrong_text(columns: list[str]) -> str:
    found = " OR ".join(f"contains({column}, '{UNDECODABLE}')" for column in columns)
    return f"CASE WHEN {found} THEN 'has bytes that are no text in its encoding' END"


def _is_blank(column: str) -> str:
    return f"regexp_full_match({column}, {_literal(_BLANK)})"


def _object(values: Mapping[str, str]) -> str:
    """Write the SQL that writes a JSON object, of the SQL that writes its values."""
    pairs = [f"{_literal(json.dumps(key) + ':')} || {value}" for key, value in values.items()]
    return " || ".join(["'{'", " || ',' || ".join(pairs), "'}'"])


def _json_of(expression: str) -> str:
    return f"to_json({expression})::VARCHAR"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_PHONE_NUMBER = "numbers.reason"
_NO_SUPPRESSIONS = f"""
    SELECT id, reason, regexp_matches(phone, '\\p{{Nd}}|{UNDECODABLE}')
        OR id IN (SELECT id FROM malformed WHERE origin = 'suppress') AS may_name_somebody
    FROM suppress_rows JOIN suppress ON id = suppress.rowid WHERE reason IS NOT NULL
"""
_EXCLUDED = """
    CREATE TABLE excluded AS
    WITH good AS (SELECT id, number FROM source_rows WHERE reason IS NULL),
    suppressed AS (SELECT id FROM good WHERE number IN (SELECT number FROM suppress_rows WHERE number IS NOT NULL)),
    remaining AS (SELECT * FROM good WHERE id NOT IN (FROM suppressed)),
    repeated AS (SELECT number, min(id) AS first FROM remaining GROUP BY number HAVING count(*) > 1)
    SELECT id, 'rejected' AS outcome, reason FROM source_rows WHERE reason IS NOT NULL
    UNION ALL SELECT id, 'suppressed', NULL FROM suppressed
    UNION ALL SELECT id, 'duplicate', NULL FROM remaining JOIN repeated USING (number) WHERE id <> first
"""
