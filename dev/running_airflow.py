"""A running Airflow: its scheduler, API server and other programs in their own session of processes."""

from __future__ import annotations

import contextlib
import os
import re
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
_POLL_SECONDS = 0.3
# Everybody is an admin, so Airflow must not listen to other machines.
LOOPBACK = "127.0.0.1"
# The programs of `airflow standalone` without two log servers, which always listen on all interfaces.
COMPONENTS = ("scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs", "api-server")


def wait_until(condition: Callable[[], T], seconds: float = 120) -> T:
    """Call a condition until it returns a true value, and return that value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition did not hold within {seconds} s")
        time.sleep(_POLL_SECONDS)
    return value


class RunningAirflow(LocalAirflow):
    """
    An Airflow that can be started, with its REST API.

    :param home: its folder, which is created if it does not exist.
    :param dags: the folder of its DAGs.
    :param port: the port of its API and web UI; 0 selects a free one.
    :param host: the address on which these listen.
    :param components: the ``airflow`` commands to start.
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
        self.log = home / "airflow.log"
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
            # On a busy machine, the API server takes longer than the default of 5 seconds, which fails a task.
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60",
        }

    @contextlib.contextmanager
    def started(self, output: IO[bytes] | None = None) -> Iterator[subprocess.Popen[bytes]]:
        """Start it and yield its first process; at the end, kill all its processes. It prints to ``output``."""
        airflow = shlex.quote(self.airflow)
        *others, last = (f"{airflow} {component}" for component in self._components)
        # Airflow leaves children behind when it ends, and each running task has its own process group. All of them stay
        # in the session.
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

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Create its database, start it, and wait until it responds. Its log is in its home."""
        self.migrate()
        with self.log.open("wb") as output, self.started(output):
            self.wait_until_it_responds()
            yield

    def processes(self) -> list[psutil.Process]:
        """List all processes that it started."""
        return processes_of(self._session)

    def wait_until_it_responds(self) -> None:
        """Wait until the scheduler, the DAG processor and the API are healthy."""

        def healthy() -> bool:
            with contextlib.suppress(requests.RequestException, KeyError, ValueError):
                health = requests.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
                return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor"))
            return False

        wait_until(healthy, _SECONDS_TO_START)

    def api(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Call the REST API at a path below ``/api/v2``."""
        token = requests.get(f"{self.url}/auth/token", timeout=30).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return requests.request(method, f"{self.url}/api/v2{path}", json=body, headers=headers, timeout=60)

    def trigger(self, dag_id: str, *, run_after: str | None = None, **conf: Any) -> str:
        """Start a run of a DAG as soon as Airflow knows it, and return the run's path in the REST API."""
        wait_until(lambda: self.api("GET", f"/dags/{dag_id}").ok)
        self.api("PATCH", f"/dags/{dag_id}", {"is_paused": False}).raise_for_status()
        body = {"logical_date": None, "run_after": run_after, "conf": conf}
        response = self.api("POST", f"/dags/{dag_id}/dagRuns", body)
        response.raise_for_status()
        return f"/dags/{dag_id}/dagRuns/{response.json()['dag_run_id']}"

    def finished(self, run: str, seconds: float = 180) -> str:
        """Wait until a run ends, and return its state."""

        def state() -> str:
            response = self.api("GET", run)  # sometimes 500, if SQLite is busy
            found: str = response.json()["state"] if response.ok else ""
            return found if found in ("success", "failed") else ""

        return wait_until(state, seconds)

    def wait_until_noticed(self, run: str, task_id: str, state: str, times: int = 1) -> None:
        """
        Wait until the scheduler's log says that the worker of a task has ended, with the task in a state.

        Airflow 3.3.2 fails a task that runs again earlier, such as after a person's response: its scheduler mistakes
        the end of the first half for a crash. The state alone is set before that.

        :param times: how often the log must say that.
        """
        run_id = re.escape(run.rpartition("/")[2])
        event = re.compile(rf"TaskInstance Finished: .*task_id={task_id}, run_id={run_id}, .*state={state}, executor=")
        wait_until(lambda: len(event.findall(self.log.read_text(errors="replace"))) >= times)

    def respond(self, run: str, task_id: str, option: str) -> None:
        """Respond to a task that waits for a person, with an option such as ``Approve``."""
        self.wait_until_noticed(run, task_id, "awaiting_input")
        path = f"{run}/taskInstances/{task_id}/-1/hitlDetails"
        response = {"chosen_options": [option], "params_input": {}}
        wait_until(lambda: self.api("PATCH", path, response).ok, 30)

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """List the task instances of a run."""
        response = wait_until(lambda: self.api("GET", f"{run}/taskInstances"))
        found: list[dict[str, Any]] = response.json()["task_instances"]
        return found

    def xcom(self, run: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value of an XCom, or None if it does not exist."""
        path = f"{run}/taskInstances/{task_id}/xcomEntries/{key}?deserialize=true&map_index={map_index}"

        def found() -> list[Any]:
            response = self.api("GET", path)
            if response.status_code == requests.codes.not_found:
                return [None]
            return [response.json()["value"]] if response.ok else []

        return wait_until(found)[0]


def processes_of(session: int | None) -> list[psutil.Process]:
    """List the processes of a session, whose id is that of its first process."""
    return [process for process in psutil.process_iter() if _session_of(process.pid) == session]


def _session_of(process: int) -> int | None:
    with contextlib.suppress(ProcessLookupError):
        return os.getsid(process)
    return None


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as unused:
        port: int = unused.getsockname()[1]
        return port
