"""
Compare preparing an audience with a plain loop that reads, writes and checks nothing.

The rows have names with commas, quotes and line breaks, numbers in several spellings, and duplicates. Only
:func:`prepare` applies a suppression list.

``python -m dev.bench_audience 10000000`` prepares ten million rows too, and compares the memory.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from dev.bench_harness import CONTEXT, isolated, peak_megabytes, show, write_customers

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS = 1_000_000
ROUNDS = 3
SUPPRESSED = 18_000
MIN_SPEEDUP, MAX_MEGABYTES, MAX_GROWTH, MAX_OF_GROUPS = 1.3, 450, 1.1, 1.3
SUPPRESS = "opt_outs.csv"


def preparing(rows: int = ROWS) -> Iterator[str]:
    """Print how long preparing takes, and yield each exceeded budget."""
    with tempfile.TemporaryDirectory(prefix="bench-audience-") as folder:
        source = write_customers(Path(folder, "people.csv"), ROWS)
        numbers = "".join(f"077{row * 50:08}\n" for row in range(SUPPRESSED))
        Path(folder, SUPPRESS).write_text(f"phone\n{numbers}")
        runs = [
            [
                isolated(plain, source, f"{folder}/plain"),
                isolated(prepare, source, f"{folder}/prepare"),
                isolated(prepare, source, f"{folder}/groups", "city"),
            ]
            for _ in range(ROUNDS)
        ]
        bare, own, groups = (statistics.median(seconds for seconds, _ in run) for run in zip(*runs, strict=True))
        _, peak, peak_of_groups = (max(megabytes for _, megabytes in run) for run in zip(*runs, strict=True))
        show(
            [f"{ROWS:,} rows of CSV, two ninths of the names quoted", "s", "speed", "peak MB"],
            ["`csv.DictReader` and `json.dumps`, no check at all", f"{bare:.1f}", "1.00", ""],
            ["`PrepareAudienceOperator`", f"{own:.1f}", f"{bare / own:.2f}", f"{peak:.0f}"],
            ["the same with `group_by`, 10 groups", f"{groups:.1f}", f"{bare / groups:.2f}", f"{peak_of_groups:.0f}"],
        )
        if groups / own > MAX_OF_GROUPS:
            yield f"an audience of 10 groups takes {groups / own:.2f} times as long as one of one group"
        if bare / own < MIN_SPEEDUP:
            yield f"an audience is prepared {bare / own:.2f} times as fast as the plain loop"
        if max(peak, peak_of_groups) > MAX_MEGABYTES:
            yield f"preparing takes {max(peak, peak_of_groups):.0f} MB"
        if rows > ROWS:
            yield from _growth(write_customers(Path(folder, "many.csv"), rows), folder, rows, peak)


def _growth(source: str, folder: str, rows: int, peak: float) -> Iterator[str]:
    seconds, megabytes = isolated(prepare, source, f"{folder}/many")
    show(["the same of", "s", "peak MB"], [f"{rows:,} rows", f"{seconds:.1f}", f"{megabytes:.0f}"])
    if megabytes > MAX_GROWTH * peak:
        yield f"preparing {rows:,} rows takes {megabytes / peak:.2f} times the memory"


def plain(source: str, output: str) -> tuple[float, float]:
    """Write the parts of an audience in a plain loop; return seconds and megabytes."""
    import airflow_provider_otpiq.operators.audience  # noqa: F401  # as a task's process has: Airflow's objects cost both

    began = time.perf_counter()
    Path(output).mkdir(exist_ok=True)
    with open(source, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        number = 0
        while part := [_recipient(row) for row in islice(rows, 1000)]:
            with open(f"{output}/{number:05}.json", "w", encoding="utf-8") as target:
                target.write(json.dumps(part))
            number += 1
    return time.perf_counter() - began, peak_megabytes()


def _recipient(row: dict[str, str]) -> dict[str, object]:
    parameters = {"body": {"1": row["first_name"]}}
    return {"phoneNumber": row["phone"], "templateParameters": parameters, "reference": row["customer_id"]}


def prepare(source: str, output: str, group_by: str | None = None) -> tuple[float, float]:
    """Prepare the audience by the operator, in groups if ``group_by`` is set; return seconds and megabytes."""
    from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator  # as a task's process has before

    began = time.perf_counter()
    PrepareAudienceOperator(
        task_id="prepare",
        source=source,
        phone_number="phone",
        template_parameters={"body": {"1": "first_name"}},
        reference="customer_id",
        suppress=str(Path(source).with_name(SUPPRESS)),
        output=output,
        group_by=group_by,
        do_xcom_push=False,
    ).execute(CONTEXT)
    return time.perf_counter() - began, peak_megabytes()


if __name__ == "__main__":
    sys.exit("; ".join(preparing(*map(int, sys.argv[1:]))) or None)
