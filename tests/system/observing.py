"""Read and change a running Airflow."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from dev.running_airflow import RunningAirflow, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from airflow_provider_otpiq.sandbox import Sandbox

KEY = "sk_live_only_in_the_connection"
WRONG_KEY = "sk_live_wrong_and_never_to_be_seen"
STORED_KEY = "sk_live_stored_and_never_to_be_seen"


def task_of(airflow: RunningAirflow, run: str, task_id: str = "create") -> dict[str, Any]:
    (found,) = [task for task in airflow.tasks(run) if task["task_id"] == task_id]
    return found


def wait_for_state(airflow: RunningAirflow, run: str, state: str, task_id: str = "create") -> dict[str, Any]:
    wait_until(lambda: task_of(airflow, run, task_id)["state"] == state)
    return task_of(airflow, run, task_id)


def clear(airflow: RunningAirflow, run: str, **options: Any) -> requests.Response:
    """Clear tasks of a run as the UI does, with the REST API's options."""
    dag_id, run_id = run.split("/")[2], run.rsplit("/", maxsplit=1)[-1]
    body = {"dry_run": False, "dag_run_id": run_id, **options}
    return airflow.api("POST", f"/dags/{dag_id}/clearTaskInstances", body)


def run_again(airflow: RunningAirflow, run: str, *task_ids: str) -> None:
    """Clear tasks in any state, and wait until the run ends."""
    clear(airflow, run, only_failed=False, task_ids=task_ids).raise_for_status()
    airflow.finished(run)


def is_task(process: psutil.Process) -> bool:
    """Return whether a process runs a task, rather than supervises one."""
    with suppress(psutil.Error):
        title = " ".join(process.cmdline())
        return title.startswith("airflow worker -- ") and "LocalExecutor" not in title
    return False


def set_variable(airflow: RunningAirflow, key: str, value: str) -> None:
    airflow.api("PATCH", f"/variables/{key}", {"key": key, "value": value}).raise_for_status()


def log_of(airflow: RunningAirflow, run: str, task_id: str, try_number: int = 1, map_index: int = -1) -> str:
    return airflow.api("GET", f"{run}/taskInstances/{task_id}/logs/{try_number}?map_index={map_index}").text


def sent(sandbox: Sandbox, call: str) -> int:
    """Count the requests of a call, such as ``start``."""
    return sum(request["path"].endswith(f"/{call}") for request in sandbox.requests)


def everything_written(airflow: RunningAirflow) -> Iterator[str]:
    """Yield logs, and the database, in which a stored key is encrypted."""
    for file in Path(airflow.environment["AIRFLOW_HOME"]).rglob("*"):
        if "dags" in file.parts:
            continue
        with suppress(FileNotFoundError, IsADirectoryError):  # SQLite deletes its journal
            yield file.read_bytes().decode(errors="replace")
    if dump := airflow.environment.get("OTPIQ_TEST_DUMP"):
        yield subprocess.run(dump.split(), capture_output=True, check=True, text=True).stdout
