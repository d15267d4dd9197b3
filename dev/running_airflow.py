"""An Airflow that runs: scheduler, API server and all, in a session of processes of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import socket
import subprocess
import time
from typing import IO, TYPE_CHECKING, Any, TypeVar

import psutil
import requests

from dev.local_airflow import LocalAirflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

T = TypeVar("T")
_SECONDS_TO_START = 180
_BETWEEN_LOOKS = 0.3
# Everybody is an admin here, so nobody on another machine may come in.
LOOPBACK = "127.0.0.1"
# What `airflow standalone` starts, but for two log servers: those listen on all interfaces, whatever is configured. The
# API server finds the logs in the folder that all share.
COMPONENTS = ("scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs", "api-server")


def wait_until(look: Callable[[], T], seconds: float = 120) -> T:
    """
    Wait until a condition holds.

    :param look: the condition, called again and again; any true value ends the waiting.
    :param seconds: how long to wait.
    :return: the true value.
    :raises TimeoutError: if it did not hold in time.
    """
    give_up_at = time.monotonic() + seconds
    while not (seen := look()):
        if time.monotonic() > give_up_at:
            raise TimeoutError(f"not so within {seconds} s")
        time.sleep(_BETWEEN_LOOKS)
    return seen


class RunningAirflow(LocalAirflow):
    """
    An Airflow that is started and ended, with its REST API.

    :param home: its folder; made if it is not there.
    :param dags: the folder of its DAGs.
    :param port: the port of its API and web UI; 0 takes a free one.
    :param host: the address that these listen on.
    :param components: the ``airflow`` commands that it consists of.
    """

    def __init__(
        self,
        home: Path,
        dags: Path,
        port: int = 0,
        *,
        host: str = LOOPBACK,
        components: tuple[str, ...] = COMPONENTS,
    ) -> None:
        super().__init__(home, dags)
        self.port = port or _free_port()
        self.url = f"http://{host}:{self.port}"
        self._components = components
        self._session: int | None = None
        self.environment |= {
            "AIRFLOW__API__HOST": host,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
            "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
        }

    @contextlib.contextmanager
    def started(self, output: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """
        Start it; at the end of the block, end it and whatever it started.

        :param output: where what it prints goes; None leaves it to the terminal.
        :return: its first process.
        """
        airflow = shlex.quote(self.airflow)
        *others, last = (f"{airflow} {component}" for component in self._components)
        # A session of its own: Airflow leaves children behind when it is told to end, and each running task has a
        # process group of its own, but nothing leaves the session.
        process = subprocess.Popen(
            ["sh", "-c", f"{' & '.join(others)} & exec {last}"],
            env=self.environment,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            start_new_session=True,
        )
        self._session = process.pid
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
            for each in self.processes():
                with contextlib.suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()

    def processes(self) -> list[psutil.Process]:
        """
        List its processes.

        :return: all that it started, whatever has become of their parents.
        """
        return processes_of(self._session)

    def wait_until_it_responds(self) -> None:
        """
        Wait until the scheduler, the DAG processor and the API are there.

        :raises TimeoutError: if they are not there in three minutes.
        """

        def healthy() -> bool:
            with contextlib.suppress(requests.RequestException, KeyError, ValueError):
                health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
                return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))
            return False

        wait_until(healthy, _SECONDS_TO_START)

    def api(self, method: str, path: str, body: Any = None) -> requests.Response:
        """
        Call the REST API.

        :param method: the HTTP method.
        :param path: the path below ``/api/v2``.
        :param body: the JSON body.
        :return: the response.
        """
        token = requests.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.url}/api/v2{path}", json=body, headers=headers, timeout=60)

    def trigger(self, dag_id: str, *, run_after: str | None = None, **conf: Any) -> str:
        """
        Start a run of a DAG, as soon as Airflow knows it.

        :param dag_id: the DAG.
        :param run_after: the time that the run is for, ISO 8601; None is now.
        :param conf: its params.
        :return: the run's path in the REST API.
        """
        wait_until(lambda: self.api("GET", f"/dags/{dag_id}").ok)
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False}).raise_for_status()
        body = {"logical_date": None, "run_after": run_after, "conf": conf}
        response = self.api("POST", f"/dags/{dag_id}/dagRuns", body)
        response.raise_for_status()
        return f"/dags/{dag_id}/dagRuns/{response.json()['dag_run_id']}"

    def finished(self, run: str, seconds: float = 180) -> str:
        """
        Wait for the end of a run.

        :param run: the run's path.
        :param seconds: how long to wait.
        :return: its state.
        """

        def state() -> str:
            response = self.api("GET", run)  # with a busy SQLite it returns 500 now and then
            found: str = response.json()["state"] if response.ok else ""
            return found if found in ("success", "failed") else ""

        return wait_until(state, seconds)

    def wait_for_a_loop_of_the_scheduler(self) -> None:
        """
        Wait until the scheduler has gone through one whole loop.

        Airflow 3.3.2 fails a task that waits for a person and gets a response before: its scheduler finds it queued
        again, and takes the end of its first half for its death. Two beats of its heart lie a whole loop apart.
        """
        for _ in range(2):
            last = self._heartbeat()
            wait_until(lambda: self._heartbeat() != last)  # noqa: B023  # called in this turn of the loop only

    def respond(self, run: str, task_id: str, option: str) -> None:
        """
        Respond to a task that waits for a person.

        :param run: the run's path.
        :param task_id: the task.
        :param option: what the person chooses, such as ``Approve``.
        """
        self.wait_for_a_loop_of_the_scheduler()
        path = f"{run}/taskInstances/{task_id}/-1/hitlDetails"
        response = {"chosen_options": [option], "params_input": {}}
        wait_until(lambda: self.api("PATCH", path, response).ok, 30)

    def _heartbeat(self) -> str:
        response = requests.get(f"{self.url}/api/v2/monitor/health", timeout=30)
        return str(response.json()["scheduler"]["latest_scheduler_heartbeat"])

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """
        List the task instances of a run.

        :param run: the run's path.
        :return: them, as the REST API gives them.
        """
        response = wait_until(lambda: self.api("GET", f"{run}/taskInstances"))
        found: list[dict[str, Any]] = response.json()["task_instances"]
        return found

    def xcom(self, run: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """
        Read an XCom.

        :param run: the run's path.
        :param task_id: the task.
        :param key: the key.
        :param map_index: which of a mapped task.
        :return: its value; None if there is none.
        """
        path = f"{run}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=true&map_index={map_index}"

        def looked() -> list[Any]:
            response = self.api("GET", path)
            if response.status_code == requests.codes.not_found:
                return [None]
            return [response.json()["value"]] if response.ok else []

        return wait_until(looked)[0]


def processes_of(session: int | None) -> list[psutil.Process]:
    """
    List the processes of a session.

    :param session: the id of its first process.
    :return: all of them, whatever has become of their parents.
    """
    return [process for process in psutil.process_iter() if _session_of(process.pid) == session]


def _session_of(process: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process)
    return None


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as unused:
        port: int = unused.getsockname()[1]
        return port
