"""The tasks of a broadcast as processes of their own, and second processes beside them."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from tests.broadcast import worker
from tests.broadcast.people import TEMPLATE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.context import ForkServerProcess
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox

STEPS = ("create", "start")
_SECONDS_AT_ONCE = 4
_SECONDS_TO_END = 60


class Launcher:
    """
    What starts a task of the broadcast in a process.

    :param audience: the path of the manifest.
    :param shards: over how many tasks each step is divided.
    :param sandbox: OTPIQ.
    :param log: the file for what the tasks print.
    :param max_retries: how many HTTP retries a call may make.
    :param environment: what else is in their environment.
    """

    def __init__(
        self,
        audience: str,
        shards: int,
        sandbox: Sandbox,
        log: Path,
        *,
        max_retries: int = 1,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.shards = shards
        extra = {"max_retries": max_retries, "allow_insecure_http": True}  # the sandbox may be on a machine of its own
        connection = {"conn_type": "otpiq", "host": sandbox.url, "password": sandbox.api_key, "extra": extra}
        self._environment = {"AIRFLOW_CONN_OTPIQ_CHAOS": json.dumps(connection), **(environment or {})}
        self._log = str(log)
        ledger = audience.replace("manifest.json", "ledger")
        self._fields: dict[str, dict[str, Any]] = {
            "create": {"audience": audience, "name": "Chaos", **TEMPLATE},  # as in the DAG
            "start": {"broadcast": ledger},
        }

    def start(self, step: str, shard: int, clock: int, result: Path | None = None) -> ForkServerProcess:
        """Start the task of a step and a shard."""
        fields = {**self._fields[step], "shard": shard, "shards": self.shards, "otpiq_conn_id": "otpiq_chaos"}
        return worker.start(step, fields, self._environment, clock=clock, result=result and str(result), log=self._log)


class Processes:
    """
    The tasks, each in a process of its own, which is run again until it succeeds.

    :param launcher: starts them.
    :param results: the folder for their XComs.
    """

    def __init__(self, launcher: Launcher, results: Path) -> None:
        self._launcher = launcher
        self._results = {
            (step, shard): results / f"{step}-{shard}.json" for step in STEPS for shard in range(launcher.shards)
        }
        self._running: dict[tuple[str, int], ForkServerProcess] = {}
        self._clock = 0
        self.tries = 0

    def processes(self) -> list[int]:
        return alive(self._running.values())

    def set_clock(self, seconds: int) -> None:
        self._clock = seconds

    def succeeded(self) -> bool:
        for step in STEPS:
            missing = [key for key, result in self._results.items() if key[0] == step and not result.exists()]
            for key in missing:
                self._ensure_running(*key)
            if missing:
                return False
        return True

    def xcoms(self) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {step: [] for step in STEPS}
        for (step, _), result in self._results.items():
            found[step].append(json.loads(result.read_text())["broadcast"])
        return found

    def _ensure_running(self, step: str, shard: int) -> None:
        running = self._running.get((step, shard))
        if running is None or not running.is_alive():
            self.tries += 1
            self._running[step, shard] = self._launcher.start(step, shard, self._clock, self._results[step, shard])

    def end(self) -> None:
        end(self._running.values())


class SecondProcesses:
    """
    Second processes of the same tasks, as a worker is that has lost its connection to Airflow.

    :param launcher: starts them.
    """

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._running: list[ForkServerProcess] = []

    def start(self, step: str, shard: int, clock: int) -> None:
        self._running = [process for process in self._running if process.is_alive()]
        if len(self._running) < _SECONDS_AT_ONCE:
            self._running.append(self._launcher.start(step, shard, clock))

    def processes(self) -> list[int]:
        return alive(self._running)

    def wait(self) -> None:
        """Wait for those that are still at it."""
        until = time.monotonic() + _SECONDS_TO_END
        for process in self._running:
            process.join(max(0, until - time.monotonic()))

    def end(self) -> None:
        end(self._running)


def alive(processes: Iterable[ForkServerProcess]) -> list[int]:
    return [process.pid for process in processes if process.pid and process.is_alive()]


def end(processes: Iterable[ForkServerProcess]) -> None:
    for process in processes:
        process.kill()
        process.join()
