"""The outcome of each row, the values that are sent, and what is written."""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.rows import RowParser
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import GOOD, PERSON, as_json_lines, parquet
from tests.audience.ledgers import use

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from syrupy.assertion import SnapshotAssertion

    from tests.audience.conftest import Prepared

    Run = Callable[..., Prepared]
    Refused = Callable[..., str]
    Logged = Callable[[], str]

ALI = {"phoneNumber": "9647701234567", "templateParameters": {"body": {"1": "علي"}}, "reference": "1"}


def test_a_row_becomes_a_recipient_in_the_apis_form(run: Run, output: Path) -> None:
    prepared = run("id,phone,name\n1,0770 123 4567,علي\n")
    assert prepared.parts == [[ALI]]
    assert prepared.audience.location == f"{output}/manifest.json"
    assert prepared.counts == {"rows": 1, "recipients": 1, "duplicates": 0, "suppressed": 0, "rejected": 0}
    manifest = prepared.audience.manifest
    assert manifest.template_parameters == {"body": ["1"]}
    assert manifest.source == [str(output.parent / "people.csv")]
    assert (output / "excluded.csv").read_text() == "row,reference,outcome,reason,kept_row,kept_reference\n"


def test_each_row_counts_once_in_the_order_of_the_rules(run: Run, tmp_path: Path) -> None:
    (tmp_path / "opt_outs.csv").write_text("phone\n0770 000 0002\n+964 770 000 0003\n")
    prepared = run(
        "id,phone,name\n"
        "1,9647700000001,Ali\n"
        "2,0770-000-0002,Suppressed\n"
        "3,9647700000003,\n"  # suppressed too, but wrong itself
        "4,+964 770 000 0001,Duplicate\n"
        "5,9647700000002,Suppressed and a duplicate\n"
        "6,07,Wrong\n"
        "7,9647700000004, \n"
        "8,9647700000004,None\n"
        "9,9647700000004,nan\n"
        "10,9647700000004,Zaynab\n",
        suppress=str(tmp_path / "opt_outs.csv"),
    )
    assert prepared.references == ["1", "10"]
    assert prepared.counts == {"rows": 10, "recipients": 2, "duplicates": 1, "suppressed": 2, "rejected": 5}
    name = "templateParameters.body.1 is required"
    phone = "phoneNumber is not a valid phone number, neither an international one nor one of IQ"
    assert prepared.rejected == [
        ("3", "3", name),
        ("6", "6", phone),
        ("7", "7", name),
        ("8", "8", name),
        ("9", "9", name),
    ]
    assert [(row["row"], row["outcome"], row["kept_row"], row["kept_reference"]) for row in prepared.excluded] == [
        ("2", "suppressed", "", ""),
        ("3", "rejected", "", ""),
        ("4", "duplicate", "1", "1"),
        ("5", "suppressed", "", ""),
        *((str(row), "rejected", "", "") for row in range(6, 10)),
    ]


@pytest.mark.parametrize("name", ["\ufdd1", 3 * "\ufdd1", "Nadia", "Nan", "0", "-5", '"', "a\\N", "NULL 1"])
def test_a_name_is_what_it_is_in_the_file(run: Run, name: str) -> None:
    quoted = name.replace('"', '""')
    (recipient,) = run(f'id,phone,name\n1,9647701234567,"{quoted}"\n').recipients
    assert recipient["templateParameters"] == {"body": {"1": name}}


def test_rows_are_divided_in_their_order(run: Run) -> None:
    rows = "".join(f"{at},96477{at:08},Ali\n" for at in range(2001))
    prepared = run(f"id,phone,name\n{rows}")
    assert [len(part) for part in prepared.parts] == [1000, 1000, 1]
    assert prepared.references == [str(at) for at in range(2001)]
    assert [part.path for part in prepared.audience.manifest.parts][-1] == "parts/00002.json"
    assert all(RowParser("IQ", NULL_VALUES).changes_none(part) for part in prepared.parts)


def test_what_json_escapes_arrives_as_it_was(run: Run) -> None:
    names = [
        'a "quoted" one',
        "back\\slash",
        "a/b",
        "🎉",
        "a,b",
        "'",
    ]
    with_text = [{"id": at, "phone": f"96477{at:08}", "name": name} for at, name in enumerate(names)]
    rows = [f'{row["id"]},{row["phone"]},"{str(row["name"]).replace(chr(34), chr(34) * 2)}"' for row in with_text]
    prepared = run("\r\n".join(["id,phone,name", *rows]))
    assert [recipient["templateParameters"]["body"]["1"] for recipient in prepared.recipients] == names
    assert run(as_json_lines(with_text), "people.jsonl").content == prepared.content


def test_parameters_are_columns_or_constants_in_any_section(run: Run) -> None:
    parameters = {
        "header": {"1": {"value": 'O\'Neil "x"'}},
        "body": {"2": "name", "1": "id"},
        "buttons": {"0": {"1": "name", "2": {"value": "x"}}},
    }
    prepared = run("id,phone,name\n1,9647701234567,Ali\n", template_parameters=parameters, reference=None)
    assert prepared.audience.manifest.template_parameters == {
        "header": ["1"],
        "body": ["2", "1"],
        "buttons": ["0.1", "0.2"],
    }
    assert prepared.recipients == [
        {
            "phoneNumber": "9647701234567",
            "templateParameters": {
                "header": {"1": 'O\'Neil "x"'},
                "body": {"2": "Ali", "1": "1"},
                "buttons": {"0": {"1": "Ali", "2": "x"}},
            },
        }
    ]


def test_a_template_may_have_no_parameters_and_a_row_no_reference(run: Run) -> None:
    prepared = run("id,phone\n,9647701234567\n7,9647701234568\n", template_parameters={"header": {}})
    assert prepared.recipients == [{"phoneNumber": "9647701234567"}, {"phoneNumber": "9647701234568", "reference": "7"}]


def test_numbers_alone_are_enough(run: Run) -> None:
    prepared = run("phone\n9647701234567\n\n9647701234568\n", template_parameters=None, reference=None)
    assert prepared.numbers == ["9647701234567", "9647701234568"]
    assert prepared.counts["rows"] == 2


ROWS: list[dict[str, Any]] = [
    {"id": 1, "phone": "9647701234567", "name": "علي"},
    {"id": 2, "phone": "0770 123 4568", "name": 'O\'Neil, "Jo"\n'},
    {"id": 3, "phone": None, "name": "Zaynab"},
    {"id": 4, "phone": "07701234567", "name": "again"},
    {"id": 5, "phone": "+447400123456", "name": "25000"},
]


@pytest.fixture
def as_files(tmp_path: Path) -> dict[str, str]:
    import duckdb

    zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "phone", "name"])
        writer.writeheader()
        writer.writerows(ROWS)
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "rows.csv").read_bytes())
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress((tmp_path / "rows.csv").read_bytes()))
    lines = as_json_lines(ROWS).encode()
    (tmp_path / "rows.jsonl").write_bytes(lines)
    # Two frames, as of a file that was appended to.
    (tmp_path / "rows.jsonl.zst").write_bytes(zstd.compress(lines[:100]) + zstd.compress(lines[100:]))
    duckdb.execute(
        f"COPY (FROM read_json('{tmp_path}/rows.jsonl', columns = {{id: 'INT', phone: 'VARCHAR', name: 'VARCHAR'}}))"
        f" TO '{tmp_path}/rows.parquet' (FORMAT parquet)"
    )
    return {path.name: str(path) for path in tmp_path.iterdir() if path.is_file()}


def test_the_same_rows_are_the_same_parts_in_each_format(run: Run, as_files: dict[str, str]) -> None:
    prepared = {name: run([path]) for name, path in as_files.items()}
    prepared["callable"] = run(lambda: iter(ROWS))
    assert len(prepared) == 7
    for name, each in prepared.items():
        assert each.content == prepared["rows.csv"].content, name
        assert each.rejected == prepared["rows.csv"].rejected, name
    assert prepared["rows.csv"].references == ["1", "2", "5"]


def test_several_files_are_read_in_the_order_given_and_a_globs_by_name(run: Run, tmp_path: Path) -> None:
    for at, name in enumerate(["b.csv", "a.csv", "z.jsonl"]):
        rows = [{"id": f"{name} {n}", "phone": f"9647700000{at}{n}0", "name": "x" if n else ""} for n in range(2)]
        text = "id,phone,name\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
        (tmp_path / name).write_text(as_json_lines(rows) if name == "z.jsonl" else text)
    prepared = run([f"{tmp_path}/z.jsonl", f"{tmp_path}/?.csv"])
    assert prepared.references == ["z.jsonl 1", "a.csv 1", "b.csv 1"]
    assert [row for row, _, _ in prepared.rejected] == ["1", "3", "5"]


@pytest.mark.parametrize("kind", ["BIGINT", "DOUBLE", "VARCHAR", "DECIMAL(18,2)"])
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
        ("-0.25::DOUBLE", "-0.25"),
        ("123456792::FLOAT", "123456792"),
        ("999999999999999::DOUBLE", "999999999999999"),
        ("1e15::DOUBLE", "1000000000000000.0"),
        ("-5::INTEGER", "-5"),
        ("2.50::DECIMAL(10,2)", "2.50"),
        ("true", "true"),
        ("'2026-11-28'::DATE", "2026-11-28"),
        ("'2026-11-28 18:00:00'::TIMESTAMP", "2026-11-28 18:00:00"),
        ("'18:00:00'::TIME", "18:00:00"),
        *((f"{value}::DOUBLE", None) for value in ("'NaN'", "'inf'", "NULL", "1e20", "1e-7")),
        *((f"{value}::FLOAT", None) for value in ("'nan'", "1e20", "1e-7")),
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
        "'2026-11-28 18:00:00+03'::TIMESTAMPTZ_NS",
        "INTERVAL 5 DAYS",
        "[1, 2]",
        "{'a': 1}",
        "MAP {'a': 1}",
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
        (1, 2): None,
        numpy.float32(5): "5",
        numpy.bool_(False): "false",
        numpy.int64(7): "7",
        numpy.timedelta64(5, "m"): None,
        numpy.datetime64("2026-11-28T18:00", "ns"): None,
        "\ud800": None,
        b"x": None,
        object(): None,
        1e20: None,
        1j: None,
    }
    rows = [{"id": index, "phone": f"96477012345{index:02}", "name": value} for index, value in enumerate(values)]
    prepared = run(lambda: rows)
    assert prepared.names == list(filter(None, values.values()))
    assert {reason for _, _, reason in prepared.rejected} == snapshot


def test_json_keeps_ints_floats_and_strings_apart(run: Run) -> None:
    lines = '{"id":1,"phone":9647701234567,"name":1.5}\n{"id":2,"phone":9647701234568.0,"name":"x"}\n'
    lines += '{"id":3,"phone":"0770 123 4569","name":true}\n{"id":4,"phone":"9647701234560","name":[]}\n'
    lines += '{"id":5,"phone":"9647701234560","name":NaN}\n{"id":6,"phone":7701234561,"name":2e5}\n'
    prepared = run(lines, "x.jsonl")
    assert list(zip(prepared.numbers, prepared.names, strict=True)) == [
        ("9647701234567", "1.5"),
        ("9647701234568", "x"),
        ("9647701234569", "true"),
        ("9647701234561", "200000"),
    ]
    assert [row for row, _, _ in prepared.rejected] == ["4", "5"]


def test_a_region_is_the_one_of_national_numbers(run: Run) -> None:
    prepared = run("id,phone,name\n1,0532 123 45 67,Ali\n2,905321234567,Again\n", default_region="TR")
    assert prepared.numbers == ["905321234567"]
    assert prepared.counts["duplicates"] == 1


def test_a_delimiter_and_an_encoding(run: Run) -> None:
    prepared = run("id;phone;name\n1;9647701234567;علي\n".encode("cp1256"), delimiter=";", encoding="cp1256")
    assert prepared.recipients == [ALI]
    assert run(
        "id\tphone\tname\n1\t9647701234567\tعلي\n".encode("utf-16"), delimiter="\t", encoding="utf-16"
    ).parts == [[ALI]]


@pytest.mark.parametrize("delimiter", [" ", "v", "\N{ARABIC SEMICOLON}"])
def test_any_character_may_delimit(run: Run, delimiter: str) -> None:
    rows = ["id", "phone", "name"], ["1", "9647701234567", "علي"]
    assert run("\n".join(map(delimiter.join, rows)), delimiter=delimiter).parts == [[ALI]]


@pytest.mark.parametrize(
    "line",
    [
        *(f'{{"phone": {number}}}' for number in ('"07x"', "9647700000001.5", '"77012345678"', '"9.6477E+12"', '"٠٧"')),
        "9647700000001",
        '{"phone": "9647700000001"',
    ],
)
def test_a_suppression_that_cannot_be_read_is_an_error(
    refused: Refused, output: Path, tmp_path: Path, line: str, snapshot: SnapshotAssertion
) -> None:
    (tmp_path / "opt_outs.jsonl").write_text(f'{{"phone": null}}\n{line}\n{{"phone": "9647700000001"}}\n{line}\n')
    text = refused(lambda: [PERSON], suppress=f"{tmp_path}/opt_outs.jsonl")
    assert "suppress: rows 2, 4: " in text
    assert text == snapshot
    assert not output.exists()


def test_a_suppression_list_has_its_own_column_and_warns_of_blank_rows(
    run: Run, tmp_path: Path, logged: Logged
) -> None:
    (tmp_path / "opt_outs.jsonl").write_text(
        as_json_lines([{"msisdn": number} for number in (9647700000001, " n/a", None, "", "nan")])
    )
    prepared = run(
        "id,phone,name\n1,0770 000 0001,Ali\n2,0770 000 0002,Zaynab\n",
        suppress=str(tmp_path / "opt_outs.jsonl"),
        suppress_phone_number="msisdn",
    )
    assert prepared.references == ["2"]
    assert "suppress: ignored rows 2, 3, 4, 5 without a phone number." in logged()


def test_a_suppression_list_without_numbers_is_warned_of(run: Run, logged: Logged) -> None:
    assert run(GOOD, suppress=lambda: []).counts["suppressed"] == 0
    assert "suppress has no phone numbers, so no row is suppressed." in logged()


def test_a_callable_may_suppress(run: Run) -> None:
    prepared = run(lambda: ROWS, suppress=lambda: [{"phone": 9647701234567}])
    assert prepared.references == ["2", "5"]
    assert prepared.counts["suppressed"] == 2


# Rows that cannot be read


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2,9647701234568", "has 2 fields, and the header has 3"),
        ("2,9647701234568,Zaynab,x", "has 4 fields, and the header has 3"),
        ('2,9647701234568,"Zay"nab', "has a quote in the wrong place"),
    ],
)
def test_a_malformed_line_is_one_rejected_row(run: Run, line: str, reason: str) -> None:
    prepared = run(f"{GOOD}{line}\n3,9647701234569,Zaynab\n")
    assert prepared.references == ["1", "3"]
    assert prepared.rejected == [("2", "", reason)]


@pytest.mark.slow
@pytest.mark.parametrize("value", ["x" * 131_073, "ع" * 131_073])
def test_a_value_that_is_too_long_is_one_rejected_row(run: Run, value: str) -> None:
    rows = [
        PERSON | {"id": at, "phone": f"964770123456{at}", "name": name} for at, name in enumerate(["x", value, "y"])
    ]
    lines = "".join(",".join(map(str, row.values())) + "\n" for row in rows)
    for prepared in run(f"id,phone,name\n{lines}"), run(as_json_lines(rows), "people.jsonl"), run(lambda: rows):
        assert prepared.references == ["0", "2"]
        ((row, _, reason),) = prepared.rejected
        assert row == "2"
        assert reason.endswith("has a value of more than 131,072 characters")


@pytest.mark.slow
@pytest.mark.parametrize("value", ["x" * 131_072, "ع" * 131_072, '"' * 131_072, "🎉" * 131_072])
def test_a_row_that_is_too_long_is_rejected(run: Run, value: str) -> None:
    parameters = {"body": {str(at): f"c{at}" for at in range(16)}}
    rows = [
        {"id": str(at), "phone": f"96477012345{at:02}"} | {f"c{column}": text for column in range(16)}
        for at, text in enumerate(["x", value, value[:20_000]])
    ]
    prepared = run(lambda: rows, template_parameters=parameters)
    assert prepared.references == ["0", "2"]
    assert prepared.rejected == [("2", "", "has more than 2,000,000 bytes")]
    assert run(as_json_lines(rows), "people.jsonl", template_parameters=parameters).content == prepared.content


def test_bytes_that_are_not_text_reject_their_row_alone(run: Run) -> None:
    lines = b"2,9647701234568,Zay\xffnab\n3,9647701234569,\xd8\n\xff,9647701234560,x\n4,9647701234561,y\n"
    prepared = run(GOOD.encode() + lines)
    assert prepared.references == ["1", "4"]
    assert {reason for _, _, reason in prepared.rejected} == {
        "has bytes that are not valid utf-8; set encoding, such as cp1256 for Arabic from Excel"
    }
    assert "\ufdd0" not in str(prepared.excluded)


@pytest.mark.parametrize(("encoding", "half"), [("utf-7", b"+2AA-"), ("raw_unicode_escape", b"\\ud800")])
def test_half_a_character_rejects_its_row_alone(run: Run, encoding: str, half: bytes) -> None:
    prepared = run(GOOD.encode() + b"2,9647701234568," + half + b"\n3,9647701234569,x\n", encoding=encoding)
    assert prepared.references == ["1", "3"]
    assert prepared.rejected[0][2].startswith("has bytes that are not valid ")


@pytest.mark.parametrize("line", ["", "x", "[1]", '{"phone": "9647', "null", '{"name": "\\ud800"}'])
def test_a_line_that_is_not_a_json_object_is_rejected(run: Run, line: str) -> None:
    prepared = run(f"{as_json_lines([PERSON])}{line}\n", "people.jsonl")
    assert prepared.references == ["1"]
    assert prepared.counts["rejected"] == bool(line)


def test_what_a_callable_yields_beside_rows_is_rejected(run: Run) -> None:
    prepared = run(lambda: [PERSON, "9647701234567", None])
    assert [reason for _, _, reason in prepared.rejected] == ["is a str, not a dict", "is not a JSON object"]


def test_a_column_of_parquet_is_the_one_of_its_name(run: Run, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {"a": [[{"phone": "x"}]], "phone": ["9647701234567"], "b": [{"name": "x", "id": 1}], "name": ["Ali"]}
    pyarrow.parquet.write_table(pyarrow.table(arrays | {"id": ["1"]}), tmp_path / "nested.parquet")
    assert run([f"{tmp_path}/nested.parquet"]).numbers == ["9647701234567"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part-00001.csv", b""),
        ("part-00001.csv", b"\xef\xbb\xbf\r\n"),
        ("part-00001.csv.gz", gzip.compress(b"", mtime=0)),
        ("part-00001.csv.gz", gzip.compress(b"\n" * 50_000, mtime=0)),
        ("part-00001.jsonl", b""),
        ("part-00001.parquet", b""),
    ],
)
def test_an_empty_part_of_a_glob_is_skipped(
    run: Run, refused: Refused, tmp_path: Path, logged: Logged, name: str, content: bytes
) -> None:
    (tmp_path / "part-00000.csv").write_text(GOOD)
    (tmp_path / name).write_bytes(content)
    glob, others = f"{tmp_path}/part-*", lambda: [PERSON, PERSON | {"id": 2, "phone": "9647701234568"}]
    assert run([glob]).references == ["1"]
    assert run(others, suppress=glob).references == ["2"]
    log = logged()
    assert f"source: skipped 1 empty files of 2: {tmp_path}/{name}." in log
    assert f"suppress: skipped 1 empty files of 2: {tmp_path}/{name}." in log
    (tmp_path / "part-00000.csv").write_bytes(b"")
    assert "source: all 2 files are empty; expected rows" in refused([glob])
    assert "suppress: all 2 files are empty; expected rows" in refused(others, suppress=glob)


# How much may be rejected


TEN = "id,phone,name\n" + "".join(f"{at},{'07' if at < 2 else f'96477{at:08}'},Ali\n" for at in range(10))


@pytest.mark.parametrize("limit", [2, "2", 0.2, "0.2", 1.0, 10])
def test_as_many_as_allowed_may_be_rejected(run: Run, limit: Any) -> None:
    assert run(TEN, max_rejected=limit).counts["rejected"] == 2


def test_a_share_is_not_exceeded_by_its_rounding(run: Run) -> None:
    rows = [{"id": at, "phone": "07" if at < 29 else f"96477{at:08}", "name": "Ali"} for at in range(100)]
    assert run(lambda: rows, max_rejected=0.29).counts["rejected"] == 29  # 0.29 * 100 is less than 29


@pytest.mark.parametrize("limit", [0, 1, 0.19, "0.19", 0.0])
def test_more_are_an_error(refused: Refused, output: Path, limit: Any) -> None:
    assert "max_rejected: 2 of 10 rows rejected" in refused(TEN, max_rejected=limit)
    assert len((output / "excluded.csv").read_text().splitlines()) == 3
    assert not (output / "manifest.json").exists()


# Again, with the same output


def test_the_same_input_gives_the_same_bytes(run: Run, output: Path) -> None:
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in output.rglob("*") if path.is_file()}

    run(TEN)
    before = content()
    run(TEN)
    assert content() == before


def test_an_audience_without_campaigns_is_replaced(run: Run, output: Path) -> None:
    run("id,phone,name\n" + "".join(f"{at},96477{at:08},Ali\n" for at in range(2001)))
    (output / "parts" / "00003.json.bak").write_text("mine")
    run("id,phone,name\n1,9647701234567,Ali\n")
    assert sorted(path.name for path in (output / "parts").iterdir()) == ["00000.json", "00003.json.bak"]


def test_an_audience_with_campaigns_stays_as_it_is(run: Run, output: Path) -> None:
    run(TEN)
    (output / "in_use.json").write_text("{}")
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.json")}
    assert run(TEN).counts["recipients"] == 8
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.json")} == before


@pytest.mark.parametrize("damage", ["[]", None])
def test_a_part_that_was_lost_or_edited_is_restored(run: Run, output: Path, damage: str | None) -> None:
    prepared = run(TEN)
    (output / "in_use.json").write_text("{}")
    part = output / "parts" / "00000.json"
    part.unlink() if damage is None else part.write_text(damage)
    with pytest.raises(OtpiqValidationError, match=r"parts/00000\.json"):
        prepared.audience.read_part(prepared.audience.manifest.parts[0])
    assert run(TEN).recipients == prepared.recipients


def test_a_manifest_that_was_lost_is_restored(run: Run, output: Path) -> None:
    use(Output(str(output)), run(TEN).audience.manifest)
    manifest = output / "manifest.json"
    before = manifest.read_bytes()
    manifest.unlink()
    run(TEN)
    assert manifest.read_bytes() == before


def test_another_audience_is_refused_once_there_are_campaigns(
    run: Run, refused: Refused, output: Path, snapshot: SnapshotAssertion
) -> None:
    prepared = run(TEN)
    use(Output(str(output)), prepared.audience.manifest)
    other = TEN.replace("96477", "96478")
    assert refused(other, "other.csv", template_parameters={"body": {"2": "name"}}) == snapshot
    assert "counts: " in refused(GOOD)
    assert [json.loads(path.read_text()) for path in output.glob("parts/*")] == prepared.parts
