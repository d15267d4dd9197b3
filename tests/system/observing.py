"""Read and change a running Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy

from airflow_provider_otpiq.sandbox.faults import Fault
from dev.running_airflow import RunningAirflow, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from airflow_provider_otpiq.sandbox import Sandbox

WRONG_KEY = "sk_live_wrong_and_never_to_be_seen"
DASHBOARD = "https://dashboard.example.com/campaigns/{campaign_id}"


def task_of(airflow: RunningAirflow, run: str, task_id: str = "create") -> dict[str, Any]:
    (found,) = [task for task in airflow.tasks(run) if task["task_id"] == task_id]
    return found


def wait_for_state(airflow: RunningAirflow, run: str, state: str, task_id: str = "create") -> dict[str, Any]:
    wait_until(lambda: task_of(airflow, run, task_id)["state"] == state)
    return task_of(airflow, run, task_id)


def run_id_of(run: str) -> str:
    """Return the id of a run from its path in the REST API."""
    return run.rpartition("/")[2]


def clear(airflow: RunningAirflow, run: str, **options: Any) -> requests.Response:
    """Clear tasks of a run as the UI does, with the REST API's options."""
    body = {"dry_run": False, "dag_run_id": run_id_of(run), **options}
    return airflow.api("POST", f"/dags/{run.split('/')[2]}/clearTaskInstances", body)


def run_again(airflow: RunningAirflow, run: str, *task_ids: str) -> None:
    """Clear tasks in any state, and wait until the run ends."""
    clear(airflow, run, only_failed=False, task_ids=task_ids).raise_for_status()
    airflow.finished(run)


def kill_task(airflow: RunningAirflow, run: str, task_id: str) -> None:
    """Kill the process that runs a task."""
    os.kill(task_of(airflow, run, task_id)["pid"], signal.SIGKILL)


def set_variable(airflow: RunningAirflow, key: str, value: str) -> None:
    airflow.api("PATCH", f"/variables/{key}", {"key": key, "value": value}).raise_for_status()


def log_of(airflow: RunningAirflow, run: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
    return airflow.api("GET", f"{run}/taskInstances/{task_id}/logs/{try_number}?map_index={map_index}").text


def delete_pending_marker(airflow: RunningAirflow, log: str) -> None:
    """Send the request that the error in a log names, so that the next try can send again."""
    path = log.partition("DELETE /api/v2")[2].partition(",")[0]
    airflow.api("DELETE", path).raise_for_status()


@contextmanager
def database(airflow: RunningAirflow) -> Iterator[sqlalchemy.Connection]:
    """Open a transaction in Airflow's database, for what its REST API neither shows nor changes."""
    sqlite = f"sqlite:///{airflow.home}/airflow.db"
    engine = sqlalchemy.create_engine(airflow.environment.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", sqlite))
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def ids_in_database(task: dict[str, Any]) -> dict[str, str]:
    """Return the parameters ``id`` and ``hex``: PostgreSQL and SQLite spell the id of a task instance differently."""
    return {"id": task["id"], "hex": task["id"].replace("-", "")}


def end_the_wait(airflow: RunningAirflow, run: str, task_id: str, times: int = 1) -> None:
    """Let Airflow run a rescheduled task now; ``times`` is how often it has been rescheduled."""
    airflow.wait_until_noticed(run, task_id, "up_for_reschedule", times)
    task = task_of(airflow, run, task_id)
    sql = (
        "UPDATE task_reschedule SET reschedule_date = CURRENT_TIMESTAMP"
        " WHERE CAST(ti_id AS VARCHAR) IN (:id, :hex) AND reschedule_date > CURRENT_TIMESTAMP"
    )
    with database(airflow) as connection:
        assert connection.execute(sqlalchemy.text(sql), ids_in_database(task)).rowcount == 1


def requests_of(sandbox: Sandbox, call: str) -> list[dict[str, Any]]:
    """List the requests of a call, such as ``start``."""
    kind = Fault.parse({"call": call})
    return [request for request in sandbox.requests if kind.matches(request["method"], request["path"])]


def everything_written(airflow: RunningAirflow) -> Iterator[str]:
    """Yield logs, and the database, in which a stored key is encrypted."""
    for file in Path(airflow.environment["AIRFLOW_HOME"]).rglob("*"):
        if "dags" in file.parts:
            continue
        with suppress(FileNotFoundError, IsADirectoryError):  # SQLite deletes its journal
            yield file.read_bytes().decode(errors="replace")
    if dump := airflow.environment.get("OTPIQ_TEST_DUMP"):
        yield subprocess.run(dump.split(), capture_output=True, check=True, text=True).stdout
