"""A broadcast under chaos, and a real scheduler: killed tasks and supervisors, and tries that a person clears."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.broadcast.chaos import PART_SIZE, PARTS, SHARDS, Chaos, check_books, more_seeds, needs_time
from tests.broadcast.people import number, write_audience
from tests.broadcast.processes import STEPS, Launcher, SecondProcesses
from tests.system.scheduler.observing import everything_that_airflow_has_written, is_task

if TYPE_CHECKING:
    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

_SECONDS_BETWEEN_LOOKS = 2
NAME = "Rabab-of-the-chaos"


class ScheduledTasks:
    """The tasks of a run of ``broadcast_under_chaos``."""

    def __init__(self, airflow: RunningAirflow, audience: str) -> None:
        self._airflow = airflow
        self.set_clock(0)
        self.run = airflow.trigger("broadcast_under_chaos", audience=audience)
        self.tries = 0
        self._next_look = 0.0

    def processes(self) -> list[int]:
        """List the processes that run a task, and those above them that look after them."""
        runners = [each for each in self._airflow.processes() if is_task(each)]
        return [pid for runner in runners for pid in (runner.pid, runner.ppid()) if pid != 1]

    def set_clock(self, seconds: int) -> None:
        (Path(self._airflow.environment["AIRFLOW_HOME"]) / "clock-of-the-tasks").write_text(str(seconds))

    def succeeded(self) -> bool:
        """Clear what failed, as a person does, once nothing runs any more."""
        if time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _SECONDS_BETWEEN_LOOKS
        response = self._airflow.api("GET", self.run)
        state = response.json()["state"] if response.ok else ""
        if state == "failed":
            self._clear()
        return bool(state == "success")

    def _clear(self) -> None:
        self.tries += 1
        body = {"dry_run": False, "only_failed": True, "dag_run_id": self.run.rsplit("/", maxsplit=1)[-1]}
        self._airflow.api("POST", "/dags/broadcast_under_chaos/clearTaskInstances", body)

    def xcoms(self) -> dict[str, list[dict[str, Any]]]:
        return {
            step: [self._airflow.xcom(self.run, step, "broadcast", shard) for shard in range(SHARDS)] for step in STEPS
        }

    def end(self) -> None:
        """End the tasks that lost their supervisor."""
        for each in self._airflow.processes():
            if is_task(each) and each.ppid() == 1:
                with suppress(ProcessLookupError):
                    os.kill(each.pid, signal.SIGKILL)


def chaos(airflow: RunningAirflow, sandbox: Sandbox, folder: Path, seed: int, seconds: float) -> None:
    folder.mkdir(exist_ok=True)
    audience = write_audience(str(folder / "audience"), PARTS, PART_SIZE, name=NAME)
    second_processes = SecondProcesses(Launcher(audience, SHARDS, sandbox, folder / "log"))
    tasks = ScheduledTasks(airflow, audience)
    Chaos(seed, sandbox, tasks, second_processes, pause=0.2).run(seconds)
    check_books(sandbox, tasks.xcoms())


# Each takes more than a minute: one on SQLite, several where `make test-postgresql` runs them.
@pytest.mark.parametrize("seed", [1, 2, 3] if os.environ.get("OTPIQ_TEST_DATABASE") == "postgresql" else [1])
def test_whatever_happens_each_person_is_in_one_campaign_that_starts(
    airflow: RunningAirflow, sandbox: Sandbox, tmp_path: Path, seed: int
) -> None:
    chaos(airflow, sandbox, tmp_path, seed, seconds=30)
    found = "".join(everything_that_airflow_has_written(airflow))
    assert "Created and attached" in found
    assert [each for each in range(PARTS * PART_SIZE) if number(each) in found] == []
    assert NAME not in found


@needs_time
def test_so_it_is_with_more_seeds(airflow: RunningAirflow, sandbox: Sandbox, tmp_path: Path) -> None:
    for seed in more_seeds():
        sandbox.reset()
        chaos(airflow, sandbox, tmp_path / str(seed), seed, seconds=60)
