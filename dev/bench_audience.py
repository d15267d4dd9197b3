"""
Preparing an audience, beside the plain loop that does the least possible: it reads and writes, and checks nothing.

The rows are as people have them: names with commas, quotes and line breaks, numbers in several spellings, duplicates.
A suppression list is applied by :func:`prepare` only.

``python -m dev.bench_audience 10000000`` prepares ten million rows too, and compares the memory.
"""

from __future__ import annotations

import csv
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROWS = 1_000_000
ROUNDS = 3
IN_API_FORM = 0.9  # of the numbers
MIN_SPEEDUP, MAX_MEGABYTES, MAX_GROWTH = 1.3, 450, 1.1
SUPPRESSED = 18_000
FIRST_NAMES = [
    "علي", "زينب", "Ali", "Zaynab", "محمد", "Hawraa", "O'Neil", 'Jo "JJ" Smith, Dr.', "Ali\nHassan",
]  # fmt: skip
SUPPRESS = "opt_outs.csv"
CITIES = ["Baghdad", "بغداد", "Basra", "Erbil"]
SPELLINGS = [
    lambda n: f"+964 {n[:3]} {n[3:6]} {n[6:]}",
    lambda n: f"0{n}",
    lambda n: f"0{n[:3]}-{n[3:6]}-{n[6:]}",
    lambda n: f"00964{n}",
]


def preparing(rows: int = ROWS) -> Iterator[str]:
    """Print what preparing costs, and yield where it is over budget."""
    with tempfile.TemporaryDirectory(prefix="bench-audience-") as folder:
        source = _write_source(Path(folder) / "people.csv", ROWS)
        _write_suppressed(Path(folder) / SUPPRESS)
        runs: dict[str, list[tuple[float, float]]] = {"plain": [], "prepare": []}
        for _ in range(ROUNDS):
            for what, measured in runs.items():
                measured.append(_run(what, source, folder))
        plain, own = (statistics.median(seconds for seconds, _ in measured) for measured in runs.values())
        peak = max(megabytes for _, megabytes in runs["prepare"])
        print(f"| {ROWS:,} rows of CSV, two ninths of the names quoted | s | speed | peak MB |")
        print("| --- | --- | --- | --- |")
        print(f"| `csv.DictReader` and `json.dumps`, no check at all | {plain:.1f} | 1.00 | |")
        print(f"| `PrepareAudienceOperator` | {own:.1f} | {plain / own:.2f} | {peak:.0f} |")
        if plain / own < MIN_SPEEDUP:
            yield f"an audience is prepared {plain / own:.2f} times as fast as the plain loop"
        if peak > MAX_MEGABYTES:
            yield f"preparing takes {peak:.0f} MB"
        if rows > ROWS:
            seconds, larger = _run("prepare", _write_source(source, rows), folder)
            print(f"| the same of {rows:,} rows | {seconds:.1f} | | {larger:.0f} |")
            if larger > MAX_GROWTH * peak:
                yield f"preparing ten times the rows takes {larger / peak:.2f} times the memory"
        print(flush=True)


def _write_source(path: Path, rows: int) -> Path:
    choice = random.Random(rows)  # noqa: S311 - the same rows each time
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "phone", "first_name", "city"])
        for at in range(rows):
            digits = f"77{(at if at % 20 else at // 2):08}"
            number = f"964{digits}" if choice.random() < IN_API_FORM else choice.choice(SPELLINGS)(digits)
            writer.writerow([f"C-{at}", number, choice.choice(FIRST_NAMES), choice.choice(CITIES)])
    return path


def _write_suppressed(path: Path) -> None:
    path.write_text("phone\n" + "".join(f"077{at * 50:08}\n" for at in range(SUPPRESSED)))


def _run(what: str, source: Path, folder: str) -> tuple[float, float]:
    """Run it in a process of its own, and return seconds and megabytes."""
    command = [sys.executable, "-W", "ignore", "-m", "dev.bench_audience", what, str(source), f"{folder}/{what}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds, megabytes = map(float, printed.splitlines()[-1].split())
    return seconds, megabytes


def plain(source: str, output: str) -> None:
    """Write the parts of an audience in a plain loop."""
    Path(output).mkdir(exist_ok=True)
    with open(source, encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        number = 0
        while part := [_recipient(row) for row in islice(rows, 1000)]:
            with open(f"{output}/{number:05}.json", "w", encoding="utf-8") as target:
                target.write(json.dumps(part))
            number += 1


def _recipient(row: dict[str, str]) -> dict[str, object]:
    parameters = {"body": {"1": row["first_name"]}}
    return {"phoneNumber": row["phone"], "templateParameters": parameters, "reference": row["customer_id"]}


def prepare(source: str, output: str) -> None:
    """Prepare the audience by the operator."""
    from airflow_provider_otpiq.operators.audience import PrepareAudienceOperator

    operator = PrepareAudienceOperator(
        task_id="prepare",
        source=source,
        phone_number="phone",
        template_parameters={"body": {"1": "first_name"}},
        reference="customer_id",
        suppress=str(Path(source).with_name(SUPPRESS)),
        output=output,
        do_xcom_push=False,
    )
    operator.execute({"ti": SimpleNamespace(map_index=-1)})  # type: ignore[typeddict-item]


def main() -> None:
    """Measure, or do what is measured."""
    measured: dict[str, Callable[[str, str], None]] = {"plain": plain, "prepare": prepare}
    if sys.argv[1:] and sys.argv[1] in measured:
        import airflow_provider_otpiq.operators.audience  # noqa: F401 - a task's process has imported it

        began = time.perf_counter()
        measured[sys.argv[1]](*sys.argv[2:])
        print(time.perf_counter() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    elif broken := list(preparing(int(sys.argv[1]) if sys.argv[1:] else ROWS)):
        sys.exit("Over budget: " + "; ".join(broken))


if __name__ == "__main__":
    main()
