"""What a value of each kind of source is sent as."""

import re
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.audience.conftest import Refused, Run, as_json_lines, parquet


def test_a_name_arrives_as_it_is_in_the_file(run: Run) -> None:
    names = ["\ufdd1", "Nadia", "Nan", "0", "-5", '"', 'a "quoted" one', "a\\N", "a/b", "🎉", "a,b", "'", "NULL 1"]
    rows = [{"id": index, "phone": f"96477{index:08}", "name": name} for index, name in enumerate(names)]
    lines = [f'{row["id"]},{row["phone"]},"{str(row["name"]).replace(chr(34), chr(34) * 2)}"' for row in rows]
    prepared = run("\r\n".join(["id,phone,name", *lines]))
    assert prepared.names == names
    assert run(as_json_lines(rows), "people.jsonl").content == prepared.content


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE", "DECIMAL(18,2)"])
def test_numbers_of_parquet_are_their_digits(run: Run, tmp_path: Path, kind: str) -> None:
    rows = "(1, 9647701234567, 'a'), (2, 7701234568, 'b'), (3, NULL, 'c'), (4, 6581234567, 'd')"
    typed = re.sub(r", (\w+), '", rf", \1::{kind}, '", rows)
    prepared = run([parquet(tmp_path / "typed.parquet", typed)])
    assert prepared.numbers == ["9647701234567", "9647701234568", "6581234567"]
    assert prepared.rejected == [("3", "3", "phoneNumber is required")]


def test_a_float_that_may_have_lost_its_last_digits_is_rejected(run: Run, tmp_path: Path) -> None:
    reason = "phoneNumber is a float that ends with zeros, so its last digits may be lost; set it as a string"
    values = "9647700000000", "9647701234567"
    rows = [{"id": at, "phone": float(value), "name": "x"} for at, value in enumerate(values)]
    typed = ", ".join(f"({at}, {value}::DOUBLE, 'x')" for at, value in enumerate(values))
    lines = "".join(f"{at},{value}.0,x\n" for at, value in enumerate(values))
    for prepared in (
        run(lambda: rows),
        run([parquet(tmp_path / "floats.parquet", typed)]),
        run(as_json_lines(rows), "people.jsonl"),
        run(f"id,phone,name\n{lines}"),
    ):
        assert prepared.numbers == ["9647701234567"]
        assert prepared.rejected == [("1", "0", reason)]


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ("250000.0::DOUBLE", "250000"),
        ("1.5::FLOAT", "1.5"),
        ("123456792::FLOAT", "123456792"),
        ("999999999999999::DOUBLE", "999999999999999"),
        ("1e15::DOUBLE", "1000000000000000.0"),
        ("2.50::DECIMAL(10,2)", "2.50"),
        ("true", "true"),
        ("'2026-11-28'::DATE", "2026-11-28"),
        ("'2026-11-28 18:00:00'::TIMESTAMP", "2026-11-28 18:00:00"),
        ("'18:00:00'::TIME", "18:00:00"),
        *((f"{value}::DOUBLE", None) for value in ("'NaN'", "'inf'", "NULL", "1e20", "1e-7")),
        ("1e20::FLOAT", None),
        ("NULL::TIMESTAMP", None),
    ],
)
def test_values_of_parquet_are_written_as_people_read_them(
    run: Run, tmp_path: Path, value: str, sent: str | None
) -> None:
    kind = value.partition("::")[2] or "BOOLEAN"
    rows = f"(1, '9647701234567', {value}), (2, '9647701234568', NULL::{kind})"
    (tmp_path / "rows.csv").write_text("id,phone,name\n3,9647701234569,x\n")
    prepared = run([parquet(tmp_path / "typed.parquet", rows), f"{tmp_path}/rows.csv"])
    assert prepared.names == [*([sent] if sent else []), "x"]
    reason = "has a float" if "e" in value and "'" not in value else "templateParameters.body.1 is required"
    assert all(each[2].startswith(reason) for each in prepared.rejected[:-1])


@pytest.mark.parametrize(
    "value",
    [
        "'2026-11-28 18:00:00+03'::TIMESTAMPTZ",
        "INTERVAL 5 DAYS",
        "[1, 2]",
    ],
)
def test_a_column_of_parquet_that_has_no_text_is_an_error(
    refused: Refused, tmp_path: Path, value: str, snapshot: SnapshotAssertion
) -> None:
    assert refused([parquet(tmp_path / "typed.parquet", f"(1, '9647701234567', {value})")]) == snapshot


def test_values_of_a_callable_are_written_as_people_read_them(run: Run, snapshot: SnapshotAssertion) -> None:
    import numpy
    import pandas

    baghdad = timezone(timedelta(hours=3))
    values = {
        250000.0: "250000",
        Decimal("2.50"): "2.50",
        date(2026, 11, 28): "2026-11-28",
        datetime(2026, 11, 28, 18): "2026-11-28 18:00:00",
        True: "true",
        float("nan"): None,
        numpy.float32("inf"): None,
        Decimal("NaN"): None,
        pandas.NA: None,
        pandas.NaT: None,
        datetime(2026, 11, 28, 18, tzinfo=baghdad): None,
        pandas.Timestamp("2026-11-28 19:00", tz="Asia/Baghdad"): None,
        timedelta(days=1): None,
        numpy.float32(5): "5",
        numpy.bool_(False): "false",
        numpy.timedelta64(5, "m"): None,
        numpy.datetime64("2026-11-28T18:00", "ns"): None,
        (1, 2): None,
        "\ud800": None,
        b"x": None,
        1e20: None,
    }
    rows = [{"id": index, "phone": f"96477012345{index:02}", "name": value} for index, value in enumerate(values)]
    prepared = run(lambda: rows)
    assert prepared.names == list(filter(None, values.values()))
    assert {reason for _, _, reason in prepared.rejected} == snapshot


def test_a_column_of_parquet_is_the_one_of_its_name(run: Run, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {"a": [[{"phone": "x"}]], "phone": ["9647701234567"], "b": [{"name": "x", "id": 1}], "name": ["Ali"]}
    pyarrow.parquet.write_table(pyarrow.table(arrays | {"id": ["1"]}), tmp_path / "nested.parquet")
    assert run([f"{tmp_path}/nested.parquet"]).numbers == ["9647701234567"]
