"""An executor like KubernetesExecutor without a cluster: each try of a task runs in a new pod."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.executors.base_executor import BaseExecutor

if TYPE_CHECKING:
    from collections.abc import Sequence

POD = Path(__file__).parent / "pod.sh"
# A killed pod ends all its processes, as a container does.
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--uts")
WITHOUT_HOME = "without_home"
"""The queue of tasks whose pods have no ``HOME``."""


def pod_name(dag_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
    """Return the name of a try's pod, which is a valid hostname."""
    return f"{dag_id}-{task_id}-{map_index}-{try_number}".replace("_", "-")


def pod_command(name: str, folder: Path, *command: str) -> list[str]:
    """Return the command of a pod, which sees only the DAGs and the secrets of the test's folder."""
    return [*UNSHARE, str(POD), name, str(folder / "dags"), str(folder / "secrets"), str(folder.parent), *command]


def pod_environment(execution_api: str) -> dict[str, str]:
    """Return the environment of a pod, with nothing from this machine."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "USER": "airflow",  # which has no entry in /etc/passwd
        "HOME": "/media/home",
        "TMPDIR": "/media/temporary",
        "AIRFLOW_HOME": "/media/airflow",
        "AIRFLOW__CORE__DAGS_FOLDER": "/media/dags",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": execution_api,
        "AIRFLOW__WORKERS__SECRETS_BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
        "AIRFLOW__WORKERS__SECRETS_BACKEND_KWARGS": json.dumps(
            {"connections_file_path": "/media/secrets/connections.json"}
        ),
    }


class PodExecutor(BaseExecutor):
    """Runs tasks in pods; the folder ``pods`` has their logs, and archives of what they left behind."""

    def start(self) -> None:
        self._folder = Path(os.environ["AIRFLOW_HOME"]).parent
        self._pods: dict[Any, subprocess.Popen[bytes]] = {}

    def _process_workloads(self, workload_items: Sequence[Any]) -> None:
        for workload in workload_items:
            del self.queued_tasks[workload.key]
            self.running.add(workload.key)
            self._pods[workload.key] = self._start_pod(workload)

    def _start_pod(self, workload: Any) -> subprocess.Popen[bytes]:
        ti = workload.ti
        name = pod_name(ti.dag_id, ti.task_id, ti.map_index, ti.try_number)
        environment = pod_environment(os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"])
        if ti.queue == WITHOUT_HOME:
            del environment["HOME"]
        # As in `workload_to_command_args` of the provider cncf.kubernetes 10.25.
        task = ("python", "-m", "airflow.sdk.execution_time.execute_workload", "--json-string")
        command = pod_command(name, self._folder, *task, workload.model_dump_json())
        output = self._folder / "pods" / name
        with output.with_suffix(".tar").open("xb") as left, output.with_suffix(".log").open("xb") as log:
            return subprocess.Popen(command, env=environment, cwd="/", stdout=left, stderr=log)

    def sync(self) -> None:
        for key, pod in list(self._pods.items()):
            code = pod.poll()
            if code is not None:
                del self._pods[key]
                (self.fail if code else self.success)(key)

    def end(self) -> None:
        """Do nothing: the end of the session kills the pods."""

    def terminate(self) -> None:
        """Do nothing, as `end`."""
