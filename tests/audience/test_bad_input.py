"""Bad input: a clear error, or rows that are counted; and nobody in logs, errors or temporary folders."""

from __future__ import annotations

import errno
import gzip
import os
import re
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq._audience.prepare import prepare
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq._audience.sources import find_files
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqValidationError
from tests.audience.conftest import FIELDS, as_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.audience.conftest import Prepared

    Run = Callable[..., Prepared]

GOOD = "id,phone,name\n1,9647701234567,Ali\n"


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    yield
    assert list(temporary.iterdir()) == []


def refused(run: Run, source: Any, *args: Any, **fields: Any) -> str:
    with pytest.raises(OtpiqValidationError) as caught:
        run(source, *args, **fields)
    assert not any(secret in f"{caught.value}{caught.value.errors}" for secret in ("7701234567", "Ali", "Zaynab"))
    return str(caught.value)


# Rows that are counted


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
    rows = [{"id": str(at), "phone": f"964770123456{at}", "name": name} for at, name in enumerate(["x", value, "y"])]
    lines = "".join(",".join(row.values()) + "\n" for row in rows)
    for prepared in run(f"id,phone,name\n{lines}"), run(as_json_lines(rows), "people.jsonl"), run(lambda: rows):
        assert prepared.references == ["0", "2"]
        assert [(row, reason.removeprefix("column 'name' ")) for row, _, reason in prepared.rejected] == [
            ("2", "has a value of more than 131072 characters")
        ]


def test_undecodable_bytes_reject_their_row_alone(run: Run) -> None:
    prepared = run(
        GOOD.encode() + b"2,9647701234568,Zay\xffnab\n3,9647701234569,\xd8\n\xff,9647701234560,x\n4,9647701234561,y\n"
    )
    assert prepared.references == ["1", "4"]
    assert {reason for _, _, reason in prepared.rejected} == {
        "has bytes that are not text in utf-8; set encoding, such as cp1256 for Arabic from Excel"
    }
    assert "\ufdd0" not in str(prepared.excluded)


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


@pytest.mark.parametrize(("encoding", "half"), [("utf-7", b"+2AA-"), ("raw_unicode_escape", b"\\ud800")])
def test_half_a_character_of_an_encoding_that_has_them_rejects_its_row_alone(
    run: Run, encoding: str, half: bytes
) -> None:
    prepared = run(GOOD.encode() + b"2,9647701234568," + half + b"\n3,9647701234569,x\n", encoding=encoding)
    assert prepared.references == ["1", "3"]
    ((row, _, reason),) = prepared.rejected
    assert row == "2"
    assert reason.startswith("has bytes that are not text in ")


@pytest.mark.parametrize("line", ["", "x", "[1]", '{"phone": "9647', "null", '{"name": "\\ud800"}'])
def test_a_line_that_is_no_json_object_is_rejected(run: Run, line: str) -> None:
    prepared = run(f'{{"id": 1, "phone": "9647701234567", "name": "Ali"}}\n{line}\n', "people.jsonl")
    assert prepared.references == ["1"]
    assert prepared.counts["rejected"] == bool(line)


def test_what_a_callable_yields_that_is_no_row_is_rejected(run: Run) -> None:
    good = {"id": 1, "phone": "9647701234567", "name": "Ali"}
    prepared = run(lambda: [good, good | {"phone": b"0770", "id": 2}, "9647701234567", good | {"name": "\ud800"}])
    assert [reason for _, _, reason in prepared.rejected] == [
        "column 'phone' holds a bytes; a string, a number or a date is needed",
        "is a str, not a dict",
        "column 'name' holds half a character",
    ]


# Errors


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (f'{GOOD}2,9647701234568,"Zaynab\n3,9647701234569,x\n', "lines 3 to 4"),
        (f'{GOOD}2,9647701234568,"Zaynab\n3,9647701234569,"x"\n4,9647701234569,y\n', "lines 3 to 4"),
        (f'{GOOD}2,9647701234568,"Zaynab', "line 3"),
        (f'{GOOD}2,9647701234568,"a\nb",x\n', "lines 3 to 4"),
        ('id,phone,name\n1,9647701234567,"a\r\nb"\n\n2,"Zaynab\n' + "3,9647701234569,x\n" * 10_000, "lines 5 to "),
    ],
)
def test_a_quote_that_is_not_closed_is_an_error_with_its_line(run: Run, content: str, line: str) -> None:
    assert f"people.csv, {line}" in refused(run, content)


def test_a_quote_that_swallows_a_large_file_is_an_error(run: Run) -> None:
    rows = "".join(f"{at},9647{at:09},Zaynab\n" for at in range(30_000))
    text = refused(run, f'{GOOD}0,9647701234568,"Zaynab\n{rows}')
    assert "people.csv, lines 3 to " in text


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("id,number,name\n1,9647701234567,Ali\n", "x.csv"),
        ('{"id": 1, "number": 1, "name": "Ali"}\n', "x.jsonl"),
    ],
)
def test_a_missing_column_is_named_with_what_there_is(run: Run, source: str, name: str) -> None:
    text = refused(run, source, name)
    assert "has no column 'phone'" in text
    assert "'id'" in text
    assert "'name'" in text


def test_a_column_with_spaces_around_its_name_is_shown_with_them(run: Run) -> None:
    assert "It has 'id', ' phone ', 'name'." in refused(run, GOOD.replace("phone", " phone "))


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("+1+cmd|x!A0", "'+1+cmd|x!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-5", "-5"),
        ("C-1", "C-1"),
    ],
)
def test_a_spreadsheet_runs_no_reference_of_excluded_csv(run: Run, reference: str, written: str) -> None:
    rows = [{"id": reference, "phone": phone, "name": "Ali"} for phone in ("9647701234567", "9647701234567", "07")]
    excluded = run(lambda: rows).excluded
    assert [row["reference"] for row in excluded] == [written, written]
    assert excluded[0]["kept_reference"] == written


def test_all_missing_columns_are_named_at_once(run: Run) -> None:
    text = refused(run, "a,b\n1,2\n")
    assert all(f"has no column {name!r}" in text for name in ("phone", "id", "name"))


def test_a_column_that_is_there_twice_is_an_error(run: Run) -> None:
    assert "has more than one column 'phone'" in refused(run, "id,phone,phone,name\n1,2,3,4\n")


@pytest.mark.parametrize(
    ("first_line", "columns"),
    [
        ("1,9647701234567,Ali\n", 3),
        ("id,9647701234567,Ali\n", 3),
        ("Ali,ali@example.com\n", 2),
        ("ali,Basra\n", 2),
        ("Zaynab\n", 1),
        ("DB_PASSWORD=Zaynab\n", 1),
    ],
)
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_a_row_in_the_place_of_the_header_is_not_shown(
    run: Run, tmp_path: Path, field: str, first_line: str, columns: int
) -> None:
    (tmp_path / "opt_outs.csv").write_text(first_line)
    suppress = {"suppress": f"{tmp_path}/opt_outs.csv"} if field == "suppress" else {}
    text = refused(run, first_line if field == "source" else GOOD, **suppress)
    assert f"It has {columns} columns, which look like a row" in text
    assert not any(cell in text for cell in ("ali", "Basra", "example.com", "PASSWORD"))


@pytest.mark.parametrize("rows", [[{"Zaynab": "Basra"}], [{"DB_PASSWORD": "x"}]])
def test_keys_that_may_be_people_are_not_shown(run: Run, rows: list[dict[str, str]]) -> None:
    for text in (refused(run, lambda: rows), refused(run, as_json_lines(rows), "x.jsonl")):
        assert "It has 1 columns, which look like a row" in text
        assert "PASSWORD" not in text


@pytest.mark.parametrize("header", ["ID,Mobile,Full name", "phone_,mobile,Full name"])
def test_a_header_with_a_wanted_column_in_another_spelling_is_shown(run: Run, header: str) -> None:
    text = refused(run, f"{header}\n1,9647701234567,Ali\n")
    assert f"It has {', '.join(map(repr, header.split(',')))}." in text


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", "people.csv is empty; rows were expected"),
        ("\ufeff", "people.csv is empty; rows were expected"),
        ("\r\n \n", "people.csv is empty; rows were expected"),
        ("\nid,phone,name\n", "begins with an empty line"),
        ("id,phone,name\n", "nobody is left of 0 rows"),
        ("id,phone,name\n1,07,Ali\n", "nobody is left of 1 rows, 1 rejected"),
    ],
)
def test_an_empty_source_is_an_error(run: Run, source: str, expected: str) -> None:
    assert expected in refused(run, source)


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv.gz", "x.csv.zst", "x.parquet"])
def test_an_empty_file_of_any_kind_is_an_error(run: Run, name: str, tmp_path: Path) -> None:
    assert f"source: {tmp_path}/{name} is empty; rows were expected" in refused(run, "", name)
    assert f"suppress: {tmp_path}/{name} is empty" in refused(run, GOOD, suppress=f"{tmp_path}/{name}")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part-00001.csv", b""),
        ("part-00001.csv", b"\xef\xbb\xbf\r\n"),
        ("part-00001.csv.gz", gzip.compress(b"", mtime=0)),
        ("part-00001.csv.gz", gzip.compress(b"\n" * 50_000, mtime=0)),
        ("part-00001.csv.gz", b""),
        ("part-00001.jsonl", b""),
        ("part-00001.parquet", b""),
    ],
)
def test_an_empty_part_of_a_glob_is_skipped_with_a_line_in_the_log(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    caplog.set_level("INFO")
    spark = tmp_path / "spark"
    shutil.copytree(Path(__file__).parent / "real_files" / "spark", spark)
    (spark / "part-00001.csv").unlink()
    (spark / name).write_bytes(content)
    fields = {"reference": "customer_id"}
    assert run([f"{spark}/part-*"], **fields).numbers == ["9647701234501"]
    assert f"source: skipped 1 of 2 files, which are empty: {spark}/{name}." in caplog.text
    rows = [{"customer_id": 1, "phone": f"964770123450{each}", "name": "Ali"} for each in (1, 2)]
    prepared = run(lambda: rows, suppress=f"{spark}/part-*", **fields)
    assert prepared.numbers == ["9647701234502"]
    assert f"suppress: skipped 1 of 2 files, which are empty: {spark}/{name}." in caplog.text
    (spark / "part-00000.csv").write_bytes(b"")
    expected = "all 2 files are empty; rows were expected"
    assert f"source: {expected}" in refused(run, [f"{spark}/part-*"])
    assert f"suppress: {expected}" in refused(run, lambda: rows, suppress=f"{spark}/part-*", **fields)


def test_a_file_that_is_named_itself_is_not_skipped(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    (tmp_path / "b.csv").write_text("")
    assert f"source: {tmp_path}/b.csv is empty" in refused(run, [f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"])
    assert f"suppress: {tmp_path}/b.csv is empty" in refused(
        run, GOOD, suppress=[f"{tmp_path}/[a].csv", f"{tmp_path}/b.csv"]
    )


def test_null_bytes_are_not_taken_for_an_empty_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "part-1.csv").write_text(GOOD)
    (tmp_path / "part-2.csv").write_bytes(b"\0" * 100)
    refused(run, [f"{tmp_path}/part-*.csv"])


def test_all_suppressed_is_an_error(run: Run) -> None:
    text = refused(run, GOOD, suppress=lambda: [{"phone": "07701234567"}])
    assert "nobody is left of 1 rows, 1 suppressed" in text


def test_a_suppression_list_without_its_column_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "opt_outs.csv").write_text("number\n07701234567\n")
    assert "opt_outs.csv: has no column 'phone'" in refused(run, GOOD, suppress=f"{tmp_path}/opt_outs.csv")


@pytest.mark.parametrize(("name", "content"), [
    ("x.csv.gz", b"no gzip"),
    ("x.csv.gz", gzip.compress(GOOD.encode() * 1000, mtime=0)[:-10]),
    ("x.csv.zst", b"no zstd"),
    ("x.parquet", b"no parquet"),
])  # fmt: skip
def test_a_damaged_file_is_an_error(run: Run, name: str, content: bytes) -> None:
    assert name in refused(run, content, name)


def test_bytes_in_parquet_that_are_no_text_are_an_error_with_the_file(run: Run, tmp_path: Path) -> None:
    import duckdb

    path = f"{tmp_path}/people.parquet"
    duckdb.execute(
        f"COPY (SELECT 1 AS id, '9647701234567' AS phone, '\\xFFAli'::BLOB AS name) TO '{path}' (FORMAT parquet)"
    )
    error = refused(run, [path])
    assert f"{path}: a value cannot be read" in error
    assert "'id', 'name', 'phone'" in error


def test_a_suffix_that_says_nothing_is_an_error_that_file_format_settles(run: Run, tmp_path: Path) -> None:
    assert "Set `file_format`." in refused(run, GOOD, "people.txt")
    assert run([f"{tmp_path}/people.txt"], file_format="csv").references == ["1"]


@pytest.mark.parametrize("source", ["nothing.csv", "nothing*.csv", "."])
def test_a_source_that_is_not_there_is_an_error_that_may_be_retried(run: Run, tmp_path: Path, source: str) -> None:
    with pytest.raises(FileNotFoundError, match=source.replace("*", ".")):
        run([f"{tmp_path}/{source}"])


def test_a_source_that_changes_while_it_is_read_is_an_error(run: Run, tmp_path: Path, output: Path) -> None:
    (tmp_path / "source.csv").write_text(GOOD)
    (file,) = find_files([str(tmp_path / "source.csv")], None)
    opened = file.open()
    opened.__enter__().read(10)
    with (tmp_path / "source.csv").open("a") as more:
        more.write("2,9647701234568,Zaynab\n")
    with pytest.raises(OSError, match="was changed while it was read"):
        opened.__exit__(None, None, None)


def test_a_source_that_vanishes_while_it_is_read_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "source.csv").write_text(GOOD)
    (file,) = find_files([str(tmp_path / "source.csv")], None)
    opened = file.open()
    opened.__enter__().read(10)
    (tmp_path / "source.csv").unlink()
    with pytest.raises(FileNotFoundError):
        opened.__exit__(None, None, None)


def test_an_output_that_holds_a_source_is_refused(run: Run, tmp_path: Path) -> None:
    assert "Set a folder of its own" in refused(run, GOOD, output=str(tmp_path))


@pytest.mark.parametrize("output", ["{}/other/..", "{}/./", "{}/link", "file://{}/other/.."])
def test_an_output_that_holds_a_source_is_refused_however_it_is_written(run: Run, tmp_path: Path, output: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    assert "Set a folder of its own" in refused(run, GOOD, output=output.format(tmp_path))
    assert "Set a folder of its own" in refused(run, [f"{tmp_path}/link/other/../people.csv"], output=str(tmp_path))


def test_an_output_that_is_a_file_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(GOOD)
    with pytest.raises(OtpiqConfigurationError, match=r"people.csv: is a file; expected a folder"):
        run(lambda: [{"id": 1, "phone": "9647701234567", "name": "Ali"}], output=f"{tmp_path}/people.csv")


def test_an_output_that_cannot_be_written_is_an_error_and_no_audience(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="The audience cannot be written to"):
        run(GOOD, output=f"{tmp_path}/file/audience")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_no_audience(run: Run, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(GOOD)
    real_open = Path.open

    def open_full(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return real_open(Path("/dev/full") if path.suffix == ".part" and "w" in mode else path, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        run(GOOD)
    assert caught.value.errno == errno.ENOSPC
    assert not (output / "manifest.json").exists()


def test_too_little_memory_is_an_error(run: Run) -> None:
    rows = "".join(f"{at},96477{at:08},Zaynab\n" for at in range(20_000))
    assert "memory_limit: 1MB is too little" in refused(run, f"id,phone,name\n{rows}", memory_limit="1MB")


def test_without_duckdb_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(OtpiqConfigurationError, match=re.escape("pip install 'airflow-provider-otpiq[audience]'")):
        run(GOOD)


# Fields


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"source": None}, "source: is required, and is not set"),
        ({"source": []}, "source: must be a path"),
        ({"source": ["a.csv", ""]}, "source: must be a path"),
        (
            {"source": 5},
            "source: must be a path, a glob, a list of them (none of them blank), or a callable; found a int",
        ),
        ({"suppress": {"a": 1}}, "suppress: must be a path"),
        *[
            (
                {"suppress": nothing},
                "suppress: is set and rendered to an empty value, so people who opted out would get",
            )
            for nothing in ("None", "", " ", [], [""], ["opt_outs.csv", " "], ["opt_outs.csv", None])
        ],
        ({"phone_number": "None"}, "phone_number: is required, and is not set"),
        ({"output": ""}, "output: is required, and is not set"),
        ({"template_parameters": {"foot": {"1": "name"}}}, "template_parameters"),
        ({"template_parameters": {"body": {"1": ""}}}, "must be the name of a column"),
        ({"template_parameters": {"body": {"1": {"value": " "}}}}, "is blank"),
        ({"template_parameters": {"body": {"1": {"value": "x", "text": 5}}}}, "template_parameters"),
        ({"template_parameters": {"body": {"1": {}}}}, "template_parameters"),
        ({"template_parameters": {"body": {"a.b": "name"}}}, "must have keys such as"),
        ({"template_parameters": {"body": {"\u0663": "name"}}}, "must have keys such as"),
        ({"template_parameters": {"body": {"1": {"value": "Rama\ufffdan"}}}}, "has U+FFFD"),
        ({"delimiter": "\0"}, "delimiter: must be one character"),
        ({"null_values": "NULL"}, "null_values: must be a list"),
        ({"max_rejected": 1.5}, "max_rejected: must be a count"),
        ({"max_rejected": -1}, "max_rejected: must be a count"),
        ({"max_rejected": "many"}, "max_rejected: must be a count"),
        ({"max_rejected": True}, "max_rejected: must be a count"),
        ({"max_rejected": float("nan")}, "max_rejected: must be a count"),
        ({"default_region": "Iraq"}, "default_region: must be a country's two capital letters"),
        ({"file_format": "xlsx"}, "file_format: must be 'csv' or 'jsonl' or 'parquet'"),
        ({"delimiter": ",,"}, "delimiter: must be one character"),
        ({"delimiter": '"'}, "delimiter: must be one character"),
        ({"encoding": "utf-9"}, "encoding: must be an encoding"),
        ({"encoding": "base64"}, "encoding: must be an encoding"),
        *[
            (
                {"encoding": encoding},
                f"encoding: must be an encoding of text files, such as utf-8 or cp1256; found '{encoding}'",
            )
            for encoding in ("idna", "punycode", "undefined")
        ],
        ({"memory_limit": "lots"}, "memory_limit: must be a size"),
    ],
)
def test_a_wrong_field_is_an_error_before_anything_is_read(fields: dict[str, Any], error: str) -> None:
    good = FIELDS | {"source": "nothing.csv", "output": "nothing"}
    with pytest.raises(OtpiqValidationError, match="The audience was not prepared, because of:") as caught:
        prepare(AudienceRequest.parse(**(good | fields)))
    assert error in str(caught.value)


# What is nearly right


def test_a_row_of_a_suppression_list_without_its_key_is_an_error(run: Run) -> None:
    rows = [{"Phone": "9647701234567"}, {"phone": "9647709999999"}]
    assert "suppress: rows 1: has no 'phone'" in refused(run, GOOD, suppress=lambda: rows)


@pytest.mark.parametrize("columns", ["phone, phone", "PHONE, phone, phone_1"])
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_a_column_of_parquet_that_may_be_meant_twice_is_an_error(
    run: Run, tmp_path: Path, columns: str, field: str
) -> None:
    import pyarrow
    import pyarrow.parquet

    names = columns.split(", ")
    numbers = [pyarrow.array([f"964770999999{index}"]) for index in range(len(names))]
    table = pyarrow.Table.from_arrays([pyarrow.array(["1"]), pyarrow.array(["Ali"]), *numbers], ["id", "name", *names])
    pyarrow.parquet.write_table(table, tmp_path / "twice.parquet")
    path = [f"{tmp_path}/twice.parquet"]
    fields: dict[str, Any] = {"source": path} if field == "source" else {"source": GOOD, "suppress": path}
    assert "has more than one column 'phone'" in refused(run, **fields)


def test_a_column_of_parquet_is_the_one_of_its_name(run: Run, tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    arrays = {"a": [[{"phone": "x"}]], "phone": ["9647701234567"], "b": [{"name": "x", "id": 1}], "name": ["Ali"]}
    pyarrow.parquet.write_table(pyarrow.table(arrays | {"id": ["1"]}), tmp_path / "nested.parquet")
    assert run([f"{tmp_path}/nested.parquet"]).numbers == ["9647701234567"]


@pytest.mark.parametrize("field", ["source", "suppress"])
def test_floats_of_32_bits_are_not_phone_numbers(run: Run, tmp_path: Path, field: str) -> None:
    import duckdb

    numbers = "SELECT id::VARCHAR AS id, (7701234567 + 7919 * id)::FLOAT AS phone, 'Ali' AS name FROM range(5) AS r(id)"
    duckdb.execute(f"COPY ({numbers}) TO '{tmp_path}/floats.parquet' (FORMAT parquet)")
    as_text = numbers.replace("::FLOAT AS phone", "::FLOAT::BIGINT || '.0' AS phone")
    duckdb.execute(f"COPY ({as_text}) TO '{tmp_path}/floats.csv'")
    for path, why in (
        ("floats.parquet", "holds floats of 32 bits"),
        ("floats.csv", "the phone numbers are floats of 32 bits"),
    ):
        fields: dict[str, Any] = {"source": [f"{tmp_path}/{path}"]}
        fields = fields if field == "source" else {"source": GOOD, "suppress": f"{tmp_path}/{path}"}
        assert why in refused(run, **fields)


def test_utf8_with_a_damaged_byte_is_not_another_encoding(run: Run) -> None:
    rows = "".join(f"{at},96477012345{at:02},علي\n" for at in range(30))
    damaged = f"id,phone,name\n{rows}".encode() + b"99,9647701234599,\xd8\n"
    assert "encoding: 'cp1256' is set" in refused(run, damaged, encoding="cp1256")


def test_an_encoding_that_needs_a_byte_order_mark_is_named(run: Run) -> None:
    assert "Set the exact encoding, such as utf-16-le" in refused(run, GOOD.encode("utf-16-le"), encoding="utf-16")


# People's data


def test_the_folder_is_nobody_elses_and_no_other_file_is_read(tmp_path: Path) -> None:
    from airflow_provider_otpiq._duckdb import Database
    from airflow_provider_otpiq.exceptions import OtpiqError

    with Database("64MB") as database:
        assert stat.S_IMODE(os.stat(database.folder).st_mode) == 0o700
        for statement in ("FROM read_csv('/etc/passwd')", "INSTALL httpfs", "SET enable_external_access = true"):
            with pytest.raises(OtpiqError):
                database.execute(statement)


def test_an_error_of_the_callable_is_its_own(run: Run) -> None:
    error = RuntimeError("the database is away")

    def rows() -> Iterator[dict[str, str]]:
        yield {"id": "1", "phone": "9647701234567", "name": "Ali"}
        raise error

    with pytest.raises(RuntimeError) as caught:
        run(rows)
    assert caught.value is error


@pytest.mark.parametrize("field", ["source", "suppress"])
def test_a_callable_that_returns_no_rows_is_an_error(run: Run, field: str) -> None:
    callables = {"source": lambda: [{"id": "1", "phone": "9647701234567", "name": "Ali"}]} | {field: lambda: None}
    with pytest.raises(OtpiqValidationError, match="returned a NoneType; it must return or yield dicts"):
        run(**callables)
