"""Recipients of one campaign from a CSV file: read by the rules of a prepared audience, without DuckDB."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_otpiq._audience.recipients_file import read_rows
from airflow_provider_otpiq.exceptions import OtpiqValidationError

COLUMNS: dict[str, Any] = {
    "phone_number": "phone",
    "template_parameters": {"body": {"1": "name", "2": {"value": "Ramadan"}}, "buttons": {"0": {"1": "link"}}},
    "reference": "id",
}
HEADER = "id,phone,name,link\n"
ALI = {
    "phoneNumber": "0770 123 4567",
    "templateParameters": {"body": {"1": "Ali", "2": "Ramadan"}, "buttons": {"0": {"1": "x"}}},
    "reference": "C-1",
}
FILES = Path(__file__).parent / "real_files"


def read(tmp_path: Path, content: bytes, name: str = "people.csv", **fields: Any) -> list[dict[str, Any]]:
    (tmp_path / name).write_bytes(content)
    return read_rows(str(tmp_path / name), **(COLUMNS | fields))


@pytest.mark.parametrize(
    ("name", "encode", "fields"),
    [
        ("people.csv", str.encode, {}),
        ("people.txt", lambda text: b"\xef\xbb\xbf" + text.encode(), {}),
        ("people.csv.gz", lambda text: gzip.compress(text.encode(), mtime=0), {}),
        ("people.csv", lambda text: text.replace(",", ";").encode("utf-16"), {"delimiter": ";", "encoding": "utf-16"}),
    ],
)
def test_rows_become_recipients(tmp_path: Path, name: str, encode: Any, fields: dict[str, Any]) -> None:
    text = f'{HEADER}C-1,0770 123 4567,Ali,x\n\n,,,\n"C,2",07,"two\nlines",\n'.replace("C,2", "C-2")
    rows = read(tmp_path, encode(text), name, **fields)
    assert rows[0] == ALI
    assert [row["templateParameters"]["body"]["1"] for row in rows] == ["Ali", "two\nlines"]


def test_only_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, b"phone\n1\n2\n", template_parameters=None, reference=None) == [
        {"phoneNumber": "1"},
        {"phoneNumber": "2"},
    ]


def test_each_row_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    lines = [b"C-1,1,Ali", b"C-2,2,\xff,x", b"C-3,3,Ali,x", "C-4,4,\ufffd,x".encode(), b'C-5,5,"a"b,x']
    with pytest.raises(OtpiqValidationError) as caught:
        read(tmp_path, HEADER.encode() + b"\n".join(lines))
    assert list(caught.value.errors) == [
        f"{tmp_path}/people.csv, row 1: has 3 fields, and the header has 4",
        f"{tmp_path}/people.csv, row 2: has bytes that are not valid utf-8; set encoding, such as cp1256 for Arabic"
        " from Excel",
        f"{tmp_path}/people.csv, row 4: has U+FFFD instead of bytes that could not be decoded; fix the encoding in the"
        " source",
        f"{tmp_path}/people.csv, row 5: has a quote in the wrong place",
    ]
    with pytest.raises(OtpiqValidationError) as caught:
        read(tmp_path, HEADER.encode() + b"C-1,1\n" * 101)
    assert len(caught.value.errors) == 101
    assert caught.value.errors[-1] == "and 1 more"


@pytest.mark.parametrize(
    ("content", "fields", "error"),
    [
        (b"", {}, "people.csv is empty"),
        (b"id,mobile\n1,2\n", {}, "people.csv: has no column 'phone'"),
        (HEADER.encode() + b'C-1,1,"Ali,x\nC-2,2,Ali,x\n', {}, "people.csv, lines 2 to 3: a row has a quote"),
        (HEADER.replace(",", ";").encode(), {}, "delimiter: ',' is set, but "),
        (HEADER.encode(), {"encoding": " "}, "encoding: is set and rendered to an empty value"),
        (HEADER.encode(), {"phone_number": None}, "phone_number: is required"),
    ],
)
def test_what_is_wrong_is_an_error(tmp_path: Path, content: bytes, fields: dict[str, Any], error: str) -> None:
    with pytest.raises(OtpiqValidationError) as caught:
        read(tmp_path, content, **fields)
    assert error in caught.value.errors[0]


def test_a_file_that_is_missing_may_appear_later(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rows(str(tmp_path / "people.csv"), **COLUMNS)


@pytest.mark.slow
def test_at_most_one_row_more_than_a_list_may_have_is_read(tmp_path: Path) -> None:
    rows = read(tmp_path, b"phone\n" + b"1\n" * 100_005, template_parameters=None, reference=None)
    assert len(rows) == 100_001
