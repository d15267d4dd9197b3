"""Every row of a large audience accounted for, by who made the rows: the rules here are not the package's."""

import csv
import io
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.audience.conftest import Run
from tests.audience.test_same_person import IRAQI_SPELLING

pytestmark = pytest.mark.slow

ROWS = 1_000_000 if os.environ.get("OTPIQ_TEST_FUZZ") == "whole" else 10_000
SUPPRESSED = ROWS // 50
NAMES = ["علي", "زينب", "Ali", "O'Neil", 'Jo "JJ" Smith', "two\nlines", "a,b", "Zaynab \U0001f389", "حسین", "\u200fعمر"]
OUTCOMES = ("recipient", "duplicate", "suppressed", "rejected")


class Row(NamedTuple):
    """A row, and what its maker knows of it."""

    reference: str
    phone: str
    name: str
    outcome: str
    number: str
    line: bytes | None = None
    """As it stands in CSV, where it is malformed."""


def number_of(person: int) -> str:
    return f"96477{person:08}"


def spelt(number: str, way: int) -> str:
    return IRAQI_SPELLING[way % len(IRAQI_SPELLING)]("964", number[3:], "")


BAD: dict[str, Callable[[str, str, str], tuple[str, str, bytes | None]]] = {
    "no number": lambda _, __, name: ("", name, None),
    "a short number": lambda _, phone, name: (phone[:-2], name, None),
    "a long number": lambda _, phone, name: (f"{phone}99", name, None),
    "letters": lambda _, phone, name: (f"{phone} ext 5", name, None),
    "no name": lambda _, phone, __: (phone, " ", None),
    "nan": lambda _, phone, __: (phone, "nan", None),
    "few fields": lambda reference, phone, _: (phone, "", f"{reference},{phone}".encode()),
    "many fields": lambda reference, phone, _: (phone, "", f"{reference},{phone},x,Baghdad,y".encode()),
    "a quote": lambda reference, phone, _: (phone, "", f'{reference},{phone},"x"y,Baghdad'.encode()),
    "bytes": lambda reference, phone, _: (phone, "", f"{reference},{phone},".encode() + b"\xc3\x28,Baghdad"),
}


def make_rows() -> Iterator[Row]:
    """3 % bad rows of ten kinds, 5 % duplicates, a tenth of the numbers as people write them."""
    choice = random.Random(20261125)  # noqa: S311
    seen: list[int] = []
    kinds = list(BAD)
    for at in range(ROWS):
        reference, name, share = f"C-{at}", choice.choice(NAMES), choice.random()
        phone = spelt(number_of(at), choice.randrange(20)) if choice.random() < 0.1 else number_of(at)
        if share < 0.03:
            kind = kinds[at % len(kinds)]
            bad_phone, bad_name, line = BAD[kind](reference, number_of(at), name)
            yield Row(reference, bad_phone, bad_name, "rejected", "", line)
        elif share < 0.08 and seen:
            person = choice.choice(seen)
            yield Row(reference, spelt(number_of(person), choice.randrange(20)), name, "duplicate", "")
        elif at % 100 == 0:
            yield Row(reference, phone, name, "suppressed", "")
        else:
            seen.append(at)
            yield Row(reference, phone, name, "recipient", number_of(at))


def sent(name: str) -> str:
    """A name as it is sent."""
    return name.replace("\n", " ").strip("\u200f")


def write_csv(path: Path, rows: list[Row]) -> None:
    with path.open("wb") as file:
        file.write(b"\xef\xbb\xbfid,phone,name,city\r\n")
        for row in rows:
            file.write(row.line or as_line([row.reference, row.phone, row.name, "Baghdad"]))
            file.write(b"\r\n")


def as_line(values: list[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(values)
    return text.getvalue().removesuffix("\r\n").encode()


@pytest.fixture
def opt_outs(tmp_path: Path) -> str:
    """A suppression list, half of which is not in the audience."""
    people = [100 * at for at in range(SUPPRESSED)]  # up to twice the last row's
    path = tmp_path / "opt_outs.csv"
    path.write_text("phone\n" + "".join(f"{spelt(number_of(person), person // 100)}\n" for person in people))
    return str(path)


def test_every_row_is_accounted_for(run: Run, tmp_path: Path, output: Path, opt_outs: str) -> None:
    rows = list(make_rows())
    write_csv(tmp_path / "people.csv", rows)
    prepared = run([str(tmp_path / "people.csv")], suppress=opt_outs)
    by_outcome = {outcome: [row for row in rows if row.outcome == outcome] for outcome in OUTCOMES}
    assert prepared.counts == {
        "rows": ROWS,
        "recipients": len(by_outcome["recipient"]),
        "duplicates": len(by_outcome["duplicate"]),
        "suppressed": len(by_outcome["suppressed"]),
        "rejected": len(by_outcome["rejected"]),
    }
    assert all(by_outcome.values())
    assert [(each["reference"], each["phoneNumber"], each["templateParameters"]) for each in prepared.recipients] == [
        (row.reference, row.number, {"body": {"1": sent(row.name)}}) for row in by_outcome["recipient"]
    ]
    assert {len(part) for part in prepared.parts[:-1]} == {1000}
    excluded = {int(row["row"]): row["outcome"] for row in prepared.excluded}
    assert excluded == {at: row.outcome for at, row in enumerate(rows, start=1) if row.outcome != "recipient"}
    reasons = {reason for _, _, reason in prepared.rejected}
    assert len(reasons) == len(BAD) - 2  # numbers of two kinds are just not valid
    kept = {row.reference: row.number for row in by_outcome["recipient"]}
    assert all(kept[row["kept_reference"]] for row in prepared.excluded if row["outcome"] == "duplicate")
    written = (output / "excluded.csv").read_text()
    assert not any(row.phone[-8:] in written for row in by_outcome["rejected"][:1000] if row.phone)
