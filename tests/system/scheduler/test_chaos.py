"""A broadcast under chaos, and a real scheduler: killed tasks and supervisors, and tries that a person clears."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.broadcast.chaos import PART_SIZE, PARTS, SHARDS, Chaos, check_books, more_seeds, needs_time
from tests.broadcast.people import number, write_audience
from tests.broadcast.processes import Launcher, SecondProcesses
from tests.system.observing import everything_that_airflow_has_written, is_task
from tests.system.scheduled_tasks import ScheduledTasks

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox
    from dev.running_airflow import RunningAirflow

pytestmark = pytest.mark.scheduler

NAME = "Rabab-of-the-chaos"


def chaos(airflow: RunningAirflow, sandbox: Sandbox, folder: Path, seed: int, seconds: float) -> None:
    folder.mkdir(exist_ok=True)
    audience = write_audience(str(folder / "audience"), PARTS, PART_SIZE, name=NAME)
    second_processes = SecondProcesses(Launcher(audience, SHARDS, sandbox, folder / "log"))
    tasks = ScheduledTasks(airflow, audience, lambda: list(filter(is_task, airflow.processes())), [airflow.home])
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
