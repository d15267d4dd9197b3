"""One running Airflow for all tests that need a scheduler, and one sandbox behind it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from airflow_provider_otpiq.sandbox import Sandbox
from dev.local_airflow import EXAMPLE_DAGS
from dev.running_airflow import RunningAirflow
from tests.docs.pages import BLOCKS
from tests.system.observing import KEY, WRONG_KEY
from tests.system.postgresql import postgresql_if_requested

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def scheduler_sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, scheduler_sandbox: Sandbox) -> Iterator[RunningAirflow]:
    home = tmp_path_factory.mktemp("scheduler")
    (home / "dags").mkdir()
    (home / "dags" / "examples").symlink_to(EXAMPLE_DAGS)
    (home / "dags" / "tests").symlink_to(Path(__file__).parent.parent / "dags")
    (documented,) = [block.code for block in BLOCKS if '"approved_offer"' in block.code]
    (home / "dags" / "documented.py").write_text(documented.replace('schedule="0 18 * * *"', "schedule=None"))
    for name in ("audience.csv", "team.csv"):
        shutil.copy(EXAMPLE_DAGS / name, home / "dags")
    airflow = RunningAirflow(home, home / "dags")
    airflow.environment["AIRFLOW__CORE__FERNET_KEY"] = Fernet.generate_key().decode()
    airflow.connect("otpiq_default", host=scheduler_sandbox.url, password=KEY)
    airflow.connect("otpiq_wrong_key", host=scheduler_sandbox.url, password=WRONG_KEY)
    # Below the home, so that `everything_written` finds what a task leaves there.
    airflow.environment["TMPDIR"] = str(home / "temporary")
    (home / "temporary").mkdir()
    # Airflow retries a task whose supervisor was killed after this many seconds.
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "20"
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL"] = "2"
    with postgresql_if_requested(airflow.environment):
        airflow.migrate()
        for variable, value in {"otpiq_name": "First", "otpiq_campaign": "none", "otpiq_campaigns": "none"}.items():
            airflow.run("variables", "set", variable, value).check_returncode()
        airflow.run("pools", "set", "otpiq", "3", "for campaigns").check_returncode()
        with (home / "standalone.log").open("wb") as output, airflow.started(output):
            airflow.wait_until_it_responds()
            yield airflow


@pytest.fixture
def sandbox(scheduler_sandbox: Sandbox) -> Sandbox:
    scheduler_sandbox.reset()
    return scheduler_sandbox
