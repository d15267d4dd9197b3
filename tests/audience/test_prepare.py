"""What becomes of the rows, in which order, and what is written."""

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
from airflow_provider_otpiq._recipients.rows import all_in_api_form
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import as_json_lines
from tests.audience.ledgers import use

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.audience.conftest import Prepared

    Run = Callable[..., Prepared]

ALI = {"phoneNumber": "9647701234567", "templateParameters": {"body": {"1": "علي"}}, "reference": "1"}


def parquet(path: Path, rows: str) -> str:
    import duckdb

    duckdb.execute(f"COPY (FROM (VALUES {rows}) AS rows(id, phone, name)) TO '{path}' (FORMAT parquet)")
    return str(path)


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
    name = "templateParameters.body.1 is required, and is not set"
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
    assert all(all_in_api_form(part, "IQ") for part in prepared.parts)


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
    assert prepared.rejected == [("3", "3", "phoneNumber is required, and is not set")]


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
    ("kind", "written", "sent"),
    [
        ("DOUBLE", "250000.0", "250000"),
        ("FLOAT", "1.5", "1.5"),
        ("DOUBLE", "-0.25", "-0.25"),
        ("INTEGER", "-5", "-5"),
        ("DECIMAL(10,2)", "2.50", "2.50"),
        ("BOOLEAN", "true", "true"),
        ("DATE", "'2026-11-28'", "2026-11-28"),
        ("TIMESTAMP", "'2026-11-28 18:00:00'", "2026-11-28 18:00:00"),
        ("TIME", "'18:00:00'", "18:00:00"),
    ],
)
def test_values_of_parquet_are_written_as_people_read_them(
    run: Run, tmp_path: Path, kind: str, written: str, sent: str
) -> None:
    prepared = run([parquet(tmp_path / "typed.parquet", f"(1, '9647701234567', {written}::{kind})")])
    assert prepared.recipients[0]["templateParameters"] == {"body": {"1": sent}}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("'2026-11-28 18:00:00+03'::TIMESTAMPTZ", "times with a timezone, which Parquet keeps in UTC"),
        ("'2026-11-28 18:00:00+03'::TIMESTAMPTZ_NS", "times with a timezone, which Parquet keeps in UTC"),
        ("INTERVAL 5 DAYS", "durations"),
        ("[1, 2]", "nested values"),
        ("{'a': 1}", "nested values"),
        ("MAP {'a': 1}", "nested values"),
    ],
)
def test_a_column_of_parquet_that_has_no_text_is_an_error(run: Run, tmp_path: Path, value: str, why: str) -> None:
    with pytest.raises(OtpiqValidationError, match=f"typed.parquet: column 'name' holds {why}") as caught:
        run([parquet(tmp_path / "typed.parquet", f"(1, '9647701234567', {value})")])
    assert "Write it as a string in the source" in str(caught.value)


@pytest.mark.parametrize("value", ["'NaN'::DOUBLE", "'inf'::DOUBLE", "NULL::DOUBLE", "NULL::TIMESTAMP", "'nan'::FLOAT"])
def test_no_value_in_parquet_rejects_the_row(run: Run, tmp_path: Path, value: str) -> None:
    other = "'2026-11-28'::TIMESTAMP" if "TIMESTAMP" in value else "1.5"
    prepared = run(
        [parquet(tmp_path / "typed.parquet", f"(1, '9647701234567', {value}), (2, '9647701234568', {other})")]
    )
    assert prepared.references == ["2"]


def test_values_of_a_callable_are_written_as_people_read_them(run: Run) -> None:
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
        object(): None,
        1e20: None,
        1j: None,
    }
    rows = [{"id": at, "phone": f"96477012345{at:02}", "name": value} for at, value in enumerate(values)]
    prepared = run(lambda: rows)
    assert [each["templateParameters"]["body"]["1"] for each in prepared.recipients] == list(
        filter(None, values.values())
    )
    reasons = [reason for _, _, reason in prepared.rejected]
    assert [reason for reason in reasons[9:] if not reason.startswith("column 'name' holds a ")] == []
    assert reasons[:5] == ["templateParameters.body.1 is required, and is not set"] * 5
    assert (
        reasons[5:7] == ["column 'name' holds a time with a timezone; write it as a string, as it should be sent"] * 2
    )
    assert reasons[7].startswith("column 'name' holds a timedelta")
    assert reasons[8].startswith("column 'name' holds a tuple")


def test_json_keeps_ints_floats_and_strings_apart(run: Run) -> None:
    lines = '{"id":1,"phone":9647701234567,"name":1.5}\n{"id":2,"phone":9647701234568.0,"name":"x"}\n'
    lines += '{"id":3,"phone":"0770 123 4569","name":true}\n{"id":4,"phone":"9647701234560","name":[]}\n'
    lines += '{"id":5,"phone":"9647701234560","name":NaN}\n{"id":6,"phone":7701234561,"name":2e5}\n'
    prepared = run(lines, "x.jsonl")
    assert [(r["phoneNumber"], r["templateParameters"]["body"]["1"]) for r in prepared.recipients] == [
        ("9647701234567", "1.5"),
        ("9647701234568", "x"),
        ("9647701234569", "true"),
        ("9647701234561", "200000"),
    ]
    assert [reason for _, _, reason in prepared.rejected] == [
        "column 'name' holds a list; a string, a number or a date is needed",
        "templateParameters.body.1 is required, and is not set",
    ]


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
    ("number", "reason"),
    [
        ('"07x"', "phoneNumber has characters that a phone number does not have"),
        ('"see notes"', "phoneNumber has characters that a phone number does not have"),
        ("9647700000001.5", "phoneNumber is not a valid phone number"),
        ('"77012345678"', "phoneNumber has further digits behind a number of IQ"),
        ('"٠٧"', "phoneNumber is not a valid phone number"),
        ('"9.6477E+12"', "phoneNumber is in scientific notation"),
        ("9647700000001", "is not a JSON object"),
    ],
)
def test_a_suppression_that_cannot_be_read_is_an_error(
    run: Run, tmp_path: Path, output: Path, number: str, reason: str
) -> None:
    row = f"{number}x" if reason == "is not a JSON object" else f'{{"phone": {number}}}'
    (tmp_path / "opt_outs.jsonl").write_text(f'{{"phone": null}}\n{row}\n{{"phone": "9647700000001"}}\n{row}\n')
    with pytest.raises(OtpiqValidationError, match=re.escape(f"suppress: rows 2, 4: {reason}")) as caught:
        run(lambda: ROWS, suppress=str(tmp_path / "opt_outs.jsonl"))
    assert "Correct them in the suppression list, or take them out of it." in str(caught.value)
    assert not output.exists()


def test_undecodable_bytes_in_a_suppression_list_are_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "opt_outs.csv").write_bytes(b"phone\n\xff\xff\n")
    with pytest.raises(OtpiqValidationError, match="suppress: rows 1: has bytes that are not text"):
        run(lambda: ROWS, suppress=str(tmp_path / "opt_outs.csv"))


def test_a_suppression_list_has_a_column_of_its_own_and_warns_of_what_is_no_number(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "opt_outs.jsonl").write_text(
        '{"msisdn": 9647700000001}\n{"msisdn": " n/a"}\n{"msisdn": null}\n{"msisdn": ""}\n{"msisdn": "nan"}\n'
    )
    prepared = run(
        "id,phone,name\n1,0770 000 0001,Ali\n2,0770 000 0002,Zaynab\n",
        suppress=str(tmp_path / "opt_outs.jsonl"),
        suppress_phone_number="msisdn",
    )
    assert prepared.references == ["2"]
    logged = "".join(capsys.readouterr()) + caplog.text
    assert "4 rows of suppress hold no phone number, and suppress nobody: rows 2, 3, 4, 5." in logged


def test_a_suppression_list_that_holds_nobody_is_warned_of(
    run: Run, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert run(lambda: ROWS, suppress=lambda: []).counts["suppressed"] == 0
    assert "suppress holds no phone number at all: nobody is suppressed." in "".join(capsys.readouterr()) + caplog.text


def test_a_callable_may_suppress(run: Run) -> None:
    prepared = run(lambda: ROWS, suppress=lambda: [{"phone": 9647701234567}])
    assert prepared.references == ["2", "5"]
    assert prepared.counts["suppressed"] == 2


def test_a_reference_that_could_be_a_number_is_masked(run: Run) -> None:
    prepared = run("id,phone,name\n0770 123 4567,07,Ali\n+9647701234568,9647701234567,Ali\n")
    assert prepared.rejected[0][1] == "0770•••4567"
    assert prepared.references == ["+9647701234568"]  # it is the DAG author's, in the DAG author's folder


# How much may be rejected


TEN = "id,phone,name\n" + "".join(f"{at},{'07' if at < 2 else f'96477{at:08}'},Ali\n" for at in range(10))


@pytest.mark.parametrize("limit", [2, "2", 0.2, "0.2", 1.0, 10])
def test_as_many_as_allowed_may_be_rejected(run: Run, limit: Any) -> None:
    assert run(TEN, max_rejected=limit).counts["rejected"] == 2


def test_a_share_is_not_exceeded_by_its_rounding(run: Run) -> None:
    rows = [{"id": at, "phone": "07" if at < 29 else f"96477{at:08}", "name": "Ali"} for at in range(100)]
    assert run(lambda: rows, max_rejected=0.29).counts["rejected"] == 29  # 0.29 * 100 is less than 29


@pytest.mark.parametrize("limit", [0, 1, 0.19, "0.19", 0.0])
def test_more_are_an_error_that_counts_the_reasons(run: Run, output: Path, limit: Any) -> None:
    with pytest.raises(OtpiqValidationError, match=re.escape("max_rejected: 2 of 10 rows are rejected")) as caught:
        run(TEN, max_rejected=limit)
    assert "2 rows: phoneNumber is not a valid phone number" in str(caught.value)
    assert f"{output}/excluded.csv" in str(caught.value)
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
    with pytest.raises(OtpiqValidationError, match="Clear the task that prepares the audience"):
        prepared.audience.read_part(prepared.audience.manifest.parts[0])
    assert run(TEN).recipients == prepared.recipients


def test_a_manifest_that_was_lost_is_restored(run: Run, output: Path) -> None:
    use(Output(str(output)), run(TEN).audience.manifest)
    manifest = output / "manifest.json"
    before = manifest.read_bytes()
    manifest.unlink()
    run(TEN)
    assert manifest.read_bytes() == before


def test_another_audience_is_refused_once_there_are_campaigns(run: Run, output: Path) -> None:
    prepared = run(TEN)
    use(Output(str(output)), prepared.audience.manifest)
    with pytest.raises(OtpiqValidationError, match="Set another output") as caught:
        run(TEN.replace("96477", "96478"), "other.csv", template_parameters={"body": {"2": "name"}})
    changed = [error.partition(":")[0] for error in caught.value.errors]
    assert changed == ["source", "template_parameters", "parts"]
    with pytest.raises(OtpiqValidationError, match=r"counts: .*'rows': 10.*, and now .*'rows': 1"):
        run("id,phone,name\n1,9647701234567,Ali\n")
    assert [json.loads(path.read_text()) for path in output.glob("parts/*")] == prepared.parts
