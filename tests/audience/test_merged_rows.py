"""Rows that a missing quote merges: a file that is valid CSV, and has fewer people than lines."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_otpiq._audience.recipients_file import read_rows
from airflow_provider_otpiq.exceptions import OtpiqValidationError

MERGED = {
    "last column": 'id,phone,name\n1,9647701234567,"Ali\n2,9647701234568,Sara"\n',
    "three rows": 'id,phone,name\n1,9647701234567,"Ali\n2,9647701234568,Sara\n\n3,9647701234569,Omar"\n',
    "beside a bad row": 'id,phone,name\n1,9647701234567,"Ali\n2,9647701234568\n3,9647701234569,Omar"\n',
    "empty value": 'id,phone,name\n1,9647701234567,"\n2,0770 123 4568,Sara"\n',
    "column between": 'id,phone,name,city\n1,9647701234567,"Ali,Basra\n2,p:+9647701234568,Sara",Basra\n',
    "column before the number": 'name,phone,id\n"Ali,9647701234567,1\nSara",9647701234568,2\n',
    "Windows": 'id,phone,name\r\n1,9647701234567,"Ali\r\n2,9647701234568.0,Sara"\r\n',
    "header": 'id,phone,name,"note\n1,9647701234567,Ali,x"\n2,9647701234568,Sara,y\n',
    "another column": 'id,phone,name,note\n1,9647701234567,Ali,"x\n2,9647701234568,Sara,y"\n',
}
LINES = {
    "text": 'id,phone,name\n1,9647701234567,"Dear Ali,\nwelcome, friend, to Basra"\n',
    "as many delimiters": 'id,phone,name\n1,9647701234567,"Ali\nStreet 5, Block 2, Basra"\n',
    "header": 'id,phone,name,"their\nnote, as of 2026"\n1,9647701234567,Ali,x\n',
    "number alone": 'id,phone,name\n1,9647701234567,"Ali\n9647701234568"\n',
    "number in text": 'id,phone,name\n1,9647701234567,"Ali\nSara, call 9647701234568, thanks"\n',
    "time": 'id,phone,name\n1,9647701234567,"Ali\non, 2026-11-28 12:00, please"\n',
}


@pytest.mark.parametrize("text", MERGED.values(), ids=MERGED)
def test_merged_rows_are_refused(refused: Callable[..., str], tmp_path: Path, text: str) -> None:
    error = refused(text)
    assert re.search("people.csv, lines [12] to [2-5]: a row has a value that seems to contain other rows", error)
    assert "Ali" not in error
    with pytest.raises(OtpiqValidationError, match="seems to contain other rows"):
        read_rows(str(tmp_path / "people.csv"), phone_number="phone")


def test_merged_rows_of_a_suppression_list_are_refused(refused: Callable[..., str]) -> None:
    merged = b'phone,note\n9647701234567,"bounced\n07701234568,opted out"\n'
    assert "opt_outs.csv, lines 2 to 3" in refused("id,phone,name\n1,9647701234568,Ali\n", suppress=merged)


@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_a_value_of_several_lines_is_a_value(run: Callable[..., object], tmp_path: Path, text: str) -> None:
    assert run(text).counts["recipients"] == 1  # type: ignore[attr-defined]
    assert len(read_rows(str(tmp_path / "people.csv"), phone_number="phone")) == 1
