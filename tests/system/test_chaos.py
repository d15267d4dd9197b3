"""A broadcast whose tasks are processes that are killed, with all else that chaos is; no scheduler is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.broadcast.chaos import PART_SIZE, PARTS, SHARDS, Chaos, check_books, more_seeds, needs_time
from tests.broadcast.people import number, write_audience
from tests.broadcast.processes import Launcher, Processes, SecondProcesses

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_otpiq.sandbox import Sandbox

pytestmark = pytest.mark.system


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_each_person_is_in_one_campaign_that_starts(
    sandbox: Sandbox, tmp_path: Path, seed: int
) -> None:
    chaos(sandbox, tmp_path, seed, seconds=10)


@needs_time
def test_so_it_is_with_more_seeds(sandbox: Sandbox, tmp_path: Path) -> None:
    for seed in more_seeds():
        sandbox.reset()
        chaos(sandbox, tmp_path / str(seed), seed, seconds=20)


def chaos(sandbox: Sandbox, folder: Path, seed: int, seconds: float) -> None:
    folder.mkdir(exist_ok=True)
    audience = write_audience(str(folder / "audience"), PARTS, PART_SIZE)
    launcher = Launcher(audience, SHARDS, sandbox, folder / "log", max_retries=seed % 2)
    tasks = Processes(launcher, folder)
    Chaos(seed, sandbox, tasks, SecondProcesses(launcher), pause=0.06).run(seconds)
    check_books(sandbox, tasks.xcoms())
    log = (folder / "log").read_text()
    assert "Created and attached" in log
    assert [each for each in range(PARTS * PART_SIZE) if number(each) in log] == []
