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
from tests.system.postgresql import a_postgresql_if_asked_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def scheduler_sandbox() -> Iterator[Sandbox]:
    with Sandbox(api_key=KEY) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory, scheduler_sandbox: Sandbox) -> Iterator[RunningAirflow]:
    """A running Airflow."""
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
    # What a task leaves in its temporary folder is found with all else that Airflow has written.
    airflow.environment["TMPDIR"] = str(home / "temporary")
    (home / "temporary").mkdir()
    # A task whose supervisor was killed is given up after this.
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT"] = "20"
    airflow.environment["AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL"] = "2"
    with a_postgresql_if_asked_for(airflow.environment):
        airflow.migrate()
        airflow.run("variables", "set", "otpiq_name", "First").check_returncode()
        airflow.run("variables", "set", "otpiq_campaign", "none").check_returncode()
        airflow.run("variables", "set", "otpiq_campaigns", "none").check_returncode()
        airflow.run("pools", "set", "otpiq", "3", "for campaigns").check_returncode()
        with (home / "standalone.log").open("wb") as output, airflow.started(output):
            airflow.wait_until_it_responds()
            yield airflow


@pytest.fixture
def sandbox(scheduler_sandbox: Sandbox) -> Sandbox:
    scheduler_sandbox.reset()
    return scheduler_sandbox
