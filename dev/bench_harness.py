"""Processes, measurements, tables and customers for the benchmarks."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

API_KEY = "sk_dev_sandbox"
CONTEXT: Any = {
    "ti": SimpleNamespace(dag_id="bench", run_id="bench", map_index=-1, xcom_push=lambda **_: None),
}
"""A context for an operator's ``execute``."""

_IN_API_FORM = 0.9  # of the numbers
_FIRST_NAMES = [
    "علي", "زينب", "Ali", "Zaynab", "محمد", "Hawraa", "O'Neil", 'Jo "JJ" Smith, Dr.', "Ali\nHassan",
]  # fmt: skip
_CITIES = ["Baghdad", "بغداد", "Basra", "Erbil", "Mosul", "Najaf", "Karbala", "Kirkuk", "Duhok", "السليمانية"]
_SPELLINGS: list[Callable[[str], str]] = [
    lambda n: f"+964 {n[:3]} {n[3:6]} {n[6:]}",
    lambda n: f"0{n}",
    lambda n: f"0{n[:3]}-{n[3:6]}-{n[6:]}",
    lambda n: f"00964{n}",
]


def write_customers(path: Path, rows: int, duplicates: int = 20) -> str:
    """Write a CSV file of customers; one in ``duplicates`` rows repeats a number."""
    choice = random.Random(rows)  # noqa: S311  # the same rows each time
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["customer_id", "phone", "first_name", "city"])
        for row in range(rows):
            digits = f"77{(row // 2 if duplicates and row % duplicates == 0 else row):08}"
            number = f"964{digits}" if choice.random() < _IN_API_FORM else choice.choice(_SPELLINGS)(digits)
            writer.writerow([f"C-{row}", number, choice.choice(_FIRST_NAMES), choice.choice(_CITIES)])
    return str(path)


def connect(url: str) -> None:
    """Define the connection ``otpiq_default``."""
    connection = {"conn_type": "otpiq", "host": url, "password": API_KEY}
    os.environ["AIRFLOW_CONN_OTPIQ_DEFAULT"] = json.dumps(connection)


@contextlib.contextmanager
def served(*module: str) -> Iterator[str]:
    """Run a module that serves, in a separate process, and yield the first URL that it prints."""
    with subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(url for line in process.stdout for url in re.findall(r"https?://\S+", line))
        finally:
            process.terminate()


def isolated(function: Callable[..., tuple[float, ...]], *arguments: str) -> list[float]:
    """Call a function of a module in a separate process, and return the numbers that it returns."""
    spec = sys.modules[function.__module__].__spec__  # has the module's name also if it is run by `python -m`
    assert spec
    code = f"import sys, {spec.name} as m; print(*m.{function.__name__}(*sys.argv[1:]))"
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [float(number) for number in printed.splitlines()[-1].split()]


def peak_megabytes() -> float:
    """Return this process's peak memory, on Linux. `getrusage` would count what its parent had when it began."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1024


def in_turns(calls: Mapping[str, Callable[[], object]], rounds: int, calls_each: int = 1) -> list[list[float]]:
    """Time calls in turns, so a busy machine slows all; return each call's seconds for each round."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            for _ in range(calls_each):
                call()
            seconds[name].append((time.perf_counter() - began) / calls_each)
    return list(seconds.values())


def show(*rows: list[str]) -> None:
    """Print a table in Markdown, whose first row is the head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    print(head, f"|{' --- |' * len(rows[0])}", *body, "", sep="\n", flush=True)
