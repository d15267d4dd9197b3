"""What files look like by their first bytes, and which field an error names."""

import gzip
import re
from pathlib import Path

import pytest

from airflow_provider_otpiq._audience.file_kind import (
    is_blank,
    require_csv,
    require_parquet,
    require_text,
)
from airflow_provider_otpiq.exceptions import OtpiqValidationError

REAL_FILES = Path(__file__).parent / "real_files"
ROWS = "customer_id,phone,name\n1,07701234501,علي\n"
ZSTD = b"\x28\xb5\x2f\xfd\x04\x00"
SECRETS = ("07701234501", "علي", "9647701234501", "\\x", "\ufffd")


def refused(head: bytes, encoding: str = "utf-8", delimiter: str = ",") -> str:
    """Return the last line of the error, which says what to set."""
    with pytest.raises(OtpiqValidationError) as caught:
        require_csv(head, "people.csv", encoding, delimiter)
    assert [secret for secret in SECRETS if secret in str(caught.value)] == []
    return str(caught.value).splitlines()[-1]


def test_excels_utf_16_with_tabs_names_both_fields() -> None:
    head = (REAL_FILES / "excel_utf16_tabs.csv").read_bytes()
    assert refused(head) == "Set encoding='utf-16' and delimiter='\\t'."
    assert refused(head, encoding="utf-16") == "Set delimiter='\\t'."
    assert refused(head, delimiter="\t") == "Set encoding='utf-16'."
    require_csv(head, "people.csv", "utf-16", "\t")


def test_excels_semicolons_in_arabic_name_both_fields() -> None:
    head = (REAL_FILES / "excel_semicolons_cp1256.csv").read_bytes()
    assert refused(head).startswith("Set encoding='cp1256' and delimiter=';', or the encoding")
    assert refused(head, encoding="cp1256") == "Set delimiter=';'."
    require_csv(head, "people.csv", "cp1256", ";")
    require_csv(head, "people.csv", "utf-8", ";")  # each row that cannot be read is rejected with its reason


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("rows", [ROWS, "الاسم,الهاتف\nعلي,07701234501\n"])
@pytest.mark.parametrize("expected", ["utf-8", "cp1256"])
def test_wide_encodings_are_found_with_and_without_a_byte_order_mark(encoding: str, rows: str, expected: str) -> None:
    assert refused(rows.encode(encoding), encoding=expected) == f"Set encoding={encoding!r}."
    require_csv(rows.encode(encoding), "people.csv", encoding, ",")


@pytest.mark.parametrize("encoding", ["utf-16", "UTF_32"])
def test_a_wide_encoding_that_the_file_does_not_have_is_named(encoding: str) -> None:
    assert refused(ROWS.encode(), encoding=encoding) == "Set encoding='utf-8'."
    assert refused("الاسم,phone\n".encode("cp1256"), encoding=encoding).startswith("Set encoding='cp1256', or")
    assert refused("الاسم,phone\n".encode("cp1256")).startswith("Set encoding='cp1256', or the")
    assert refused(ROWS.encode("utf-8-sig"), encoding="cp1256") == "Set encoding='utf-8'."


@pytest.mark.parametrize(
    ("head", "remedy"),
    [
        (gzip.compress(ROWS.encode(), mtime=0), "Rename it to end in .gz"),
        (ZSTD, "Rename it to end in .zst"),
        (b"PK\x03\x04\x14\x00", "Save it as CSV, or extract it"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "Save it as CSV."),
        ((REAL_FILES / "pandas_types.parquet").read_bytes(), "Set file_format='parquet'"),
        (b'{"phone": "07701234501"}\n', "Set file_format='jsonl'"),
    ],
)
def test_another_kind_of_file_is_named_with_what_to_do(head: bytes, remedy: str) -> None:
    assert refused(head).startswith(remedy)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_named(delimiter: str) -> None:
    assert refused(ROWS.replace(",", delimiter).encode()) == f"Set delimiter={delimiter!r}."
    assert refused(ROWS.encode(), delimiter=delimiter) == "Set delimiter=','."


@pytest.mark.parametrize(
    "head",
    [
        *("\ufeff" + ROWS, "phone\n07701234501;x\n", '"phone;number",name\n', '"phone;number"\n07701234501\n'),
        *("a;b,c\n", "", "\n", "phone,name\n07701234501,\0\n"),
    ],
)
def test_what_can_be_csv_passes(head: str) -> None:
    require_csv(head.encode(), "people.csv", "utf-8", ",")
    require_csv(head.encode()[:-1], "people.csv", "utf-8", ",")  # in the middle of a character


def test_json_lines_and_parquet_name_the_fields_too() -> None:
    line = '{"phone": "07701234501", "name": "علي"}\n'
    require_text(line.encode(), "people.jsonl", "utf-8")
    with pytest.raises(OtpiqValidationError, match=re.escape("Set encoding='utf-16'.")):
        require_text(line.encode("utf-16"), "people.jsonl", "utf-8")
    with pytest.raises(OtpiqValidationError, match="looks like a gzip file"):
        require_text(gzip.compress(line.encode(), mtime=0), "people.jsonl", "utf-8")
    parquet = (REAL_FILES / "pandas_types.parquet").read_bytes()
    require_parquet(parquet, "people.parquet")
    for head in (ROWS.encode(), line.encode("utf-16"), b"PK\x03\x04"):
        with pytest.raises(OtpiqValidationError, match=r"people\.parquet: looks like (text|an Excel workbook)"):
            require_parquet(head, "people.parquet")


@pytest.mark.parametrize(
    ("content", "blank"),
    [
        (b"\r\n \n\t", True),
        (b"\xef\xbb\xbf\n", True),
        ("\ufeff\r\n".encode("utf-16-le"), True),
        ("\n\n".encode("utf-32"), True),
        (b"\0\0", False),
        ("\ufeffphone".encode("utf-16-be"), False),
        (b",,\n", False),
    ],
)
def test_a_blank_file_has_no_rows(content: bytes, blank: bool) -> None:
    assert is_blank(content) is blank
