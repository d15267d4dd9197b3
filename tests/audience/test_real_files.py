"""Files as people have them: the recipients, the values that are sent, and why the others are rejected."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.audience.conftest import Prepared, Run

pytestmark = pytest.mark.slow

FILES = Path(__file__).parent / "real_files"
COLUMNS = {"reference": "customer_id", "max_rejected": 1.0}


def prepared_from(run: Run, name: str, **fields: Any) -> Prepared:
    return run([str(FILES / name)], **(COLUMNS | fields))


def messages(prepared: Prepared) -> dict[str, tuple[str, str]]:
    return {
        each["reference"]: (each["phoneNumber"], each["templateParameters"]["body"]["1"])
        for each in prepared.recipients
    }


def test_floats_of_pandas_are_the_numbers_that_they_were(run: Run) -> None:
    prepared = prepared_from(run, "pandas_floats.csv", suppress=str(FILES / "pandas_floats_opt_outs.csv"))
    assert messages(prepared) == {
        "2": ("9647801234502", "Sara"),
        "3": ("9647501234503", "Noor"),
        "4": ("9647901234504", "Rezan"),
    }
    assert [(row["reference"], row["outcome"]) for row in prepared.excluded] == [("1", "suppressed"), ("5", "rejected")]


def test_two_spellings_abroad_are_one_person(run: Run) -> None:
    prepared = prepared_from(run, "two_spellings_abroad.csv")
    assert prepared.numbers == ["966501234567", "971501234567", "9647701234505"]
    duplicates = [(row["reference"], row["kept_reference"], row["kept_row"]) for row in prepared.excluded]
    assert duplicates == [("2", "1", "1"), ("4", "3", "3")]


def test_exports_of_whatsapp_and_what_only_looks_like_a_number(run: Run) -> None:
    prepared = prepared_from(run, "whatsapp_export.csv")
    assert prepared.numbers == ["9647701234501", "9647801234503", "9647501234504"]
    assert [row for row, _, _ in prepared.rejected] == ["2", "5", "6", "7"]


def test_names_of_a_crm_are_cleaned_or_missing(run: Run, logged: Callable[[], str]) -> None:
    prepared = prepared_from(run, "crm_names.csv")
    assert {reference: name for reference, (_, name) in messages(prepared).items()} == {
        "1": "Ali Hassan",
        "2": "Ali Hassan",
        "3": "Ali Hassan",
        "4": "Noor",
        "9": "Nadia",
    }
    assert {row: reason for row, _, reason in prepared.rejected} == {
        **dict.fromkeys(["5", "6", "7", "8", "11"], "templateParameters.body.1 is required"),
        "10": "has U+FFFD instead of bytes that could not be decoded; fix the encoding in the source",
    }
    assert "Cleaned the whitespace of 5 template parameters" in logged()


def test_other_null_values_take_the_place_of_the_default_ones(run: Run) -> None:
    prepared = prepared_from(run, "crm_names.csv", null_values=["Nadia"])
    assert prepared.references == ["1", "2", "3", "4", "6", "7", "8", "11"]
    assert prepared_from(run, "crm_names.csv", null_values=[]).references == [*prepared.references[:7], "9", "11"]


def test_rows_that_excel_cleared_are_no_rows(run: Run) -> None:
    prepared = prepared_from(run, "excel_cleared_rows.csv")
    assert prepared.counts == {"rows": 2, "recipients": 2, "duplicates": 0, "suppressed": 0, "rejected": 0}
    assert prepared.references == ["1", "2"]


def test_encodings_and_delimiters_of_excel(run: Run) -> None:
    prepared = prepared_from(run, "excel_semicolons_cp1256.csv", delimiter=";", encoding="cp1256")
    assert messages(prepared) == {"1": ("9647701234501", "علي"), "2": ("9647801234502", "زينب")}
    prepared = prepared_from(run, "excel_utf16_tabs.csv", delimiter="\t", encoding="utf-16")
    assert prepared.numbers == ["9647701234501", "9647801234502"]


def test_ascii_is_text_in_any_encoding(run: Run) -> None:
    assert run("id,phone,name\n1,07701234501,Ali\n", encoding="cp1256").references == ["1"]


def test_types_of_pandas(run: Run) -> None:
    fields = {"reference": "phone", "template_parameters": {"body": {"1": "points"}}}
    prepared = prepared_from(run, "pandas_types.parquet", phone_number="phone_as_integer", **fields)
    assert messages(prepared) == {"07701234501": ("9647701234501", "250000")}


def test_durations_of_pandas_are_an_error(
    refused: Callable[..., str], tmp_path: Path, snapshot: SnapshotAssertion
) -> None:
    import duckdb

    path = tmp_path / "durations.parquet"
    noted = '{"columns": [{"name": "name", "numpy_type": "timedelta64[ns]"}]}'
    duckdb.execute(
        "COPY (SELECT 1 AS id, '9647701234567' AS phone, 86400000000000 AS name)"
        f" TO '{path}' (FORMAT parquet, KV_METADATA {{pandas: '{noted}'}})"
    )
    assert refused([str(path)]) == snapshot


def test_numbers_that_a_spreadsheet_has_rounded_are_rejected(run: Run) -> None:
    assert prepared_from(run, "scientific.csv").counts["rejected"] == 97
