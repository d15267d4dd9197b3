"""Input that cannot be prepared: an error that names what to do and no person, and no audience."""

import errno
import gzip
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from airflow_provider_otpiq._audience.prepare import prepare
from airflow_provider_otpiq._audience.request import AudienceRequest
from airflow_provider_otpiq._audience.sources import find_files
from airflow_provider_otpiq.exceptions import OtpiqConfigurationError, OtpiqError, OtpiqValidationError
from tests.audience.conftest import FIELDS, GOOD, PERSON, Refused, Run, as_json_lines, parquet

ROWS = "3,9647701234569,x\n" * 10_000
WRONG: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "a quote is not closed": (f'{GOOD}2,9647701234568,"Zaynab\n3,9647701234569,x\n', "people.csv", {}),
    "a quote ends in a later row": (f'{GOOD}2,9647701234568,"Zaynab\n3,964,"x"\n4,964,y\n', "people.csv", {}),
    "a quote is not closed in the last line": (f'{GOOD}2,9647701234568,"Zaynab', "people.csv", {}),
    "too many fields in two lines": (f'{GOOD}2,9647701234568,"a\nb",x\n', "people.csv", {}),
    "a quote is not closed behind a row of two lines": (
        f'id,phone,name\n1,9647701234567,"a\r\nb"\n\n2,"Zaynab\n{ROWS}',
        "people.csv",
        {},
    ),
    "a quote in the header": ('id,"phone"x,name\n', "people.csv", {}),
    "no phone column": ("id,number,name\n1,9647701234567,Ali\n", "people.csv", {}),
    "no phone key": ('{"id": 1, "number": 1, "name": "Ali"}\n', "people.jsonl", {}),
    "a column with spaces around its name": (GOOD.replace("phone", " phone "), "people.csv", {}),
    "a column in another spelling": ("phone_,mobile,Full name\n1,9647701234567,Ali\n", "people.csv", {}),
    "no column at all": ("a,b\n1,2\n", "people.csv", {}),
    "a column twice": ("id,phone,phone,name\n1,2,3,4\n", "people.csv", {}),
    "a phone number in the header": ("id,9647701234567,Ali\n", "people.csv", {}),
    "people in the header": ("Ali,ali@example.com\n", "people.csv", {}),
    "people as keys": (as_json_lines([{"Zaynab": "Basra"}]), "people.jsonl", {}),
    "no bytes": ("", "people.csv", {}),
    "only blank lines": ("\r\n \n", "people.csv", {}),
    "a blank first line": ("\nid,phone,name\n", "people.csv", {}),
    "no rows": ("id,phone,name\n", "people.csv", {}),
    "no valid row": ("id,phone,name\n1,07,Ali\n", "people.csv", {}),
    "all rows suppressed": (GOOD, "people.csv", {"suppress": b"phone\n07701234567\n"}),
    "too many rows rejected": (GOOD + "2,07,Ali\n3,9647701234568,\n4,08,Ali\n", "people.csv", {"max_rejected": 0.5}),
    "suppress without its column": (GOOD, "people.csv", {"suppress": b"number\n07701234567\n"}),
    "suppress without its key": (GOOD, "people.csv", {"suppress": lambda: [{"Phone": "9647701234567"}, PERSON]}),
    "suppress with bytes that are not text": (GOOD, "people.csv", {"suppress": b"phone\n\xff\xff\n"}),
    "not gzip": (b"not gzip", "people.csv.gz", {}),
    "half of a gzip file": (gzip.compress(GOOD.encode() * 1000, mtime=0)[:-10], "people.csv.gz", {}),
    "not zstd": (b"not zstd", "people.csv.zst", {}),
    "not Parquet": (b"not parquet", "people.parquet", {}),
    "half of a Parquet file": (b"PAR1" + b"\0" * 100, "people.parquet", {}),
    "an unknown suffix": (GOOD, "people.txt", {}),
    "UTF-8 where cp1256 is set": (GOOD.replace("Ali", "علي"), "people.csv", {"encoding": "cp1256"}),
    "UTF-8 with a damaged byte where cp1256 is set": (
        f"id,phone,name\n{'1,9647701234567,علي' * 30}\n".encode() + b"99,9647701234599,\xd8\n",
        "people.csv",
        {"encoding": "cp1256"},
    ),
    "JSON Lines in UTF-8 where cp1256 is set": (
        as_json_lines([PERSON | {"name": "علي"}]),
        "people.jsonl",
        {"encoding": "cp1256"},
    ),
    "no byte order mark": (GOOD.encode("utf-16-le"), "people.csv", {"encoding": "utf-16"}),
    "a callable that returns nothing": (lambda: None, "", {}),
    "a suppress callable that returns nothing": (lambda: [PERSON], "", {"suppress": lambda: None}),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_source_is_an_error(refused: Refused, output: Path, case: str, snapshot: SnapshotAssertion) -> None:
    source, name, fields = WRONG[case]
    assert refused(source, name, **fields) == snapshot
    assert not (output / "manifest.json").exists()


@pytest.mark.parametrize("name", ["x.jsonl", "x.csv.gz", "x.csv.zst", "x.parquet"])
def test_an_empty_file_of_any_kind_is_an_error(refused: Refused, name: str, tmp_path: Path) -> None:
    assert f"source: …/{name} is empty" in refused("", name)
    assert f"suppress: …/{name} is empty" in refused(GOOD, suppress=f"{tmp_path}/{name}")


def test_null_bytes_are_not_an_empty_file(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "part-1.csv").write_text(GOOD)
    (tmp_path / "part-2.csv").write_bytes(b"\0" * 100)
    assert "part-2.csv" in refused([f"{tmp_path}/part-*.csv"])


def test_an_empty_file_of_a_path_is_an_error_beside_others(refused: Refused, tmp_path: Path) -> None:
    for name, content in {"a": GOOD, "b": ""}.items():
        (tmp_path / f"{name}.csv").write_text(content)
    assert "source: …/b.csv is empty" in refused([f"{tmp_path}/a.csv", f"{tmp_path}/b.csv"])
    assert "suppress: …/b.csv is empty" in refused(GOOD, suppress=[f"{tmp_path}/[a].csv", f"{tmp_path}/b.csv"])


def test_an_unknown_suffix_needs_a_file_format(run: Run, tmp_path: Path) -> None:
    (tmp_path / "people.txt").write_text(GOOD)
    assert run([f"{tmp_path}/people.txt"], file_format="csv").references == ["1"]


@pytest.mark.parametrize("source", ["nothing.csv", "nothing*.csv", "."])
def test_a_source_that_does_not_exist_is_an_error_that_may_be_retried(run: Run, tmp_path: Path, source: str) -> None:
    with pytest.raises(FileNotFoundError, match=re.escape(source)):
        run([f"{tmp_path}/{source}"])


@pytest.mark.parametrize(
    ("change", "error"), [(lambda path: path.write_text(2 * GOOD), OSError), (Path.unlink, FileNotFoundError)]
)
def test_a_source_that_changes_while_it_is_read_is_an_error_that_may_be_retried(
    tmp_path: Path, change: Callable[[Path], Any], error: type[OSError]
) -> None:
    path = tmp_path / "source.csv"
    path.write_text(GOOD)
    (file,) = find_files([str(path)], None)
    opened = file.open()
    opened.__enter__().read(10)
    change(path)
    with pytest.raises(error, match=re.escape("source.csv")):
        opened.__exit__(None, None, None)


def test_bytes_in_parquet_that_are_not_text_are_an_error(
    refused: Refused, tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    assert refused([parquet(tmp_path / "x.parquet", "(1, '9647701234567', '\\xFFAli'::BLOB)")]) == snapshot


@pytest.mark.parametrize("columns", ["phone, phone", "PHONE, phone, phone_1"])
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_a_column_of_parquet_that_may_be_meant_twice_is_an_error(
    refused: Refused, tmp_path: Path, columns: str, field: str
) -> None:
    import pyarrow
    import pyarrow.parquet

    names = columns.split(", ")
    numbers = [pyarrow.array([f"964770999999{index}"]) for index in range(len(names))]
    table = pyarrow.Table.from_arrays([pyarrow.array(["1"]), pyarrow.array(["Ali"]), *numbers], ["id", "name", *names])
    pyarrow.parquet.write_table(table, tmp_path / "twice.parquet")
    fields: dict[str, Any] = {"source": GOOD} | {field: [f"{tmp_path}/twice.parquet"]}
    assert "has more than one column 'phone'" in refused(**fields)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
@pytest.mark.parametrize("field", ["source", "suppress"])
def test_floats_of_32_bits_are_not_phone_numbers(
    refused: Refused, tmp_path: Path, field: str, suffix: str, snapshot: SnapshotAssertion
) -> None:
    import duckdb

    number = "(7701234567 + 7919 * id)::FLOAT" + "::BIGINT || '.0'" * (suffix == "csv")
    rows = f"SELECT id::VARCHAR AS id, {number} AS phone, 'Ali' AS name FROM range(5) AS r(id)"  # noqa: S608
    duckdb.execute(f"COPY ({rows}) TO '{tmp_path}/floats.{suffix}'")
    fields: dict[str, Any] = {"source": GOOD} | {field: [f"{tmp_path}/floats.{suffix}"]}
    assert refused(**fields) == snapshot


# Output


@pytest.mark.parametrize("output", ["{}", "{}/other/..", "{}/./", "{}/link", "file://{}/other/.."])
def test_an_output_that_contains_a_source_is_refused(refused: Refused, tmp_path: Path, output: str) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    expected = "contains the source file …/people.csv\nSet another output."
    assert expected in refused(GOOD, output=output.format(tmp_path))
    assert "Set another output." in refused([f"{tmp_path}/link/other/../people.csv"], output=str(tmp_path))


def test_an_output_that_is_a_file_is_an_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OtpiqConfigurationError, match="file: is a file"):
        run(lambda: [PERSON], output=f"{tmp_path}/file")
    with pytest.raises(OSError, match=f"The audience was not prepared: cannot write to {tmp_path}/file/audience"):
        run(lambda: [PERSON], output=f"{tmp_path}/file/audience")


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


# DuckDB


def test_without_duckdb_it_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(OtpiqConfigurationError, match=re.escape("pip install 'airflow-provider-otpiq[audience]'")):
        run(GOOD)


def test_an_error_of_a_callable_is_raised_unchanged(run: Run) -> None:
    error = RuntimeError("the database is away")

    def rows() -> Iterator[dict[str, Any]]:
        yield PERSON
        raise error

    with pytest.raises(RuntimeError) as caught:
        run(rows)
    assert caught.value is error


def test_only_this_user_enters_the_temporary_folder_and_no_other_file_is_read() -> None:
    from airflow_provider_otpiq._duckdb import Database

    with Database("64MB") as database:
        assert stat.S_IMODE(os.stat(database.folder).st_mode) == 0o700
        for statement in ("FROM read_csv('/etc/passwd')", "INSTALL httpfs", "SET enable_external_access = true"):
            with pytest.raises(OtpiqError):
                database.execute(statement)


# Fields


@pytest.mark.parametrize(
    "fields",
    [
        *[{"source": value} for value in (None, [], ["a.csv", ""], 5)],
        *[{"suppress": value} for value in ({"a": 1}, "None", "", " ", [], [""], ["a.csv", " "], ["a.csv", None])],
        {"phone_number": "None"},
        {"output": ""},
        {"template_parameters": {"foot": {"1": "name"}}},
        {"template_parameters": ["name"]},
        *[
            {"template_parameters": {"body": {"1": value}}}
            for value in ("", {"value": " "}, {"value": "x", "text": 5}, {}, {"value": "Rama\ufffdan"})
        ],
        *[{"template_parameters": {"body": {key: "name"}}} for key in ("a.b", "\u0663")],
        *[{"max_rejected": value} for value in (1.5, -1, "many", True, float("nan"))],
        {"default_region": "Iraq"},
        {"file_format": "xlsx"},
        *[{"delimiter": value} for value in (",,", '"', "\0")],
        *[{"encoding": value} for value in ("utf-9", "base64", "idna", "punycode", "undefined")],
        *[{"null_values": value} for value in ("NULL", "", " ", "None")],
        {"memory_limit": "lots"},
    ],
    ids=str,
)
def test_a_wrong_field_is_an_error_before_anything_is_read(fields: dict[str, Any], snapshot: SnapshotAssertion) -> None:
    good = FIELDS | {"source": "nothing.csv", "output": "nothing"}
    with pytest.raises(OtpiqValidationError) as caught:
        prepare(AudienceRequest.parse(**(good | fields)))
    assert caught.value.errors[0].partition(":")[0] in fields
    assert str(caught.value) == snapshot
