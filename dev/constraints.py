"""Pin the tests' dependencies: a constraint file for each version of Airflow, and one for the lowest releases."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Sequence

# The day of the first release that this package can use, if it is later than the day of an Airflow.
_FIRST_RELEASES = {
    "apache-airflow-providers-common-compat": "2026-01-02",
    "backports-zstd": "2025-10-11",
    "duckdb": "2026-10-22",
    "time-machine": "2025-11-20",
}


class Environment(NamedTuple):
    """A line of ``airflow_versions.txt``."""

    airflow: str
    python: str
    day: str


def environments() -> list[Environment]:
    """Return the lines of ``airflow_versions.txt``; the last is the newest Airflow."""
    lines = (REPOSITORY / "dev" / "airflow_versions.txt").read_text().splitlines()
    return [Environment(*line.split()) for line in lines if not line.startswith("#")]


def main() -> None:
    """Write all files."""
    lowest, *older, newest = environments()
    _pin_lowest(lowest)
    for environment in older:
        _pin(environment, "dev")
    _pin(newest, "dev", "check", "system", "docs", "dist", "bench", options=["--universal"])


def _pin(environment: Environment, *extras: str, options: Sequence[str] = ()) -> None:
    _compile(environment, extras, f"apache-airflow=={environment.airflow}.*", _file(environment), *options)


def _pin_lowest(environment: Environment) -> None:
    """Pin the lowest releases of what the package requires, then what the tests need in addition."""
    with tempfile.TemporaryDirectory() as folder:
        lowest = Path(folder) / "lowest.txt"
        _compile(environment, ("audience", "sandbox"), "", lowest, "--resolution=lowest-direct")
        _compile(environment, ("dev",), lowest.read_text(), _file(environment))


def _file(environment: Environment) -> Path:
    return REPOSITORY / "dev" / "constraints" / f"{environment.airflow}.txt"


def _as_of(day: str) -> list[str]:
    if day == "today":
        return []
    newer = [f"--exclude-newer-package={name}={max(day, first)}" for name, first in _FIRST_RELEASES.items()]
    return [f"--exclude-newer={day}", *newer]


def _compile(environment: Environment, extras: tuple[str, ...], constraints: str, output: Path, *options: str) -> None:
    uv = str(Path(sys.executable).parent / "uv")
    plain = ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
    command = [uv, "pip", "compile", "--quiet", "--upgrade", *plain, *options, *_as_of(environment.day)]
    command += [f"--extra={extra}" for extra in extras]
    command += [f"--python-version={environment.python}", f"--output-file={output}", "--constraint=-", "pyproject.toml"]
    print(f"Airflow {environment.airflow}", flush=True)
    subprocess.run(command, cwd=REPOSITORY, input=constraints, text=True, check=True)


if __name__ == "__main__":
    main()
