"""The number of items that an error or a log line lists, which the docs state."""

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from tests.audience.conftest import GOOD, Logged, Refused, Run, as_json_lines

pytestmark = pytest.mark.slow

BODY = {name: name for name in "abcde"}
MISSING = [missing for size in (1, 2, 3) for missing in combinations(BODY, size)]
"""Sets of missing parameters, each of which is another reason."""
TWENTY = ", ".join(map(str, range(1, 21)))


@pytest.mark.parametrize("reasons", [20, 21])
def test_the_20_most_frequent_reasons_are_listed(run: Run, refused: Refused, logged: Logged, reasons: int) -> None:
    good = {"phone": "9647701234567", **dict.fromkeys(BODY, "x")}
    rows = as_json_lines([good, *(good | dict.fromkeys(missing, "") for missing in MISSING[:reasons])])
    fields: dict[str, Any] = {"template_parameters": {"body": BODY}, "reference": None}
    run(rows, "people.jsonl", **fields)
    listed = re.findall(r"1x templateParameters\.[\w.; ]+ required", logged())
    assert len(set(listed)) == 20  # some versions of Airflow log each line twice
    assert refused(rows, "people.jsonl", max_rejected=0, **fields).count("1x templateParameters.") == 20


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])
def test_20_rows_or_files_are_listed(
    run: Run, refused: Refused, tmp_path: Path, logged: Logged, count: int, more: str
) -> None:
    assert f"suppress: rows {TWENTY}{more}: " in refused(GOOD, suppress=lambda: [{"phone": "x"}] * count)
    empty = [tmp_path / f"{index:02}.csv" for index in range(count)]
    for path in empty:
        path.touch()
    run([f"{tmp_path}/*.csv"], suppress=lambda: [*[{"phone": ""}] * count, {"phone": "9647701234568"}])
    log = logged()
    assert f"suppress: ignored rows {TWENTY}{more} without a phone number." in log
    assert f"source: skipped {count} empty files of {count + 1}: {', '.join(map(str, empty[:20]))}{more}." in log


@pytest.mark.parametrize(("count", "more"), [(50, ""), (51, " and 1 more")])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_50_columns_are_listed(refused: Refused, suffix: str, count: int, more: str) -> None:
    names = ["id", "name", *(f"c{index}" for index in range(count - 2))]
    content = as_json_lines([dict.fromkeys(names, "x")]) if suffix == "jsonl" else ",".join(names) + "\n"
    assert f"It has {', '.join(map(repr, names[:50]))}{more}." in refused(content, f"people.{suffix}")


@pytest.mark.parametrize("foreign", [True, False])
def test_recipients_abroad_are_counted_in_the_log(run: Run, logged: Logged, foreign: bool) -> None:
    run(GOOD + "2,+971501234567,Sara\n3,+966501234567,Noor\n4,+971501234568,Zaynab\n" * foreign)
    log = logged()
    assert ("Recipients outside IQ: 3 (2 AE, 1 SA)." in log) == foreign
    assert ("outside IQ" in log) == foreign
