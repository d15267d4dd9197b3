"""Run each DAG file that is named on the command line, approvals as given, in one process: an Airflow starts slowly."""

from __future__ import annotations

import runpy
import sys
from typing import Any

from airflow.providers.common.compat.sdk import DAG, BaseOperator


def dags_in(file: object) -> set[DAG]:
    """Find the DAGs of a file, also those that only their tasks know: ``with DAG(...):``."""
    values: list[Any] = list(runpy.run_path(str(file)).values())
    return {
        value.dag if isinstance(value, BaseOperator) else value
        for value in values
        if isinstance(value, DAG | BaseOperator)
    }


def main() -> None:
    for file in sys.argv[1:]:
        (dag,) = dags_in(file)
        run = dag.test(mark_success_pattern="approve")
        print(f"{file} {run.state.value}", flush=True)


if __name__ == "__main__":
    main()
