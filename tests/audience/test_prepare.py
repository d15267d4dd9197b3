"""The outcome of each row, the values that are sent, and what is written."""

import csv
import gzip
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.output import Output
from airflow_provider_otpiq._models.text import NULL_VALUES
from airflow_provider_otpiq._recipients.rows import RowParser
from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import GOOD, PERSON, Logged, Refused, Run, as_json_lines, parquet
from tests.audience.ledgers import use

ALI = {"phoneNumber": "9647701234567", "templateParameters": {"body": {"1": "علي"}}, "reference": "1"}


def test_each_row_counts_once_in_the_order_of_the_rules(run: Run) -> None:
    prepared = run(
        "id,phone,name\n"
        "1,9647700000001,Ali\n"
        "2,0770-000-0002,Suppressed\n"
        "3,9647700000003,\n"  # suppressed too, but wrong itself
        "4,+964 770 000 0001,Duplicate\n"
        "5,9647700000002,Suppressed and a duplicate\n"
        "6,07,Wrong\n"
        "7,9647700000004,None\n"
        "8,9647700000004,Zaynab\n",
        suppress=b"phone\n0770 000 0002\n+964 770 000 0003\n",
    )
    assert prepared.references == ["1", "8"]
    assert prepared.counts == {"rows": 8, "recipients": 2, "duplicates": 1, "suppressed": 2, "rejected": 3}
    name = "templateParameters.body.1 is required"
    phone = "phoneNumber is not a valid phone number, neither an international one nor one of IQ"
    assert prepared.rejected == [("3", "3", name), ("6", "6", phone), ("7", "7", name)]
    assert [(row["row"], row["outcome"], row["kept_row"], row["kept_reference"]) for row in prepared.excluded] == [
        ("2", "suppressed", "", ""),
        ("3", "rejected", "", ""),
        ("4", "duplicate", "1", "1"),
        ("5", "suppressed", "", ""),
        ("6", "rejected", "", ""),
        ("7", "rejected", "", ""),
    ]


def test_rows_are_divided_in_their_order(run: Run, output: Path) -> None:
    rows = "".join(f"{at},96477{at:08},Ali\n" for at in range(2001))
    prepared = run(f"id,phone,name\n{rows}")
    assert [len(part) for part in prepared.parts] == [1000, 1000, 1]
    assert prepared.references == [str(at) for at in range(2001)]
    assert prepared.audience.location == f"{output}/manifest.json"
    manifest = prepared.audience.manifest
    assert manifest.template_parameters == {"body": ["1"]}
    assert manifest.source == [str(output.parent / "people.csv")]
    assert manifest.parts[-1].path == "parts/00002.json"
    assert all(RowParser("IQ", NULL_VALUES).changes_none(part) for part in prepared.parts)
    assert (output / "excluded.csv").read_text() == "row,reference,outcome,reason,kept_row,kept_reference\n"
    (output / "parts" / "00003.json.bak").write_text("mine")
    run(GOOD)  # an audience without campaigns is replaced
    assert sorted(path.name for path in (output / "parts").iterdir()) == ["00000.json", "00003.json.bak"]


def test_parameters_are_columns_or_constants_in_any_section(run: Run) -> None:
    parameters = {
        "header": {"1": {"value": 'O\'Neil "x"'}},
        "body": {"2": "name", "1": "id"},
        "buttons": {"0": {"1": "name", "2": {"value": "x"}}},
    }
    prepared = run("id,phone,name\n1,9647701234567,Ali\n", template_parameters=parameters, reference=None)
    sections = {"header": ["1"], "body": ["2", "1"], "buttons": ["0.1", "0.2"]}
    assert prepared.audience.manifest.template_parameters == sections
    sent = {
        "header": {"1": 'O\'Neil "x"'},
        "body": {"2": "Ali", "1": "1"},
        "buttons": {"0": {"1": "Ali", "2": "x"}},
    }
    assert prepared.recipients == [{"phoneNumber": "9647701234567", "templateParameters": sent}]


def test_numbers_alone_are_enough(run: Run) -> None:
    prepared = run("id,phone\n,9647701234567\n\n7,9647701234568\n", template_parameters={"header": {}})
    assert prepared.recipients == [{"phoneNumber": "9647701234567"}, {"phoneNumber": "9647701234568", "reference": "7"}]
    assert prepared.counts["rows"] == 2
    assert run("phone\n9647701234567\n", template_parameters=None, reference=None).numbers == ["9647701234567"]


ROWS: list[dict[str, Any]] = [
    {"id": 1, "phone": "9647701234567", "name": "علي"},
    {"id": 2, "phone": "0770 123 4568", "name": 'O\'Neil, "Jo"\n'},
    {"id": 3, "phone": None, "name": "Zaynab"},
    {"id": 4, "phone": "07701234567", "name": "again"},
    {"id": 5, "phone": "+447400123456", "name": "25000"},
]


def as_sql(value: str | None) -> str:
    return "NULL" if value is None else "'" + value.replace("'", "''") + "'"


def test_the_same_rows_are_the_same_parts_in_each_format(run: Run, tmp_path: Path) -> None:
    zstd = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
    with (tmp_path / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["id", "phone", "name"])
        writer.writeheader()
        writer.writerows(ROWS)
    content, lines = (tmp_path / "rows.csv").read_bytes(), as_json_lines(ROWS).encode()
    # Two frames, as of a file that was appended to.
    zstd_frames = zstd.compress(lines[:100]) + zstd.compress(lines[100:])
    expected = run([f"{tmp_path}/rows.csv"])
    values = [f"({row['id']}, {as_sql(row['phone'])}, {as_sql(row['name'])})" for row in ROWS]
    for other in (
        run([parquet(tmp_path / "rows.parquet", ", ".join(values))]),
        run(b"\xef\xbb\xbf" + content),
        run(gzip.compress(content), "rows.csv.gz"),
        run(lines, "rows.jsonl"),
        run(zstd_frames, "rows.jsonl.zst"),
        run(lambda: iter(ROWS)),
    ):
        assert (other.content, other.rejected) == (expected.content, expected.rejected)
    assert expected.references == ["1", "2", "5"]


def test_several_files_are_read_in_the_order_given_and_a_globs_by_name(run: Run, tmp_path: Path) -> None:
    for at, name in enumerate(["b.csv", "a.csv", "z.jsonl"]):
        rows = [{"id": f"{name} {n}", "phone": f"9647700000{at}{n}0", "name": "x" if n else ""} for n in range(2)]
        text = "id,phone,name\n" + "".join(",".join(map(str, row.values())) + "\n" for row in rows)
        (tmp_path / name).write_text(as_json_lines(rows) if name == "z.jsonl" else text)
    prepared = run([f"{tmp_path}/z.jsonl", f"{tmp_path}/?.csv"])
    assert prepared.references == ["z.jsonl 1", "a.csv 1", "b.csv 1"]
    assert [row for row, _, _ in prepared.rejected] == ["1", "3", "5"]


def test_a_region_is_the_one_of_national_numbers(run: Run) -> None:
    prepared = run("id,phone,name\n1,0532 123 45 67,Ali\n2,905321234567,Again\n", default_region="TR")
    assert prepared.numbers == ["905321234567"]
    assert prepared.counts["duplicates"] == 1


@pytest.mark.parametrize("delimiter", [" ", "v", "\N{ARABIC SEMICOLON}"])
def test_any_character_may_delimit(run: Run, delimiter: str) -> None:
    rows = ["id", "phone", "name"], ["1", "9647701234567", "علي"]
    assert run("\n".join(map(delimiter.join, rows)), delimiter=delimiter).parts == [[ALI]]


@pytest.mark.parametrize(
    "line",
    [
        *(f'{{"phone": {number}}}' for number in ('"07x"', '"9.6477E+12"')),
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


def test_a_suppression_list_has_its_own_column_and_warns_of_blank_rows(run: Run, logged: Logged) -> None:
    rows = [{"msisdn": number} for number in (9647701234567, " n/a", None, "", "nan")]
    prepared = run(lambda: ROWS, suppress=lambda: rows, suppress_phone_number="msisdn")
    assert prepared.references == ["2", "5"]
    assert prepared.counts["suppressed"] == 2
    assert "suppress: ignored rows 2, 3, 4, 5 without a phone number." in logged()
    assert run(GOOD, suppress=lambda: []).counts["suppressed"] == 0
    assert "suppress has no phone numbers, so no row is suppressed." in logged()


# Rows that cannot be read


@pytest.mark.slow
@pytest.mark.parametrize("value", ["ع" * 131_073])
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
@pytest.mark.parametrize("value", ["ع" * 131_072, '"' * 131_072])
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


def test_a_malformed_line_is_one_rejected_row(run: Run) -> None:
    lines = ["2,9647701234568", "3,9647701234569,Zaynab,x", '4,9647701234560,"Zay"nab', "5,9647701234561,y"]
    prepared = run(GOOD + "\n".join(lines))
    assert prepared.references == ["1", "5"]
    assert prepared.rejected == [
        ("2", "", "has 2 fields, and the header has 3"),
        ("3", "", "has 4 fields, and the header has 3"),
        ("4", "", "has a quote in the wrong place"),
    ]


def test_bytes_that_are_not_text_reject_their_row_alone(run: Run) -> None:
    lines = b"2,9647701234568,Zay\xffnab\n3,9647701234569,\xd8\n\xff,9647701234560,x\n4,9647701234561,y\n"
    prepared = run(GOOD.encode() + lines)
    assert prepared.references == ["1", "4"]
    reason = "has bytes that are not valid utf-8; set encoding, such as cp1256 for Arabic from Excel"
    assert {row[2] for row in prepared.rejected} == {reason}
    assert "\ufdd0" not in str(prepared.excluded)


@pytest.mark.parametrize(("encoding", "half"), [("utf-7", b"+2AA-"), ("raw_unicode_escape", b"\\ud800")])
def test_half_a_character_rejects_its_row_alone(run: Run, encoding: str, half: bytes) -> None:
    prepared = run(GOOD.encode() + b"2,9647701234568," + half + b"\n3,9647701234569,x\n", encoding=encoding)
    assert prepared.references == ["1", "3"]
    assert prepared.rejected[0][2].endswith("; set another encoding")


def test_what_is_not_an_object_is_rejected(run: Run) -> None:
    lines = ["", "x", "[1]", '{"phone": "9647', "null", '{"phone": "9647701234568", "name": "\\ud800"}']
    prepared = run("\n".join([as_json_lines([PERSON]), *lines]), "people.jsonl")
    assert prepared.references == ["1"]
    assert prepared.counts["rejected"] == len(lines) - 1
    prepared = run(lambda: [PERSON, "9647701234567", None])
    assert [reason for _, _, reason in prepared.rejected] == ["is a str, not a dict", "is not a JSON object"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part-00001.csv", b""),
        ("part-00001.csv", b"\xef\xbb\xbf\r\n"),
        ("part-00001.csv.gz", gzip.compress(b"\n" * 50_000, mtime=0)),
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


@pytest.mark.parametrize("limit", [2, "2", 0.2, "0.2"])
def test_as_many_as_allowed_may_be_rejected(run: Run, limit: Any) -> None:
    assert run(TEN, max_rejected=limit).counts["rejected"] == 2


def test_a_share_is_not_exceeded_by_its_rounding(run: Run) -> None:
    rows = "".join(f"{at},{'07' if at < 29 else f'96477{at:08}'},Ali\n" for at in range(100))
    assert run(f"id,phone,name\n{rows}", max_rejected=0.29).counts["rejected"] == 29  # 0.29 * 100 is less than 29


@pytest.mark.parametrize("limit", [0, 1, "0.19"])
def test_more_are_an_error(refused: Refused, output: Path, limit: Any) -> None:
    assert "max_rejected: 2 of 10 rows rejected" in refused(TEN, max_rejected=limit)
    assert len((output / "excluded.csv").read_text().splitlines()) == 3
    assert not (output / "manifest.json").exists()


# Again, with the same output


def test_the_same_input_gives_the_same_bytes_and_changes_nothing_once_there_are_campaigns(
    run: Run, output: Path
) -> None:
    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in output.rglob("*") if path.is_file()}

    run(TEN)
    before = content()
    run(TEN)
    assert content() == before
    (output / "in_use.json").write_text("{}")
    times = {path: path.stat().st_mtime_ns for path in output.rglob("*.json")}
    assert run(TEN).counts["recipients"] == 8
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.json")} == times


@pytest.mark.parametrize("damage", ["[]", None])
def test_a_part_that_was_lost_or_edited_is_restored(run: Run, output: Path, damage: str | None) -> None:
    prepared = run(TEN)
    (output / "in_use.json").write_text("{}")
    part = output / "parts" / "00000.json"
    part.unlink() if damage is None else part.write_text(damage)
    with pytest.raises(OtpiqValidationError, match=r"parts/00000\.json"):
        prepared.audience.read_part(prepared.audience.manifest.parts[0])
    assert run(TEN).recipients == prepared.recipients


def test_another_audience_is_refused_once_there_are_campaigns(
    run: Run, refused: Refused, output: Path, snapshot: SnapshotAssertion
) -> None:
    prepared = run(TEN)
    use(Output(str(output)), prepared.audience.manifest)
    other = TEN.replace("96477", "96478")
    assert refused(other, "other.csv", template_parameters={"body": {"2": "name"}}) == snapshot
    assert "counts: " in refused(GOOD)
    assert [json.loads(path.read_text()) for path in output.glob("parts/*")] == prepared.parts
