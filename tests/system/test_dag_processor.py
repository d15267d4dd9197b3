"""A real DAG processor parses all examples; some are import errors on an older Airflow."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from dev.local_airflow import EXAMPLE_DAGS, LocalAirflow
from tests.conftest import AIRFLOW_VERSION
from tests.docs.versions import examples_that_cannot_load

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES = {file.stem for file in EXAMPLE_DAGS.glob("*.py")}
# In Airflow 2 the scheduler parses one file in each loop.
COMMAND = "dag-processor --num-runs 1" if AIRFLOW_VERSION.major > 2 else "scheduler --num-runs 10"


@pytest.mark.system
def test_the_dag_processor_parses_all_examples(tmp_path: Path) -> None:
    airflow = LocalAirflow(tmp_path, EXAMPLE_DAGS)
    airflow.migrate()
    processor = airflow.run(*COMMAND.split())
    assert processor.returncode == 0, processor.stdout
    assert column(tmp_path, "SELECT dag_id FROM dag") == EXAMPLES - examples_that_cannot_load()
    in_error = {path.rpartition("/")[2] for path in column(tmp_path, "SELECT filename FROM import_error")}
    assert in_error == {f"{dag_id}.py" for dag_id in examples_that_cannot_load()}


def column(home: Path, query: str) -> set[str]:
    database = sqlite3.connect(home / "airflow.db")
    found = {value for (value,) in database.execute(query)}
    database.close()
    return found
