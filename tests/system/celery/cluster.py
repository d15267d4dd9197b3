"""An Airflow on CeleryExecutor with two workers, whose programs can be killed and restarted."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import psutil
from cryptography.fernet import Fernet

from dev.running_airflow import RunningAirflow, processes_of, wait_until
from tests.system.network import HUB, Machine, require

if TYPE_CHECKING:
    from collections.abc import Iterator

DAGS = (Path(__file__).parent / "dags", Path(__file__).parent.parent / "dags")
REDIS_PORT = 6379
BROKER = f"redis://{HUB}:{REDIS_PORT}/0"
# Airflow notices a dead process within seconds; by default, it takes minutes.
_TIMEOUTS = {
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "12",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    "SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "8",
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "15",
}


class Program:
    """A program that can be killed and restarted; it prints to the file ``log``."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._command = command
        self._environment = environment
        self._log = log

    def start(self) -> None:
        """Start it in its own session."""
        with self._log.open("ab") as output:
            self._begin = output.tell()
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdout=output, stderr=output, start_new_session=True
            )

    def kill(self) -> None:
        """Kill it with all that it started, like a power failure."""
        self._process.kill()  # first, so it starts nothing more
        self._process.wait()
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def restart(self) -> None:
        self.kill()
        self.start()

    def processes(self) -> list[psutil.Process]:
        return processes_of(self._process.pid)

    def printed(self, text: str) -> bool:
        """Return whether it has printed a string since its start."""
        return text.encode() in self._log.read_bytes()[self._begin :]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Worker(Program):
    """A Celery worker on its own machine, without access to Airflow's database; it also has a queue of its name."""

    def __init__(self, machine: Machine, airflow: RunningAirflow, home: Path) -> None:
        self.machine = machine
        self.home = home
        for folder in ("config", "temporary"):
            (home / folder).mkdir(parents=True)
        copy_dags(home)
        # Airflow imports modules from this folder. The API server asks for a log at this address.
        (home / "config" / "machine.py").write_text(f"def address():\n    return {machine.address!r}\n")
        database = airflow.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        environment = airflow.environment | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "machine.address",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "TMPDIR": str(home / "temporary"),
        }
        for name in (
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
            "AIRFLOW__CORE__FERNET_KEY",
            "AIRFLOW__API_AUTH__JWT_SECRET",
        ):
            del environment[name]
        options = ["--celery-hostname", machine.name, "--queues", f"default,{machine.name}", "--concurrency", "4"]
        command = [*machine.enter, airflow.airflow, "celery", "worker", *options]
        super().__init__(command, environment, home / "worker.log")

    def restart(self) -> None:
        super().restart()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        wait_until(lambda: self.printed(f"{self.machine.name} ready."))

    def tasks(self) -> list[psutil.Process]:
        return [process for process in self.processes() if _is_task(process)]


class Cluster:
    """Redis, a scheduler and workers, each of which can be killed, and the rest of an Airflow."""

    def __init__(self, folder: Path, airflow: RunningAirflow, machines: list[Machine]) -> None:
        self.folder = folder
        self.airflow = airflow
        scheduler = [airflow.airflow, "scheduler", "--skip-serve-logs"]
        self.scheduler = Program(scheduler, airflow.environment, folder / "scheduler.log")
        self.redis = Program(_redis(folder / "redis"), dict(os.environ), folder / "redis.log")
        self.workers = [Worker(machine, airflow, folder / machine.name) for machine in machines]

    @contextlib.contextmanager
    def started(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.redis)
            stack.enter_context(self.airflow.started(stack.enter_context((self.folder / "airflow.log").open("wb"))))
            for program in (self.scheduler, *self.workers):
                stack.enter_context(program)
            self.airflow.wait_until_it_responds()
            for worker in self.workers:
                worker.wait_until_ready()
            yield

    def tasks(self) -> list[psutil.Process]:
        return [process for worker in self.workers for process in worker.tasks()]

    def is_supervised(self, task: psutil.Process) -> bool:
        """Return whether a task's supervisor is alive."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return task.parent() in self.worker_of(task).processes()
        return False

    def worker_of(self, process: psutil.Process) -> Worker:
        (worker,) = [worker for worker in self.workers if process in worker.processes()]
        return worker


def _is_task(process: psutil.Process) -> bool:
    """Return whether a process runs a task, rather than supervises one."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).startswith("airflow worker -- ")
    return False


def new_airflow(folder: Path) -> RunningAirflow:
    """Return the API server and the DAG processor of a cluster."""
    copy_dags(folder)
    airflow = RunningAirflow(folder, folder / "dags", host=HUB, components=("dag-processor", "api-server"))
    airflow.environment |= {f"AIRFLOW__{name}": value for name, value in _TIMEOUTS.items()}
    airflow.environment |= {
        "AIRFLOW__API__SECRET_KEY": uuid4().hex,  # with which the API server requests a worker's log
        "AIRFLOW__API_AUTH__JWT_SECRET": uuid4().hex,
        "AIRFLOW__CELERY__BROKER_URL": BROKER,
        "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__PARALLELISM": "16",
    }
    return airflow


def add_connection(airflow: RunningAirflow, connection_id: str, **fields: Any) -> None:
    """Save a connection in Airflow's database; workers get it from the API server."""
    airflow.run("connections", "add", connection_id, "--conn-json", json.dumps(fields)).check_returncode()


def copy_dags(home: Path) -> None:
    """Copy the DAGs to a machine."""
    for source in DAGS:
        shutil.copytree(source, home / "dags" / source.parent.name, ignore=shutil.ignore_patterns("__pycache__"))


def _redis(folder: Path) -> list[str]:
    """Return the command of Redis; its append-only file survives a kill and contains everything ever written."""
    folder.mkdir()
    options = {
        "bind": HUB,
        "port": str(REDIS_PORT),
        "protected-mode": "no",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "always",
        "auto-aof-rewrite-percentage": "0",
        "save": "",
    }
    return [require("redis-server"), *(word for name, value in options.items() for word in (f"--{name}", value))]
