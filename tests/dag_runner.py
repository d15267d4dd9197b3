"""A process that runs one DAG after the other with ``dag.test()``, because Airflow starts slowly."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from dev.local_airflow import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.providers.common.compat.sdk import DAG

    from dev.local_airflow import LocalAirflow

_END = "The DAG's run ended in the state "


class Run(NamedTuple):
    """The state of a DAG's run, and what it printed."""

    state: str
    log: str


class DagRunner:
    """A process with the database, DAG folder and connections of an Airflow."""

    def __init__(self, airflow: LocalAirflow) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.dag_runner"],
            cwd=REPOSITORY,
            env=airflow.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self,
        file: Path,
        dag_id: str | None = None,
        conf: dict[str, object] | None = None,
        *,
        mark_success: str = "approve",
    ) -> Run:
        """Run a DAG to its end; tasks that match ``mark_success``, a regular expression, succeed without running."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([str(file), dag_id, conf, mark_success]) + "\n")
        self._process.stdin.flush()
        log = ""
        for line in self._process.stdout:
            if line.startswith(_END):
                return Run(line.removeprefix(_END).strip(), log)
            log += line
        raise AssertionError(f"{dag_id or file} did not end:\n{log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # the end of its input ends it


def dags_in(file: object) -> list[DAG]:
    """Return the DAGs of a file as Airflow does."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    bag: Any = DagBag(str(file))
    assert bag.import_errors == {}
    return list(bag.dags.values())


def main() -> None:
    """Run the DAGs that the standard input names, one a line."""
    for line in sys.stdin:
        file, dag_id, conf, mark_success = json.loads(line)
        (dag,) = [dag for dag in dags_in(file) if dag_id in (None, dag.dag_id)]
        run = dag.test(run_conf=conf, mark_success_pattern=mark_success)
        print(f"\n{_END}{run.state.value}", flush=True)


if __name__ == "__main__":
    main()
