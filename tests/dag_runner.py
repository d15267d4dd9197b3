"""A process that runs DAGs with ``dag.test()``, one after the other, because an Airflow starts slowly."""

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
    """How a DAG's run ended, and what was printed meanwhile."""

    state: str
    log: str


class DagRunner:
    """
    The process, as the tests see it.

    :param airflow: whose database, DAG folder and connections it uses.
    """

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
        """
        Run a DAG to its end.

        :param file: the DAG's file, in the DAG folder.
        :param dag_id: the DAG; not needed where the file holds one.
        :param conf: the run's configuration.
        :param mark_success: which tasks succeed at once instead of waiting, as a regular expression.
        """
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([str(file), dag_id, conf, mark_success]) + "\n")
        self._process.stdin.flush()
        log = ""
        for line in self._process.stdout:
            if line.startswith(_END):
                return Run(line.removeprefix(_END).strip(), log)
            log += line
        raise AssertionError(f"{dag_id or file} did not run to its end:\n{log}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # without more to do, it ends


def dags_in(file: object) -> list[DAG]:
    """Find the DAGs of a file as Airflow does."""
    try:
        from airflow.dag_processing.dagbag import DagBag
    except ImportError:  # Airflow 2
        from airflow.models.dagbag import DagBag  # type: ignore[no-redef]

    bag: Any = DagBag(str(file))
    assert bag.import_errors == {}
    return list(bag.dags.values())


def main() -> None:
    """Run what stands on the lines of the standard input."""
    for line in sys.stdin:
        file, dag_id, conf, mark_success = json.loads(line)
        (dag,) = [dag for dag in dags_in(file) if dag_id in (None, dag.dag_id)]
        run = dag.test(run_conf=conf, mark_success_pattern=mark_success)
        print(f"\n{_END}{run.state.value}", flush=True)


if __name__ == "__main__":
    main()
