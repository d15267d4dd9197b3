"""Random CSV files, which are read as Python's own reader does, or refused."""

import csv
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_otpiq._audience.classify import RowClassifier
from airflow_provider_otpiq._audience.readers import read_file
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq._audience.sources import find_files
from airflow_provider_otpiq._audience.staging import CsvCounter
from airflow_provider_otpiq._audience.table import MALFORMED, Table
from airflow_provider_otpiq._duckdb import Database
from airflow_provider_otpiq._progress import Progress
from airflow_provider_otpiq.exceptions import OtpiqValidationError

EXAMPLES = 400 if os.environ.get("OTPIQ_TEST_FUZZ") == "whole" else 60
FIELD = st.sampled_from(
    ["", "x", "a b", '"a,b"', '"two\nlines"', '"two\r\nlines"', '"a ""quote"""', '5" pipe', '""', "ع", " ", '"']
)
LINE_END = st.sampled_from(["\n", "\r\n", "\r", "\n\n", ""])


@st.composite
def csv_text(draw: st.DrawFn) -> str:
    """A file of two columns, with what files have that were edited by several programs."""
    usual_end = draw(LINE_END.filter(bool))
    lines = []
    for _ in range(draw(st.integers(0, 8))):
        fields = draw(st.lists(FIELD, min_size=draw(st.sampled_from([0, 1, 2, 2, 2, 2])), max_size=3))
        end = draw(LINE_END) if draw(st.integers(0, 9)) == 0 else usual_end
        lines.append(",".join(fields) + end)
    return f"phone,name{usual_end}" + "".join(lines)


def rows_by_python(text: str) -> list[list[str]] | None:
    """The rows as Python's reader finds them; None if some cannot be read, or have another number of fields."""
    try:
        _, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    except csv.Error:
        return None
    rows = [row for row in rows if any(row)]
    return rows if all(len(row) == 2 for row in rows) else None


@pytest.fixture
def request_(tmp_path: Path) -> AudienceRequest:
    return AudienceRequest.parse(source="x", phone_number="phone", reference="name", output=str(tmp_path))


@pytest.fixture
def table(request_: AudienceRequest) -> Iterator[Table]:
    """The rows of a source, which nothing has classified."""
    with Database("256MB") as database:
        yield RowClassifier(database, request_).table("source", Progress())


@pytest.mark.slow
@given(csv_text())
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_file_is_read_as_python_reads_it(request_: AudienceRequest, table: Table, tmp_path: Path, text: str) -> None:
    (tmp_path / "people.csv").write_text(text, newline="")
    (file,) = find_files([str(tmp_path / "people.csv")], None)
    table.database.execute("DELETE FROM source")
    expected = rows_by_python(text)
    try:
        read_file(file, ["phone", "name"], request_, table)
    except OtpiqValidationError:
        assert expected is None
        return
    found = table.database.fetch("SELECT phone, reference FROM source ORDER BY rowid")
    if expected is None:
        assert any(phone.startswith(MALFORMED) for phone, _ in found)
    else:
        assert list(map(list, found)) == expected


@given(csv_text(), st.integers(1, 7))
def test_rows_are_counted_alike_in_pieces_of_any_size(text: str, size: int) -> None:
    content = text.encode()
    whole, pieces = CsvCounter(","), CsvCounter(",")
    whole.add(content)
    for first in range(0, len(content), size):
        pieces.add(content[first : first + size])
    assert pieces.rows(2) == whole.rows(2)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("phone,name\r\n1,Ali", 1),
        ('phone,name\n1,"two words, ""quoted"""\n2,""\n', 2),
        ('phone,name\n1,"two\nlines, ""quoted"""\n2,""\n', None),
        ('phone,name\n1,"two\n""lines"""\n2,""\n', 2),
        ("phone,name\n", 0),
        ('phone,name\n1,"Ali\n', None),
        ("phone,name\n1,Ali,x\n", None),
        ('phone,name\n1,5" pipe\n', None),
        ("phone,name\r1,Ali\r", None),
    ],
)
def test_the_rows_of_a_regular_file_are_counted(text: str, rows: int | None) -> None:
    counter = CsvCounter(",")
    counter.add(text.encode())
    assert counter.rows(2) == rows
