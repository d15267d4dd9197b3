"""A running Airflow whose tasks run in pods, with a sandbox and an object store."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dev.local_airflow import EXAMPLE_DAGS, REPOSITORY
from dev.running_airflow import RunningAirflow
from tests.system.pods.executor import pod_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_otpiq.sandbox import Sandbox
    from tests.system.object_store import Store


@pytest.fixture(scope="session")
def airflow(
    tmp_path_factory: pytest.TempPathFactory, running_sandbox: Sandbox, bucket: Store
) -> Iterator[RunningAirflow]:
    """A running Airflow without connections; these are in a file that only the pods see."""
    folder = tmp_path_factory.mktemp("pods")
    for name in ("pods", "secrets"):
        (folder / name).mkdir()
    shutil.copytree(Path(__file__).parent / "dags", folder / "dags")
    for name in ("audience.csv", "team.csv"):
        shutil.copy(EXAMPLE_DAGS / name, folder / "dags")
    otpiq = {"conn_type": "otpiq", "host": running_sandbox.url, "password": running_sandbox.api_key}
    connections = {"otpiq_default": otpiq, "aws_default": bucket.connection}
    (folder / "secrets" / "connections.json").write_text(json.dumps(connections))
    _require_namespaces(folder)
    airflow = RunningAirflow(folder / "airflow", folder / "dags")
    airflow.environment["AIRFLOW__CORE__EXECUTOR"] = "tests.system.pods.executor.PodExecutor"
    airflow.environment["PYTHONPATH"] = str(REPOSITORY)
    with airflow.running():
        yield airflow


@pytest.fixture(scope="session")
def pods(airflow: RunningAirflow) -> Path:
    """The folder of the pods' logs, and of archives of what they left behind."""
    return Path(airflow.environment["AIRFLOW_HOME"]).parent / "pods"


def _require_namespaces(folder: Path) -> None:
    probe = subprocess.run(pod_command("probe", folder, "true"), capture_output=True, text=True, check=False)
    if probe.returncode:
        pytest.fail(
            f"`make test-pods` needs root, or CAP_SYS_ADMIN, on Linux, for mount namespaces: {probe.stderr.strip()}",
            pytrace=False,
        )
