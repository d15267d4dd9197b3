"""How much an error or a log line lists: the docs promise it, and nobody wants to see a thousand of a kind."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_otpiq.exceptions import OtpiqValidationError
from tests.audience.conftest import as_json_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.audience.test_prepare import Run

GOOD = "id,phone,name\n1,9647701234567,Ali\n"
BODY = {name: name for name in "abcde"}
MISSING = [missing for size in (1, 2, 3) for missing in combinations(BODY, size)]
"""Sets of missing parameters, each of which is a reason of its own."""


def rows_with_reasons(count: int) -> str:
    good = {"phone": "9647701234567", **dict.fromkeys(BODY, "x")}
    return as_json_lines([good, *(good | dict.fromkeys(missing, "") for missing in MISSING[:count])])


@pytest.mark.parametrize("reasons", [20, 21])
def test_the_20_most_frequent_reasons_are_listed(
    run: Run, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, reasons: int
) -> None:
    fields: dict[str, Any] = {"template_parameters": {"body": BODY}, "reference": None}
    run(rows_with_reasons(reasons), "people.jsonl", **fields)
    logged = caplog.messages or ["".join(capsys.readouterr())]
    assert sum(message.count("1 rows: ") for message in logged) == 20
    with pytest.raises(OtpiqValidationError) as caught:
        run(rows_with_reasons(reasons), "people.jsonl", max_rejected=0, **fields)
    assert str(caught.value).count("1 rows: ") == 20


@pytest.mark.parametrize(("count", "more"), [(20, ""), (21, " and 1 more")])
class TestTwentyAtMost:
    @pytest.fixture
    def twenty(self) -> str:
        return ", ".join(str(row) for row in range(1, 21))

    def test_rows_of_suppress_that_cannot_be_read(self, run: Run, twenty: str, count: int, more: str) -> None:
        with pytest.raises(OtpiqValidationError, match=f"suppress: rows {twenty}{more}: "):
            run(GOOD, suppress=lambda: [{"phone": "x"}] * count)

    def test_rows_of_suppress_without_a_number(
        self,
        run: Run,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        twenty: str,
        count: int,
        more: str,
    ) -> None:
        run(GOOD, suppress=lambda: [*[{"phone": ""}] * count, {"phone": "9647701234568"}])
        logged = "".join(capsys.readouterr()) + caplog.text
        assert f"{count} rows of suppress hold no phone number, and suppress nobody: rows {twenty}{more}." in logged

    def test_empty_files(
        self,
        run: Run,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        count: int,
        more: str,
    ) -> None:
        caplog.set_level("INFO")
        folder = tmp_path / "spark"
        folder.mkdir()
        (folder / "people.csv").write_text(GOOD)
        empty = [folder / f"{at:02}.csv" for at in range(count)]
        for path in empty:
            path.touch()
        run([f"{folder}/*.csv"])
        logged = "".join(capsys.readouterr()) + caplog.text
        assert f"which are empty: {', '.join(map(str, empty[:20]))}{more}." in logged


@pytest.mark.parametrize(("count", "more"), [(50, ""), (51, " and 1 more")])
@pytest.mark.parametrize("write", [lambda names: ",".join(names) + "\n", None], ids=["csv", "jsonl"])
def test_50_columns_are_listed(run: Run, write: Callable[..., str] | None, count: int, more: str) -> None:
    names = ["id", "name", *(f"c{at}" for at in range(count - 2))]
    content = as_json_lines([dict.fromkeys(names, "x")]) if write is None else write(names) + write(["x"] * count)
    with pytest.raises(OtpiqValidationError, match="'phone'") as caught:
        run(content, "people.jsonl" if write is None else "people.csv")
    listed = ", ".join(map(repr, names[:50]))
    assert re.search(re.escape(f"{listed}{more}") + r"\.", str(caught.value)), str(caught.value)


@pytest.mark.parametrize("foreign", [True, False])
def test_recipients_abroad_are_counted_in_the_log(
    run: Run, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, foreign: bool
) -> None:
    caplog.set_level("INFO")
    run(GOOD + "2,+971501234567,Sara\n3,+966501234567,Noor\n4,+971501234568,Zaynab\n" * foreign)
    logged = "".join(capsys.readouterr()) + caplog.text
    assert ("Recipients outside IQ: 3 (2 AE, 1 SA)." in logged) == foreign
    assert ("outside IQ" in logged) == foreign
